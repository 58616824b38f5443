//! The objects of one kind in one namespace. Pure.
//!
//! Three sources write it: the watch, which can lag; the answers to own writes; and reads of single
//! objects. The newest version of an object wins, whichever source it comes from. Resource versions
//! of a kind compare as integers (KEP-5504).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value;

/// An object, and what identifies its version.
#[derive(Clone, Debug)]
struct Stored {
    uid: String,
    version: u64,
    object: Arc<Value>,
}

impl Stored {
    fn of(object: Value) -> Self {
        let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        Self {
            uid: text("/metadata/uid").to_owned(),
            version: text("/metadata/resourceVersion").parse().unwrap_or(0),
            object: Arc::new(object),
        }
    }
}

fn name_of(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The objects of one kind in one namespace, by name.
#[derive(Debug, Default)]
pub(super) struct Store {
    objects: BTreeMap<String, Stored>,
    /// Objects that are known to be gone, by uid, with the version up to which an event about them
    /// is too old. The watch may still report them.
    gone: HashMap<String, u64>,
    /// What was seen since the watch began to list; `None` while it does not.
    listing: Option<Listing>,
}

/// The objects that the watch has listed so far, and those that were read or written meanwhile,
/// which the list may not have.
#[derive(Debug, Default)]
struct Listing {
    names: BTreeSet<String>,
    uids: BTreeSet<String>,
}

impl Store {
    /// Returns all objects.
    pub(super) fn all(&self) -> Vec<Arc<Value>> {
        self.objects.values().map(|stored| Arc::clone(&stored.object)).collect()
    }

    /// The watch begins a list.
    pub(super) fn begin_list(&mut self) {
        self.listing = Some(Listing::default());
    }

    /// The list is complete: objects that it did not name are gone.
    pub(super) fn end_list(&mut self) {
        let Some(Listing { names, uids }) = self.listing.take() else { return };
        self.objects.retain(|name, _| names.contains(name));
        // A list that does not have them is newer than their deletion.
        self.gone.retain(|uid, _| uids.contains(uid));
    }

    /// Stores an object as the watch, a write or a read returned it. Returns false if a newer
    /// version of it is known.
    pub(super) fn put(&mut self, object: Value) -> bool {
        let name = name_of(&object);
        let new = Stored::of(object);
        if let Some(listing) = &mut self.listing {
            listing.names.insert(name.clone());
            listing.uids.insert(new.uid.clone());
        }
        if self.gone.get(&new.uid).is_some_and(|until| new.version <= *until) {
            return false;
        }
        if self.objects.get(&name).is_some_and(|old| new.version <= old.version) {
            return false;
        }
        self.objects.insert(name, new);
        true
    }

    /// The watch reports that an object is deleted. Returns false if that was known.
    pub(super) fn deleted(&mut self, object: &Value) -> bool {
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        self.gone.remove(uid);
        let name = name_of(object);
        // A later object may have the same name.
        let known = self.objects.get(&name).is_some_and(|stored| stored.uid == uid);
        if known {
            self.objects.remove(&name);
        }
        known
    }

    /// Returns the uid of an object.
    pub(super) fn uid(&self, name: &str) -> Option<String> {
        self.objects.get(name).map(|stored| stored.uid.clone())
    }

    /// A read or a deletion shows that this object no longer exists. A later one with its name may.
    pub(super) fn absent(&mut self, name: &str, uid: &str) {
        if self.objects.get(name).is_some_and(|stored| stored.uid == uid) {
            self.objects.remove(name);
            self.gone.insert(uid.to_owned(), u64::MAX);
        }
    }

    /// Stores a list that was read at `version`. Objects for which `listed` is true and that it does
    /// not have are gone.
    pub(super) fn merge(&mut self, list: Vec<Value>, version: u64, listed: impl Fn(&Value) -> bool) {
        let names: BTreeSet<String> = list.iter().map(name_of).collect();
        for object in list {
            self.put(object);
        }
        let missing: Vec<String> = self
            .objects
            .iter()
            .filter(|(name, stored)| {
                !names.contains(*name) && stored.version <= version && listed(&stored.object)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in missing {
            if let Some(stored) = self.objects.remove(&name) {
                // It may have lost the labels that the list asks for: a newer event shows it again.
                self.gone.insert(stored.uid, version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, uid: &str, version: u64) -> Value {
        json!({"metadata": {"name": name, "uid": uid, "resourceVersion": version.to_string()}})
    }

    fn shown(store: &Store) -> Vec<(String, u64)> {
        let version =
            |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        store.all().iter().map(|object| (name_of(object), version(object))).collect()
    }

    fn listed(store: &mut Store, objects: Vec<Value>) {
        store.begin_list();
        for object in objects {
            store.put(object);
        }
        store.end_list();
    }

    #[test]
    fn an_event_that_is_older_than_an_own_write_changes_nothing() {
        let mut store = Store::default();
        listed(&mut store, vec![object("web", "a", 5)]);
        assert!(store.put(object("web", "a", 9)), "the answer to a write");
        assert!(!store.put(object("web", "a", 7)), "an event before the write");
        assert!(!store.put(object("web", "a", 9)), "the event of the write");
        assert_eq!(shown(&store), [("web".into(), 9)]);
        assert!(store.put(object("web", "a", 10)));
    }

    #[test]
    fn a_deleted_object_stays_deleted_and_a_new_one_with_its_name_appears() {
        let mut store = Store::default();
        listed(&mut store, vec![object("web", "a", 5)]);
        store.absent("web", "a");
        assert!(!store.put(object("web", "a", 8)), "a late event");
        assert!(store.put(object("web", "b", 12)));
        assert!(!store.deleted(&object("web", "a", 11)), "of the earlier object");
        assert_eq!(shown(&store), [("web".into(), 12)]);
        store.absent("web", "a");
        assert_eq!(shown(&store), [("web".into(), 12)], "an old answer is about the earlier object");
        assert!(store.deleted(&object("web", "b", 14)));
        assert_eq!(shown(&store), []);
    }

    #[test]
    fn a_list_removes_what_it_does_not_name_except_what_was_written_meanwhile() {
        let mut store = Store::default();
        listed(&mut store, vec![object("web", "a", 5), object("api", "b", 6)]);
        store.begin_list();
        store.put(object("web", "a", 5));
        store.put(object("web-canary", "c", 20));
        store.end_list();
        assert_eq!(shown(&store), [("web".into(), 5), ("web-canary".into(), 20)]);
    }

    #[test]
    fn an_object_deleted_during_a_list_that_still_names_it_stays_deleted() {
        let mut store = Store::default();
        listed(&mut store, vec![object("web", "a", 5)]);
        store.begin_list();
        store.absent("web", "a");
        store.put(object("web", "a", 5));
        store.end_list();
        assert_eq!(shown(&store), []);
    }

    #[test]
    fn a_read_by_label_replaces_what_the_watch_has_not_seen_yet() {
        let mut store = Store::default();
        listed(&mut store, vec![object("a", "1", 5), object("b", "2", 6), object("c", "3", 40)]);
        store.merge(vec![object("a", "1", 30)], 35, |_| true);
        assert_eq!(shown(&store), [("a".into(), 30), ("c".into(), 40)], "c is newer than the list");
        assert!(!store.put(object("b", "2", 20)), "from before the list");
        assert!(store.put(object("b", "2", 50)), "it only lost its label");
    }
}
