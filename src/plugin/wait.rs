//! `wait`: waits until the rollout of the current template has ended.

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

/// Waits for the end of the rollout, and prints each change to standard error.
pub(super) async fn wait(cluster: &Cluster, name: &str, limit: SignedDuration) -> Result<Code, PluginError> {
    let facts = read::read(cluster, name).await?;
    let Some(template) =
        facts.template().cloned().filter(|_| facts.policy().is_some() || facts.rollout.is_some())
    else {
        let why = unmanaged(&facts).unwrap_or_else(|| format!("Deployment {name} is gone"));
        return Err(PluginError::Nothing(why));
    };
    let limit = limit.try_into().unwrap_or_default();
    let mut shown = String::new();
    let ended = tokio::time::timeout(limit, until(cluster, name, facts, &template, &mut shown)).await;
    Ok(match ended {
        Ok(Progress::Complete(summary)) => {
            super::print(&format!("rollout {name}: complete: {summary}\n"))?;
            Code::Done
        }
        Ok(Progress::RolledBack(why)) => {
            eprintln!("rollout {name}: not rolled out: {why}");
            Code::Refused
        }
        Ok(Progress::Pending) | Err(_) => {
            eprintln!("rollout {name}: timed out; last state: {shown}");
            Code::Timeout
        }
    })
}

/// Reads the objects after each change until the rollout has ended. Failed reads are repeated until
/// the timeout.
async fn until(
    cluster: &Cluster,
    name: &str,
    first: Facts,
    template: &Value,
    shown: &mut String,
) -> Progress {
    let mut updates = follow(cluster, name, &Watched::Objects);
    let mut facts = first;
    loop {
        let line = tree::line(&View::of(&facts));
        if *shown != line {
            let now = Timestamp::now();
            eprintln!("{}  {line}", clock(now, now));
            *shown = line;
        }
        let ended = progress(&facts, template);
        if ended != Progress::Pending {
            // The objects are read at slightly different times: a second read must confirm the end.
            match read::read(cluster, name).await {
                Ok(again) if progress(&again, template) == ended => return ended,
                Ok(again) => facts = again,
                Err(_) => {}
            }
        }
        if updates.next().await.is_none() {
            return Progress::Pending;
        }
        match read::read(cluster, name).await {
            Ok(read) => facts = read,
            Err(error) => *shown = crate::cluster::chain(&error),
        }
    }
}
