//! Why a rollout can't start.

use super::{Place::Refusal, Reason, reason};

pub(super) const ALL: &[Reason] = &[
    reason(
        Refusal,
        "Conflict",
        "The name that the canary Service would get is taken, or another Deployment under Steelyard had the Service first.",
        &[
            "Service … is claimed by Deployment … already, and selects the pods of Deployment … too: make its selector … match the pods of one of them alone",
            "Service … is there already and is not Steelyard's: rename it, or, if it is meant for the canary, give it label …",
        ],
    ),
    reason(
        Refusal,
        "NameTooLong",
        "A name that Steelyard makes of another one would be too long for Kubernetes.",
        &[
            "is longer than 63 characters, the most that a label can hold",
            "Service …: … is too long for a name: make a canary Service yourself, with label …",
        ],
    ),
    reason(
        Refusal,
        "NoRoute",
        "No route leads to the Deployment, so there is no weight to set.",
        &[
            "HTTPRoute …, which the policy's spec.traffic.gatewayAPI.routes names, isn't there: create it, or name another",
            "… … a Service of Deployment … (…): name one in a rule's backendRefs",
            "HTTPRoute … does not",
        ],
    ),
    reason(
        Refusal,
        "NoService",
        "No Service leads to the Deployment's pods.",
        &[
            "no Service of this namespace selects the pods of Deployment …: create one that does",
            "Service …, which annotation … of Deployment … names, isn't there or doesn't select its pods",
            "Service …, which the policy's spec.traffic.service names, isn't there or doesn't select the pods of Deployment …",
        ],
    ),
    reason(
        Refusal,
        "NotYetSupported",
        "A field has its place in the definitions, but Steelyard does not serve it yet.",
        &["several routed Services are not supported yet: …", "… in HTTPRoute …"],
    ),
    reason(
        Refusal,
        "PolicyInvalid",
        "The message names each field that is wrong, and why; `steelyard policy check FILE` says the same offline.",
        &["the path of each field, and what is wrong there"],
    ),
    reason(
        Refusal,
        "PolicyNotFound",
        "The annotation names a policy that isn't there.",
        &[
            "policy …: there is no …: create it, or name another in annotation … of the Deployment",
            "RolloutPolicy of this name in the namespace",
            "ClusterRolloutPolicy of this name",
            "there is no annotation …",
        ],
    ),
    reason(
        Refusal,
        "ReadinessGates",
        "Pods would wait for somebody who knows nothing of the canary.",
        &["is set: pods that wait for a word from outside are not supported yet: leave it out"],
    ),
    reason(
        Refusal,
        "RevisionHistoryLimit",
        "Kubernetes would delete what serves as the way back.",
        &["is 0, so that a stable ReplicaSet at 0 pods would be lost: set 1 or more"],
    ),
    reason(
        Refusal,
        "RouteInvalid",
        "The route names the Service in a way that no weight can be set.",
        &["HTTPRoute …: ……"],
    ),
    reason(
        Refusal,
        "ServiceShared",
        "Narrowing the Service to one version would cut the other workload off.",
        &[
            "Service … selects pods of another workload too (……): make its selector … match the pods of Deployment … alone",
            " and … more",
        ],
    ),
    reason(
        Refusal,
        "StrategyRecreate",
        "Two versions side by side are what Recreate forbids.",
        &["is Recreate, which asks for one version at a time: use RollingUpdate"],
    ),
    reason(
        Refusal,
        "WeightNotExpressible",
        "The rule's weights are whole numbers too small for a step's share.",
        &[": multiply each weight of the rule's backendRefs by …"],
    ),
    reason(
        Refusal,
        "ServiceNotSwitchable",
        "Without a router the Service itself is switched, and this one can't be without losing connections.",
        &[
            "Service … has a Local traffic policy: nodes without a pod of the new version would refuse connections at the switch: route it by an HTTPRoute (spec.traffic.gatewayAPI)",
        ],
    ),
    reason(
        Refusal,
        "SeveralServices",
        "Without a router one Service has to be named, for the preview takes its name.",
        &[
            "several Services select the pods of Deployment …: …: name the one that gets a preview in the policy's spec.traffic.service or in annotation …",
        ],
    ),
];
