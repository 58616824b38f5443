//! Answers of Prometheus, of webhooks and of the API server that the next reconcile of a Deployment
//! handles.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

use tokio::time::Instant;

use super::{ObjectKey, locked};
use crate::engine::{Answer, Ask, Call, Inquiry, Reading, RefusedWrite};

/// An answer that no reconcile has handled yet.
#[derive(Clone, Debug)]
pub struct PendingAnswer {
    /// When it arrived.
    pub arrived: Instant,
    /// The answer.
    pub content: AnswerContent,
}

impl PendingAnswer {
    /// Returns the measurement, if this is one.
    pub fn measurement(&self) -> Option<Reading> {
        match &self.content {
            AnswerContent::Measurement(reading) => Some(reading.clone()),
            AnswerContent::Webhook(_) | AnswerContent::RefusedWrite(_) => None,
        }
    }

    /// Returns the answer of a webhook, if this is one.
    pub fn webhook(&self) -> Option<Answer> {
        match &self.content {
            AnswerContent::Webhook(answer) => Some(answer.clone()),
            AnswerContent::Measurement(_) | AnswerContent::RefusedWrite(_) => None,
        }
    }

    /// Returns the refused write, if this is one.
    pub fn refused_write(&self) -> Option<RefusedWrite> {
        match &self.content {
            AnswerContent::RefusedWrite(write) => Some(write.clone()),
            AnswerContent::Measurement(_) | AnswerContent::Webhook(_) => None,
        }
    }
}

/// The content of an answer.
#[derive(Clone, Debug)]
pub enum AnswerContent {
    /// Of a metric source.
    Measurement(Reading),
    /// Of a webhook.
    Webhook(Answer),
    /// Of the API server, which refused a write of the last plan.
    RefusedWrite(RefusedWrite),
}

#[derive(Debug, Default)]
struct DeploymentAnswers {
    pending: Vec<PendingAnswer>,
    /// The revision and inquiry of each query and call that is not answered yet.
    in_flight: BTreeSet<(String, Inquiry)>,
}

/// The answers of each Deployment. Each answer is handed out once.
#[derive(Debug, Default)]
pub struct Answers(Mutex<HashMap<ObjectKey, DeploymentAnswers>>);

impl Answers {
    /// Records that `ask` is sent; returns false if the same inquiry of this revision is already in
    /// flight.
    pub fn start_query(&self, key: &ObjectKey, ask: &Ask) -> bool {
        let mut entries = locked(&self.0);
        entries.entry(key.clone()).or_default().in_flight.insert((ask.revision.clone(), ask.inquiry.clone()))
    }

    /// Records that `call` is sent; returns false if the same attempt is already in flight.
    pub fn start_call(&self, key: &ObjectKey, call: &Call) -> bool {
        let mut entries = locked(&self.0);
        entries.entry(key.clone()).or_default().in_flight.insert((call.revision.clone(), call.inquiry()))
    }

    /// Adds an answer.
    pub fn add(&self, key: &ObjectKey, content: AnswerContent) {
        let answered = match &content {
            AnswerContent::Measurement(reading) => Some((reading.revision.clone(), reading.inquiry.clone())),
            AnswerContent::Webhook(answer) => Some((answer.revision.clone(), answer.inquiry())),
            AnswerContent::RefusedWrite(_) => None,
        };
        let mut entries = locked(&self.0);
        let entry = entries.entry(key.clone()).or_default();
        if let Some(answered) = answered {
            entry.in_flight.remove(&answered);
        }
        entry.pending.push(PendingAnswer { arrived: Instant::now(), content });
    }

    /// Takes all answers; also returns the inquiries of `revision` that are in flight.
    pub fn take(&self, key: &ObjectKey, revision: Option<&str>) -> (Vec<PendingAnswer>, BTreeSet<Inquiry>) {
        let mut entries = locked(&self.0);
        let Some(entry) = entries.get_mut(key) else { return (Vec::new(), BTreeSet::new()) };
        let in_flight = entry
            .in_flight
            .iter()
            .filter(|(of, _)| revision.is_none_or(|revision| revision == of))
            .map(|(_, inquiry)| inquiry.clone())
            .collect();
        let pending = std::mem::take(&mut entry.pending);
        if entry.in_flight.is_empty() {
            entries.remove(key);
        }
        (pending, in_flight)
    }

    /// Puts back answers that were not used, before those that arrived meanwhile. Drops refused
    /// writes: they belong to the previous plan.
    pub fn put_back(&self, key: &ObjectKey, mut unused: Vec<PendingAnswer>) {
        unused.retain(|answer| answer.refused_write().is_none());
        self.keep(key, unused);
    }

    /// Puts back all answers, before those that arrived meanwhile, because nothing was applied.
    pub fn keep(&self, key: &ObjectKey, mut unused: Vec<PendingAnswer>) {
        if unused.is_empty() {
            return;
        }
        let mut entries = locked(&self.0);
        let entry = entries.entry(key.clone()).or_default();
        unused.append(&mut entry.pending);
        entry.pending = unused;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        analysis::Outcome,
        policy::{Request, source::prometheus},
    };

    fn key() -> ObjectKey {
        ObjectKey { namespace: "n".into(), name: "a".into() }
    }

    fn measurement(metric: &str) -> AnswerContent {
        AnswerContent::Measurement(Reading {
            revision: "0abc".into(),
            step: 0,
            inquiry: Inquiry::Metric(metric.into()),
            query: "up".into(),
            at: Timestamp::UNIX_EPOCH,
            lookback: std::time::Duration::ZERO,
            outcome: Outcome::NoData,
        })
    }

    fn ask(revision: &str) -> Ask {
        Ask {
            revision: revision.into(),
            step: 0,
            inquiry: Inquiry::Metric("m".into()),
            request: Request::Prometheus(prometheus::Request::default()),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_query_is_sent_once_until_it_is_answered() {
        let answers = Answers::default();
        assert!(answers.start_query(&key(), &ask("0abc")));
        assert!(!answers.start_query(&key(), &ask("0abc")));
        assert!(answers.start_query(&key(), &ask("0def")), "queries of different revisions differ");
        answers.add(&key(), measurement("m"));
        let (pending, in_flight) = answers.take(&key(), Some("0abc"));
        assert_eq!(pending.len(), 1);
        assert!(in_flight.is_empty());
        assert_eq!(answers.take(&key(), Some("0def")).1.len(), 1);
    }

    #[test]
    fn an_answer_is_handed_out_once_and_keeps_its_place_if_it_is_put_back() {
        let answers = Answers::default();
        answers.add(&key(), measurement("first"));
        let (pending, _) = answers.take(&key(), None);
        assert!(answers.take(&key(), None).0.is_empty());
        answers.add(&key(), measurement("second"));
        answers.put_back(&key(), pending);
        let pending = answers.take(&key(), None).0.into_iter();
        let inquiries: Vec<_> =
            pending.filter_map(|answer| answer.measurement()).map(|reading| reading.inquiry).collect();
        assert_eq!(inquiries, ["first", "second"].map(|name| Inquiry::Metric(name.into())));
    }

    #[test]
    fn a_refused_write_is_handed_out_only_to_the_next_reconcile() {
        let answers = Answers::default();
        let (verb, kind) = (crate::engine::WriteVerb::Create, crate::engine::Kind::Service);
        let (name, message) = ("web-canary".to_owned(), "exceeded quota".to_owned());
        answers
            .add(&key(), AnswerContent::RefusedWrite(RefusedWrite { verb, kind, name, code: 403, message }));
        let (pending, _) = answers.take(&key(), None);
        assert!(pending[0].refused_write().is_some());
        answers.put_back(&key(), pending);
        assert!(answers.take(&key(), None).0.is_empty());
    }

    #[test]
    fn each_attempt_is_called_once_and_is_in_flight_until_it_is_answered() {
        let answers = Answers::default();
        let call = |attempt| Call {
            webhook: "desk".into(),
            revision: "0abc".into(),
            step: 1,
            attempt,
            question: crate::engine::Question::default(),
        };
        assert!(answers.start_call(&key(), &call(1)) && !answers.start_call(&key(), &call(1)));
        assert!(answers.take(&key(), Some("0abc")).1.contains(&call(1).inquiry()));
        let (revision, at) = ("0abc".to_owned(), Timestamp::UNIX_EPOCH);
        let (approval, response) = (crate::api::Approval::Refused, "not yet".to_owned());
        answers.add(
            &key(),
            AnswerContent::Webhook(Answer { revision, step: 1, attempt: 1, at, approval, response }),
        );
        let (pending, in_flight) = answers.take(&key(), Some("0abc"));
        assert!(in_flight.is_empty() && pending.len() == 1);
        assert!(answers.start_call(&key(), &call(2)));
    }
}
