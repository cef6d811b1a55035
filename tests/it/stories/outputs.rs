//! Outputs: restored, updated, pruned, and never taken from anybody.

use serde_json::{Value, json};
use simulated_platform::{Fault, FaultKind, Pat, Permissions};

use super::{connected, ready_project};
use crate::support::cluster::kinds::{CONFIG_MAP, PROJECT, SECRET};
use crate::support::cluster::{SOON, condition};
use crate::support::platform::ORGANIZATION;
use crate::support::samples::{project, secret, token_connection};
use crate::support::stage::{Reach, Stage};

#[tokio::test]
async fn an_output_that_was_edited_or_deleted_comes_back() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    let first = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();

    let edited = json!({"data": {"SUPABASE_URL": "aHR0cHM6Ly9lbHNld2hlcmU=", "ADDED": "eA=="}});
    stage.cluster.merge(SECRET, "orders-supabase", edited).await;
    let same = async |what: &str| {
        crate::support::eventually::eventually(what, SOON, async || {
            match stage.cluster.data(SECRET, "orders-supabase").await {
                Some(data) if data == first => Ok(()),
                Some(data) => Err(format!("keys {:?}", data.keys().collect::<Vec<_>>())),
                None => Err("it is not there".to_owned()),
            }
        })
        .await;
    };
    same("the edit undone").await;
    stage.cluster.delete(SECRET, "orders-supabase").await;
    same("the Secret made again").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn outputs_follow_the_spec() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let public = json!({"kind": "ConfigMap", "prefix": "NEXT_PUBLIC_", "include": ["URL", "PublishableKey"]});
    let with_both = project("shop").with_output("shop-web", "Env", public).with_output(
        "shop-db",
        "ServiceBinding",
        json!({"endpoint": "TransactionPooler"}),
    );
    stage.cluster.apply(with_both).await;
    let ready = stage.cluster.wait_condition(PROJECT, "shop", "Ready", "True").await;
    assert_eq!(ready["status"]["binding"]["name"], "shop-db");
    let web = stage.cluster.data(CONFIG_MAP, "shop-web").await.unwrap();
    let keys: Vec<_> = web.keys().map(String::as_str).collect();
    assert_eq!(keys, ["NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY", "NEXT_PUBLIC_SUPABASE_URL"]);
    let binding = stage.cluster.get(SECRET, "shop-db").await.unwrap();
    assert_eq!(binding["type"], "servicebinding.io/postgresql");
    assert_eq!(stage.cluster.data(SECRET, "shop-db").await.unwrap()["port"], "6543");

    let with_less =
        project("shop").with_output("shop-server", "Env", json!({"include": ["SecretKey"]}));
    stage.cluster.apply(with_less).await;
    stage.cluster.gone(CONFIG_MAP, "shop-web", SOON).await;
    stage.cluster.gone(SECRET, "shop-db", SOON).await;
    let server = stage
        .cluster
        .wait_for(SECRET, "shop-server", "there", SOON, |object| Some(object.clone()))
        .await;
    assert_eq!(server["data"].as_object().unwrap().len(), 1);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn what_others_put_on_an_output_stays_and_what_is_declared_no_more_goes() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let declared = json!({"labels": {"tier": "db"}, "annotations": {"example.com/note": "a"}});
    stage.cluster.apply(project("shop").with_output("shop-app", "Env", declared)).await;
    stage.cluster.wait_condition(PROJECT, "shop", "Ready", "True").await;
    let theirs = json!({"labels": {"team": "web"}, "annotations": {"example.com/reload": "yes"}});
    stage.cluster.merge(SECRET, "shop-app", json!({"metadata": theirs})).await;
    stage.cluster.apply(project("shop").with_output("shop-app", "Env", json!({}))).await;
    let meta = stage
        .cluster
        .wait_for(SECRET, "shop-app", "less", SOON, |object| {
            let meta = &object["metadata"];
            let gone = meta["labels"]["tier"].is_null()
                && meta["annotations"]["example.com/note"].is_null();
            gone.then(|| meta.clone())
        })
        .await;
    assert_eq!(meta["labels"]["team"], "web");
    assert_eq!(meta["annotations"]["example.com/reload"], "yes");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage.cluster.apply(secret("orders-supabase", &[("mine", "untouched")])).await;
    let before = stage.cluster.get(SECRET, "orders-supabase").await.unwrap();
    stage.cluster.apply(project("orders")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "OutputsWritten", "False/Conflict").await;
    let after = stage.cluster.get(SECRET, "orders-supabase").await.unwrap();
    assert_eq!(before, after);

    stage.cluster.delete(SECRET, "orders-supabase").await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let data = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    assert!(!data.contains_key("mine"));
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_supplied_password_is_used_as_it_is() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.attach_databases().await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let password = "p@ss/w:rd %41 ü and spaces";
    stage.cluster.apply(secret("own", &[("password", password)])).await;
    stage.cluster.apply(project("orders").with_password_of("own", "password")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let data = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    assert_eq!(data["SUPABASE_DB_PASSWORD"], password);
    let answer = database_query::answer(&data["SUPABASE_DB_URL"], "select 1").await.unwrap();
    assert_eq!(answer, ["1"]);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_key_that_may_not_be_read_is_named_and_withholds_nothing_else() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let blind =
        Permissions { write: true, without: ["api_gateway_keys_secret_read".to_owned()].into() };
    let pat = Pat::for_organizations(&[ORGANIZATION], blind);
    let token = stage.platform.world().add_pat(pat);
    let operator = stage.operator().await;
    stage.cluster.apply(secret("supabase-token", &[("token", &token)])).await;
    stage.cluster.apply(token_connection("acme")).await;
    stage.cluster.apply(project("orders")).await;
    let told = stage
        .cluster
        .wait_condition(PROJECT, "orders", "OutputsWritten", "False/MissingScope")
        .await;
    let message = crate::support::cluster::conditions_of(&told);
    assert!(message.contains("api_gateway_keys_secret_read"), "{message}");
    let data = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    assert!(data.contains_key("SUPABASE_DB_URL"), "{:?}", data.keys());
    assert!(data["SUPABASE_PUBLISHABLE_KEY"].starts_with("sb_publishable_"));
    assert!(!data.contains_key("SUPABASE_SECRET_KEY"), "{:?}", data.keys());
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn an_empty_list_of_keys_takes_none_away_and_flips_nothing() {
    let drift = json!({"intervals": {"drift": "1s"}});
    let mut stage = Stage::with(Reach::Namespace, simulated_platform::Config::fast(), &drift).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    let before = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    // Paused, and not known to be so yet.
    let keys = "/v1/projects/*/api-keys";
    let empty = Fault::on("GET", keys, FaultKind::Body("[]".to_owned())).times(u32::MAX);
    stage.platform.world().script(empty);
    let nudge = "supabase-operator.dev/reconcile-requested-at";
    for request in ["one", "two"] {
        let nudge = json!({"metadata": {"annotations": {nudge: request}}});
        stage.cluster.merge(PROJECT, "orders", nudge).await;
        let seen = stage
            .cluster
            .wait_for(PROJECT, "orders", "the request handled", SOON, |object| {
                (object["status"]["lastHandledReconcileAt"] == request).then(|| object.clone())
            })
            .await;
        assert_eq!(condition(&seen, "Ready").unwrap()["status"], "True");
        assert_eq!(stage.cluster.data(SECRET, "orders-supabase").await.unwrap(), before);
    }
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_pooler_that_cannot_be_read_holds_up_only_what_needs_it() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let odd = FaultKind::Merge(json!({"db_port": "6543"}));
    let pooler = "/v1/projects/*/config/database/pooler";
    stage.platform.world().script(Fault::on("GET", pooler, odd).times(u32::MAX));
    let wanted = project("shop")
        .with_output("shop-keys", "Env", json!({"include": ["SecretKey"]}))
        .with_output("shop-direct", "Env", json!({"endpoint": "Direct"}))
        .with_output("shop-db", "ServiceBinding", json!({}));
    stage.cluster.apply(wanted).await;
    let there = |object: &Value| Some(object.clone());
    for name in ["shop-keys", "shop-direct"] {
        stage.cluster.wait_for(SECRET, name, "written", SOON, there).await;
    }
    stage.cluster.wait_condition(PROJECT, "shop", "Ready", "False/WaitingForServices").await;
    assert!(stage.cluster.get(SECRET, "shop-db").await.is_none());
    stage.platform.world().clear_script();
    stage.cluster.wait_condition(PROJECT, "shop", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn outputs_belong_to_their_project_and_passwords_do_not() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let output = stage.cluster.get(SECRET, "orders-supabase").await.unwrap();
    let owner = &output["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], ready["metadata"]["uid"]);
    assert_eq!(owner["blockOwnerDeletion"], false);
    let password = stage.cluster.get(SECRET, "orders-supabase-password").await.unwrap();
    assert_eq!(password["metadata"]["ownerReferences"], Value::Null);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn keys_that_were_rotated_on_the_platform_reach_the_outputs() {
    let drift = json!({"intervals": {"drift": "1s"}});
    let mut stage = Stage::with(Reach::Namespace, simulated_platform::Config::fast(), &drift).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let before = stage.cluster.get(SECRET, "orders-supabase").await.unwrap();
    let now = stage.platform.now();
    let reference = ready["status"]["ref"].as_str().unwrap();
    stage.platform.world().rotate_keys_by_hand(reference, now);
    let updated =
        stage.cluster.wait_for(SECRET, "orders-supabase", "the new key", SOON, |object| {
            (object["data"]["SUPABASE_SECRET_KEY"] != before["data"]["SUPABASE_SECRET_KEY"])
                .then(|| object.clone())
        });
    let updated = updated.await;
    assert_eq!(updated["metadata"]["uid"], before["metadata"]["uid"], "it was updated in place");
    stage.finish(vec![operator]).await;
}
