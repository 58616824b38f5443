//! `list -w`: watches the rollouts of one namespace or of all namespaces.

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

/// The rollouts that the watch has reported.
#[derive(Default)]
struct Fleet {
    known: BTreeMap<Key, Listed>,
    /// The rollouts reported since the watch restarted. They replace `known` once the list is
    /// complete.
    fresh: Option<BTreeMap<Key, Listed>>,
}

impl Fleet {
    fn apply(&mut self, event: Event<Rollout>) {
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

    /// Returns one line per rollout, without its age, which changes all the time.
    fn lines(&self, namespaces: bool) -> BTreeMap<Key, String> {
        self.known.iter().map(|(key, one)| (key.clone(), tables::line(one, namespaces))).collect()
    }
}

/// Returns the lines that are new or changed, and a line for each rollout that was deleted.
fn changed(before: &BTreeMap<Key, String>, now: &BTreeMap<Key, String>, namespaces: bool) -> Vec<String> {
    let gone = before.keys().filter(|key| !now.contains_key(key)).map(|(namespace, name)| {
        if namespaces { format!("{namespace}/{name}  deleted") } else { format!("{name}  deleted") }
    });
    let other = now.iter().filter(|(key, line)| before.get(*key) != Some(line)).map(|(_, line)| line.clone());
    gone.chain(other).collect()
}

/// Shows the rollouts until interrupted: redraws a table in a terminal, otherwise prints one line
/// per change.
pub(super) async fn watch(cluster: &Cluster, all: bool) -> Result<Code, PluginError> {
    let api = if all { Api::all(cluster.client.clone()) } else { rollouts(cluster) };
    // A missing permission or a missing kind fails at once here: the watch would retry forever.
    call("list", "Rollouts", "", api.list(&ListParams::default().limit(1))).await?;
    let changes = watcher(api, Config::default()).default_backoff().ready_chunks(1000);
    let gathered = changes.then(|chunk| async {
        tokio::time::sleep(GATHER).await;
        chunk
    });
    let mut changes = std::pin::pin!(gathered);
    let (mut screen, mut fleet) = (Screen::new(), Fleet::default());
    let (mut printed, mut trouble) = (BTreeMap::new(), None::<String>);
    loop {
        let chunk = if screen.redraws() {
            // Ages change even without events.
            tokio::time::timeout(TICK, changes.next()).await.ok().flatten()
        } else {
            changes.next().await
        };
        for event in chunk.into_iter().flatten() {
            trouble =
                event.map(|event| fleet.apply(event)).err().map(|error: watcher::Error| error.to_string());
        }
        let now = Timestamp::now();
        if screen.redraws() {
            let listed: Vec<Listed> = fleet.known.values().cloned().collect();
            let mut lines = tables::list(&listed, all, now);
            lines.extend(trouble.iter().map(|why| format!("not up to date: {why}")));
            screen.redraw(&lines)?;
        } else {
            let lines = fleet.lines(all);
            for line in changed(&printed, &lines, all).into_iter().chain(trouble.clone()) {
                screen.line(&clock(now, now), line)?;
            }
            printed = lines;
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
    fn only_changes_are_printed_and_a_deletion_is_printed_once() {
        let mut fleet = Fleet::default();
        let mut printed = BTreeMap::new();
        let mut print = |fleet: &Fleet| {
            let lines = fleet.lines(true);
            let changes = changed(&printed, &lines, true);
            printed = lines;
            changes
        };
        for event in [Event::Init, Event::InitApply(rollout("a", Phase::Stable))] {
            fleet.apply(event);
        }
        assert!(print(&fleet).is_empty(), "an incomplete list prints nothing");
        fleet.apply(Event::InitApply(rollout("b", Phase::Stable)));
        fleet.apply(Event::InitDone);
        assert_eq!(print(&fleet), ["shop/a  Stable", "shop/b  Stable"]);
        fleet.apply(Event::Apply(rollout("a", Phase::Preparing)));
        fleet.apply(Event::Apply(rollout("b", Phase::Stable)));
        assert_eq!(print(&fleet), ["shop/a  Preparing"]);
        // The watch restarts, and b was deleted meanwhile.
        for event in [Event::Init, Event::InitApply(rollout("a", Phase::Preparing)), Event::InitDone] {
            fleet.apply(event);
        }
        assert_eq!(print(&fleet), ["shop/b  deleted"]);
        fleet.apply(Event::Delete(rollout("a", Phase::Preparing)));
        assert_eq!(print(&fleet), ["shop/a  deleted"]);
        assert!(print(&fleet).is_empty());
    }
}
