//! Which versions may have served at which time: the state of Rollout and route, compared with what
//! clients saw.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::load::{Connection, Record, Sample};
use crate::support::adopt::tag_of;
use crate::support::{HttpRoute, Rollout, Seen, Trails};

/// How long a router or kube-proxy can continue with the previous state. Traefik applies changes
/// every two seconds.
const LAG: Duration = Duration::from_secs(4);
/// How much later than a client the watch can see a switch.
const HEARD: Duration = Duration::from_millis(700);
/// The maximum duration of the writes of a switch; a longer one is a canary in steps.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The number of wrong answers shown.
const SHOWN: usize = 5;

/// The path of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the Gateway, with the route's weights.
    Gateway,
    /// To the Service's `ClusterIP`.
    Service,
}

/// The versions that the Services select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Stable,
    Both,
    Canary,
}

/// A state, until the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    /// When the watch reported it, which ends the previous state.
    from: Timestamp,
    /// The earliest time at which it can have begun.
    written: Timestamp,
    stable: String,
    canary: String,
    weight: u64,
    side: Side,
    /// Whether no pod of stable is ready: the Services then select whatever is.
    stable_unready: bool,
}

impl Span {
    fn allows(&self, way: Way, version: &str) -> bool {
        let weighed = way == Way::Gateway && self.weight > 0;
        match self.side {
            // The Gateway reaches stable through its Service.
            Side::Canary => version == self.canary,
            Side::Stable if !weighed && !self.stable_unready => version == self.stable,
            Side::Stable | Side::Both => version == self.stable || version == self.canary,
        }
    }

    /// Returns the version that alone may serve.
    fn only_version(&self, way: Way) -> Option<&str> {
        match (self.allows(way, &self.stable), self.allows(way, &self.canary)) {
            (true, false) => Some(&self.stable),
            (false, true) => Some(&self.canary),
            _ => None,
        }
    }
}

/// Which versions may have served at which time.
#[derive(Clone, Debug)]
pub struct History {
    spans: Vec<Span>,
}

impl History {
    /// Returns the history of the trails. `stable` is the version that served first.
    pub fn of(trails: &Trails, stable: &str) -> Self {
        enum News<'a> {
            Rollout(&'a Seen<Rollout>),
            Route(&'a Seen<HttpRoute>),
            Pod(&'a Seen<Pod>),
        }
        let (rollouts, routes, pods) = (trails.rollout.all(), trails.route.all(), trails.pods.all());
        let states = rollouts.iter().map(|seen| (seen.at, News::Rollout(seen)));
        let states = states.chain(routes.iter().map(|seen| (seen.at, News::Route(seen))));
        let states = states.chain(pods.iter().map(|seen| (seen.at, News::Pod(seen))));
        let mut news: Vec<_> = states.collect();
        news.sort_by_key(|(at, _)| *at);
        let mut now = Span {
            from: Timestamp::MIN,
            written: Timestamp::MIN,
            stable: stable.to_owned(),
            canary: String::new(),
            weight: 0,
            side: Side::Stable,
            stable_unready: false,
        };
        let mut spans = vec![now.clone()];
        // The tags of the ready pods, by name; unknown at first.
        let mut ready: Option<BTreeMap<String, String>> = None;
        for (at, news) in news {
            now.from = at;
            match news {
                News::Route(seen) => {
                    now.weight = trails.weight(&seen.object);
                    now.written = seen.written();
                }
                News::Rollout(seen) => {
                    now.read(&seen.object);
                    now.written = seen.written();
                }
                News::Pod(seen) => {
                    let ready = ready.get_or_insert_default();
                    let name = seen.object.name_any();
                    match tag_of_ready(&seen.object).filter(|_| !seen.deleted) {
                        Some(tag) => drop(ready.insert(name, tag.to_owned())),
                        None => drop(ready.remove(&name)),
                    }
                    now.written = seen.written();
                }
            }
            now.stable_unready =
                ready.as_ref().is_some_and(|ready| !ready.values().any(|tag| *tag == now.stable));
            spans.push(now.clone());
        }
        Self { spans }
    }

    fn allows(&self, way: Way, version: &str, from: Timestamp, to: Timestamp) -> bool {
        let ends = self.spans.iter().skip(1).map(|span| span.from).chain([Timestamp::MAX]);
        let mut stretches = self.spans.iter().zip(ends);
        stretches.any(|(span, end)| span.written <= to && end >= from && span.allows(way, version))
    }

    /// Returns whether a version that the Services selected at any earlier time may answer a
    /// request: after a switch or a handover, a kept-alive connection stays with its pod for as
    /// long as the pod lives.
    fn uses_kept_connection(&self, way: Way, sample: &Sample) -> bool {
        let switched = || self.spans.iter().any(|span| span.side != Side::Stable || span.stable_unready);
        way == Way::Service && sample.connection == Connection::Kept && switched()
    }

    /// Returns the longest time in milliseconds during which both versions answered at a switch of
    /// all traffic, from the first answer of one to the last of the other; only new connections
    /// count where kept ones stay with their pod. `None` without a switch.
    pub fn both(&self, way: Way, records: &[(Way, Record)]) -> Option<u64> {
        let spans = self.spans.iter().map(|span| (span.from, span.only_version(way)));
        let mut stretches: Vec<(Timestamp, Option<&str>)> = Vec::new();
        for (from, only_version) in spans {
            if stretches.last().is_none_or(|(_, last)| *last != only_version) {
                stretches.push((from, only_version));
            }
        }
        let mut longest = None;
        let mut loser: Option<(Timestamp, &str)> = None;
        for (index, (from, only_version)) in stretches.iter().enumerate() {
            let until = stretches.get(index + 1).map_or(Timestamp::MAX, |(next, _)| *next);
            let Some(winner) = *only_version else { continue };
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

    /// Returns a line for each of the first few answers by a version that should not have served at
    /// that time; versions of other Deployments that share the route are ignored.
    pub fn wrong(&self, way: Way, record: &Record, others: &[String]) -> Vec<String> {
        let answers = record.samples().iter().filter_map(|sample| Some((sample, sample.version.as_ref()?)));
        answers
            .filter(|(_, version)| !others.iter().any(|other| **other == ***version))
            .filter(|(sample, version)| {
                let (sent, ended) = (record.at(sample.sent), record.at(sample.ended()));
                let since = if self.uses_kept_connection(way, sample) { Timestamp::MIN } else { sent - LAG };
                !self.allows(way, version, since, ended)
            })
            .take(SHOWN)
            .map(|(sample, version)| {
                format!("{way:?}: {version} served at {}: {sample}", record.at(sample.sent))
            })
            .collect()
    }
}

/// Returns the image tag of a pod that is ready and stays.
fn tag_of_ready(pod: &Pod) -> Option<&str> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "True")?;
    tag_of(pod)
}

/// Returns the milliseconds from the first answer of the new version to the last of the old one,
/// within a period.
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
        let widened = rollout.phase() == "Promoting" && !matches!(stage, "" | "ScalingUp");
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
        let (stable, canary) = ("v1".to_owned(), "v2".to_owned());
        Span { from: at(from), written: at(from), stable, canary, weight, side, stable_unready: false }
    }

    #[test]
    fn a_canary_serves_with_its_weight_and_by_the_service_only_once_that_is_widened() {
        let spans = vec![span(0, 0, Side::Stable), span(10, 25, Side::Stable), span(20, 100, Side::Both)];
        let history = History { spans };
        let allows = |way, version, second| history.allows(way, version, at(second), at(second));
        assert!(allows(Way::Gateway, "v1", 5) && allows(Way::Service, "v1", 25));
        assert!(!allows(Way::Gateway, "v2", 5) && allows(Way::Gateway, "v2", 15));
        assert!(!allows(Way::Service, "v2", 15) && allows(Way::Service, "v2", 25));
        assert!(!allows(Way::Gateway, "v3", 15), "a withdrawn version never serves");
    }

    #[test]
    fn the_services_select_the_canary_while_no_pod_of_stable_is_ready() {
        let unready = Span { stable_unready: true, ..span(10, 0, Side::Stable) };
        let history = History { spans: vec![span(0, 0, Side::Stable), unready, span(20, 0, Side::Stable)] };
        for way in [Way::Gateway, Way::Service] {
            let allows = |second| history.allows(way, "v2", at(second), at(second));
            assert_eq!([5, 15, 25].map(allows), [false, true, false]);
        }
        let samples = vec![answer(25_000, "v2", Connection::Kept), answer(25_000, "v2", Connection::New)];
        let record = Record::new(Timestamp::UNIX_EPOCH, samples, crate::load::Tally::default());
        assert_eq!(history.wrong(Way::Service, &record, &[]).len(), 1, "only on a new connection");
        assert_eq!(history.wrong(Way::Gateway, &record, &[]).len(), 2, "the Gateway opens its own");
    }

    #[test]
    fn after_a_switch_only_the_canary_serves_on_both_paths_until_the_rollback() {
        let spans = vec![span(0, 0, Side::Stable), span(10, 100, Side::Canary), span(20, 0, Side::Stable)];
        let history = History { spans };
        for way in [Way::Gateway, Way::Service] {
            let allows = |version, second| history.allows(way, version, at(second), at(second));
            assert_eq!([5, 15, 25].map(|second| allows("v1", second)), [true, false, true]);
            assert_eq!([5, 15, 25].map(|second| allows("v2", second)), [false, true, false]);
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
    fn the_overlap_is_from_the_first_new_answer_to_the_last_old_one() {
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
        assert_eq!(history.both(Way::Gateway, &[]), None, "a share is not a switch");
    }
}
