//! The API server's user name is recorded for an intent, whatever the write says.

use lab::support::{Failure, Rollout, Space, SupportError};
use serde_json::{Value, json};

/// A Rollout without a Deployment: nothing acts on it.
const BARE: &str = "apiVersion: steelyard.io/v1alpha1
kind: Rollout
metadata: {name: bare}
spec: {abort: {revision: r1, by: mallory}}
";

const PEOPLE: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: people}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}
";

/// Patches the Rollout's spec as this person. Returns the new spec.
async fn merge(space: &Space, person: &str, spec: Value) -> Result<Value, Failure> {
    let (user, patch) = (format!("--as={person}"), json!({"spec": spec}).to_string());
    space.kubectl(&["patch", "sro", "bare", &user, "--type=merge", "-p", &patch]).await?;
    Ok(space.api::<Rollout>().get("bare").await?.spec)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_user_can_set_an_intent_under_another_name() -> Result<(), Failure> {
    Space::run("by", async |space| {
        space.apply(PEOPLE).await?;
        space.apply(BARE).await?;
        let spec = space.api::<Rollout>().get("bare").await?.spec;
        assert_eq!(spec["abort"]["by"], "lab:admin", "the creator of an intent is recorded");

        let spec = merge(space, "alice", json!({"pause": {"revision": "r1"}})).await?;
        assert_eq!(spec["pause"]["by"], "alice");
        let spec = merge(
            space,
            "bob",
            json!({"pause": {"revision": "r1"}, "promote": {"revision": "r1", "step": 2, "by": "alice"}}),
        )
        .await?;
        assert_eq!(spec["pause"]["by"], "alice", "an unchanged intent keeps its author");
        assert_eq!(spec["promote"]["by"], "bob", "the caller is recorded, whatever the write says");
        let spec = merge(space, "bob", json!({"pause": {"by": "eve"}})).await?;
        assert_eq!(spec["pause"]["by"], "alice", "the author alone can't be changed");
        let spec = merge(space, "bob", json!({"pause": {"by": null}})).await?;
        assert_eq!(spec["pause"]["by"], "alice", "the author can't be removed");
        let spec = merge(space, "bob", json!({"pause": {"revision": "r2"}})).await?;
        assert_eq!(spec["pause"]["by"], "bob", "a changed intent gets a new author");
        assert_eq!(spec["promote"]["step"], 2);
        let spec = merge(space, "alice", json!({"promote": {"step": 3}})).await?;
        assert_eq!((&spec["promote"]["by"], &spec["abort"]["by"]), (&"alice".into(), &"lab:admin".into()));
        space
            .apply(
                &BARE.replace("{abort: {revision: r1, by: mallory}}", "{abort: null, skip: {revision: r1}}"),
            )
            .await?;
        let spec = space.api::<Rollout>().get("bare").await?.spec;
        assert_eq!(spec["skip"]["by"], "lab:admin", "a field that is null is no intent: {spec}");
        let refused: Result<String, SupportError> =
            space.kubectl(&["patch", "sro", "bare", "--as=eve", "--type=merge", "-p", "{}"]).await;
        assert!(
            refused.is_err_and(|error| error.to_string().contains("forbidden")),
            "eve has no permissions"
        );
        Ok(())
    })
    .await
}
