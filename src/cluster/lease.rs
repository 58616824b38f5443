//! Leader election with one Lease: replaced by compare-and-swap, timed by the local monotonic clock
//! only.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::{sync::Notify, time::Instant};

use super::{chain, locked};

/// The name of the Lease.
pub const NAME: &str = "steelyard";

/// Whether writes may be sent: only while this process is certain to hold the lease.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<Mutex<Leadership>>, Arc<Notify>);

#[derive(Debug, Default)]
struct Leadership {
    epoch: u64,
    until: Option<Instant>,
    margin: Duration,
}

impl Fence {
    /// Returns whether a write that is sent now ends before the lease expires.
    pub fn holds(&self) -> bool {
        let leadership = locked(&self.0);
        leadership.until.is_some_and(|until| Instant::now() + leadership.margin < until)
    }

    /// Returns the leadership epoch; 0 before this process leads for the first time.
    pub fn epoch(&self) -> u64 {
        locked(&self.0).epoch
    }

    /// Renews the lease now, not at the next interval: an object shows that another process may
    /// lead.
    pub fn check_now(&self) {
        self.1.notify_one();
    }

    /// Refuses all further writes.
    pub fn close(&self) {
        locked(&self.0).until = None;
    }

    fn open(&self, epoch: u64, until: Instant, margin: Duration) {
        *locked(&self.0) = Leadership { epoch, until: Some(until), margin };
    }

    fn extend(&self, until: Instant) {
        let mut leadership = locked(&self.0);
        if leadership.until.is_some() {
            leadership.until = Some(until);
        }
    }
}

/// What to do with the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// This process holds it: renew it.
    Renew,
    /// No process holds it, or it has expired: take it over.
    TakeOver,
    /// Another process holds it: wait.
    Wait,
}

/// Returns what to do with a Lease of `holder` that has not changed for `unchanged`, by this
/// process' clock.
///
/// Identities are `POD_RANDOM`. A process in a pod starts only after its predecessor in the same
/// pod has ended, so it takes that one's lease over without waiting.
pub fn lease_action(me: &str, holder: &str, unchanged: Duration, lasts: Duration) -> LeaseAction {
    let pod = |identity: &str| identity.rsplit_once('_').map(|(pod, _)| pod.to_owned());
    if holder == me {
        LeaseAction::Renew
    } else if holder.is_empty() || unchanged >= lasts || pod(holder).is_some_and(|p| Some(p) == pod(me)) {
        LeaseAction::TakeOver
    } else {
        LeaseAction::Wait
    }
}

/// The settings of the election.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The identity of this process, `POD_RANDOM`.
    pub identity: String,
    /// How long the lease is valid after a renewal.
    pub lasts: Duration,
    /// The interval of renewals.
    pub renew: Duration,
}

impl Options {
    /// Returns how long before the lease expires writes stop. It is also the timeout of a write.
    pub fn margin(&self) -> Duration {
        super::client::CALL_LIMIT.min(self.lasts / 3)
    }
}

/// A candidate in the leader election.
pub struct Election {
    api: Api<Lease>,
    options: Options,
    fence: Fence,
    seen: Option<(String, Instant)>,
    held: Option<Lease>,
}

impl Election {
    /// Returns a candidate. Use `client` for nothing else, so that no other call delays a renewal.
    pub fn new(client: Client, options: Options, fence: Fence) -> Self {
        let api = Api::namespaced(client, &options.namespace);
        Self { api, options, fence, seen: None, held: None }
    }

    /// Waits until this process is the leader.
    pub async fn acquire(&mut self) {
        let pause = self.options.renew.min(Duration::from_secs(1));
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "cannot read or take the lease"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Renews the lease; returns when it is lost.
    pub async fn keep(&mut self) {
        let mut until = Instant::now() + self.options.lasts;
        loop {
            let check_now = Arc::clone(&self.fence.1);
            let _ = tokio::time::timeout(self.options.renew, check_now.notified()).await;
            let sent = Instant::now();
            match self.renew().await {
                Ok(true) => {
                    until = sent + self.options.lasts;
                    self.fence.extend(until);
                }
                Ok(false) => break,
                Err(error) => tracing::warn!(error = %chain(&error), "cannot renew the lease"),
            }
            if Instant::now() + self.options.margin() >= until {
                break;
            }
        }
        self.fence.close();
    }

    /// Releases the lease, so that a successor does not have to wait until it expires.
    pub async fn release(&mut self) {
        self.fence.close();
        if let Some(mut lease) = self.held.take() {
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = Some(String::new());
            }
            if let Err(error) = self.replace(&lease).await {
                tracing::warn!(error = %chain(&error), "cannot release the lease");
            }
        }
    }

    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let Some(lease) = self.call(self.api.get_opt(NAME)).await? else {
            let sent = Instant::now();
            let lease = Lease {
                metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
                spec: Some(self.spec(0, true, None)),
            };
            let params = PostParams::default();
            return match self.call(self.api.create(&params, &lease)).await {
                Ok(lease) => Ok(self.lead(lease, sent)),
                Err(kube::Error::Api(s)) if s.is_already_exists() => Ok(false),
                Err(error) => Err(error),
            };
        };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => Instant::now(),
        };
        self.seen = Some((version, since));
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let lasts = spec
            .lease_duration_seconds
            .and_then(|s| u64::try_from(s).ok())
            .map_or(self.options.lasts, Duration::from_secs);
        if lease_action(&self.options.identity, &holder, since.elapsed(), lasts) == LeaseAction::Wait {
            return Ok(false);
        }
        let mut wanted = lease;
        wanted.spec = Some(self.spec(spec.lease_transitions.unwrap_or(0).saturating_add(1), true, None));
        let sent = Instant::now();
        Ok(self.replace(&wanted).await?.is_some_and(|lease| self.lead(lease, sent)))
    }

    /// Becomes the leader.
    fn lead(&mut self, lease: Lease, sent: Instant) -> bool {
        let epoch = lease.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0);
        if epoch == 0 {
            tracing::error!(
                "cannot lead: the resourceVersion of the Lease is not a positive number, so there is no leadership epoch"
            );
            return false;
        }
        self.held = Some(lease);
        self.fence.open(epoch, sent + self.options.lasts, self.options.margin());
        true
    }

    async fn renew(&mut self) -> Result<bool, kube::Error> {
        let Some(held) = &self.held else { return Ok(false) };
        let mut lease = held.clone();
        let old = lease.spec.unwrap_or_default();
        lease.spec = Some(self.spec(old.lease_transitions.unwrap_or(0), false, old.acquire_time));
        if let Some(lease) = self.replace(&lease).await? {
            self.held = Some(lease);
            return Ok(true);
        }
        // A renewal whose answer was lost also changes the version: read who holds the lease.
        let Some(lease) = self.call(self.api.get_opt(NAME)).await? else { return Ok(false) };
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.clone()).unwrap_or_default();
        if holder != self.options.identity {
            tracing::error!(%holder, "another process is the leader");
            return Ok(false);
        }
        self.held = Some(lease);
        // This is not a renewal: the next attempt uses the version that was just read.
        Err(kube::Error::Service("the Lease changed meanwhile".into()))
    }

    fn spec(&self, transitions: i32, acquired: bool, since: Option<MicroTime>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.options.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.options.lasts.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: if acquired { Some(now.clone()) } else { since },
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Replaces the Lease if its version is unchanged; returns `None` if another process has
    /// changed it.
    async fn replace(&self, lease: &Lease) -> Result<Option<Lease>, kube::Error> {
        match self.call(self.api.replace(NAME, &PostParams::default(), lease)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(s)) if s.is_conflict() || s.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
        let limit = self.options.margin();
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(kube::Error::Service(format!("no answer within {limit:?}").into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(15);

    #[test]
    fn a_lease_that_is_not_renewed_is_taken_over_only_after_it_has_expired() {
        assert_eq!(lease_action("b_2", "a_1", Duration::from_millis(14_999), LASTS), LeaseAction::Wait);
        assert_eq!(lease_action("b_2", "a_1", LASTS, LASTS), LeaseAction::TakeOver);
    }

    #[test]
    fn a_released_lease_and_that_of_a_predecessor_in_the_same_pod_are_taken_over_without_waiting() {
        assert_eq!(lease_action("b_2", "", Duration::ZERO, LASTS), LeaseAction::TakeOver);
        assert_eq!(lease_action("b_2", "b_1", Duration::ZERO, LASTS), LeaseAction::TakeOver);
        assert_eq!(lease_action("b_2", "b_2", Duration::ZERO, LASTS), LeaseAction::Renew);
        assert_eq!(lease_action("b_2", "bb_1", Duration::ZERO, LASTS), LeaseAction::Wait);
    }

    #[tokio::test(start_paused = true)]
    async fn writes_stop_a_margin_before_the_lease_expires() {
        let fence = Fence::default();
        assert!(!fence.holds(), "closed before this process leads");
        fence.open(7, Instant::now() + LASTS, Duration::from_secs(5));
        assert!(fence.holds());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!fence.holds(), "a write of 5 s could end after the lease has expired");
        fence.close();
        fence.extend(Instant::now() + LASTS);
        assert!(!fence.holds(), "a closed fence stays closed");
    }
}
