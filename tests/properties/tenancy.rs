//! Nobody gets or loses what is not his.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Config, Effect, Pat};

use crate::sim::{
    AUTH_CONFIGS, CLUSTER_CONNECTIONS, Driver, Ending, Faults, PROJECTS, Phase, Plan, SECRETS,
    Scene, Seed, simulate,
};

const LIMIT: Duration = Duration::from_secs(1800);

fn reason(scene: &Scene, name: &str) -> String {
    let object = scene.stored(name).unwrap_or_default();
    Scene::condition(&object, "Ready").map(|(_, reason)| reason).unwrap_or_default()
}

fn message(scene: &Scene, name: &str) -> String {
    let object = scene.stored(name).unwrap_or_default();
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    ready.and_then(|ready| ready["message"].as_str()).unwrap_or_default().to_owned()
}

/// Whether a message tells people to take away what may be the only copy of something.
fn destroys(message: &str) -> bool {
    ["delete", "remove", "replace", "rename"].iter().any(|word| message.contains(word))
}

/// The uid of an object.
fn uid(scene: &Scene, name: &str) -> String {
    let object = scene.stored(name).unwrap();
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// A Secret that somebody made with the operator's labels on it.
fn forged(name: &str, role: &str, project: &str, uid: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": name, "labels": {
            "app.kubernetes.io/managed-by": "supabase-operator",
            "app.kubernetes.io/part-of": "supabase",
            "supabase-operator.dev/project": project,
            "supabase-operator.dev/owner-uid": uid,
            "supabase-operator.dev/role": role,
        }},
        "stringData": {"key": "value-of-somebody", "password": "password-of-somebody"},
    })
}

async fn until(scene: &Scene, done: impl Fn(&Scene) -> bool) {
    let driver = Driver::new(scene);
    let ending = driver.run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
    assert!(
        matches!(ending, Ending::Done(_)),
        "{:#?}",
        scene.api().all("supabaseprojects").collect::<Vec<_>>()
    );
}

fn instant() -> Seed {
    Seed { platform: Config::instant(), random: 5, oauth: false }
}

fn deleted(scene: &Scene) -> Vec<String> {
    let world = scene.world();
    let effects = world.ledger().accepted().iter();
    effects
        .filter(|accepted| matches!(accepted.effect, Effect::Deleted { .. }))
        .filter_map(|accepted| accepted.effect.reference().map(str::to_owned))
        .collect()
}

#[test]
fn two_objects_that_want_one_name_get_two_projects_or_a_clear_no() {
    simulate(async || {
        let scene = Scene::new(&instant());
        scene.project("one", json!({"projectName": "shop"}));
        scene.project("two", json!({"projectName": "shop"}));
        until(&scene, |scene| {
            ["one", "two"]
                .iter()
                .all(|name| scene.is_ready(name) || reason(scene, name) == "NameConflict")
        })
        .await;
        let ready: Vec<_> =
            ["one", "two"].into_iter().filter(|name| scene.is_ready(name)).collect();
        assert!(!ready.is_empty());
        let refs: std::collections::BTreeSet<_> = ready
            .iter()
            .map(|name| scene.stored(name).unwrap()["status"]["ref"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(refs.len(), ready.len(), "no ref is carried by two");
        assert_eq!(scene.world().ledger().created().count(), ready.len());
    });
}

#[test]
fn a_foreign_project_of_the_wanted_name_is_never_taken_whenever_it_appears() {
    for effect in 0..8 {
        for phase in Phase::ALL {
            simulate(async || {
                let scene = Scene::new(&Seed::default());
                scene.project("orders", json!({}));
                let driver = Driver::new(&scene);
                let plan = [Plan { effect, phase }];
                let foreign = std::cell::RefCell::new(None);
                let appear = |scene: &Scene, _| {
                    let now = supabase_operator::rules::clock::Clock::now(&scene.clock);
                    foreign.replace(Some(scene.world().add_foreign_project(
                        "acme",
                        "team-a-orders",
                        now,
                    )));
                };
                // With a call of ours open, only a person can say whose a project of the wanted name is.
                let no = ["NameConflict", "AmbiguousCreate"];
                let settled = |scene: &Scene| {
                    scene.is_ready("orders") || no.contains(&reason(scene, "orders").as_str())
                };
                let ending = driver.run(&Faults::new(&plan), LIMIT, settled, appear).await;
                assert!(
                    matches!(ending, Ending::Done(_)),
                    "{plan:?} {:#}",
                    scene.stored("orders").unwrap()
                );
                let stored = scene.stored("orders").unwrap();
                let foreign = foreign.into_inner();
                assert_ne!(stored["status"]["ref"].as_str(), foreign.as_deref(), "{plan:?}");
                assert!(deleted(&scene).is_empty());
                if let Some(foreign) = foreign {
                    assert_eq!(scene.world().project(&foreign).unwrap().name, "team-a-orders");
                }
            });
        }
    }
}

#[test]
fn one_project_is_adopted_by_one_object() {
    simulate(async || {
        let scene = Scene::new(&instant());
        let now = supabase_operator::rules::clock::Clock::now(&scene.clock);
        let reference = scene.world().add_foreign_project("acme", "old", now);
        let adopt = json!({"adoption": {"policy": "AdoptOnly", "ref": reference}, "outputs": []});
        scene.project("one", adopt.clone());
        scene.project("two", adopt);
        until(&scene, |scene| {
            let reasons = [reason(scene, "one"), reason(scene, "two")];
            reasons.iter().any(|reason| reason == "OwnershipConflict")
                && ["one", "two"].iter().any(|name| scene.is_ready(name))
        })
        .await;
        assert_eq!(scene.world().ledger().created().count(), 0);
    });
}

#[test]
fn adoption_through_a_cluster_connection_that_forbids_it_is_refused_without_naming_the_ref() {
    simulate(async || {
        let scene = Scene::new(&instant());
        let token = scene.world().add_pat(Pat::classic());
        scene.system_secret("pat", &[("token", &token)]);
        let auth =
            json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        scene.make(
            CLUSTER_CONNECTIONS,
            "ClusterSupabaseConnection",
            "shared",
            json!({"auth": auth, "allowedNamespaces": {"names": ["team-a"]}, "adoption": "Forbidden"}),
        );
        let now = supabase_operator::rules::clock::Clock::now(&scene.clock);
        let foreign = scene.world().add_foreign_project("acme", "theirs", now);
        let through = json!({"kind": "ClusterSupabaseConnection", "name": "shared"});
        scene.project(
            "by-ref",
            json!({"connectionRef": through, "adoption": {"policy": "AdoptOnly", "ref": foreign}}),
        );
        scene.project(
            "by-name",
            json!({"connectionRef": through, "projectName": "theirs", "adoption": {"policy": "AdoptOrCreate"}}),
        );
        scene.project("fresh", json!({"connectionRef": through}));
        until(&scene, |scene| {
            reason(scene, "by-ref") == "AdoptionForbidden"
                && reason(scene, "by-name") == "AdoptionForbidden"
                && scene.is_ready("fresh")
        })
        .await;
        for name in ["by-ref", "by-name"] {
            let status = scene.stored(name).unwrap()["status"].to_string();
            assert!(!status.contains(&foreign), "{status}");
        }
    });
}

/// Who may edit an object must not lend himself the rights of a connection of the cluster: what he adopted through his own
/// is not looked after, and not deleted, through one that would not have adopted it.
#[test]
fn an_adopted_project_gets_nothing_through_a_cluster_connection_that_would_not_adopt_it() {
    let admits_no_adoption = json!({"adoption": "Forbidden"});
    let admits_another_organization =
        json!({"adoption": "Allowed", "allowedOrganizations": ["other"]});
    for admission in [admits_no_adoption, admits_another_organization] {
        simulate(async || {
            let scene = Scene::new(&instant());
            scene.world().add_organization("other", "Other", simulated_platform::Plan::Pro);
            let token = scene.world().add_pat(Pat::classic());
            scene.system_secret("pat", &[("token", &token)]);
            let mut spec = json!({
                "auth": {"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}},
                "allowedNamespaces": {"names": ["team-a"]},
            });
            spec.as_object_mut().unwrap().extend(admission.as_object().unwrap().clone());
            scene.make(CLUSTER_CONNECTIONS, "ClusterSupabaseConnection", "shared", spec);
            let now = supabase_operator::rules::clock::Clock::now(&scene.clock);
            let foreign = scene.world().add_foreign_project("acme", "theirs", now);
            scene.project(
                "mine",
                json!({
                    "adoption": {"policy": "AdoptOnly", "ref": foreign}, "deletionPolicy": "Delete",
                    "organizationSlug": "acme",
                    "outputs": [{"name": "mine-url", "preset": "Env", "include": ["URL"]}],
                }),
            );
            scene.make(
                AUTH_CONFIGS,
                "SupabaseAuthConfig",
                "auth",
                json!({"projectRef": {"name": "mine"}, "siteURL": "https://shop.example"}),
            );
            until(&scene, |scene| scene.is_ready("mine")).await;
            let calls = |scene: &Scene| {
                let world = scene.world();
                let of = format!("/v1/projects/{foreign}");
                world.ledger().seen().iter().filter(|seen| seen.path.starts_with(&of)).count()
            };
            let change = json!({"spec": {
                "connectionRef": {"kind": "ClusterSupabaseConnection", "name": "shared"},
                "projectName": "stolen", "outputs": [{"name": "mine-all", "preset": "Env"}],
                "database": {"password": {"onLost": "Reset"}},
            }});
            assert!(scene.api().change_by_hand(&format!("{PROJECTS}/mine"), &change));
            let refused = |scene: &Scene| {
                ["AdoptionForbidden", "OrganizationNotAllowed"].contains(&&*reason(scene, "mine"))
            };
            let before = std::cell::Cell::new(None);
            let end = tokio::time::Instant::now() + Duration::from_secs(900);
            until(&scene, |scene| {
                if refused(scene) && before.get().is_none() {
                    before.set(Some(calls(scene)));
                }
                refused(scene) && tokio::time::Instant::now() >= end
            })
            .await;
            let auth = json!({"spec": {"siteURL": "https://evil.example"}});
            assert!(scene.api().change_by_hand(&format!("{AUTH_CONFIGS}/auth"), &auth));
            assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/mine")));
            until(&scene, |scene| {
                let stored = scene.stored("mine").unwrap_or_default();
                Scene::condition(&stored, "DeletionBlocked")
                    .is_some_and(|(truth, _)| truth == "True")
                    && tokio::time::Instant::now() >= end + Duration::from_secs(900)
            })
            .await;
            assert_eq!(Some(calls(&scene)), before.get(), "the project is not touched any more");
            assert_eq!(scene.world().project(&foreign).unwrap().name, "theirs");

            // Given back to the connection that adopted it, it goes on.
            let back = json!({"spec": {
                "connectionRef": {"kind": "SupabaseConnection", "name": "acme"}, "deletionPolicy": "Retain",
            }});
            assert!(scene.api().change_by_hand(&format!("{PROJECTS}/mine"), &back));
            until(&scene, |scene| scene.stored("mine").is_none()).await;
            assert!(scene.world().project(&foreign).is_some_and(|project| !project.gone));
        });
    }
}

#[test]
fn a_namespace_that_is_not_admitted_gets_nothing() {
    simulate(async || {
        let scene = Scene::new(&instant());
        let token = scene.world().add_pat(Pat::classic());
        scene.system_secret("pat", &[("token", &token)]);
        let auth =
            json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        scene.make(
            CLUSTER_CONNECTIONS,
            "ClusterSupabaseConnection",
            "shared",
            json!({"auth": auth, "allowedNamespaces": {"names": ["team-b"]}}),
        );
        let through = json!({"kind": "ClusterSupabaseConnection", "name": "shared"});
        scene.project("orders", json!({"connectionRef": through}));
        until(&scene, |scene| reason(scene, "orders") == "NamespaceNotAllowed").await;
        assert_eq!(scene.world().ledger().created().count(), 0);
        // And a deletion is not held up by it.
        assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/orders")));
        until(&scene, |scene| scene.stored("orders").is_none()).await;
    });
}

#[test]
fn an_output_named_like_somebody_elses_secret_is_a_conflict_and_leaves_it_alone() {
    simulate(async || {
        let scene = Scene::new(&instant());
        scene.secret("precious", &[("key", "value-of-somebody")]);
        scene.project("orders", json!({"outputs": [{"name": "precious"}, {"name": "mine"}]}));
        until(&scene, |scene| reason(scene, "orders") == "Conflict").await;
        assert_eq!(scene.secret_value("precious", "key").as_deref(), Some("value-of-somebody"));
        assert!(
            scene.secret_value("mine", "SUPABASE_URL").is_some(),
            "the other output is written"
        );
        // Made room: it is written within the resync.
        assert!(scene.api().delete_by_hand(&format!("{SECRETS}/precious")));
        until(&scene, |scene| scene.is_ready("orders")).await;
        assert!(scene.secret_value("precious", "SUPABASE_URL").is_some());
    });
}

#[test]
fn forged_annotations_and_labels_prove_nothing() {
    simulate(async || {
        let scene = Scene::new(&instant());
        let now = supabase_operator::rules::clock::Clock::now(&scene.clock);
        let foreign = scene.world().add_foreign_project("acme", "theirs", now);
        scene.project("orders", json!({"deletionPolicy": "Delete"}));
        let forged = json!({"metadata": {"annotations": {
            "supabase-operator.dev/ref": foreign, "supabase-operator.dev/force-orphan": foreign,
            "supabase-operator.dev/created": "true",
        }}});
        assert!(scene.api().change_by_hand(&format!("{PROJECTS}/orders"), &forged));
        until(&scene, |scene| scene.is_ready("orders")).await;
        let own = scene.stored("orders").unwrap()["status"]["ref"].as_str().unwrap().to_owned();
        assert_ne!(own, foreign);
        assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/orders")));
        until(&scene, |scene| scene.stored("orders").is_none()).await;
        assert_eq!(deleted(&scene), [own]);
    });
}

#[test]
fn retain_leaves_the_project_and_the_password_and_a_new_object_takes_both_over() {
    simulate(async || {
        let scene = Scene::new(&instant());
        scene.project("orders", json!({}));
        until(&scene, |scene| scene.is_ready("orders")).await;
        let reference =
            scene.stored("orders").unwrap()["status"]["ref"].as_str().unwrap().to_owned();
        let password = scene.secret_value("orders-supabase-password", "password").unwrap();
        assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/orders")));
        until(&scene, |scene| scene.stored("orders").is_none()).await;
        assert!(deleted(&scene).is_empty());
        let kept = scene.get(&format!("{SECRETS}/orders-supabase-password")).unwrap();
        assert_eq!(kept["metadata"]["labels"]["supabase-operator.dev/ref"], json!(reference));
        assert_eq!(kept["metadata"]["labels"]["supabase-operator.dev/retained"], json!("true"));
        // Applied again without adoption: a clear no that says how, nothing is made, and nothing may be thrown away.
        scene.project("orders", json!({}));
        until(&scene, |scene| reason(scene, "orders") == "NameConflict").await;
        assert_eq!(scene.world().ledger().created().count(), 1);
        let said = message(&scene, "orders");
        assert!(
            said.contains(&format!("spec.adoption: {{policy: AdoptOnly, ref: {reference}}}")),
            "{said}"
        );
        assert!(!destroys(&said), "{said}");
        // Where its project has another name by now, the Secret is still not to be touched.
        assert!(scene.api().change_by_hand(
            &format!("{PROJECTS}/orders"),
            &json!({"spec": {"projectName": "free"}})
        ));
        until(&scene, |scene| reason(scene, "orders") == "PasswordSecretConflict").await;
        let said = message(&scene, "orders");
        assert!(said.contains(&reference) && !destroys(&said), "{said}");
        assert!(scene.api().change_by_hand(
            &format!("{PROJECTS}/orders"),
            &json!({"spec": {"projectName": null}})
        ));
        // With adoption: the same project, the same password.
        let adopt = json!({"spec": {"adoption": {"policy": "AdoptOnly", "ref": reference}}});
        assert!(scene.api().change_by_hand(&format!("{PROJECTS}/orders"), &adopt));
        until(&scene, |scene| scene.is_ready("orders")).await;
        assert_eq!(scene.secret_value("orders-supabase", "SUPABASE_DB_PASSWORD"), Some(password));
    });
}

#[test]
fn labels_make_nobodys_secret_an_output_of_ours() {
    simulate(async || {
        let scene = Scene::new(&instant());
        scene.project("orders", json!({"outputs": []}));
        until(&scene, |scene| scene.is_ready("orders")).await;
        let never = "00000000-0000-4000-8000-000000000000".to_owned();
        for owner in [uid(&scene, "orders"), never] {
            let secret = forged("precious", "output", "orders", &owner);
            scene.api().create_by_hand(SECRETS, &secret).unwrap();
            let wants = json!({"spec": {"outputs": [{"name": "precious"}]}});
            let path = format!("{PROJECTS}/orders");
            assert!(scene.api().change_by_hand(&path, &wants));
            until(&scene, |scene| reason(scene, "orders") == "Conflict").await;
            let said = message(&scene, "orders");
            assert!(!destroys(&said), "{said}");
            assert_eq!(scene.secret_value("precious", "key").as_deref(), Some("value-of-somebody"));
            assert!(scene.api().delete_by_hand(&format!("{SECRETS}/precious")));
            let nothing = json!({"spec": {"outputs": []}});
            assert!(scene.api().change_by_hand(&path, &nothing));
            until(&scene, |scene| scene.is_ready("orders")).await;
        }
    });
}

#[test]
fn an_output_of_a_living_project_whose_long_name_begins_alike_is_not_taken() {
    simulate(async || {
        let scene = Scene::new(&instant());
        let name = |end: &str| format!("{}-{end}", "x".repeat(66));
        scene.project(&name("one"), json!({"projectName": "one", "outputs": [{"name": "shared"}]}));
        until(&scene, |scene| scene.is_ready(&name("one"))).await;
        let before = scene.get(&format!("{SECRETS}/shared"));
        scene.project(&name("two"), json!({"projectName": "two", "outputs": [{"name": "shared"}]}));
        until(&scene, |scene| reason(scene, &name("two")) == "Conflict").await;
        assert_eq!(scene.get(&format!("{SECRETS}/shared")), before);
    });
}

#[test]
fn a_password_that_a_living_object_owns_is_not_taken_whatever_its_labels_say() {
    simulate(async || {
        let scene = Scene::new(&instant());
        let now = supabase_operator::rules::clock::Clock::now(&scene.clock);
        let reference = scene.world().add_foreign_project("acme", "old", now);
        scene.project("shop", json!({"outputs": []}));
        until(&scene, |scene| scene.is_ready("shop")).await;
        let name = "orders-supabase-password";
        let mut secret = forged(name, "password", "orders", &uid(&scene, "shop"));
        secret["metadata"]["labels"]["supabase-operator.dev/ref"] = json!(reference);
        scene.api().create_by_hand(SECRETS, &secret).unwrap();
        let before = scene.get(&format!("{SECRETS}/{name}"));
        let adopt = json!({"adoption": {"policy": "AdoptOnly", "ref": reference}});
        scene.project("orders", adopt);
        until(&scene, |scene| reason(scene, "orders") == "PasswordSecretConflict").await;
        assert_eq!(scene.get(&format!("{SECRETS}/{name}")), before);
        let said = message(&scene, "orders");
        assert!(said.contains("keep what it holds"), "{said}");
    });
}

#[test]
fn what_others_put_on_an_output_survives_a_rotation() {
    simulate(async || {
        let scene = Scene::new(&instant());
        scene.project("orders", json!({}));
        until(&scene, |scene| scene.is_ready("orders")).await;
        let path = format!("{SECRETS}/orders-supabase");
        let theirs = json!({
            "metadata": {
                "labels": {"team": "theirs"},
                "annotations": {"reloader": "theirs"},
                "finalizers": ["example.com/hold"],
            },
            "data": {"SUPABASE_URL": "ZWRpdGVk"},
        });
        assert!(scene.api().change_by_hand(&path, &theirs));
        until(&scene, |scene| {
            scene.secret_value("orders-supabase", "SUPABASE_URL").is_some_and(|url| url != "edited")
        })
        .await;
        let meta = scene.get(&path).unwrap()["metadata"].clone();
        assert_eq!(meta["labels"]["team"], "theirs");
        assert_eq!(meta["annotations"]["reloader"], "theirs");
        assert_eq!(meta["finalizers"], json!(["example.com/hold"]));
        assert_eq!(meta["ownerReferences"].as_array().unwrap().len(), 1);
    });
}
