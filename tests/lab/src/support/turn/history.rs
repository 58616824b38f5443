//! Who may have served, and when: what the Rollout and the route said, against what clients saw.

use std::time::Duration;

use jiff::Timestamp;

use crate::load::Record;
use crate::support::{Rollout, Trails};

/// How long a router or kube-proxy may go on with what was changed. Traefik takes on changes every two seconds.
const LAG: Duration = Duration::from_secs(4);
/// How much later than a client this machine may hear of a change.
const HEARD: Duration = Duration::from_millis(700);
/// How many wrong answers are shown.
const SHOWN: usize = 5;

/// The way that requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the Gateway, by the route's weights.
    Gateway,
    /// By the Service's `ClusterIP`.
    Service,
}

/// One stretch of time, until the next begins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    from: Timestamp,
    stable: String,
    canary: String,
    weight: u64,
    behind_service: bool,
}

impl Span {
    fn lets(&self, way: Way, version: &str) -> bool {
        let canary = self.behind_service || (way == Way::Gateway && self.weight > 0);
        version == self.stable || (canary && version == self.canary)
    }
}

/// Who may have served, and when.
#[derive(Clone, Debug)]
pub struct History {
    spans: Vec<Span>,
}

impl History {
    /// What the trails saw. `stable` is the version that served at first.
    pub fn of(trails: &Trails, stable: &str) -> Self {
        enum News<'a> {
            Rollout(&'a Rollout),
            Weight(u64),
        }
        let rollouts = trails.rollout.all();
        let weights = trails.weights();
        let told = rollouts.iter().map(|seen| (seen.at, News::Rollout(&seen.object)));
        let mut news: Vec<_> =
            told.chain(weights.iter().map(|(at, weight)| (*at, News::Weight(*weight)))).collect();
        news.sort_by_key(|(at, _)| *at);
        let mut now = Span {
            from: Timestamp::MIN,
            stable: stable.to_owned(),
            canary: String::new(),
            weight: 0,
            behind_service: false,
        };
        let mut spans = vec![now.clone()];
        for (at, news) in news {
            now.from = at;
            match news {
                News::Weight(weight) => now.weight = weight,
                News::Rollout(rollout) => now.read(rollout),
            }
            spans.push(now.clone());
        }
        Self { spans }
    }

    fn lets(&self, way: Way, version: &str, from: Timestamp, to: Timestamp) -> bool {
        let ends = self.spans.iter().skip(1).map(|span| span.from).chain([Timestamp::MAX]);
        let mut stretches = self.spans.iter().zip(ends);
        stretches.any(|(span, end)| span.from <= to && end >= from && span.lets(way, version))
    }

    /// A line for each of the first few answers by a version that should not have served then; versions of others that share
    /// the route are left out.
    pub fn wrong(&self, way: Way, record: &Record, others: &[String]) -> Vec<String> {
        let answers = record.samples().iter().filter_map(|sample| Some((sample, sample.version.as_ref()?)));
        answers
            .filter(|(_, version)| !others.iter().any(|other| **other == ***version))
            .filter(|(sample, version)| {
                let (sent, ended) = (record.at(sample.sent), record.at(sample.ended()));
                !self.lets(way, version, sent - LAG, ended + HEARD)
            })
            .take(SHOWN)
            .map(|(sample, version)| {
                format!("{way:?}: {version} served at {}: {sample}", record.at(sample.sent))
            })
            .collect()
    }
}

impl Span {
    fn read(&mut self, rollout: &Rollout) {
        if !rollout.text("/stable/tag").is_empty() {
            rollout.text("/stable/tag").clone_into(&mut self.stable);
        }
        rollout.text("/canary/tag").clone_into(&mut self.canary);
        let stage = rollout.text("/trial/handover");
        self.behind_service = rollout.phase() == "Promoting" && !matches!(stage, "" | "Filling");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn span(from: i64, weight: u64, behind_service: bool) -> Span {
        Span { from: at(from), stable: "v1".into(), canary: "v2".into(), weight, behind_service }
    }

    #[test]
    fn a_canary_serves_by_its_weight_and_behind_the_service_only_once_that_is_widened() {
        let history = History { spans: vec![span(0, 0, false), span(10, 25, false), span(20, 100, true)] };
        let lets = |way, version, second| history.lets(way, version, at(second), at(second));
        assert!(lets(Way::Gateway, "v1", 5) && lets(Way::Service, "v1", 25));
        assert!(!lets(Way::Gateway, "v2", 5) && lets(Way::Gateway, "v2", 15));
        assert!(!lets(Way::Service, "v2", 15) && lets(Way::Service, "v2", 25));
        assert!(!lets(Way::Gateway, "v3", 15), "a version between two others never serves");
    }
}
