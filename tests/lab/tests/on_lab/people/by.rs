//! Who set an intent is what the API server knows, not what the write says.

use lab::support::{Failure, Rollout, Space, SupportError};
use serde_json::{Value, json};

/// A Rollout that no Deployment has: nothing acts on it.
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

/// Merges a patch of the spec into the Rollout as this person; gives the spec after it.
async fn merge(space: &Space, person: &str, spec: Value) -> Result<Value, Failure> {
    let (user, patch) = (format!("--as={person}"), json!({"spec": spec}).to_string());
    space.kubectl(&["patch", "sro", "bare", &user, "--type=merge", "-p", &patch]).await?;
    Ok(space.api::<Rollout>().get("bare").await?.spec)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_sign_with_another_s_name() -> Result<(), Failure> {
    Space::run("by", async |space| {
        space.apply(PEOPLE).await?;
        space.apply(BARE).await?;
        let spec = space.api::<Rollout>().get("bare").await?.spec;
        assert_eq!(spec["abort"]["by"], "lab:admin", "who creates an intent sets it");

        let spec = merge(space, "alice", json!({"pause": {"revision": "r1"}})).await?;
        assert_eq!(spec["pause"]["by"], "alice");
        let spec = merge(
            space,
            "bob",
            json!({"pause": {"revision": "r1"}, "promote": {"revision": "r1", "step": 2, "by": "alice"}}),
        )
        .await?;
        assert_eq!(spec["pause"]["by"], "alice", "what stays as it was keeps who set it");
        assert_eq!(spec["promote"]["by"], "bob", "the name is the caller's, whatever the write says");
        let spec = merge(space, "bob", json!({"pause": {"by": "eve"}})).await?;
        assert_eq!(spec["pause"]["by"], "alice", "the name alone can't be changed");
        let spec = merge(space, "bob", json!({"pause": {"by": null}})).await?;
        assert_eq!(spec["pause"]["by"], "alice", "nor taken off");
        let spec = merge(space, "bob", json!({"pause": {"revision": "r2"}})).await?;
        assert_eq!(spec["pause"]["by"], "bob", "another intent is another person's");
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
        let nobody: Result<String, SupportError> =
            space.kubectl(&["patch", "sro", "bare", "--as=eve", "--type=merge", "-p", "{}"]).await;
        assert!(nobody.is_err_and(|error| error.to_string().contains("forbidden")), "eve has no role");
        Ok(())
    })
    .await
}
