//! The requests that Steelyard sends, counted in the API server's audit log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;

/// The user of Steelyard's pods.
const USER: &str = "system:serviceaccount:steelyard-system:steelyard";
/// What leader election reads and writes, at a fixed interval. It is not counted.
const LEASES: &str = "leases";

/// The number of requests by verb and resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Requests(BTreeMap<String, BTreeMap<String, u64>>);

impl Requests {
    /// Adds the counts of `others`.
    pub(super) fn add(&mut self, others: Self) {
        for (verb, resources) in others.0 {
            for (resource, n) in resources {
                *self.0.entry(verb.clone()).or_default().entry(resource).or_default() += n;
            }
        }
    }

    /// Returns the number of all requests.
    pub(super) fn total(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Returns the number of requests with one of these verbs.
    pub(super) fn of(&self, verbs: &[&str]) -> u64 {
        verbs.iter().filter_map(|verb| self.0.get(*verb)).flat_map(BTreeMap::values).sum()
    }

    /// Returns the largest counts, as text.
    pub(super) fn most(&self, shown: usize) -> String {
        let all =
            self.0.iter().flat_map(|(verb, by)| by.iter().map(move |(resource, n)| (n, verb, resource)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let lines = all.iter().take(shown).map(|(n, verb, resource)| format!("{n} {verb} {resource}"));
        lines.collect::<Vec<_>>().join(", ")
    }

    /// Counts a line of the log. A watch counts when it starts, because it may outlast the
    /// benchmark.
    fn count(&mut self, line: &str) {
        // Most lines are requests of others: parsing them all would take longer than the benchmark.
        if !line.contains(USER) {
            return;
        }
        let Ok(entry) = serde_json::from_str::<Entry>(line) else { return };
        let stage = if entry.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
        let Some(object) = entry.object_ref else { return };
        if entry.user.username != USER || entry.stage != stage || object.resource == LEASES {
            return;
        }
        let resource = match object.subresource {
            Some(part) => format!("{}/{part}", object.resource),
            None => object.resource,
        };
        *self.0.entry(entry.verb).or_default().entry(resource).or_default() += 1;
    }
}

/// The fields of an audit event that are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Object>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Object {
    resource: String,
    subresource: Option<String>,
}

/// The audit log, read from now on.
pub(super) struct AuditLog {
    path: PathBuf,
    reader: BufReader<File>,
    /// The beginning of a line whose end is not written yet.
    partial: String,
}

impl AuditLog {
    /// Opens the log at its end.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let opened = File::open(path).and_then(|mut file| file.seek(SeekFrom::End(0)).map(|_| file));
        let file = opened.map_err(Error::file(path))?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), partial: String::new() })
    }

    /// Returns the requests since the last call.
    pub(super) fn read(&mut self) -> Result<Requests, Error> {
        let mut found = Requests::default();
        self.read_into(&mut found).map_err(Error::file(&self.path))?;
        Ok(found)
    }

    fn read_into(&mut self, found: &mut Requests) -> io::Result<()> {
        loop {
            if self.reader.read_line(&mut self.partial)? == 0 {
                // The API server renames a log that has become too large, and creates a new one.
                let current = File::open(&self.path)?;
                if current.metadata()?.ino() == self.reader.get_ref().metadata()?.ino() {
                    return Ok(());
                }
                self.reader = BufReader::new(current);
            } else if self.partial.ends_with('\n') {
                found.count(&self.partial);
                self.partial.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(user: &str, verb: &str, stage: &str, resource: &str) -> String {
        let object = serde_json::json!({"resource": resource, "namespace": "shop"});
        let user = serde_json::json!({"username": user});
        format!("{}\n", serde_json::json!({"stage": stage, "verb": verb, "user": user, "objectRef": object}))
    }

    #[test]
    fn only_requests_of_steelyard_count_each_once_and_none_of_its_lease() {
        let mut requests = Requests::default();
        for (user, verb, stage, resource) in [
            (USER, "list", "ResponseComplete", "pods"),
            (USER, "watch", "ResponseStarted", "pods"),
            (USER, "watch", "ResponseComplete", "pods"),
            (USER, "update", "ResponseComplete", LEASES),
            ("system:node:node-1", "list", "ResponseComplete", "pods"),
        ] {
            requests.count(&line(user, verb, stage, resource));
        }
        assert_eq!(requests.most(9), "1 watch pods, 1 list pods");
        assert_eq!((requests.total(), requests.of(&["list", "get"])), (2, 1));
    }

    #[test]
    fn a_log_is_read_from_its_end_on_across_partial_lines_and_renames() {
        let dir = std::env::temp_dir().join(format!("lab-audit-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let path = dir.join("audit.log");
        let one = line(USER, "get", "ResponseComplete", "services");
        std::fs::write(&path, &one).expect("written");
        let mut log = AuditLog::open(&path).expect("opened");
        let mut file = File::options().append(true).open(&path).expect("opened");
        let (start, end) = one.split_at(20);
        file.write_all(start.as_bytes()).expect("written");
        assert_eq!(log.read().expect("read").total(), 0);
        file.write_all(end.as_bytes()).expect("written");
        assert_eq!(log.read().expect("read").total(), 1);
        file.write_all(one.as_bytes()).expect("written");
        std::fs::rename(&path, dir.join("audit-old.log")).expect("renamed");
        std::fs::write(&path, &one).expect("written");
        assert_eq!(log.read().expect("read").total(), 2);
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
