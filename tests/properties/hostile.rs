//! One object, namespace or stranger must never stop others: hostile objects of one namespace, and another namespace
//! that is served all the same.

use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestCaseError};
use serde_json::{Map, Value, json};
use simulated_platform::{Config, Effect, Fault, FaultKind};

use crate::sim::{Driver, Ending, Faults, Hand, PROJECTS, Scene, Seed, simulate};

const THEIRS: &str = "/apis/supabase-operator.dev/v1alpha1/namespaces/team-b/supabaseprojects";
const THEIR_CONNECTIONS: &str =
    "/apis/supabase-operator.dev/v1alpha1/namespaces/team-b/supabaseconnections";
const LIMIT: Duration = Duration::from_secs(1800);
/// What etcd takes, and what is left of it for an attempt without its answer.
const ETCD: usize = 3 << 19;

fn instant() -> Seed {
    Seed { platform: Config::instant(), random: 5, oauth: false }
}

/// Every field of a kind, by its path, with the values of its enum.
fn fields(kind: &str) -> Vec<Vec<String>> {
    fn walk(path: &[String], schema: &JSONSchemaProps, found: &mut Vec<Vec<String>>) {
        for (name, property) in schema.properties.iter().flatten() {
            let mut path = path.to_vec();
            path.push(name.clone());
            found.push(path.clone());
            walk(&path, property, found);
            if let Some(JSONSchemaPropsOrArray::Schema(item)) = &property.items {
                path.push("0".to_owned());
                walk(&path, item, found);
            }
        }
    }
    let crds = supabase_operator::api::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let schema = crd.spec.versions[0].schema.clone().unwrap();
    let mut found = Vec::new();
    walk(&[], &schema.open_api_v3_schema.unwrap(), &mut found);
    found.retain(|path| !matches!(path[0].as_str(), "apiVersion" | "kind" | "metadata"));
    assert!(found.len() > 10, "{kind} has {} fields", found.len());
    found
}

static FIELDS: LazyLock<[Vec<Vec<String>>; 2]> =
    LazyLock::new(|| [fields("SupabaseProject"), fields("SupabaseConnection")]);

/// Nested so deep that no parser follows, built without recursion.
fn deep(levels: usize) -> Value {
    (0..levels).fold(json!({}), |inner, _| json!({"f:a": inner}))
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("Quantum")),
        Just(json!(null)),
        Just(json!(-7)),
        Just(json!(1.5e300)),
        Just(json!(true)),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[["x"]]])),
        (1_usize..100_000).prop_map(|length| json!("x".repeat(length))),
        (1_usize..300).prop_map(deep),
        (1_usize..300).prop_map(|many| Value::from(vec![json!("x"); many])),
        "\\PC{0,20}".prop_map(|text| json!(text)),
    ]
}

/// What is odd of an object.
#[derive(Clone, Debug)]
enum Oddity {
    /// A field of spec or status, given by a number, has another value.
    Field(prop::sample::Index, Value),
    /// The same, given by its path.
    At(Vec<String>, Value),
    /// Managed fields of somebody.
    Managers(usize),
    /// Annotations, of ours too.
    Annotated(String, usize),
    /// Finalizers of others.
    Held,
    /// Its deletion was asked for while ours held it.
    Leaving,
}

fn oddity() -> impl Strategy<Value = Oddity> {
    prop_oneof![
        6 => (any::<prop::sample::Index>(), odd_value()).prop_map(|(at, value)| Oddity::Field(at, value)),
        1 => (1_usize..1000).prop_map(Oddity::Managers),
        1 => ("(supabase-operator.dev/)?[a-z-]{1,20}", 0_usize..50_000)
            .prop_map(|(name, length)| Oddity::Annotated(name, length)),
        1 => Just(Oddity::Held),
        1 => Just(Oddity::Leaving),
    ]
}

/// Puts a value at a path; what is in the way is replaced.
fn put(target: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    if first == "0" {
        if !target.is_array() {
            *target = json!([{}]);
        }
        let list = target.as_array_mut().unwrap();
        if list.is_empty() {
            list.push(json!({}));
        }
        put(&mut list[0], rest, value);
    } else {
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        put(&mut target[first.as_str()], rest, value);
    }
}

/// Stores a hostile object by hand: no schema stands in the way, as after an upgrade and back.
fn store(scene: &Scene, number: usize, is_project: bool, oddities: &[Oddity]) {
    let (path, kind, spec) = if is_project {
        let spec = json!({"connectionRef": {"name": "acme"}, "region": "eu-central-1", "deletionPolicy": "Delete"});
        (THEIRS, "SupabaseProject", spec)
    } else {
        let auth =
            json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        (THEIR_CONNECTIONS, "SupabaseConnection", json!({"auth": auth}))
    };
    let mut object =
        json!({"spec": spec, "metadata": {"finalizers": ["supabase-operator.dev/finalizer"]}});
    let mut leaves = false;
    for oddity in oddities {
        match oddity {
            Oddity::Field(at, value) => {
                let fields = &FIELDS[usize::from(!is_project)];
                let path: &Vec<String> = at.get(fields);
                put(&mut object, path, value.clone());
            }
            Oddity::At(path, value) => put(&mut object, path, value.clone()),
            Oddity::Managers(depth) => {
                let fields = json!([{"manager": "somebody", "fieldsV1": deep(*depth)}]);
                object["metadata"]["managedFields"] = fields;
            }
            Oddity::Annotated(name, length) => {
                object["metadata"]["annotations"][name.as_str()] = json!("x".repeat(*length));
            }
            Oddity::Held => {
                let all = object["metadata"]["finalizers"].as_array_mut().unwrap();
                all.push(json!("example.com/hold"));
            }
            Oddity::Leaving => leaves = true,
        }
    }
    let name = format!("hostile-{number}");
    object["metadata"]["name"] = json!(name);
    let whole = json!({
        "apiVersion": "supabase-operator.dev/v1alpha1", "kind": kind,
        "metadata": object["metadata"], "spec": object["spec"],
    });
    let mut api = scene.api();
    if api.create_by_hand(path, &whole).is_none() {
        return;
    }
    let own = format!("{path}/{name}");
    api.change_by_hand(&format!("{own}/status"), &json!({"status": object["status"]}));
    if leaves {
        api.delete_by_hand(&own);
    }
}

fn created(scene: &Scene) -> usize {
    let world = scene.world();
    let accepted = world.ledger().accepted().iter();
    accepted.filter(|accepted| matches!(accepted.effect, Effect::Created { .. })).count()
}

/// Serves a project of another namespace; gives the effects that it took.
fn served(hostile: &[(bool, Vec<Oddity>)]) -> Result<usize, String> {
    simulate(async || {
        let scene = Scene::new(&instant());
        for (number, (is_project, oddities)) in hostile.iter().enumerate() {
            store(&scene, number, *is_project, oddities);
        }
        scene.project("good", json!({}));
        let faults = Faults::new(&[]);
        let ending = Driver::new(&scene)
            .run(&faults, LIMIT, |scene| scene.is_ready("good"), |_, _| {})
            .await;
        if !matches!(ending, Ending::Done(took) if took < Duration::from_secs(60)) {
            return Err(format!("{ending:?}: {:?}", scene.stored("good")));
        }
        let created = created(&scene);
        if created != 1 {
            return Err(format!("{created} projects were created"));
        }
        Ok(created)
    })
}

#[test]
fn whatever_is_stored_in_one_namespace_another_is_served() {
    let objects =
        prop::collection::vec((any::<bool>(), prop::collection::vec(oddity(), 1..5)), 1..6);
    let mut runner = proptest::test_runner::TestRunner::new(Cases {
        cases: 300,
        max_shrink_iters: 500,
        failure_persistence: None,
        ..Cases::default()
    });
    let outcome = runner.run(&objects, |hostile| {
        served(&hostile)
            .map(drop)
            .map_err(|why| TestCaseError::fail(why.chars().take(2000).collect::<String>()))
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn whatever_any_one_field_holds_another_namespace_is_served() {
    let odd = [json!({"f:a": {}}), json!([{}]), json!("odd"), json!(7), json!(null), json!(true)];
    for (fields, is_project) in FIELDS.iter().zip([true, false]) {
        for (path, value) in fields.iter().flat_map(|path| odd.iter().map(move |odd| (path, odd))) {
            let oddity = Oddity::At(path.clone(), value.clone());
            // New, or held already.
            let unheld = Oddity::At(vec!["metadata".into(), "finalizers".into()], json!([]));
            let hostile = [vec![oddity.clone(), unheld], vec![oddity]];
            let served = served(&hostile.map(|oddities| (is_project, oddities)));
            assert_eq!(served, Ok(1), "{} holds {value}", path.join("."));
        }
    }
}

/// Sixteen objects that somebody pads to the brim in the moment after their attempts were recorded.
#[test]
fn an_object_padded_to_the_brim_gets_its_ref_and_can_be_deleted() {
    const PADDED: usize = 16;
    fn pad(scene: &Scene) {
        for number in 0..PADDED {
            let path = format!("{PROJECTS}/padded-{number}");
            let object = scene.get(&path).unwrap();
            let size = serde_json::to_vec(&object).unwrap().len();
            let annotations = json!({"example.com/pad": "x".repeat(ETCD - size - 40)});
            let change = json!({"metadata": {"annotations": annotations}});
            assert!(scene.api().change_by_hand(&path, &change));
            let more = json!({"metadata": {"annotations": {"example.com/more": "x".repeat(40)}}});
            assert!(!scene.api().change_by_hand(&path, &more), "it was no brim");
        }
    }
    fn all(scene: &Scene, is: impl Fn(&Value) -> bool) -> bool {
        (0..PADDED).all(|number| {
            let object = scene.stored(&format!("padded-{number}"));
            is(&object.unwrap_or_default())
        })
    }
    let recorded: Hand =
        (|scene| all(scene, |object| object["status"]["creation"]["attempts"][0].is_object()), pad);
    let limit = Duration::from_secs(300);
    simulate(async || {
        let scene = Scene::new(&instant());
        // All attempts are recorded before the first answer comes.
        let late = FaultKind::Delay(Duration::from_secs(10));
        scene
            .world()
            .script(Fault::on("POST", "/v1/projects", late).times(u32::try_from(PADDED).unwrap()));
        for number in 0..PADDED {
            scene.project(
                &format!("padded-{number}"),
                json!({"deletionPolicy": "Delete", "projectName": format!("{}{number}", "ä".repeat(190))}),
            );
        }
        scene.when(recorded.0, recorded.1);
        let driver = Driver::new(&scene);
        let faults = Faults::new(&[]);
        let refs = |scene: &Scene| all(scene, |object| object["status"]["ref"].is_string());
        let ending = driver.run(&faults, limit, refs, |_, _| {}).await;
        let padded = || scene.stored("padded-0").unwrap_or_default();
        assert!(
            matches!(ending, Ending::Done(_)),
            "no ref: {ending:?}: {}, {} bytes",
            padded()["status"],
            serde_json::to_vec(&padded()).unwrap().len()
        );
        assert!(all(&scene, |object| {
            let pad = object["metadata"]["annotations"]["example.com/pad"].as_str();
            pad.is_some_and(|pad| pad.len() > ETCD / 2)
        }));
        scene.project("good", json!({}));
        let ending = driver.run(&faults, limit, |scene| scene.is_ready("good"), |_, _| {}).await;
        assert!(
            matches!(ending, Ending::Done(took) if took < Duration::from_secs(60)),
            "{ending:?}: {:?}",
            scene.stored("good")
        );
        for number in 0..PADDED {
            scene.api().delete_by_hand(&format!("{PROJECTS}/padded-{number}"));
        }
        let gone = |scene: &Scene| {
            (0..PADDED).all(|number| scene.stored(&format!("padded-{number}")).is_none())
        };
        let ending = driver.run(&faults, limit, gone, |_, _| {}).await;
        assert!(matches!(ending, Ending::Done(_)), "not gone: {ending:?}");
        assert_eq!(created(&scene), PADDED + 1);
    });
}
