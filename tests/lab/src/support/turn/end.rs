//! The expected end of a case, and the row that it records.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::{History, Kept, LONG, Leaves, Row, SOON, State, Switched, Turn, Way, World, world};
use crate::load::{Connection, Record, Sample};
use crate::support::adopt::tag_of;
use crate::support::space::path;
use crate::support::{Failure, Rollout, tell};

/// How long the load continues after the expected state is reached and no pod is terminating.
const AFTER: Duration = Duration::from_millis(1500);

/// The expected end of a case.
#[derive(Clone, Debug)]
pub struct End {
    serving: String,
    state: State,
    since: Timestamp,
    replicas: i32,
    started: BTreeMap<String, RangeInclusive<usize>>,
    never: Vec<String>,
    beside: Vec<String>,
    may_fail: Vec<Way>,
    unchecked: Vec<Way>,
    bad: Vec<String>,
    rollout: bool,
}

impl End {
    /// Only `tag` serves, everything else is restored, and the Rollout is Complete.
    pub fn complete(tag: &str) -> Self {
        Self {
            serving: tag.to_owned(),
            state: State::Free,
            since: Timestamp::MIN,
            replicas: 4,
            started: BTreeMap::new(),
            never: Vec::new(),
            beside: Vec::new(),
            may_fail: Vec::new(),
            unchecked: Vec::new(),
            bad: Vec::new(),
            rollout: true,
        }
    }

    /// Only `tag` serves, and the rejected template is held.
    pub fn rolled_back(tag: &str) -> Self {
        Self { state: State::Held, ..Self::complete(tag) }
    }

    /// Only `tag` serves, and Steelyard has left: no Rollout, no labels or annotations, the
    /// Deployment in `state`.
    pub fn left(tag: &str, state: State) -> Self {
        Self { state, rollout: false, ..Self::complete(tag) }
    }

    /// Accepts only a state of the Rollout since then.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = since;
        self
    }

    /// Sets the number of pods at the end.
    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets how many pods of `tag` may have been started; of tags that are not named, none.
    #[must_use]
    pub fn started(mut self, tag: &str, count: RangeInclusive<usize>) -> Self {
        self.started.insert(tag.to_owned(), count);
        self
    }

    /// Names a version that must never have served.
    #[must_use]
    pub fn never(mut self, tag: &str) -> Self {
        self.never.push(tag.to_owned());
        self
    }

    /// Names a version of another Deployment that shares the route: it may serve at any time.
    #[must_use]
    pub fn beside(mut self, tag: &str) -> Self {
        self.beside.push(tag.to_owned());
        self
    }

    /// Accepts failed requests on this path: the case kills pods, or removes objects that requests
    /// need.
    #[must_use]
    pub fn may_fail(mut self, way: Way) -> Self {
        self.may_fail.push(way);
        self
    }

    /// Names a version that may answer with errors; none of its requests may be lost.
    #[must_use]
    pub fn bad(mut self, tag: &str) -> Self {
        self.bad.push(tag.to_owned());
        self
    }

    /// Accepts both versions on this path at any time: the case removes the pin, or rolls out
    /// natively.
    #[must_use]
    pub fn unchecked(mut self, way: Way) -> Self {
        self.unchecked.push(way);
        self
    }
}

impl Turn {
    /// Waits for the end, stops the load, checks everything, and records the row.
    pub async fn ends(mut self, end: End) -> Result<(), Failure> {
        let what = format!("{:?}, {} serving", end.state, end.serving);
        if end.rollout {
            let (since, state, tag) = (end.since, end.state, &end.serving);
            self.first(since, &what, |rollout| world::is_final(rollout, state, tag)).await?;
        } else {
            let gone = |seen: &crate::support::Seen<Rollout>| seen.deleted.then_some(());
            self.trails.rollout.first(end.since, "the Rollout gone", LONG, gone).await?;
        }
        let seconds = self.begun.1.elapsed().as_secs();
        let mut faults = self.compare(&end).await?;
        self.wait_for_termination().await?;
        tokio::time::sleep(AFTER).await;
        // Nothing may change after this.
        faults.extend(self.compare(&end).await?);
        self.unload().await;
        let history = History::of(&self.trails, self.demo.version());
        for (way, record) in &self.records {
            let failed = record.failed() - end.bad_answers(record);
            if failed > 0 && !end.may_fail.contains(way) {
                faults.push(format!("{way:?}: {failed} requests failed"));
            }
            for tag in end.never.iter().filter(|tag| record.by_version().contains_key(tag.as_str())) {
                faults.push(format!("{way:?}: {tag} served"));
            }
            if !end.unchecked.contains(way) {
                faults.extend(history.wrong(*way, record, &end.beside));
            }
        }
        for way in [Way::Gateway, Way::Service] {
            let last = self.records.iter().rev().find(|(of, _)| *of == way);
            faults.extend(last.iter().filter_map(|(_, record)| end.last(way, record)));
        }
        let row = self.row(seconds);
        if row.requests < 50 {
            faults.push(format!("too few requests for a conclusion: {}", row.requests));
        }
        for (tag, count) in self.started() {
            let may = end.started.get(&tag).cloned().unwrap_or(0..=0);
            if !may.contains(&count) {
                faults.push(format!("{count} pods of {tag} were started, not {may:?}"));
            }
        }
        for (tag, may) in &end.started {
            if *may.start() > 0 && !self.started().contains_key(tag) {
                faults.push(format!("no pod of {tag} was started"));
            }
        }
        if !faults.is_empty() {
            return Err(self.report(&faults).into());
        }
        let lab = path("LAB_DIR")?;
        match self.leaves {
            Leaves::Turn(_) => {
                tell(format_args!(
                    "{} {}: {} requests, {} failed, {} pods started, {} s",
                    row.case, row.at, row.requests, row.failed, row.pods, row.seconds
                ));
                row.keep(&lab)?;
            }
            Leaves::Switch => {
                let row = self.switched(row, &end, &history);
                tell(row.line().trim_end());
                row.keep(&lab)?;
            }
        }
        Ok(())
    }

    /// Ends a case whose objects are all deleted: records its row.
    pub async fn gone(mut self) -> Result<(), Failure> {
        let seconds = self.begun.1.elapsed().as_secs();
        self.unload().await;
        self.row(seconds).keep(&path("LAB_DIR")?)?;
        Ok(())
    }

    /// Waits until no pod is terminating: kept-alive connections can last that long.
    async fn wait_for_termination(&self) -> Result<(), Failure> {
        let none = |pods: &BTreeMap<String, Pod>| {
            pods.values().all(|pod| pod.metadata.deletion_timestamp.is_none()).then_some(())
        };
        let which = kube::runtime::watcher::Config::default().labels("app=web");
        Ok(self.space.until_all(which, "no pod is terminating", SOON, none).await?)
    }

    /// Returns the point at which the test interfered; empty if there is only one.
    fn moment(&self) -> String {
        match self.leaves {
            Leaves::Turn(Some(at)) => at.to_string(),
            Leaves::Turn(None) | Leaves::Switch => String::new(),
        }
    }

    fn row(&self, seconds: u64) -> Row {
        let order = if let Leaves::Turn(Some(at)) = self.leaves { at as u8 } else { 0 };
        Row {
            case: self.case.clone(),
            order,
            at: self.moment(),
            requests: self.records.iter().map(|(_, record)| record.requests()).sum(),
            failed: self.records.iter().map(|(_, record)| record.failed()).sum(),
            pods: self.started().values().sum(),
            seconds,
        }
    }

    fn switched(&self, row: Row, end: &End, history: &History) -> Switched {
        let bad = self.records.iter().map(|(_, record)| end.bad_answers(record)).sum();
        let count = |way, kept: bool| {
            let of_way = self.records.iter().filter(|(of, _)| *of == way);
            let samples = of_way.flat_map(|(_, record)| record.samples());
            samples.filter(|sample| (sample.connection != Connection::New) == kept).count() as u64
        };
        Switched {
            case: row.case,
            requests: [
                count(Way::Gateway, false),
                count(Way::Gateway, true),
                count(Way::Service, false),
                count(Way::Service, true),
            ],
            failed: row.failed - bad,
            bad,
            both: [Way::Gateway, Way::Service].map(|way| history.both(way, &self.records)),
            pods: row.pods,
            seconds: row.seconds,
        }
    }

    /// Returns the differences from the expected end.
    async fn compare(&self, end: &End) -> Result<Vec<String>, Failure> {
        let mut faults = Vec::new();
        let world = World::of(&self.space, "web").await?;
        if world != self.world {
            faults.push(format!(
                "routes and Services are not restored: found {world:?}, expected {:?}",
                self.world
            ));
        }
        let checks = [
            world::check_unmarked(&self.space).await,
            world::check_deployment(&self.space, "web", end.state, &end.serving, end.replicas).await,
        ];
        faults.extend(checks.into_iter().filter_map(Result::err).map(|error| error.to_string()));
        Ok(faults)
    }

    fn report(&self, faults: &[String]) -> String {
        let line = |rollout: &Rollout| {
            let texts = [
                "/stable/tag",
                "/canary/tag",
                "/phase",
                "/progress",
                "/trial/side",
                "/trial/handover",
                "/waiting/reason",
            ];
            texts.map(|pointer| rollout.text(pointer).to_owned()).join(" ")
        };
        let states: Vec<String> = self
            .trails
            .rollout
            .changes(line)
            .into_iter()
            .map(|(at, state)| format!("{at} {state}"))
            .collect();
        let records: Vec<String> =
            self.records.iter().map(|(way, record)| format!("{way:?}: {record}")).collect();
        format!(
            "{} {}:\n{}\nweights {:?}\n{}\n{}",
            self.case,
            self.moment(),
            faults.join("\n"),
            self.trails.weights(),
            states.join("\n"),
            records.join("\n")
        )
    }
}

impl Turn {
    /// Returns how many pods of each tag were created after the beginning.
    fn started(&self) -> BTreeMap<String, usize> {
        let mut tags: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
        for seen in self.trails.pods.all() {
            let name = seen.object.name_any();
            if !self.before.contains(&name) {
                let tag = tag_of(&seen.object).unwrap_or_default().to_owned();
                tags.entry(tag).or_default().insert(name);
            }
        }
        tags.into_iter().map(|(tag, names)| (tag, names.len())).collect()
    }
}

impl End {
    /// Returns the number of errors from versions that may answer with errors.
    fn bad_answers(&self, record: &Record) -> u64 {
        let own = |sample: &&Sample| {
            sample.version.as_ref().is_some_and(|tag| self.bad.iter().any(|bad| **bad == **tag))
        };
        record.failures().filter(own).count() as u64
    }

    /// Checks which version serves at the end.
    fn last(&self, way: Way, record: &Record) -> Option<String> {
        // The last answer may take longer than the span that is checked.
        let sample = record.samples().last()?;
        let last = record.at(sample.sent) - Duration::from_millis(500)..record.at(sample.ended());
        let mut share = record.share(&self.serving, last.clone());
        for other in &self.beside {
            share = share.map(|share| share + record.share(other, last.clone()).unwrap_or_default());
        }
        (share.is_none_or(|share| share < 0.999))
            .then(|| format!("{way:?}: {} has a share of {share:?} at the end", self.serving))
    }
}
