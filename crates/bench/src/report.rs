//! What was found: figures by part, each with those it was found for, as lines while it is measured and as a
//! document afterwards.

use std::fmt::{self, Write as _};

use crate::figures::Samples;

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// A cost.
    Less,
    /// A rate.
    More,
}

/// What is aimed at: ours divided by that of `against`, at most or at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) against: &'static str,
    pub(crate) ratio: f64,
}

/// One figure, for each who was measured; ours first.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) better: Better,
    pub(crate) values: Vec<(&'static str, Samples)>,
    pub(crate) goals: Vec<Goal>,
    /// What ours is to be at most, whatever the others are.
    pub(crate) at_most: Option<f64>,
}

impl Row {
    /// A cost, without a goal.
    pub(crate) fn cost(figure: impl Into<String>, values: Vec<(&'static str, Samples)>) -> Self {
        Self {
            figure: figure.into(),
            better: Better::Less,
            values,
            goals: Vec::new(),
            at_most: None,
        }
    }

    /// A rate, without a goal.
    pub(crate) fn rate(figure: impl Into<String>, values: Vec<(&'static str, Samples)>) -> Self {
        Self { better: Better::More, ..Self::cost(figure, values) }
    }

    /// The same with a goal.
    pub(crate) fn goal(mut self, against: &'static str, ratio: f64) -> Self {
        self.goals.push(Goal { against, ratio });
        self
    }

    /// The same with a bound that no other has a part in.
    pub(crate) fn at_most(mut self, bound: f64) -> Self {
        self.at_most = Some(bound);
        self
    }

    /// Whether ours is within its bound; `None` if there is none, or nothing was measured.
    fn is_within(&self) -> Option<bool> {
        let (_, ours) = self.values.first()?;
        Some(ours.median()? <= self.at_most?)
    }

    /// Whether there is anything to reach.
    fn has_goal(&self) -> bool {
        !self.goals.is_empty() || self.at_most.is_some()
    }

    /// Ours by each other's, round by round.
    pub(crate) fn ratios(&self) -> Vec<(&'static str, Samples)> {
        match self.values.split_first() {
            Some(((_, ours), others)) => {
                others.iter().map(|(name, theirs)| (*name, ours.by(theirs))).collect()
            }
            None => Vec::new(),
        }
    }

    /// Each goal, and whether it is reached; `None` if its subject was not measured.
    pub(crate) fn reached(&self) -> Vec<(Goal, Option<bool>)> {
        let ratios = self.ratios();
        let reached = |goal: &Goal| {
            let (_, ratio) = ratios.iter().find(|(name, _)| *name == goal.against)?;
            let ratio = ratio.median()?;
            Some(match self.better {
                Better::Less => ratio <= goal.ratio,
                Better::More => ratio >= goal.ratio,
            })
        };
        self.goals.iter().map(|goal| (*goal, reached(goal))).collect()
    }

    fn goal_text(&self) -> String {
        let sign = if self.better == Better::Less { '≤' } else { '≥' };
        let goals = self.reached().into_iter().map(|(goal, reached)| {
            format!("{sign} {} × {}: {}", shown(goal.ratio), goal.against, verdict(reached))
        });
        let bound = self.at_most.map(|bound| format!("≤ {bound}: {}", verdict(self.is_within())));
        bound.into_iter().chain(goals).collect::<Vec<_>>().join("; ")
    }
}

fn verdict(reached: Option<bool>) -> &'static str {
    match reached {
        Some(true) => "reached",
        Some(false) => "**missed**",
        None => "not measured",
    }
}

/// A part of one as such: `1/15`.
fn shown(ratio: f64) -> String {
    let inverse = (1.0 / ratio).round();
    match inverse > 1.0 && (ratio * inverse - 1.0).abs() < 1e-9 {
        true => format!("1/{inverse}"),
        false => ratio.to_string(),
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.figure)?;
        for (name, samples) in &self.values {
            write!(f, " {name} {samples};")?;
        }
        for (name, ratio) in self.ratios() {
            write!(f, " ÷ {name} {ratio};")?;
        }
        match self.has_goal() {
            true => write!(f, " goal {}", self.goal_text()),
            false => Ok(()),
        }
    }
}

/// A part of the whole, with what a reader has to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) notes: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

impl Part {
    /// Without rows.
    pub(crate) fn new(name: &'static str, title: &'static str) -> Self {
        Self { name, title, notes: Vec::new(), rows: Vec::new() }
    }

    /// Adds what has to be known; shown at once.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("  {note}");
        self.notes.push(note);
    }

    /// Adds a figure; shown at once, since the whole takes long.
    pub(crate) fn row(&mut self, row: Row) {
        println!("  {row}");
        self.rows.push(row);
    }

    /// Everybody who was measured, in the order of their first row.
    fn subjects(&self) -> Vec<&'static str> {
        let mut subjects = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|row| &row.values) {
            if !subjects.contains(name) {
                subjects.push(*name);
            }
        }
        subjects
    }

    /// A table, ours first, then the others, then the ratios.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n", self.title);
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        let subjects = self.subjects();
        let ratios: Vec<&str> = subjects.iter().skip(1).copied().collect();
        let mut head = vec!["Figure".to_owned()];
        head.extend(subjects.iter().map(|name| (*name).to_owned()));
        head.extend(ratios.iter().map(|name| format!("Kalda ÷ {name}")));
        let has_goals = self.rows.iter().any(Row::has_goal);
        if has_goals {
            head.push("Goal".to_owned());
        }
        let _ = writeln!(text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for row in &self.rows {
            let found = |values: &[(&str, Samples)], name: &str| {
                let value = values.iter().find(|(of, _)| *of == name);
                value.map(|(_, samples)| samples.to_string()).unwrap_or_default()
            };
            let mut cells = vec![row.figure.clone()];
            cells.extend(subjects.iter().map(|name| found(&row.values, name)));
            let by = row.ratios();
            cells.extend(ratios.iter().map(|name| found(&by, name)));
            if has_goals {
                cells.push(row.goal_text());
            }
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        values.iter().copied().collect()
    }

    #[test]
    fn a_goal_is_judged_by_the_median_of_the_ratios() {
        let values =
            vec![("Kalda", samples(&[1.0, 2.0, 1.0])), ("Other", samples(&[4.0, 4.0, 8.0]))];
        let row = Row::cost("cost", values.clone()).goal("Other", 0.25).goal("Nobody", 1.0);
        assert_eq!(row.ratios()[0].1.to_string(), "0.25 [0.12..0.50]");
        let reached: Vec<_> = row.reached().into_iter().map(|(_, reached)| reached).collect();
        assert_eq!(reached, [Some(true), None]);
        let row = Row::rate("rate", values).goal("Other", 0.3);
        assert_eq!(row.reached()[0].1, Some(false));
        assert!(row.to_string().ends_with("goal ≥ 0.3 × Other: **missed**"));
    }

    #[test]
    fn a_bound_is_judged_by_ours_alone() {
        let values = vec![("Kalda", samples(&[1.0, 2.0, 9.0])), ("Other", samples(&[0.5]))];
        let row = Row::cost("cost", values).at_most(1.5);
        assert!(row.to_string().ends_with("goal ≤ 1.5: **missed**"));
        assert!(row.at_most(2.0).to_string().ends_with("goal ≤ 2: reached"));
    }
}
