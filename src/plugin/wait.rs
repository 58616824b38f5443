//! `wait`: until the rollout of the template that is in place now has ended.

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Code, PluginError,
    connect::Cluster,
    follow::{Watched, follow},
    progress::{Progress, progress},
    read,
    text::clock,
    tree, unmanaged,
};
use crate::view::{Facts, View};

/// Waits, saying on standard error what it waits for.
pub(super) async fn wait(cluster: &Cluster, name: &str, limit: SignedDuration) -> Result<Code, PluginError> {
    let world = read::read(cluster, name).await?;
    let Some(template) =
        world.template().cloned().filter(|_| world.policy().is_some() || world.rollout.is_some())
    else {
        let why = unmanaged(&world).unwrap_or_else(|| format!("Deployment {name} is gone"));
        return Err(PluginError::Nothing(why));
    };
    let limit = limit.try_into().unwrap_or_default();
    let mut shown = String::new();
    let ended = tokio::time::timeout(limit, until(cluster, name, world, &template, &mut shown)).await;
    Ok(match ended {
        Ok(Progress::Complete(said)) => {
            super::print(&format!("rollout {name}: complete: {said}\n"))?;
            Code::Done
        }
        Ok(Progress::RolledBack(why)) => {
            eprintln!("rollout {name}: not rolled out: {why}");
            Code::Refused
        }
        Ok(Progress::Pending) | Err(_) => {
            eprintln!("rollout {name}: not ended in time; last: {shown}");
            Code::Timeout
        }
    })
}

/// Looks at each change until there is an end. A cluster that can't be read is asked again: the limit ends that too.
async fn until(
    cluster: &Cluster,
    name: &str,
    first: Facts,
    template: &Value,
    shown: &mut String,
) -> Progress {
    let mut news = follow(cluster, name, &Watched::Objects);
    let mut world = first;
    loop {
        let line = tree::line(&View::of(&world));
        if *shown != line {
            let now = Timestamp::now();
            eprintln!("{}  {line}", clock(now, now));
            *shown = line;
        }
        let ended = progress(&world, template);
        if ended != Progress::Pending {
            // The parts of one reading are of slightly different times: an end must be there in a second one too.
            match read::read(cluster, name).await {
                Ok(again) if progress(&again, template) == ended => return ended,
                Ok(again) => world = again,
                Err(_) => {}
            }
        }
        if news.next().await.is_none() {
            return Progress::Pending;
        }
        match read::read(cluster, name).await {
            Ok(read) => world = read,
            Err(error) => *shown = crate::cluster::chain(&error),
        }
    }
}
