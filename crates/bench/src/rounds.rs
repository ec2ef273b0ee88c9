//! The same work on all by turns, until enough rounds were fair.

use crate::Outcome;
use crate::figures::Samples;
use crate::report::Part;
use crate::subjects::Subject;

/// By how much the generator's own cost may leave its median before a round counts as disturbed.
const DRIFT_MAX: f64 = 0.15;

/// What one subject's turn found.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) figures: Vec<f64>,
    /// What the generator spent for the same work, which ought to be the same each time.
    pub(crate) control: f64,
}

/// How many rounds: the first do not count, then so many that were fair, or twice as many in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) warm_up: usize,
    pub(crate) counted: usize,
}

impl Rounds {
    /// Runs the work, A B C and then C B A: whatever drifts, drifts for all. Answers, for each subject, the
    /// samples of each figure. Rounds in which some control drifted are left out, and the part says so.
    pub(crate) fn run<S: ?Sized>(
        self,
        part: &mut Part,
        subjects: &[&S],
        mut work: impl FnMut(&S, usize) -> Outcome<Measured>,
    ) -> Outcome<Vec<Vec<Samples>>> {
        let mut kept: Vec<Vec<Measured>> = Vec::new();
        for round in 0..self.warm_up + 2 * self.counted {
            let mut found: Vec<Option<Measured>> = vec![None; subjects.len()];
            for turn in 0..subjects.len() {
                let at = if round % 2 == 0 { turn } else { subjects.len() - 1 - turn };
                found[at] = Some(work(subjects[at], round)?);
            }
            if round >= self.warm_up {
                kept.push(found.into_iter().flatten().collect());
            }
            if kept.len() >= self.counted && fair(&kept).len() >= self.counted {
                break;
            }
        }
        let mut rounds = fair(&kept);
        if rounds.len() < kept.len() {
            let (bad, all) = (kept.len() - rounds.len(), kept.len());
            part.note(format!(
                "{bad} of {all} rounds were left out: the generator's own CPU was off its median by more than 15 %"
            ));
        }
        if rounds.is_empty() {
            part.note("No round was fair; all are shown. The machine was too busy for this part.");
            rounds = kept.iter().collect();
        }
        let figures = rounds[0][0].figures.len();
        let samples = |subject: usize, figure: usize| {
            rounds.iter().map(|round| round[subject].figures[figure]).collect::<Samples>()
        };
        Ok((0..subjects.len())
            .map(|subject| (0..figures).map(|figure| samples(subject, figure)).collect())
            .collect())
    }
}

/// The rounds in which no subject's control was far from its median.
fn fair(rounds: &[Vec<Measured>]) -> Vec<&Vec<Measured>> {
    let subjects = rounds.first().map_or(0, Vec::len);
    let control = |subject: usize| rounds.iter().map(move |round| round[subject].control);
    let medians: Vec<f64> = (0..subjects)
        .filter_map(|subject| control(subject).collect::<Samples>().median())
        .collect();
    let is_fair = |round: &&Vec<Measured>| {
        round
            .iter()
            .zip(&medians)
            .all(|(measured, median)| (measured.control - median).abs() <= DRIFT_MAX * median)
    };
    rounds.iter().filter(is_fair).collect()
}

/// The samples of one figure of all subjects, named.
pub(crate) fn of_figure(
    subjects: &[&Subject],
    samples: &[Vec<Samples>],
    figure: usize,
) -> Vec<(&'static str, Samples)> {
    subjects
        .iter()
        .zip(samples)
        .map(|(subject, samples)| (subject.who.name(), samples[figure].clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_whose_control_drifts_is_left_out() {
        let round = |control| vec![Measured { figures: vec![1.0], control }];
        let rounds = [round(1.0), round(1.1), round(2.0), round(0.9)];
        let controls: Vec<f64> = fair(&rounds).iter().map(|round| round[0].control).collect();
        assert_eq!(controls, [1.0, 1.1, 0.9]);
    }
}
