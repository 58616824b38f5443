//! The kinds of objects that are cached by namespace.

use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Resource as _,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

use crate::{api::Rollout, engine, traffic::Resource};

/// A kind of objects that is cached by namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CachedKind {
    /// `ReplicaSets`.
    ReplicaSets,
    /// Pods.
    Pods,
    /// Services.
    Services,
    /// `EndpointSlices`.
    EndpointSlices,
    /// What a router reads.
    Routes(&'static Resource),
    /// The Rollouts of other Deployments, which show what Services they claim. Only the leader
    /// writes what is read of them, so they are as current as its own writes.
    Rollouts,
}

/// Which Deployments the change of an object wakes, of those that depend on its collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wakes {
    /// Those whose name begins the object's name.
    Named,
    /// All.
    All,
    /// None: the watch of all Rollouts wakes their Deployments.
    None,
}

impl CachedKind {
    /// Returns the cached kind of an object that a plan writes; `None` if it is not cached.
    pub(in crate::cluster) fn of(kind: engine::Kind) -> Option<Self> {
        match kind {
            engine::Kind::ReplicaSet => Some(Self::ReplicaSets),
            engine::Kind::Service => Some(Self::Services),
            engine::Kind::Route(resource) => Some(Self::Routes(resource)),
            engine::Kind::Rollout => Some(Self::Rollouts),
            engine::Kind::Deployment => None,
        }
    }

    /// Returns which Deployments a change wakes.
    pub(super) fn wakes(self) -> Wakes {
        match self {
            Self::ReplicaSets | Self::Pods => Wakes::Named,
            Self::Services | Self::EndpointSlices | Self::Routes(_) => Wakes::All,
            Self::Rollouts => Wakes::None,
        }
    }

    /// Returns how the API server serves the kind.
    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::ReplicaSets => ApiResource::erase::<ReplicaSet>(&()),
            Self::Pods => ApiResource::erase::<Pod>(&()),
            Self::Services => ApiResource::erase::<Service>(&()),
            Self::EndpointSlices => ApiResource::erase::<EndpointSlice>(&()),
            Self::Rollouts => ApiResource::erase::<Rollout>(&()),
            Self::Routes(&Resource { group, version, kind, plural, access: _ }) => {
                ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
            }
        }
    }

    /// Returns the plural, as in paths and logs.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::ReplicaSets => "replicasets",
            Self::Pods => "pods",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Rollouts => "rollouts",
            Self::Routes(resource) => resource.plural,
        }
    }

    /// Returns the path of the kind's objects in a namespace.
    pub(super) fn path(self, namespace: &str) -> String {
        DynamicObject::url_path(&self.resource(), Some(namespace))
    }
}
