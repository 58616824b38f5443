//! How a case must end, and the row it leaves.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{History, Kept, LONG, Leaves, Row, SOON, State, Switched, Turn, Way, World, world};
use crate::load::{Connection, Record, Sample};
use crate::support::space::path;
use crate::support::{Failure, Rollout, tell};

/// How long the load goes on once everything is as it should be, and no pod is ending any more.
const AFTER: Duration = Duration::from_millis(1500);

/// How a case must end.
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
    /// `tag` serves alone, everything else is as it was, and the Rollout says Complete.
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

    /// `tag` serves alone, and what was rejected is held.
    pub fn rolled_back(tag: &str) -> Self {
        Self { state: State::Held, ..Self::complete(tag) }
    }

    /// `tag` serves alone and Steelyard has left: no Rollout, no mark, the Deployment as `state` says.
    pub fn left(tag: &str, state: State) -> Self {
        Self { state, rollout: false, ..Self::complete(tag) }
    }

    /// Only a state of the Rollout since then counts.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = since;
        self
    }

    /// Pods at the end.
    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// How many pods of `tag` may have been started; of those that aren't named, none.
    #[must_use]
    pub fn started(mut self, tag: &str, count: RangeInclusive<usize>) -> Self {
        self.started.insert(tag.to_owned(), count);
        self
    }

    /// A version that never served, not even once.
    #[must_use]
    pub fn never(mut self, tag: &str) -> Self {
        self.never.push(tag.to_owned());
        self
    }

    /// A version of another Deployment, which shares the route: it may serve at any time.
    #[must_use]
    pub fn beside(mut self, tag: &str) -> Self {
        self.beside.push(tag.to_owned());
        self
    }

    /// Requests may fail on this way: pods were killed on purpose, or what leads to them was taken away.
    #[must_use]
    pub fn may_fail(mut self, way: Way) -> Self {
        self.may_fail.push(way);
        self
    }

    /// A version that may answer with errors of its own; none of its requests may be lost either.
    #[must_use]
    pub fn bad(mut self, tag: &str) -> Self {
        self.bad.push(tag.to_owned());
        self
    }

    /// Both versions may serve on this way at any time: somebody took the pin off, or rolled natively.
    #[must_use]
    pub fn unchecked(mut self, way: Way) -> Self {
        self.unchecked.push(way);
        self
    }
}

impl Turn {
    /// Waits for the end, ends the load, checks everything, and keeps the row.
    pub async fn ends(mut self, end: End) -> Result<(), Failure> {
        let what = format!("{:?}, {} serving", end.state, end.serving);
        if end.rollout {
            let (since, state, tag) = (end.since, end.state, &end.serving);
            self.first(since, &what, |rollout| world::at_rest(rollout, state, tag)).await?;
        } else {
            let gone = |seen: &crate::support::Seen<Rollout>| seen.deleted.then_some(());
            self.trails.rollout.first(end.since, "the Rollout gone", LONG, gone).await?;
        }
        let seconds = self.begun.1.elapsed().as_secs();
        let mut faults = self.compare(&end).await?;
        self.calm().await?;
        tokio::time::sleep(AFTER).await;
        // Nothing may move any more.
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
            faults.push(format!("too few requests to tell anything: {}", row.requests));
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

    /// Ends a case of which nothing is left to look at: keeps its row.
    pub async fn gone(mut self) -> Result<(), Failure> {
        let seconds = self.begun.1.elapsed().as_secs();
        self.unload().await;
        self.row(seconds).keep(&path("LAB_DIR")?)?;
        Ok(())
    }

    /// Waits until no pod is ending: connections that were kept alive may last as long.
    async fn calm(&self) -> Result<(), Failure> {
        let none = |pods: &BTreeMap<String, Pod>| {
            pods.values().all(|pod| pod.metadata.deletion_timestamp.is_none()).then_some(())
        };
        let which = kube::runtime::watcher::Config::default().labels("app=web");
        Ok(self.space.until_all(which, "no pod that is ending", SOON, none).await?)
    }

    /// The moment at which something came in between; empty where there is only one.
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

    /// What is not as it should be.
    async fn compare(&self, end: &End) -> Result<Vec<String>, Failure> {
        let mut faults = Vec::new();
        let world = World::of(&self.space, "web").await?;
        if world != self.world {
            faults.push(format!("not as it was: {world:?}, but {:?}", self.world));
        }
        let checks = [
            world::unmarked(&self.space).await,
            world::stands(&self.space, "web", end.state, &end.serving, end.replicas).await,
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
                "/step",
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
    /// How many pods of each tag came after the beginning.
    fn started(&self) -> BTreeMap<String, usize> {
        let mut tags: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
        for seen in self.trails.pods.all() {
            let name = seen.object.metadata.name.unwrap_or_default();
            let image = seen.object.spec.and_then(|spec| spec.containers.into_iter().next()?.image);
            let image = image.unwrap_or_default();
            if !self.before.contains(&name) {
                let tag = image.split_once(':').map_or("", |(_, tag)| tag).to_owned();
                tags.entry(tag).or_default().insert(name);
            }
        }
        tags.into_iter().map(|(tag, names)| (tag, names.len())).collect()
    }
}

impl End {
    /// How many errors the versions answered themselves that may.
    fn bad_answers(&self, record: &Record) -> u64 {
        let own = |sample: &&Sample| {
            sample.version.as_ref().is_some_and(|tag| self.bad.iter().any(|bad| **bad == **tag))
        };
        record.failures().filter(own).count() as u64
    }

    /// Checks who serves at the very end.
    fn last(&self, way: Way, record: &Record) -> Option<String> {
        let end = record.samples().last().map(|sample| record.at(sample.ended()))?;
        let last = end - Duration::from_millis(500)..end;
        let mut share = record.share(&self.serving, last.clone());
        for other in &self.beside {
            share = share.map(|share| share + record.share(other, last.clone()).unwrap_or_default());
        }
        (share.is_none_or(|share| share < 0.999))
            .then(|| format!("{way:?}: {} has a share of {share:?} at the end", self.serving))
    }
}
