//! Pictures of what was found, as SVG: bars on a logarithmic axis, with a mark where a goal is.

use std::fmt::Write as _;

use crate::report::{Better, Part, Row};
use crate::subjects::{CEILING, KAFKA, KALDA};

const WIDTH: f64 = 960.0;
const LABEL_WIDTH: f64 = 430.0;
const BAR_HEIGHT: f64 = 16.0;
const ROW_HEIGHT: f64 = 24.0;
const HEAD_HEIGHT: f64 = 56.0;
/// Room for the value behind the longest bar.
const VALUE_WIDTH: f64 = 70.0;

/// One bar.
struct Bar {
    label: String,
    value: f64,
    /// What is aimed at.
    goal: Option<f64>,
    colour: &'static str,
}

/// How many times better than Kafka ours is, where there is a goal.
pub(crate) fn against_kafka(parts: &[Part]) -> Option<String> {
    let bars = parts.iter().flat_map(|part| part.rows.iter().map(move |row| (part, row)));
    let bars = bars.filter_map(|(part, row)| {
        let goal = row.goals.iter().find(|goal| goal.against == KAFKA)?.ratio;
        let times = |ratio: f64| if row.better == Better::Less { 1.0 / ratio } else { ratio };
        let (value, goal) = (times(ratio(row, KAFKA)?), times(goal));
        let colour = if value >= goal { "#2a7f4f" } else { "#c0571b" };
        Some(Bar { label: label(part, row), value, goal: Some(goal), colour })
    });
    picture("How many times better than Apache Kafka (black: the goal)", bars.collect())
}

/// What ours takes in terms of the bare ceiling.
pub(crate) fn against_ceiling(parts: &[Part]) -> Option<String> {
    let bars = parts.iter().flat_map(|part| part.rows.iter().map(move |row| (part, row)));
    let bars = bars.filter_map(|(part, row)| {
        let goal = row.goals.iter().find(|goal| goal.against == CEILING)?.ratio;
        let value = ratio(row, CEILING)?;
        let is_reached = if row.better == Better::Less { value <= goal } else { value >= goal };
        let colour = if is_reached { "#2a7f4f" } else { "#c0571b" };
        Some(Bar { label: label(part, row), value, goal: Some(goal), colour })
    });
    picture("Kalda ÷ bare ceiling (black: the goal)", bars.collect())
}

/// Every figure in milliseconds of a part, ours and theirs below each other.
pub(crate) fn latencies(part: &Part) -> Option<String> {
    let rows = part.rows.iter().filter(|row| row.figure.ends_with(" ms"));
    let bars = rows.flat_map(|row| {
        row.values.iter().filter_map(move |(name, samples)| {
            let colour = if *name == KALDA { "#2a7f4f" } else { "#8a8f98" };
            let label = format!("{}, {name}", row.figure.trim_end_matches(" ms"));
            Some(Bar { label, value: samples.median()?, goal: None, colour })
        })
    });
    picture("From due to consumed, ms", bars.collect())
}

fn ratio(row: &Row, against: &str) -> Option<f64> {
    row.ratios().iter().find(|(name, _)| *name == against)?.1.median()
}

fn label(part: &Part, row: &Row) -> String {
    format!("{}: {}", part.name, row.figure)
}

/// `None` if there is nothing to show.
fn picture(title: &str, bars: Vec<Bar>) -> Option<String> {
    let bars: Vec<Bar> =
        bars.into_iter().filter(|bar| bar.value.is_finite() && bar.value > 0.0).collect();
    let shown = bars.iter().flat_map(|bar| [Some(bar.value), bar.goal]).flatten();
    let (low, high) = shown.fold((1.0_f64, 1.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0));
    let scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / (high - low);
    let at = |value: f64| LABEL_WIDTH + (value.log10() - low) * scale;
    let height = HEAD_HEIGHT + ROW_HEIGHT * bars.len() as f64 + 12.0;
    if bars.is_empty() {
        return None;
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    for power in low as i32..=high as i32 {
        let value = 10_f64.powi(power);
        let x = at(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{height}\" stroke=\"#dddddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666666\">{value}</text>",
            HEAD_HEIGHT - 8.0,
            HEAD_HEIGHT - 14.0
        );
    }
    for (number, bar) in bars.iter().enumerate() {
        let y = HEAD_HEIGHT + ROW_HEIGHT * number as f64;
        let middle = y + BAR_HEIGHT / 2.0 + 4.0;
        let (from, to) = (at(1.0).min(at(bar.value)), at(1.0).max(at(bar.value)));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{middle:.1}\">{}</text>",
            LABEL_WIDTH - 10.0,
            escaped(&bar.label),
            (to - from).max(1.5),
            bar.colour,
            to + 6.0,
            short(bar.value)
        );
        if let Some(goal) = bar.goal {
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"2\" height=\"{:.1}\" fill=\"#000000\"/>",
                at(goal) - 1.0,
                y - 2.0,
                BAR_HEIGHT + 4.0
            );
        }
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn short(value: f64) -> String {
    match value {
        large if large >= 100.0 => format!("{large:.0}"),
        middle if middle >= 10.0 => format!("{middle:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_drawn_in_times_better() {
        let values =
            vec![(KALDA, [1.0].into_iter().collect()), (KAFKA, [8.0].into_iter().collect())];
        let mut part = Part::new("part", "A part");
        part.rows.push(Row::cost("cost <s>", values).goal(KAFKA, 0.25));
        let svg = against_kafka(&[part]).unwrap();
        assert!(svg.contains("part: cost &lt;s&gt;") && svg.contains(">8.00</text>"));
        assert!(against_kafka(&[]).is_none());
    }
}
