//! Answers of Prometheus and of webhooks on their way from the asking task to the next pass.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

use tokio::time::Instant;

use super::{Key, locked};
use crate::engine::{Answer, Ask, Call, Reading, RefusedWrite, call_name};

/// An answer and when it came.
#[derive(Clone, Debug)]
pub struct Letter {
    /// When it came.
    pub arrived: Instant,
    /// The answer.
    pub content: Content,
}

impl Letter {
    /// What Prometheus said, if it did.
    pub fn reading(&self) -> Option<Reading> {
        match &self.content {
            Content::Reading(reading) => Some(reading.clone()),
            Content::Answer(_) | Content::Refused(_) => None,
        }
    }

    /// What a webhook said, if one did.
    pub fn answer(&self) -> Option<Answer> {
        match &self.content {
            Content::Answer(answer) => Some(answer.clone()),
            Content::Reading(_) | Content::Refused(_) => None,
        }
    }

    /// The write that was refused, if it is about one.
    pub fn refused(&self) -> Option<RefusedWrite> {
        match &self.content {
            Content::Refused(write) => Some(write.clone()),
            Content::Reading(_) | Content::Answer(_) => None,
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Content {
    /// Prometheus'.
    Reading(Reading),
    /// A webhook's.
    Answer(Answer),
    /// The API server's, to a write of the last plan that it refused.
    Refused(RefusedWrite),
}

#[derive(Debug, Default)]
struct Slot {
    letters: Vec<Letter>,
    asking: BTreeSet<(String, String)>,
}

/// Every Deployment's answers, each of which is handed out once.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<HashMap<Key, Slot>>);

impl Mailbox {
    /// Notes that `ask` is on its way; false where the same metric is being asked for this revision already.
    pub fn asking(&self, key: &Key, ask: &Ask) -> bool {
        let mut slots = locked(&self.0);
        slots.entry(key.clone()).or_default().asking.insert((ask.revision.clone(), ask.metric.clone()))
    }

    /// Notes that `call` is on its way; false where this very attempt is already.
    pub fn calling(&self, key: &Key, call: &Call) -> bool {
        let name = call_name(call.step, call.attempt);
        locked(&self.0).entry(key.clone()).or_default().asking.insert((call.revision.clone(), name))
    }

    /// An answer came.
    pub fn post(&self, key: &Key, content: Content) {
        let asked = match &content {
            Content::Reading(reading) => Some((reading.revision.clone(), reading.metric.clone())),
            Content::Answer(answer) => {
                Some((answer.revision.clone(), call_name(answer.step, answer.attempt)))
            }
            Content::Refused(_) => None,
        };
        let mut slots = locked(&self.0);
        let slot = slots.entry(key.clone()).or_default();
        if let Some(asked) = asked {
            slot.asking.remove(&asked);
        }
        slot.letters.push(Letter { arrived: Instant::now(), content });
    }

    /// Takes all answers, and tells what is being asked for `revision`.
    pub fn take(&self, key: &Key, revision: Option<&str>) -> (Vec<Letter>, BTreeSet<String>) {
        let mut slots = locked(&self.0);
        let Some(slot) = slots.get_mut(key) else { return (Vec::new(), BTreeSet::new()) };
        let asking = slot
            .asking
            .iter()
            .filter(|(asked, _)| revision.is_none_or(|wanted| wanted == asked))
            .map(|(_, name)| name.clone())
            .collect();
        let letters = std::mem::take(&mut slot.letters);
        if slot.asking.is_empty() {
            slots.remove(key);
        }
        (letters, asking)
    }

    /// Puts answers back that weren't used, before those that came since. Refused writes were of the plan
    /// before, and say nothing of the present one.
    pub fn put_back(&self, key: &Key, mut letters: Vec<Letter>) {
        letters.retain(|letter| letter.refused().is_none());
        if letters.is_empty() {
            return;
        }
        let mut slots = locked(&self.0);
        let slot = slots.entry(key.clone()).or_default();
        letters.append(&mut slot.letters);
        slot.letters = letters;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::analysis::Outcome;

    fn key() -> Key {
        Key { namespace: "n".into(), name: "a".into() }
    }

    fn reading(metric: &str) -> Content {
        Content::Reading(Reading {
            revision: "0abc".into(),
            step: 0,
            metric: metric.into(),
            query: "up".into(),
            at: Timestamp::UNIX_EPOCH,
            outcome: Outcome::NoData,
        })
    }

    fn ask(revision: &str) -> Ask {
        Ask {
            source: "default".into(),
            revision: revision.into(),
            step: 0,
            metric: "m".into(),
            query: "up".into(),
            at: Timestamp::UNIX_EPOCH,
            terms: crate::policy::terms::Terms::default(),
        }
    }

    #[test]
    fn a_question_is_asked_once_until_its_answer_came() {
        let mail = Mailbox::default();
        assert!(mail.asking(&key(), &ask("0abc")));
        assert!(!mail.asking(&key(), &ask("0abc")));
        assert!(mail.asking(&key(), &ask("0def")), "another revision's question is another one");
        mail.post(&key(), reading("m"));
        let (letters, asking) = mail.take(&key(), Some("0abc"));
        assert_eq!(letters.len(), 1);
        assert!(asking.is_empty());
        assert_eq!(mail.take(&key(), Some("0def")).1.len(), 1);
    }

    #[test]
    fn an_answer_is_handed_out_once_and_keeps_its_place_when_put_back() {
        let mail = Mailbox::default();
        mail.post(&key(), reading("first"));
        let (letters, _) = mail.take(&key(), None);
        assert!(mail.take(&key(), None).0.is_empty());
        mail.post(&key(), reading("second"));
        mail.put_back(&key(), letters);
        let letters = mail.take(&key(), None).0.into_iter();
        let names: Vec<_> =
            letters.filter_map(|letter| letter.reading()).map(|reading| reading.metric).collect();
        assert_eq!(names, ["first", "second"]);
    }

    #[test]
    fn a_refused_write_is_handed_to_the_next_decision_alone() {
        let mail = Mailbox::default();
        let (verb, kind) = (crate::engine::WriteVerb::Create, crate::engine::Kind::Service);
        let (name, message) = ("web-canary".to_owned(), "exceeded quota".to_owned());
        mail.post(&key(), Content::Refused(RefusedWrite { verb, kind, name, code: 403, message }));
        let (letters, _) = mail.take(&key(), None);
        assert!(letters[0].refused().is_some());
        mail.put_back(&key(), letters);
        assert!(mail.take(&key(), None).0.is_empty());
    }

    #[test]
    fn each_attempt_is_called_once_and_is_on_its_way_until_it_is_answered() {
        let mail = Mailbox::default();
        let call = |attempt| Call {
            webhook: "desk".into(),
            revision: "0abc".into(),
            step: 1,
            attempt,
            question: crate::engine::Question::default(),
        };
        assert!(mail.calling(&key(), &call(1)) && !mail.calling(&key(), &call(1)));
        assert!(mail.take(&key(), Some("0abc")).1.contains(&call_name(1, 1)));
        let (revision, at) = ("0abc".to_owned(), Timestamp::UNIX_EPOCH);
        let (word, said) = (crate::api::Word::No, "not yet".to_owned());
        mail.post(&key(), Content::Answer(Answer { revision, step: 1, attempt: 1, at, word, said }));
        let (letters, asking) = mail.take(&key(), Some("0abc"));
        assert!(asking.is_empty() && letters.len() == 1);
        assert!(mail.calling(&key(), &call(2)));
    }
}
