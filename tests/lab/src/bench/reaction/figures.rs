//! The figures of many releases, their medians, and a table of them.

use std::collections::BTreeMap;
use std::fmt;

use super::peers::PEERS;

/// A measured figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// From the arrival of the failing answer of Prometheus to weight 0 accepted by the API server.
    AnswerToWeightZero,
    /// From the first bad answer to weight 0 on the route.
    BadToWeightZero,
    /// From the first bad answer to the last one.
    BadToLastBad,
    /// Number of bad answers of the release.
    BadAnswers,
    /// Number of requests that no version answered.
    Lost,
    /// Number of pods that the bad release started.
    PodsStarted,
    /// From the push to the creation of the canary's pod.
    PushToPod,
    /// From the push to the canary's first answer.
    PushToAnswer,
    /// From the Pass of the last step to Complete.
    PassToComplete,
}

impl Figure {
    /// All figures, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::AnswerToWeightZero,
        Self::BadToWeightZero,
        Self::BadToLastBad,
        Self::BadAnswers,
        Self::Lost,
        Self::PodsStarted,
        Self::PushToPod,
        Self::PushToAnswer,
        Self::PassToComplete,
    ];

    /// Returns its label.
    pub fn name(self) -> &'static str {
        match self {
            Self::AnswerToWeightZero => "failing answer of Prometheus -> weight 0 accepted",
            Self::BadToWeightZero => "first bad answer -> weight 0",
            Self::BadToLastBad => "first bad answer -> last bad answer",
            Self::BadAnswers => "bad answers",
            Self::Lost => "other failed requests",
            Self::PodsStarted => "pods started by a bad release",
            Self::PushToPod => "push -> canary pod created",
            Self::PushToAnswer => "push -> first canary answer",
            Self::PassToComplete => "last step passed -> Complete (4 pods)",
        }
    }

    /// Returns the maximum of its median, in seconds or as a count.
    pub fn goal(self) -> Option<f64> {
        match self {
            Self::AnswerToWeightZero => Some(0.1),
            Self::BadToWeightZero => Some(6.0),
            Self::BadAnswers => Some(60.0),
            Self::PushToPod => Some(1.0),
            Self::Lost => Some(0.0),
            Self::BadToLastBad | Self::PodsStarted | Self::PushToAnswer | Self::PassToComplete => None,
        }
    }

    fn counts(self) -> bool {
        matches!(self, Self::BadAnswers | Self::Lost | Self::PodsStarted)
    }

    fn shown(self, value: f64) -> String {
        match self {
            _ if self.counts() => format!("{value:.0}"),
            Self::AnswerToWeightZero => format!("{:.0} ms", value * 1e3),
            _ => format!("{value:.2} s"),
        }
    }
}

/// The values of all releases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    values: BTreeMap<Figure, Vec<f64>>,
    stages: Vec<(String, Vec<f64>)>,
}

impl Figures {
    /// Adds the value of one release, in seconds or as a count.
    pub(super) fn add(&mut self, figure: Figure, value: f64) {
        self.values.entry(figure).or_default().push(value);
    }

    /// Adds the duration of a stage of one handover, in seconds. Stages keep the order in which
    /// they are first added.
    pub(super) fn stage(&mut self, name: &str, seconds: f64) {
        match self.stages.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(seconds),
            None => self.stages.push((name.to_owned(), vec![seconds])),
        }
    }

    /// Returns the median of a figure, or `None` without values.
    pub fn median(&self, figure: Figure) -> Option<f64> {
        median(self.values.get(&figure)?)
    }

    /// Returns a line for each figure whose median is more than `margin` times its goal.
    pub fn missed(&self, margin: f64) -> Vec<String> {
        let beyond = |figure: &Figure| {
            let (median, goal) = (self.median(*figure)?, figure.goal()?);
            let line = format!("{}: {}, at most {}", figure.name(), figure.shown(median), figure.shown(goal));
            (median > goal * margin).then_some(line)
        };
        Figure::ALL.iter().filter_map(beyond).collect()
    }
}

/// Returns the middle value, or the mean of the two middle values.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

impl fmt::Display for Figures {
    /// Writes a Markdown table: medians with minimum and maximum, goals, and the peers' medians
    /// with their ratio to ours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let releases = self.values.get(&Figure::AnswerToWeightZero).map_or(0, Vec::len);
        write!(f, "| median of {releases} [least - most] | Steelyard, 1 s | goal |")?;
        for peer in &PEERS {
            write!(f, " {} |", peer.name)?;
        }
        writeln!(f, "\n| --- | --- | --- |{}", " --- |".repeat(PEERS.len()))?;
        for figure in Figure::ALL {
            let Some(values) = self.values.get(&figure) else { continue };
            let Some(median) = median(values) else { continue };
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let goal = figure.goal().map_or_else(String::new, |goal| format!("<= {}", figure.shown(goal)));
            write!(
                f,
                "| {} | {} [{} - {}] | {goal} |",
                figure.name(),
                figure.shown(median),
                figure.shown(least),
                figure.shown(most)
            )?;
            for peer in &PEERS {
                match peer.median(figure) {
                    Some(theirs) if median > 0.0 && theirs > 0.0 => {
                        write!(f, " {} ({:.1}x) |", figure.shown(theirs), theirs / median)?;
                    }
                    Some(theirs) => write!(f, " {} |", figure.shown(theirs))?,
                    None => write!(f, " |")?,
                }
            }
            writeln!(f)?;
        }
        let stages: Vec<String> = self
            .stages
            .iter()
            .filter_map(|(name, values)| Some(format!("{name} {:.2} s", median(values)?)))
            .collect();
        if !stages.is_empty() {
            writeln!(f, "\nFrom the Pass of the last step to Complete (medians): {}.", stages.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[(Figure, &[f64])]) -> Figures {
        let values = values.iter().map(|(figure, values)| (*figure, values.to_vec())).collect();
        Figures { values, stages: Vec::new() }
    }

    #[test]
    fn a_median_is_the_middle_value() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_median_beyond_its_goal_is_reported_and_one_outlier_is_not() {
        let slow = figures(&[
            (Figure::AnswerToWeightZero, &[0.02, 0.12, 0.13]),
            (Figure::BadToWeightZero, &[2.0, 3.0, 99.0]),
        ]);
        let missed = slow.missed(1.0);
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert!(missed[0].contains("120 ms, at most 100 ms"), "{missed:?}");
        assert_eq!(slow.missed(2.0), Vec::<String>::new());
    }

    #[test]
    fn any_lost_request_misses_its_goal_whatever_the_margin() {
        assert_eq!(figures(&[(Figure::Lost, &[1.0, 1.0, 0.0])]).missed(3.0).len(), 1);
        assert!(figures(&[(Figure::Lost, &[0.0])]).missed(1.0).is_empty());
    }

    #[test]
    fn the_table_shows_ratios_only_where_both_were_measured() {
        let mut figures =
            figures(&[(Figure::BadAnswers, &[30.0]), (Figure::PushToPod, &[0.25]), (Figure::Lost, &[0.0])]);
        figures.stage("ScalingUp", 2.0);
        let table = figures.to_string();
        assert!(table.contains("| 30 [30 - 30] | <= 60 | 199 (6.6x) | 101 (3.4x) | 60 (2.0x) |"), "{table}");
        assert!(table.contains("| 0.25 s [0.25 s - 0.25 s] | <= 1.00 s | | | |"), "{table}");
        assert!(table.contains("| 0 [0 - 0] | <= 0 | 0 | 0 | 0 |"), "{table}");
        assert!(table.contains("ScalingUp 2.00 s"), "{table}");
        let columns: Vec<usize> = table
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.matches('|').count())
            .collect();
        assert!(columns.iter().all(|count| *count == columns[0]), "{table}");
    }
}
