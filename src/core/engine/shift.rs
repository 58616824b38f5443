//! Which version gets the traffic: read from the weights of routes and the selectors of Services,
//! and moved by writing them.
//!
//! With a route, the weights of the route alone move traffic to a canary, and the Services select
//! stable until the handover. Blue-green with a route moves all traffic at once, so the Services
//! switch with the route. Without a route, the Services alone move the traffic: they select stable,
//! both versions (then the number of pods divides the traffic), or the canary.

use super::{
    ownership,
    patches::{self, Mark},
    plan::{Kind, Write},
    reconcile::{Flow, Reconcile},
    snapshot::{Exposure, Meta, Object, Service},
};
use crate::{
    api::{self, Shifting, Side},
    traffic::{Change, RouteError, RouterKind, Weight},
};

impl Reconcile<'_> {
    /// Returns the canary's weight: the largest of all routes, or the one given by the Services'
    /// selectors.
    pub(super) fn weight(&self) -> Option<Weight> {
        let trial = self.status().trial.as_ref()?;
        let (router, pair) = (self.router(), self.pair());
        let found = self.divided();
        let mut weights = found.iter().map(|route| router.observe(route, &pair));
        if trial.router == RouterKind::Service {
            // If the selectors do not agree on a version, pods divide the traffic, and the weight
            // is the one given last.
            let first = weights.next().flatten();
            return Some(
                first.filter(|first| weights.all(|weight| weight == Some(*first))).unwrap_or(trial.given),
            );
        }
        weights.flatten().max()
    }

    /// Returns which versions the Services select at this weight.
    fn side_of(&self, weight: Weight) -> Side {
        match (self.shifting(), weight) {
            (Shifting::Route, _) | (_, Weight::ZERO) => Side::Stable,
            (_, Weight::ALL) => Side::Canary,
            (Shifting::RouteAndServices, _) => Side::Stable,
            (Shifting::Services, _) => Side::Both,
        }
    }

    /// Returns whether a Service may switch versions in one write: a load balancer in front of its
    /// proxies may follow later than they do, so it is switched only if there is no other way.
    pub(super) fn flips(&self, service: &Service) -> bool {
        let at_once = matches!(service.exposure, Exposure::Cluster | Exposure::Headless);
        self.shifting() == Shifting::Services || at_once
    }

    /// Makes all Services that carry the Deployment's traffic select this side.
    pub(super) fn lead(&mut self, side: Side) -> Flow {
        self.remember_services();
        let canary = self.revision();
        let hash = |service: &Service| match side {
            Side::Stable => self.stable_pin(service),
            Side::Canary if self.flips(service) => Some(canary.as_str()),
            Side::Both | Side::Canary => None,
        };
        // The epoch stays on a Service that selects both versions, because it still belongs to the
        // rollout.
        let led = |service: &&Service| service.selector.get(api::HASH).map(String::as_str) == hash(service);
        let pins: Vec<_> = self
            .services()
            .filter(|service| !led(service))
            .filter_map(|service| patches::pin(service, hash(service)))
            .chain(self.unpinned())
            .collect();
        self.write_all(pins)
    }

    /// Pins all Services that carry the Deployment's traffic, or unpins them.
    pub(super) fn pin(&mut self, hash: Option<&str>) -> Flow {
        if hash.is_some() {
            self.remember_services();
        }
        let pins = self.services().filter_map(|service| patches::pin(service, hash));
        let pins: Vec<_> = pins.chain(self.unpinned()).collect();
        self.write_all(pins)
    }

    /// Returns the writes that unpin the Services that no longer carry the Deployment's traffic.
    fn unpinned(&self) -> impl Iterator<Item = Write> {
        ownership::left_out(self.world()).filter_map(|service| patches::pin(service, None))
    }

    /// Gives the canary this weight: on all routes, or on none.
    ///
    /// # Errors
    /// If another client changed a route so that it can't carry the weight.
    pub(super) fn give(&mut self, weight: Weight) -> Result<Given, Uncarried> {
        let (side, shifting) = (self.side_of(weight), self.shifting());
        let writes = self.reweight(weight)?;
        self.remember_routes();
        let trial = self.trial();
        if writes.is_empty()
            && trial.side == side
            && (shifting != Shifting::Services || trial.given == weight)
        {
            return Ok(Given::Before);
        }
        let turned = trial.side != side;
        (trial.side, trial.given) = (side, weight);
        self.plan(writes);
        if turned && shifting != Shifting::Services {
            let _ = self.lead(side);
        }
        Ok(Given::Now)
    }

    /// Returns the writes that give the canary this weight on all routes.
    fn reweight(&self, weight: Weight) -> Result<Vec<Write>, Uncarried> {
        let (router, pair) = (self.router(), self.pair());
        let mut writes = Vec::new();
        for route in self.divided() {
            let planned = router.plan(&route, &pair, weight);
            let title = || route.main.title(pair.namespace);
            let planned = planned.map_err(|error| Uncarried { route: title(), error })?;
            writes.extend(planned.iter().map(|change| patches::update_route(change, None)));
        }
        Ok(writes)
    }

    /// Returns whether the Services' endpoints match the side that the Services select.
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

    /// Takes all traffic from the canary while the rollout continues.
    pub(super) fn return_traffic(&mut self) -> Returned {
        let before = self.planned();
        let routes = self.take_back(None);
        self.withdraw(routes);
        let trial = self.trial();
        (trial.side, trial.given) = (Side::Stable, Weight::ZERO);
        let _ = self.lead(Side::Stable);
        if self.planned() > before { Returned::Now } else { Returned::Before }
    }

    /// Returns the writes that take the traffic of all routes from the canary, with the mark of the
    /// failed revision, if any. Pins make the Services' selectors select stable.
    pub(super) fn take_back(&self, failed: Option<Mark>) -> Vec<Write> {
        let (router, pair) = (self.router(), self.pair());
        let mut writes = Vec::new();
        for route in self.routes() {
            let unmarked = failed.filter(|mark| !patches::marked(&route.main.meta, mark.revision));
            let changes = router.withdraw(&route, &pair);
            let on_main = |change: &&Change| std::ptr::eq(change.object, route.main);
            if unmarked.is_some() && !changes.iter().any(|change| on_main(&change)) {
                writes.push(patches::update_route(&patches::unchanged(route.main), unmarked));
            }
            let mark = |change: &Change| unmarked.filter(|_| on_main(&change));
            writes.extend(changes.iter().map(|change| patches::update_route(change, mark(change))));
        }
        writes
    }

    /// Pins the Services, or unpins them, in a rollback. If no route can carry the mark of the
    /// failed revision, the routed Service does.
    pub(super) fn pin_back(&mut self, to_stable: bool, failed: Option<Mark>) -> Flow {
        self.remember_services();
        let failed = failed.filter(|_| self.shifting() == Shifting::Services);
        let marked = self.status().trial.as_ref().map(|trial| trial.service.clone());
        let mut pins = Vec::new();
        for service in self.services() {
            let hash = if to_stable { self.stable_pin(service) } else { None };
            match failed.filter(|_| marked.as_ref() == Some(&service.meta.name)) {
                // First, because a later leader recognizes the rollback by it.
                Some(mark) => {
                    pins.splice(0..0, patches::mark_and_pin(service, hash, mark));
                }
                None => pins.extend(patches::pin(service, hash)),
            }
        }
        self.write_all(pins)
    }

    /// Returns whether a route or a Service carries the mark that this revision failed.
    pub(super) fn marked_failed(&self, revision: &str) -> bool {
        self.marked().any(|meta| patches::marked(meta, revision))
    }

    /// Returns why this revision failed, as a route or a Service records it.
    pub(super) fn recorded_failure(&self, revision: &str) -> Option<api::Failure> {
        self.marked().find_map(|meta| patches::recorded(meta, revision))
    }

    /// Returns the objects whose marks count: the routes and Services that the rollout has recorded
    /// as its own. A copy of one of them has its marks too.
    fn marked(&self) -> impl Iterator<Item = &Meta> {
        let trial = self.status().trial.as_ref();
        let is_shifted = move |route: &&Object| {
            trial.is_some_and(|trial| trial.routes.iter().any(|known| known.is(route)))
        };
        let is_pinned =
            move |service: &&Service| trial.is_some_and(|trial| trial.services.contains(&service.meta.name));
        let routes = self.world().routes.iter().filter(is_shifted).map(|route| &route.meta);
        routes.chain(self.services().filter(is_pinned).map(|service| &service.meta))
    }

    /// Returns the writes that leave the routes as the user would have them without a rollout.
    pub(super) fn unroute(&self) -> Vec<Write> {
        let (router, pair, revision) = (self.router(), self.pair(), self.revision());
        let restored = |route| patches::restore_route(router, route, &pair, &revision);
        self.routes().iter().flat_map(restored).collect()
    }

    /// Returns the writes that remove Steelyard from `metadata.managedFields` of the routes.
    pub(super) fn disown_routes(&self) -> Vec<Write> {
        let objects = self.routes().into_iter().map(|route| route.main);
        objects.filter_map(|object| patches::disown(Kind::Route(object.resource), &object.meta)).collect()
    }
}

/// A route that can't carry a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Uncarried {
    /// The route's kind and name.
    pub(super) route: String,
    /// Why.
    pub(super) error: RouteError,
}

/// Whether the canary already had a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// It has it already.
    Before,
    /// The writes are planned now.
    Now,
}

/// Whether the canary already had no traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// It has none.
    Before,
    /// The writes are planned now.
    Now,
}
