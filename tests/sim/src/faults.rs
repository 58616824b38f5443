//! Faults between a leader and the API server: the leader dies, or writes are lost, late or
//! refused.

use steelyard_core::engine::{Kind, RefusedWrite, Write};

use crate::{
    Rejection, World,
    writes::{Own, Sent, target},
};

/// An admission policy that refuses each write of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Refusing {
    pub(crate) kind: Kind,
    pub(crate) code: u16,
    pub(crate) message: String,
}

impl World {
    /// Loses a write of the next plans: the one after `writes` others. The leader gets no response
    /// and ends its reconcile.
    pub fn lose(&mut self, writes: usize) {
        self.lost = Some(writes);
    }

    /// Lets admission refuse each write of this kind, with this code and message.
    pub fn refuse(&mut self, kind: Kind, code: u16, message: &str) {
        self.refusing = Some(Refusing { kind, code, message: message.into() });
    }

    /// Lets admission accept all writes again.
    pub fn accept(&mut self) {
        self.refusing = None;
    }

    /// Runs a reconcile whose leader dies after this many writes; another leader takes over. The
    /// next write of the plan, if any, remains undelivered until [`World::late`].
    pub fn die_after(&mut self, writes: usize) {
        let decision = self.decide();
        self.snapshot.readings.clear();
        self.snapshot.answers.clear();
        self.snapshot.refused.clear();
        self.snapshot.asking.clear();
        let mut own = Own::default();
        for (at, write) in decision.writes.iter().take(writes + 1).enumerate() {
            let sent = self.send(write, &own);
            if at == writes {
                self.in_flight.push(sent);
            } else if self.arrive(&sent, &mut own).is_ok() {
                self.settle();
                self.check();
            } else {
                break;
            }
        }
        self.snapshot.epoch += 1;
    }

    /// The undelivered writes of former leaders, in the order in which they were sent.
    pub fn in_flight(&self) -> &[Sent] {
        &self.in_flight
    }

    /// Delivers the oldest write of a former leader, if there is one.
    pub fn late(&mut self) -> Option<Result<(), Rejection>> {
        if self.in_flight.is_empty() {
            return None;
        }
        self.versions.note(&mut self.snapshot);
        let sent = self.in_flight.remove(0);
        let result = self.arrive(&sent, &mut Own::default());
        if result.is_ok() {
            self.settle();
            self.check();
        }
        Some(result)
    }

    /// Returns an error if this write of a plan is lost.
    pub(crate) fn transport(&mut self) -> Result<(), Rejection> {
        self.lost = match self.lost {
            Some(0) => {
                self.lost = None;
                return Err(Rejection::Lost);
            }
            Some(writes) => Some(writes - 1),
            None => None,
        };
        Ok(())
    }

    /// Returns an error if admission refuses this write.
    pub(crate) fn admit(&self, write: &Write) -> Result<(), Rejection> {
        let (verb, kind, name) = target(write);
        match &self.refusing {
            Some(Refusing { kind: refused, code, message }) if *refused == kind => {
                let (name, message) = (name.to_owned(), message.clone());
                Err(Rejection::Refused(RefusedWrite { verb, kind, name, code: *code, message }))
            }
            _ => Ok(()),
        }
    }
}
