//! Who gets the traffic: read from a route's weights and the Services' selectors, and moved by writing
//! them.
//!
//! A canary behind a route moves by the route's weights alone, and the Services lead to stable until the
//! handover. Blue-green behind a route moves all at once, so the Services flip along with the route.
//! Without a route the Services do it alone: they lead to stable, to both (then the number of pods
//! shares), or to the canary.

use super::{
    patches,
    plan::Write,
    reconcile::{Flow, Reconcile},
    snapshot::{Exposure, Service},
};
use crate::{
    api::{self, Shifting, Side},
    traffic::gateway::{self, Pair, RouteError},
};

impl Reconcile<'_> {
    fn pair<T>(&self, then: impl FnOnce(&Pair) -> T) -> Option<T> {
        let trial = self.status().trial.as_ref()?;
        let pair = Pair {
            namespace: &self.world().namespace,
            stable: &trial.service,
            canary: &trial.canary_service,
        };
        Some(then(&pair))
    }

    /// The canary's weight: as the route says, or as the Services' selectors do.
    pub(super) fn weight(&self) -> Option<u8> {
        if self.shifting() == Shifting::Services {
            return self.status().trial.as_ref().map(|trial| self.pinned().unwrap_or(trial.given));
        }
        let (route, _) = self.route()?;
        self.pair(|pair| gateway::seen(&route.spec, pair)).flatten()
    }

    /// The weight that all Services' pins come to, if they agree.
    fn pinned(&self) -> Option<u8> {
        let lead_to = |revision: &str| {
            self.services().all(|service| service.selector.get(api::HASH).is_some_and(|pin| pin == revision))
        };
        if lead_to(&self.stable_revision()) {
            return Some(0);
        }
        lead_to(&self.revision()).then_some(100)
    }

    /// Where the Services lead at this weight.
    fn side_of(&self, weight: u8) -> Side {
        match (self.shifting(), weight) {
            (Shifting::Route, _) | (Shifting::RouteAndServices, 0..100) | (Shifting::Services, 0) => {
                Side::Stable
            }
            (Shifting::Services, 1..100) => Side::Both,
            (Shifting::RouteAndServices | Shifting::Services, _) => Side::Canary,
        }
    }

    /// Whether a Service may be flipped from one version to the other in one write: what is in front of
    /// its proxies must not be slower than they are, unless there is no other way.
    pub(super) fn flips(&self, service: &Service) -> bool {
        self.shifting() == Shifting::Services || service.exposure == Exposure::Cluster
    }

    /// Leads all Services that carry the Deployment's traffic to this side.
    pub(super) fn lead(&mut self, side: Side) -> Flow {
        let (stable, canary) = (self.stable_revision(), self.revision());
        let hash = |service: &Service| match side {
            Side::Stable => Some(stable.as_str()),
            Side::Canary if self.flips(service) => Some(canary.as_str()),
            Side::Both | Side::Canary => None,
        };
        let pins: Vec<_> =
            self.services().filter_map(|service| patches::pin(service, hash(service))).collect();
        self.write_all(pins)
    }

    /// Pins all Services that carry the Deployment's traffic, or unpins them.
    pub(super) fn pin(&mut self, hash: Option<&str>) -> Flow {
        let pins: Vec<_> = self.services().filter_map(|service| patches::pin(service, hash)).collect();
        self.write_all(pins)
    }

    /// Gives the canary this weight.
    ///
    /// # Errors
    /// If the route, as another client changed it, can't carry the weight.
    pub(super) fn give(&mut self, weight: u8) -> Result<Given, RouteError> {
        let (side, shifting) = (self.side_of(weight), self.shifting());
        let route = self.reweight(weight)?;
        let trial = self.trial();
        if route.is_none() && trial.side == side && (shifting != Shifting::Services || trial.given == weight)
        {
            return Ok(Given::Before);
        }
        let turned = trial.side != side;
        (trial.side, trial.given) = (side, weight);
        self.plan(route);
        if turned {
            let _ = self.lead(side);
        }
        Ok(Given::Now)
    }

    /// The write that gives the canary this weight in the route; nothing where the route has it, or is gone.
    fn reweight(&self, weight: u8) -> Result<Option<Write>, RouteError> {
        let Some((route, original)) = self.route().filter(|_| self.weight() != Some(weight)) else {
            return Ok(None);
        };
        let wanted = self.pair(|pair| gateway::with_weight(&route.spec, pair, &original, weight));
        wanted.transpose().map(|wanted| Some(patches::update_route(route, &wanted?, None)))
    }

    /// Whether the Services' endpoints have followed to where the Services lead.
    pub(super) fn followed(&self) -> bool {
        let side = self.status().trial.as_ref().map(|trial| trial.side).unwrap_or_default();
        let (stable, canary) = (self.stable_revision(), self.revision());
        let behind = |service: &Service, hash: &str| self.ready(service, hash) > 0;
        match side {
            Side::Stable => true,
            Side::Both => self.services().all(|service| behind(service, &canary)),
            Side::Canary => self.services().all(|service| {
                behind(service, &canary) && (!self.flips(service) || !behind(service, &stable))
            }),
        }
    }

    /// Takes all traffic from the canary, though the rollout goes on.
    pub(super) fn return_traffic(&mut self) -> Returned {
        let before = self.planned();
        let route = self.take_back(None);
        self.plan(route);
        let trial = self.trial();
        (trial.side, trial.given) = (Side::Stable, 0);
        let _ = self.lead(Side::Stable);
        if self.planned() > before { Returned::Now } else { Returned::Before }
    }

    /// The write that takes the route's traffic from the canary, with the mark of the revision that failed, if one did. It
    /// never gives up: a route that can't be weighed any more is given back as it was.
    pub(super) fn take_back(&self, failed: Option<&str>) -> Option<Write> {
        let (route, original) = self.route()?;
        let marked = failed.is_none_or(|revision| patches::marked(&route.meta, revision));
        if self.weight() == Some(0) && marked {
            return None;
        }
        let wanted = self.pair(|pair| {
            gateway::with_weight(&route.spec, pair, &original, 0)
                .unwrap_or_else(|_| gateway::restored(&route.spec, pair, &original))
        })?;
        (wanted != route.spec || !marked).then(|| patches::update_route(route, &wanted, failed))
    }

    /// Pins the Services, or unpins them, on the rollback. Where no route can carry the mark of the revision
    /// that failed, the routed Service does.
    pub(super) fn pin_back(&mut self, hash: Option<&str>, failed: Option<&str>) -> Flow {
        let failed = failed.filter(|_| self.shifting() == Shifting::Services);
        let marked = self.status().trial.as_ref().map(|trial| trial.service.clone());
        let mut pins = Vec::new();
        for service in self.services() {
            match failed.filter(|_| marked.as_ref() == Some(&service.meta.name)) {
                // First, for a later leader recognizes the rollback by it.
                Some(revision) => {
                    pins.splice(0..0, patches::mark_and_pin(service, hash, revision));
                }
                None => pins.extend(patches::pin(service, hash)),
            }
        }
        self.write_all(pins)
    }

    /// Whether the route or the Services carry the mark that this revision failed.
    pub(super) fn marked_failed(&self, revision: &str) -> bool {
        self.route().is_some_and(|(route, _)| patches::marked(&route.meta, revision))
            || self.services().any(|service| patches::marked(&service.meta, revision))
    }

    /// The write that gives the route back as it was.
    pub(super) fn unroute(&self) -> Option<Write> {
        let (route, original) = self.route()?;
        let wanted = self.pair(|pair| gateway::restored(&route.spec, pair, &original))?;
        patches::restore_route(route, &wanted, &self.revision())
    }
}

/// When the canary got a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// It has it already.
    Before,
    /// The writes are planned now.
    Now,
}

/// When the canary lost its traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// It has none.
    Before,
    /// The writes are planned now.
    Now,
}
