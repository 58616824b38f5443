//! Virtual time: a number that only a test and a reconcile without anything to do move on.

use jiff::SignedDuration;

use crate::World;

impl World {
    /// Lets time pass.
    pub fn advance(&mut self, span: SignedDuration) {
        self.snapshot.now += span;
    }
}
