//! The figures of two other tools for the same bad release. docs/reaction.md describes how they
//! were measured.

use super::Figure;

/// A tool with one of its settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Its name and the interval of its analysis.
    pub(super) name: &'static str,
    /// Medians: push to first answer of the canary, first bad answer to weight 0, first to last bad
    /// answer (all in seconds), bad answers, pods started, other failed requests.
    medians: [f64; 6],
}

/// Versions: Flagger 1.44.0, Argo Rollouts 1.10.2 with its Gateway API plugin 0.15.0.
pub(super) const PEERS: [Peer; 3] = [
    Peer { name: "Flagger, 10 s", medians: [12.6, 19.8, 19.9, 199.0, 4.0, 0.0] },
    Peer { name: "Argo Rollouts, 10 s", medians: [2.7, 9.7, 10.1, 101.0, 1.0, 0.0] },
    Peer { name: "Argo Rollouts, 1 s", medians: [2.8, 5.8, 6.0, 60.0, 1.0, 0.0] },
];

impl Peer {
    /// Returns its median of a figure, where it was measured.
    pub(super) fn median(&self, figure: Figure) -> Option<f64> {
        let [answer, weight, last, bad, pods, others] = self.medians;
        match figure {
            Figure::PushToAnswer => Some(answer),
            Figure::BadToWeightZero => Some(weight),
            Figure::BadToLastBad => Some(last),
            Figure::BadAnswers => Some(bad),
            Figure::PodsStarted => Some(pods),
            Figure::Lost => Some(others),
            Figure::AnswerToWeightZero | Figure::PushToPod | Figure::PassToComplete => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::repository;

    #[test]
    fn the_documentation_gives_the_same_medians() {
        let docs = std::fs::read_to_string(repository().join("docs/reaction.md")).expect("docs/reaction.md");
        for Peer { name, medians } in PEERS {
            let [answer, weight, last, bad, pods, others] = medians;
            let row = format!("| {name} | {answer} s | {weight} s | {last} s | {bad} | {pods} | {others} |");
            assert!(docs.contains(&row), "{row}");
        }
    }
}
