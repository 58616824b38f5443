//! The record of a failure on a route or a Service, beside the mark of the failed revision: the
//! patch that takes the traffic also says why. A leader that died before it wrote the status loses
//! no evidence.

use serde::{Deserialize, Serialize};

use super::marks::marked;
use crate::{
    api::{self, Cause},
    engine::{reasons::FailureKind, snapshot::Meta},
};

/// The longest texts of a record, in bytes.
const MESSAGE: usize = 1024;
const QUERY: usize = 2048;
/// The longest annotation that is read, in bytes: several Deployments may share one route.
const LONGEST: usize = 64 * 1024;

/// A revision that failed, and why.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Mark<'a> {
    /// The revision.
    pub(in crate::engine) revision: &'a str,
    /// Why it failed.
    pub(in crate::engine) failure: &'a api::Failure,
}

/// One record of an annotation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    revision: String,
    #[serde(flatten)]
    failure: api::Failure,
}

/// Returns the failure that an object records of a revision that it is marked with. Other clients
/// may write the annotation, so only what a rollback can write counts.
pub(in crate::engine) fn recorded(meta: &Meta, revision: &str) -> Option<api::Failure> {
    let found = records(meta).into_iter().find(|record| record.revision == revision);
    let failure = found.filter(|_| marked(meta, revision))?.failure;
    let ends = matches!(failure.cause, Cause::Failure | Cause::Abort);
    let known = failure.reason.parse::<FailureKind>().is_ok();
    (ends && known).then(|| bounded(failure))
}

/// Returns the annotation with the record of one more revision.
pub(super) fn with(meta: &Meta, mark: Mark) -> String {
    let Mark { revision, failure } = mark;
    let own = Record { revision: revision.to_owned(), failure: bounded(failure.clone()) };
    written(&others(meta, revision).chain([own]).collect::<Vec<_>>()).unwrap_or_default()
}

/// Returns the annotation without the record of a revision; `None` if no record is left.
pub(super) fn without(meta: &Meta, revision: &str) -> Option<String> {
    written(&others(meta, revision).collect::<Vec<_>>())
}

/// Returns the records of an object; none if the annotation is absent or invalid.
fn records(meta: &Meta) -> Vec<Record> {
    let text = meta.annotations.get(api::FAILURE).filter(|text| text.len() <= LONGEST);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Returns the records of other revisions.
fn others(meta: &Meta, revision: &str) -> impl Iterator<Item = Record> {
    records(meta).into_iter().filter(move |record| record.revision != revision)
}

fn written(records: &[Record]) -> Option<String> {
    // Records always have a JSON form.
    (!records.is_empty()).then(|| serde_json::to_string(records).unwrap_or_default())
}

/// Returns a failure with texts of a bounded length, without what the status alone records.
fn bounded(failure: api::Failure) -> api::Failure {
    api::Failure {
        message: cut(failure.message, MESSAGE),
        metric: failure.metric.map(|metric| cut(metric, MESSAGE)),
        query: failure.query.map(|query| cut(query, QUERY)),
        template_hash: String::new(),
        reverted: false,
        ..failure
    }
}

/// Cuts a text to a length in bytes.
fn cut(mut text: String, longest: usize) -> String {
    text.truncate(text.floor_char_boundary(longest));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: &str, message: &str) -> api::Failure {
        api::Failure { reason: reason.into(), message: message.into(), ..api::Failure::default() }
    }

    fn annotated(records: String, revisions: &str) -> Meta {
        let annotations =
            [(api::FAILURE.to_owned(), records), (api::FAILED.to_owned(), revisions.to_owned())];
        Meta { annotations: annotations.into(), ..Meta::default() }
    }

    #[test]
    fn each_revision_has_its_own_record_of_a_bounded_length() {
        let long = failure("MetricFailed", &"é".repeat(5000));
        let one = with(&Meta::default(), Mark { revision: "0a1", failure: &long });
        assert!(one.len() < 2 * MESSAGE);
        let other = failure("Aborted", "aborted by ann");
        let meta = annotated(one, "0a1,0a2");
        let meta = annotated(with(&meta, Mark { revision: "0a2", failure: &other }), "0a1,0a2");
        assert_eq!(recorded(&meta, "0a2"), Some(other));
        assert_eq!(recorded(&meta, "0a1").map(|failure| failure.message), Some("é".repeat(MESSAGE / 2)));
        let meta = annotated(without(&meta, "0a1").unwrap(), "0a2");
        assert_eq!((recorded(&meta, "0a1"), without(&meta, "0a2")), (None, None));
    }

    #[test]
    fn a_record_counts_only_as_far_as_a_rollback_can_have_written_it() {
        let of = |failure: &api::Failure, revisions: &str| {
            let records = with(&Meta::default(), Mark { revision: "0a1", failure });
            recorded(&annotated(records, revisions), "0a1")
        };
        let good = failure("MetricFailed", "");
        assert_eq!(of(&good, "0a1"), Some(good.clone()));
        assert_eq!(of(&good, "0a2"), None, "without the mark");
        assert_eq!(of(&failure("Nonsense", ""), "0a1"), None);
        for cause in [Cause::Skip, Cause::Withdrawal] {
            assert_eq!(of(&api::Failure { cause, ..good.clone() }, "0a1"), None, "{cause:?}");
        }
        assert_eq!(recorded(&annotated("nonsense".to_owned(), "0a1"), "0a1"), None);
    }
}
