//! Watches the admission policy that holds template changes, and its binding: what a dry run showed
//! before a change of them is no longer known.

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, ResourceExt as _,
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};

use super::watch_events::received;

/// The name of the policy and of its binding.
const NAME: &str = "steelyard-hold";

/// An object of the policy: its uid and generation.
type Version = (Option<String>, Option<i64>);

/// What a watch has shown of one object.
#[derive(Debug, Default)]
struct Seen {
    current: Option<Version>,
    /// What the list in progress has shown.
    listed: Option<Version>,
    synced: bool,
}

impl Seen {
    /// Handles an event. Returns whether the object has changed, or is missing at the start.
    fn changes(&mut self, event: Event<Version>) -> bool {
        match event {
            Event::Init => self.listed = None,
            Event::InitApply(version) => self.listed = Some(version),
            Event::InitDone => {
                let listed = self.listed.take();
                // The object may have been changed while there was no connection.
                let changed = if self.synced { listed != self.current } else { listed.is_none() };
                (self.current, self.synced) = (listed, true);
                return changed;
            }
            Event::Apply(version) => return self.current.replace(version.clone()) != Some(version),
            Event::Delete(_) => return self.current.take().is_some(),
        }
        false
    }
}

/// Reports each change of the policy or its binding, and that one of them does not exist.
pub(super) fn hold_changes(client: &Client) -> impl Stream<Item = ()> + Send + use<> {
    let kinds = [
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    ];
    futures::stream::select_all(kinds.map(|(kind, plural)| changes(client, kind, plural).boxed()))
}

fn changes(client: &Client, kind: &str, plural: &'static str) -> impl Stream<Item = ()> + Send + use<> {
    let group = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&group, plural);
    let api = Api::<PartialObjectMeta<DynamicObject>>::all_with(client.clone(), &resource);
    let only = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let mut seen = Seen::default();
    watcher::watcher(api, only).default_backoff().filter_map(move |event| {
        let event = received(event, plural).map(versions);
        std::future::ready(event.filter(|event| seen.changes(event.clone())).map(drop))
    })
}

fn versions(event: Event<PartialObjectMeta<DynamicObject>>) -> Event<Version> {
    let version = |object: PartialObjectMeta<DynamicObject>| (object.uid(), object.metadata.generation);
    match event {
        Event::Apply(object) => Event::Apply(version(object)),
        Event::Delete(object) => Event::Delete(version(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(version(object)),
        Event::InitDone => Event::InitDone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(uid: &str, generation: i64) -> Version {
        (Some(uid.to_owned()), Some(generation))
    }

    /// Returns how many of the events report a change.
    fn changes(seen: &mut Seen, events: impl IntoIterator<Item = Event<Version>>) -> usize {
        events.into_iter().filter(|event| seen.changes(event.clone())).count()
    }

    fn listed(found: Option<Version>) -> Vec<Event<Version>> {
        let found = found.map(Event::InitApply);
        [Event::Init].into_iter().chain(found).chain([Event::InitDone]).collect()
    }

    #[test]
    fn a_policy_that_exists_at_the_start_voids_no_answer_and_one_that_is_missing_does() {
        assert_eq!(changes(&mut Seen::default(), listed(Some(version("a", 1)))), 0);
        assert_eq!(changes(&mut Seen::default(), listed(None)), 1);
    }

    #[test]
    fn each_change_voids_the_answers_and_a_write_that_changes_nothing_does_not() {
        let mut seen = Seen::default();
        changes(&mut seen, listed(Some(version("a", 1))));
        assert_eq!(changes(&mut seen, [Event::Apply(version("a", 1))]), 0, "its labels, for example");
        assert_eq!(changes(&mut seen, [Event::Apply(version("a", 2))]), 1);
        assert_eq!(changes(&mut seen, [Event::Delete(version("a", 2))]), 1);
        assert_eq!(changes(&mut seen, [Event::Apply(version("b", 1))]), 1, "it is installed again");
    }

    #[test]
    fn a_change_while_there_is_no_connection_is_found_by_the_next_list() {
        let mut seen = Seen::default();
        changes(&mut seen, listed(Some(version("a", 1))));
        assert_eq!(changes(&mut seen, listed(Some(version("a", 1)))), 0);
        assert_eq!(changes(&mut seen, listed(Some(version("a", 2)))), 1);
        assert_eq!(changes(&mut seen, listed(None)), 1);
        assert_eq!(changes(&mut seen, listed(None)), 0);
    }
}
