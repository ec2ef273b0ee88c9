//! Figures: medians with their spread, the table they are printed in, the machine they hold for.

use std::fmt;
use std::fs;
use std::time::Duration;

use super::Outcome;

/// Measured more than once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// Adds a time, in ms.
    pub(crate) fn push_ms(&mut self, time: Duration) {
        self.push(time.as_secs_f64() * 1e3);
    }

    /// Each of these by each of those.
    pub(crate) fn by(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }
}

/// `median [min..max]`.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            return f.write_str("not measured");
        };
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        let digits = if median.abs() >= 100.0 { 0 } else { 2 };
        write!(f, "{median:.digits$} [{min:.digits$}..{max:.digits$}]")
    }
}

/// What is printed at the end: a figure, its value, how it was found.
pub(crate) struct Table(Vec<[String; 3]>);

impl Table {
    /// Without rows.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a row, and shows it at once: the whole takes minutes.
    pub(crate) fn row(&mut self, figure: &str, value: impl fmt::Display, how: &str) {
        println!("{figure}: {value} ({how})");
        self.0.push([figure.to_owned(), value.to_string(), how.to_owned()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("| Figure | Value | How |\n|---|---|---|\n")?;
        self.0
            .iter()
            .try_for_each(|[figure, value, how]| writeln!(f, "| {figure} | {value} | {how} |"))
    }
}

/// One line about the machine.
pub(crate) fn machine() -> Outcome<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "machine: {count} × {}, {} GiB, Linux {}",
        model.unwrap_or("unknown processor"),
        kib.unwrap_or(0) >> 20,
        kernel.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn medians_and_ratios() {
        let samples = Samples(vec![3.0, 1.0, 2.0]);
        assert_eq!(samples.to_string(), "2.00 [1.00..3.00]");
        assert_eq!(Samples(vec![1.0, 4.0]).to_string(), "2.50 [1.00..4.00]");
        assert_eq!(samples.by(&Samples(vec![1.0, 1.0, 1.0])).to_string(), "2.00 [1.00..3.00]");
        assert_eq!(Samples::default().to_string(), "not measured");
    }
}
