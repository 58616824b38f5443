//! Who gets the traffic: read from a route's weights and the Services' selectors, and moved by writing them.
//!
//! A canary behind a route moves by the route's weights alone, and the Services lead to stable until the handover.
//! Blue-green behind a route moves all at once, so the Services flip along with the route. Without a route the Services do
//! it alone: they lead to stable, to both (then the number of pods shares), or to the canary.

use serde_json::Value;

use super::{Exposure, Route, Service, Write, object, pass::Pass};
use crate::{
    api::{self, Shifting, Side},
    traffic::gateway::{self, Original, Pair, RouteError},
};

impl<'a> Pass<'a> {
    /// The route in use, and how it was.
    pub(super) fn route(&self) -> Option<(&'a Route, Original)> {
        let (name, original) = self.status.trial.as_ref()?.routes.first_key_value()?;
        let route = self.s.routes.iter().find(|route| route.meta.name == *name)?;
        Some((route, original.clone()))
    }

    fn pair<T>(&self, then: impl FnOnce(&Pair) -> T) -> Option<T> {
        let trial = self.status.trial.as_ref()?;
        let pair =
            Pair { namespace: &self.s.namespace, stable: &trial.service, canary: &trial.canary_service };
        Some(then(&pair))
    }

    /// What moves the traffic.
    pub(super) fn shifting(&self) -> Shifting {
        self.status.trial.as_ref().map(|trial| trial.shifting).unwrap_or_default()
    }

    /// The canary's weight: as the route says, or as the Services' selectors do.
    pub(super) fn weight(&self) -> Option<u8> {
        if self.shifting() == Shifting::Services {
            return self.status.trial.as_ref().map(|trial| self.pinned().unwrap_or(trial.given));
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

    /// Whether a Service may be flipped from one version to the other in one write: what stands before its proxies must not
    /// be slower than they are, but where there is no other way.
    pub(super) fn flips(&self, service: &Service) -> bool {
        self.shifting() == Shifting::Services || service.exposure == Exposure::Cluster
    }

    /// Leads all Services that carry the Deployment's traffic to this side. Returns whether they lead there already.
    pub(super) fn lead(&mut self, side: Side) -> bool {
        let (stable, canary) = (self.stable_revision(), self.revision());
        let hash = |service: &Service| match side {
            Side::Stable => Some(stable.as_str()),
            Side::Canary if self.flips(service) => Some(canary.as_str()),
            Side::Both | Side::Canary => None,
        };
        let pins: Vec<_> =
            self.services().filter_map(|service| object::pin(service, hash(service))).collect();
        self.planned(pins)
    }

    /// Pins all Services that carry the Deployment's traffic, or unpins them. Returns whether they are so already.
    pub(super) fn pin(&mut self, hash: Option<&str>) -> bool {
        let pins: Vec<_> = self.services().filter_map(|service| object::pin(service, hash)).collect();
        self.planned(pins)
    }

    /// Gives the canary this weight. Returns whether it had it already.
    ///
    /// # Errors
    /// If the route, as somebody changed it meanwhile, can't carry the weight.
    pub(super) fn give(&mut self, weight: u8) -> Result<bool, RouteError> {
        let (side, shifting) = (self.side_of(weight), self.shifting());
        let route = self.reweight(weight)?;
        let trial = self.trial();
        if route.is_none() && trial.side == side && (shifting != Shifting::Services || trial.given == weight)
        {
            return Ok(true);
        }
        let turned = trial.side != side;
        (trial.side, trial.given) = (side, weight);
        self.writes.extend(route);
        if turned {
            self.lead(side);
        }
        Ok(false)
    }

    /// The write that gives the canary this weight in the route; nothing where the route has it, or is gone.
    fn reweight(&self, weight: u8) -> Result<Option<Write>, RouteError> {
        let Some((route, original)) = self.route().filter(|_| self.weight() != Some(weight)) else {
            return Ok(None);
        };
        let wanted = self.pair(|pair| gateway::with_weight(&route.spec, pair, &original, weight));
        wanted.transpose().map(|wanted| Some(object::route(route, &wanted?, None)))
    }

    /// Whether the Services' endpoints have followed to where the Services lead.
    pub(super) fn followed(&self) -> bool {
        let side = self.status.trial.as_ref().map(|trial| trial.side).unwrap_or_default();
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

    /// Takes all traffic from the canary, though the rollout goes on. Returns whether it had any.
    pub(super) fn send_home(&mut self) -> bool {
        let before = self.writes.len();
        self.writes.extend(self.take_back(None));
        let trial = self.trial();
        (trial.side, trial.given) = (Side::Stable, 0);
        self.lead(Side::Stable);
        self.writes.len() > before
    }

    /// The write that takes the route's traffic from the canary, with the mark of the revision that failed, if one did. It
    /// never gives up: a route that can't be weighed any more is given back as it was.
    pub(super) fn take_back(&self, failed: Option<&str>) -> Option<Write> {
        let (route, original) = self.route()?;
        let marked = failed.is_none_or(|revision| object::marked(&route.meta, revision));
        if self.weight() == Some(0) && marked {
            return None;
        }
        let wanted = self.pair(|pair| {
            gateway::with_weight(&route.spec, pair, &original, 0)
                .unwrap_or_else(|_| gateway::restored(&route.spec, pair, &original))
        })?;
        (wanted != route.spec || !marked).then(|| object::route(route, &wanted, failed))
    }

    /// Pins the Services, or unpins them, on the way back. Where no route can carry the mark of the revision that failed, the
    /// routed Service does. Returns whether they are so already.
    pub(super) fn pin_back(&mut self, hash: Option<&str>, failed: Option<&str>) -> bool {
        let failed = failed.filter(|_| self.shifting() == Shifting::Services);
        let marked = self.status.trial.as_ref().map(|trial| trial.service.clone());
        let mut pins = Vec::new();
        for service in self.services() {
            match failed.filter(|_| marked.as_ref() == Some(&service.meta.name)) {
                // First, for a successor knows the way back by it.
                Some(revision) => {
                    pins.splice(0..0, object::failed_pin(service, hash, revision));
                }
                None => pins.extend(object::pin(service, hash)),
            }
        }
        self.planned(pins)
    }

    /// Whether the route or the Services carry the mark of a way back of this revision.
    pub(super) fn marked_failed(&self, revision: &str) -> bool {
        self.route().is_some_and(|(route, _)| object::marked(&route.meta, revision))
            || self.services().any(|service| object::marked(&service.meta, revision))
    }

    /// The write that gives the route back as it was.
    pub(super) fn unroute(&self) -> Option<Write> {
        let (route, original) = self.route()?;
        let wanted: Value = self.pair(|pair| gateway::restored(&route.spec, pair, &original))?;
        object::restored(route, &wanted, &self.revision())
    }
}
