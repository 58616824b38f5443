//! Events during a rollout, caused by users or by the cluster, at every stage and under load.

mod leave;
mod people;
pub(crate) mod pods;
mod pushes;
mod routes;
mod scale;
mod several;

/// A test for each stage, named after it; `$run` is the event.
macro_rules! at_each_moment {
    ($run:path; $($name:ident: $at:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> Result<(), lab::support::Failure> {
                $run(lab::support::turn::At::$at).await
            }
        )+
    };
}
use at_each_moment;

/// A test for each stage of a rollout. Those that begin with `also_` run only with a filter that
/// matches them.
macro_rules! at_every_moment {
    ($run:path) => {
        crate::turns::at_each_moment!($run;
            also_while_preparing: Preparing,
            also_before_the_first_pod_is_ready: Starting,
            at_the_first_step: FirstStep,
            also_at_the_last_step: LastStep,
            also_while_the_canary_fills: ScalingUp,
            also_once_services_are_widened: Widening,
            once_services_are_narrowed: Narrowing,
            during_the_transfer: Transferring,
            also_once_the_deployment_is_released: Releasing,
            also_while_the_canary_service_drains: Draining,
            while_rolling_back: RollingBack,
            also_once_rolled_back: RolledBack,
        );
    };
}
use at_every_moment;
