//! `list -w`: the rollouts of a namespace, or of all, as they change.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{
    Api,
    api::ListParams,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Config, Event, watcher},
    },
};

use super::{
    Code, PluginError, TICK,
    connect::Cluster,
    follow::GATHER,
    read::{call, rollouts},
    screen::Screen,
    tables::{self, Listed},
    text::clock,
};
use crate::api::Rollout;

/// Namespace and name.
type Key = (String, String);

/// All rollouts, as a watch tells of them.
#[derive(Default)]
struct Fleet {
    known: BTreeMap<Key, Listed>,
    /// What a watch that began anew has told so far: it counts when that is all.
    fresh: Option<BTreeMap<Key, Listed>>,
}

impl Fleet {
    fn note(&mut self, event: Event<Rollout>) {
        let keyed = |rollout: Rollout| {
            let listed = Listed::from(rollout);
            ((listed.namespace.clone(), listed.name.clone()), listed)
        };
        match event {
            Event::Init => self.fresh = Some(BTreeMap::new()),
            Event::InitApply(rollout) => self.fresh.get_or_insert_default().extend([keyed(rollout)]),
            Event::InitDone => self.known = self.fresh.take().unwrap_or_default(),
            Event::Apply(rollout) => self.known.extend([keyed(rollout)]),
            Event::Delete(rollout) => drop(self.known.remove(&keyed(rollout).0)),
        }
    }

    /// A line for each, less what changes by itself.
    fn lines(&self, namespaces: bool) -> BTreeMap<Key, String> {
        self.known.iter().map(|(key, one)| (key.clone(), tables::line(one, namespaces))).collect()
    }
}

/// The lines that are new or other than before, and a line for each that is gone.
fn news(before: &BTreeMap<Key, String>, now: &BTreeMap<Key, String>, namespaces: bool) -> Vec<String> {
    let gone = before.keys().filter(|key| !now.contains_key(key)).map(|(namespace, name)| {
        if namespaces { format!("{namespace}/{name}  gone") } else { format!("{name}  gone") }
    });
    let other = now.iter().filter(|(key, line)| before.get(*key) != Some(line)).map(|(_, line)| line.clone());
    gone.chain(other).collect()
}

/// Goes on showing them until somebody ends it: a table redrawn in a terminal, else a line per change.
pub(super) async fn watch(cluster: &Cluster, all: bool) -> Result<Code, PluginError> {
    let api = if all { Api::all(cluster.client.clone()) } else { rollouts(cluster) };
    // Whoever may not see them, or has no such kind, is told at once: a watch would go on trying.
    call("list", "Rollouts", "", api.list(&ListParams::default().limit(1))).await?;
    let changes = watcher(api, Config::default()).default_backoff().ready_chunks(1000);
    let gathered = changes.then(|chunk| async {
        tokio::time::sleep(GATHER).await;
        chunk
    });
    let mut changes = std::pin::pin!(gathered);
    let (mut screen, mut fleet) = (Screen::new(), Fleet::default());
    let (mut told, mut trouble) = (BTreeMap::new(), None::<String>);
    loop {
        let chunk = if screen.redraws() {
            // Ages go on also while nothing happens.
            tokio::time::timeout(TICK, changes.next()).await.ok().flatten()
        } else {
            changes.next().await
        };
        for event in chunk.into_iter().flatten() {
            trouble =
                event.map(|event| fleet.note(event)).err().map(|error: watcher::Error| error.to_string());
        }
        let now = Timestamp::now();
        if screen.redraws() {
            let listed: Vec<Listed> = fleet.known.values().cloned().collect();
            let mut lines = tables::list(&listed, all, now);
            lines.extend(trouble.iter().map(|why| format!("not up to date: {why}")));
            screen.redraw(&lines)?;
        } else {
            let lines = fleet.lines(all);
            let news = news(&told, &lines, all);
            for line in news.into_iter().chain(trouble.clone()) {
                screen.line(&clock(now, now), line)?;
            }
            told = lines;
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;

    use super::*;
    use crate::api::{Phase, RolloutSpec, RolloutStatus};

    fn rollout(name: &str, phase: Phase) -> Rollout {
        let mut rollout = Rollout::new(name, RolloutSpec::default());
        rollout.metadata = ObjectMeta { namespace: Some("shop".into()), ..rollout.metadata };
        rollout.status = Some(RolloutStatus { phase, ..RolloutStatus::default() });
        rollout
    }

    #[test]
    fn only_what_changed_is_told_and_what_is_gone_is_told_once() {
        let mut fleet = Fleet::default();
        let mut told = BTreeMap::new();
        let mut tell = |fleet: &Fleet| {
            let lines = fleet.lines(true);
            let news = news(&told, &lines, true);
            told = lines;
            news
        };
        for event in [Event::Init, Event::InitApply(rollout("a", Phase::Stable))] {
            fleet.note(event);
        }
        assert!(tell(&fleet).is_empty(), "half a list is no list");
        fleet.note(Event::InitApply(rollout("b", Phase::Stable)));
        fleet.note(Event::InitDone);
        assert_eq!(tell(&fleet), ["shop/a  Stable", "shop/b  Stable"]);
        fleet.note(Event::Apply(rollout("a", Phase::Preparing)));
        fleet.note(Event::Apply(rollout("b", Phase::Stable)));
        assert_eq!(tell(&fleet), ["shop/a  Preparing"]);
        // The watch broke, and b went meanwhile.
        for event in [Event::Init, Event::InitApply(rollout("a", Phase::Preparing)), Event::InitDone] {
            fleet.note(event);
        }
        assert_eq!(tell(&fleet), ["shop/b  gone"]);
        fleet.note(Event::Delete(rollout("a", Phase::Preparing)));
        assert_eq!(tell(&fleet), ["shop/a  gone"]);
        assert!(tell(&fleet).is_empty());
    }
}
