//! Figures: medians with their spread, and the machine they hold for.

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

    /// The one in the middle.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() % 2 {
            _ if sorted.is_empty() => None,
            0 => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
            _ => Some(sorted[middle]),
        }
    }

    /// Each of these by each of those.
    pub(crate) fn by(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }
}

/// `median [min..max]`.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(median) = self.median() else { return f.write_str("not measured") };
        let min = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let max = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.0.len() == 1 {
            return write!(f, "{median:.*}", digits(median));
        }
        let digits = digits(median);
        write!(f, "{median:.digits$} [{min:.digits$}..{max:.digits$}]")
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// Digits after the point that are worth showing.
fn digits(median: f64) -> usize {
    match median.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    }
}

/// What TCP does on this machine, for both ends of every connection.
pub(crate) fn congestion_control() -> Outcome<String> {
    Ok(fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?.trim().to_owned())
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
        "{count} × {}, {} GiB, Linux {}",
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
