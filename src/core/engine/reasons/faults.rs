//! What can be wrong in a policy: the sentences behind reasons `PolicyInvalid` and `NotYetSupported`.

/// A fault, as it stands behind the path of its field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// The sentence; `…` stands for what varies.
    pub says: &'static str,
    /// What it means, and what helps.
    pub means: &'static str,
}

const fn said(says: &'static str, means: &'static str) -> Said {
    Said { says, means }
}

/// In the order of the policy's fields.
pub(super) const ALL: &[Said] = &[
    said(
        "is not supported yet: leave it out",
        "The field has its place in the definitions, but this version does not serve it.",
    ),
    said(
        "set exactly one of …; none is",
        "The fields that are named exclude each other, and one of them is needed.",
    ),
    said("set exactly one of …; … are", "The fields that are named exclude each other: keep one."),
    said("must have 1 to 32 items, not …", "A policy has 1 to 32 steps."),
    said("at least one step needs a weight", "Steps without any weight would move no traffic."),
    said("must be from 1 to 100, not …", "A weight is a share in percent."),
    said(
        "weights must rise from step to step: … is not above …",
        "Each step gives the canary more than the one before it.",
    ),
    said(
        "without a router pods share by their number, and stable never shrinks: at most 50, or 100",
        "With `traffic.service` as many canary pods as stable ones are half of the traffic; then comes the switch.",
    ),
    said("a gate has no hold: it lasts until it opens", "Take `hold` away, or make it a step of its own."),
    said("must say what to look at", "A person who is asked to promote has to know what for."),
    said("name at least one day", "A window without days never opens."),
    said(
        "must be one of …, or a range of two such as Mon-Fri, not …",
        "Days are written in English, by their first three letters: `Mon`, `Sat-Sun`.",
    ),
    said(
        "must be a time of the day, HH:MM, in quotes, not …",
        "Such as `\"09:00\"`: two digits, a colon, two digits.",
    ),
    said(
        "must be a time of the day, HH:MM or 24:00, in quotes, not …",
        "Such as `\"16:00\"`; `\"24:00\"` is the end of the day.",
    ),
    said(
        "from and to must differ; a whole day is from 00:00 to 24:00",
        "A window of no length never opens; one to an earlier time ends on the next day.",
    ),
    said(
        "… is no IANA time zone, such as Europe/Berlin or UTC",
        "Abbreviations such as CET or PST don't say when clocks change: name a city of the zone.",
    ),
    said("must name an endpoint of the operator's configuration", "`webhook.name` is empty."),
    said(
        "retries go with onRefusal: fail",
        "A webhook that is waited for is asked again until it says yes: it needs no number.",
    ),
    said("replicas go with a weight", "`replicas` says how many pods carry the weight of the same step."),
    said(
        "without a router the number of pods follows from the weight: leave it out",
        "With `traffic.service` the number of pods is the weight.",
    ),
    said("must be a percentage from 1% to 100%", "Such as `50%`, of the Deployment's replicas."),
    said("set revisions, within, or both", "`rollbackWindow` has to say which versions it means."),
    said("must be the name of an HTTPRoute", "The name is empty."),
    said("… is named twice", "A route is listed twice."),
    said("must not be negative", "A duration is below zero."),
    said("must be longer than nothing", "With a deadline of 0s every rollout would come back at once."),
    said("each metric needs a name of its own: … is taken", "Status and history tell metrics apart by name."),
    said("a query needs a name", "Name the metric: it stands so in status, Events and the history."),
    said("must be at least 1", "A step that needs no look could pass unmeasured."),
    said("a threshold needs min, max or both", "Without a bound every value would pass."),
    said("a bound must be a finite number", "NaN and infinities bound nothing."),
    said("min … is above max …", "No value lies between them."),
    said("set errors and requests, or histogram", "A comparison is of error rates, or of durations."),
    said("a comparison has neither min nor max", "It is judged against stable, not against a number."),
    said(
        "unknown variable … at byte …",
        "The sentence goes on with all names that there are. Write `$` before anything else as it is.",
    ),
    said("; there are $…", "The variables that a query may name."),
    said("no closing brace for the variable at byte …", "A `${` has no `}`."),
    said("not a valid query: …", "It isn't `PromQL`; the parser says where."),
    said(
        "the query gives a …, not a scalar or an instant vector",
        "A look needs one number: wrap a range in `rate(...)`, or the like.",
    ),
    said(
        "names neither $canary_pods, $canary_hash nor $canary_service, so it can't tell the versions apart: add one, or say scope: deployment",
        "A query that measures both versions at once hides a bad canary behind a good stable.",
    ),
];
