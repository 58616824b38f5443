//! Who may have served, and when: what the Rollout and the route said, against what clients saw.

use std::time::Duration;

use jiff::Timestamp;

use crate::load::{Connection, Record, Sample};
use crate::support::{Rollout, Trails};

/// How long a router or kube-proxy may go on with what was changed. Traefik takes on changes every two seconds.
const LAG: Duration = Duration::from_secs(4);
/// How much later than a client this machine may hear of a change.
const HEARD: Duration = Duration::from_millis(700);
/// A switch takes no longer to be written; what does is a canary in steps.
const AT_ONCE: Duration = Duration::from_secs(1);
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

/// Which versions the Services lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Stable,
    Both,
    Canary,
}

/// One stretch of time, until the next begins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    from: Timestamp,
    stable: String,
    canary: String,
    weight: u64,
    side: Side,
}

impl Span {
    fn lets(&self, way: Way, version: &str) -> bool {
        let weighed = way == Way::Gateway && self.weight > 0;
        match self.side {
            // The Gateway's way to stable is through its Service.
            Side::Canary => version == self.canary,
            Side::Stable if !weighed => version == self.stable,
            Side::Stable | Side::Both => version == self.stable || version == self.canary,
        }
    }

    /// The version that alone may serve.
    fn sole(&self, way: Way) -> Option<&str> {
        match (self.lets(way, &self.stable), self.lets(way, &self.canary)) {
            (true, false) => Some(&self.stable),
            (false, true) => Some(&self.canary),
            _ => None,
        }
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
            side: Side::Stable,
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

    /// Whether a request may be answered by a version that the Services led to any time before: where they are switched, a
    /// connection that is kept alive stays with its pod as long as that lives.
    fn outlasts(&self, way: Way, sample: &Sample) -> bool {
        let switched = || self.spans.iter().any(|span| span.side == Side::Canary);
        way == Way::Service && sample.connection == Connection::Kept && switched()
    }

    /// The longest that two versions answered at a switch of all traffic, from the first answer of the one to the last of the
    /// other, in milliseconds; on new connections where kept ones stay with their pod. None without a switch.
    pub fn both(&self, way: Way, records: &[(Way, Record)]) -> Option<u64> {
        let spans = self.spans.iter().map(|span| (span.from, span.sole(way)));
        let mut stretches: Vec<(Timestamp, Option<&str>)> = Vec::new();
        for (from, sole) in spans {
            if stretches.last().is_none_or(|(_, last)| *last != sole) {
                stretches.push((from, sole));
            }
        }
        let mut longest = None;
        let mut loser: Option<(Timestamp, &str)> = None;
        for (index, (from, sole)) in stretches.iter().enumerate() {
            let until = stretches.get(index + 1).map_or(Timestamp::MAX, |(next, _)| *next);
            let Some(winner) = *sole else { continue };
            if let Some((left, loser)) = loser
                && loser != winner
                && *from <= left + AT_ONCE
            {
                let window = window(way, records, (loser, winner), left - HEARD..until);
                longest = longest.max(Some(window));
            }
            loser = Some((until, winner));
        }
        longest
    }

    /// A line for each of the first few answers by a version that should not have served then; versions of others that share
    /// the route are left out.
    pub fn wrong(&self, way: Way, record: &Record, others: &[String]) -> Vec<String> {
        let answers = record.samples().iter().filter_map(|sample| Some((sample, sample.version.as_ref()?)));
        answers
            .filter(|(_, version)| !others.iter().any(|other| **other == ***version))
            .filter(|(sample, version)| {
                let (sent, ended) = (record.at(sample.sent), record.at(sample.ended()));
                let since = if self.outlasts(way, sample) { Timestamp::MIN } else { sent - LAG };
                !self.lets(way, version, since, ended + HEARD)
            })
            .take(SHOWN)
            .map(|(sample, version)| {
                format!("{way:?}: {version} served at {}: {sample}", record.at(sample.sent))
            })
            .collect()
    }
}

/// Milliseconds from the first answer of the winner to the last of the loser, within a stretch of time.
fn window(
    way: Way,
    records: &[(Way, Record)],
    (loser, winner): (&str, &str),
    stretch: std::ops::Range<Timestamp>,
) -> u64 {
    let counts = |sample: &Sample| way == Way::Gateway || sample.connection == Connection::New;
    let ends = |version: &str| -> Vec<Timestamp> {
        let of_way = records.iter().filter(|(of, _)| *of == way);
        let samples =
            of_way.flat_map(|(_, record)| record.samples().iter().map(move |sample| (record, sample)));
        samples
            .filter(|(record, sample)| {
                sample.version.as_deref() == Some(version)
                    && counts(sample)
                    && stretch.contains(&record.at(sample.sent))
            })
            .map(|(record, sample)| record.at(sample.ended()))
            .collect()
    };
    let (first, last) = (ends(winner).into_iter().min(), ends(loser).into_iter().max());
    let both = first.zip(last).map(|(first, last)| last.duration_since(first).as_millis());
    both.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
}

impl Span {
    fn read(&mut self, rollout: &Rollout) {
        if !rollout.text("/stable/tag").is_empty() {
            rollout.text("/stable/tag").clone_into(&mut self.stable);
        }
        rollout.text("/canary/tag").clone_into(&mut self.canary);
        let stage = rollout.text("/trial/handover");
        let widened = rollout.phase() == "Promoting" && !matches!(stage, "" | "Filling");
        self.side = match rollout.text("/trial/side") {
            "Canary" => Side::Canary,
            "Both" => Side::Both,
            _ if widened => Side::Both,
            _ => Side::Stable,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn span(from: i64, weight: u64, side: Side) -> Span {
        Span { from: at(from), stable: "v1".into(), canary: "v2".into(), weight, side }
    }

    #[test]
    fn a_canary_serves_by_its_weight_and_behind_the_service_only_once_that_is_widened() {
        let spans = vec![span(0, 0, Side::Stable), span(10, 25, Side::Stable), span(20, 100, Side::Both)];
        let history = History { spans };
        let lets = |way, version, second| history.lets(way, version, at(second), at(second));
        assert!(lets(Way::Gateway, "v1", 5) && lets(Way::Service, "v1", 25));
        assert!(!lets(Way::Gateway, "v2", 5) && lets(Way::Gateway, "v2", 15));
        assert!(!lets(Way::Service, "v2", 15) && lets(Way::Service, "v2", 25));
        assert!(!lets(Way::Gateway, "v3", 15), "a version between two others never serves");
    }

    #[test]
    fn after_a_switch_only_the_canary_serves_on_either_way_until_it_goes_back() {
        let spans = vec![span(0, 0, Side::Stable), span(10, 100, Side::Canary), span(20, 0, Side::Stable)];
        let history = History { spans };
        for way in [Way::Gateway, Way::Service] {
            let lets = |version, second| history.lets(way, version, at(second), at(second));
            assert_eq!([5, 15, 25].map(|second| lets("v1", second)), [true, false, true]);
            assert_eq!([5, 15, 25].map(|second| lets("v2", second)), [false, true, false]);
        }
    }

    fn answer(ms: u32, version: &str, connection: Connection) -> Sample {
        let sent = Duration::from_millis(ms.into());
        Sample {
            scheduled: sent,
            sent,
            latency: Duration::ZERO,
            outcome: crate::load::Outcome::Status(200),
            connection,
            version: Some(version.into()),
            pod: None,
        }
    }

    #[test]
    fn both_versions_answer_from_the_first_answer_of_the_one_to_the_last_of_the_other() {
        let spans = vec![span(0, 0, Side::Stable), span(10, 100, Side::Canary)];
        let history = History { spans };
        let samples = vec![
            answer(9_950, "v1", Connection::New),
            answer(10_100, "v2", Connection::New),
            answer(10_400, "v1", Connection::New),
            answer(10_500, "v2", Connection::New),
            answer(12_000, "v1", Connection::Kept),
        ];
        let record = Record::new(Timestamp::UNIX_EPOCH, samples, crate::load::Tally::default());
        let both = |way| history.both(way, &[(way, record.clone())]);
        assert_eq!(both(Way::Service), Some(300), "a kept connection stays with its pod");
        assert_eq!(both(Way::Gateway), Some(1900));
        assert_eq!(history.wrong(Way::Service, &record, &[]), Vec::<String>::new());
        let history = History {
            spans: vec![span(0, 0, Side::Stable), span(10, 25, Side::Stable), span(40, 100, Side::Canary)],
        };
        assert_eq!(history.both(Way::Gateway, &[]), None, "a share is no switch");
    }
}
