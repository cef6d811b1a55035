//! Every setting that a spec can declare: what it may hold, where the platform shows it, and how somebody else changes it there.
//!
//! The schemas of the CRDs say which there are; a test holds this table against them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use supabase_operator::rules::clock::Clock as _;

use crate::sim::{AUTH_CONFIGS, PROJECTS, Scene};

pub const SSL: &str = "ssl-enforcement";
pub const RESTRICTIONS: &str = "network-restrictions";
pub const DATA_API: &str = "postgrest";
pub const PARAMETERS: &str = "config/database/postgres";
pub const AUTH: &str = "config/auth";

/// Values of the mail server's password, by the Secret that holds them.
pub const PASSWORDS: [(&str, &str); 2] =
    [("smtp-one", "canary-7fQ2-one"), ("smtp-two", "canary-7fQ2-two")];

/// The kind of object that declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Project,
    AuthConfig,
}

/// One setting.
#[derive(Clone, Copy)]
pub struct Setting {
    pub on: On,
    /// Its place in the spec.
    pub path: &'static str,
    /// Two values that are taken, for the place in the spec.
    pub values: fn() -> [Value; 2],
    /// The end of the platform's address for it.
    pub at: &'static str,
    /// What the platform shows when a value of the spec is in force.
    pub shown: fn(&Value) -> Value,
    /// The same, as it is there now.
    pub look: fn(&Scene) -> Value,
    /// What somebody else puts there, as the dashboard sends it.
    pub foreign: fn() -> Value,
    /// What is declared besides, because it stands or falls with it.
    pub beside: fn() -> Value,
    /// The part of the spec that goes when it is declared no more.
    pub part: &'static str,
}

impl Setting {
    /// Method and path of the call that writes it, for any project.
    pub fn written_by(&self) -> (&'static str, String) {
        let (method, end) = match self.at {
            SSL | PARAMETERS => ("PUT", ""),
            RESTRICTIONS => ("POST", "/apply"),
            _ => ("PATCH", ""),
        };
        (method, format!("/v1/projects/*/{}{end}", self.at))
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.path)
    }
}

pub fn smtp() -> Value {
    json!({"smtp": {
        "host": "smtp.example", "port": 587, "username": "apikey", "senderEmail": "no-reply@shop.example",
        "senderName": "Shop", "password": {"secretKeyRef": {"name": "smtp-one", "key": "password"}},
    }})
}

fn same(value: &Value) -> Value {
    value.clone()
}

fn nothing() -> Value {
    json!({})
}

/// The ref of the scene's project.
pub fn reference(scene: &Scene) -> String {
    scene.stored("orders").unwrap()["status"]["ref"].as_str().unwrap().to_owned()
}

pub fn on_platform(scene: &Scene, setting: &str) -> Value {
    let (reference, now) = (reference(scene), scene.clock.now());
    scene.world().setting(&reference, setting, now).unwrap()
}

pub fn auth(scene: &Scene, key: &str) -> Value {
    let reference = reference(scene);
    scene.world().auth_setting(&reference, key).unwrap_or_default()
}

const fn project(path: &'static str, at: &'static str, part: &'static str) -> Setting {
    Setting {
        on: On::Project,
        path,
        values: || [json!(1), json!(2)],
        at,
        shown: same,
        look: |_| Value::Null,
        foreign: nothing,
        beside: nothing,
        part,
    }
}

const fn of_auth(path: &'static str, part: &'static str) -> Setting {
    Setting { on: On::AuthConfig, at: AUTH, ..project(path, AUTH, part) }
}

const fn of_smtp(path: &'static str) -> Setting {
    Setting { beside: smtp, ..of_auth(path, "smtp") }
}

fn joined(value: &Value) -> Value {
    let parts: Vec<_> = value.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    json!(parts.join(","))
}

fn sorted(value: &Value) -> Value {
    let mut parts: Vec<_> = value.as_str().unwrap_or_default().split(',').collect();
    parts.sort_unstable();
    json!(parts)
}

/// All of them.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn settings() -> Vec<Setting> {
    vec![
        Setting {
            values: || [json!(true), json!(false)],
            look: |scene| on_platform(scene, SSL)["currentConfig"]["database"].clone(),
            // What is declared last is false.
            foreign: || json!({"requestedConfig": {"database": true}}),
            ..project("database.sslEnforcement", SSL, "database")
        },
        Setting {
            values: || [json!(["203.0.113.0/24"]), json!(["198.51.100.0/24", "2001:db8::/32"])],
            look: |scene| {
                let config = on_platform(scene, RESTRICTIONS)["config"].clone();
                let of = |key: &str| config[key].as_array().cloned().unwrap_or_default();
                json!([of("dbAllowedCidrs"), of("dbAllowedCidrsV6")].concat())
            },
            foreign: || json!({"dbAllowedCidrs": ["192.0.2.0/24"], "dbAllowedCidrsV6": []}),
            ..project("database.networkRestrictions.allowedCIDRs", RESTRICTIONS, "database")
        },
        Setting {
            values: || [json!({"statement_timeout": "8s"}), json!({"statement_timeout": "9s"})],
            look: |scene| json!({"statement_timeout": on_platform(scene, PARAMETERS)["statement_timeout"]}),
            foreign: || json!({"statement_timeout": "77s"}),
            ..project("database.parameters", PARAMETERS, "database")
        },
        Setting {
            values: || [json!(true), json!(false)],
            look: |scene| json!(on_platform(scene, DATA_API)["db_schema"] != ""),
            foreign: || json!({"db_schema": "public"}),
            ..project("dataAPI.enabled", DATA_API, "dataAPI")
        },
        Setting {
            values: || [json!(["public", "api"]), json!(["api"])],
            shown: joined,
            look: |scene| on_platform(scene, DATA_API)["db_schema"].clone(),
            foreign: || json!({"db_schema": "public"}),
            ..project("dataAPI.schemas", DATA_API, "dataAPI")
        },
        Setting {
            values: || [json!(["public", "extensions"]), json!(["extensions"])],
            shown: joined,
            look: |scene| {
                let path = on_platform(scene, DATA_API)["db_extra_search_path"].clone();
                json!(path.as_str().unwrap_or_default().replace(' ', ""))
            },
            foreign: || json!({"db_extra_search_path": "public"}),
            ..project("dataAPI.extraSearchPath", DATA_API, "dataAPI")
        },
        Setting {
            values: || [json!(500), json!(501)],
            look: |scene| on_platform(scene, DATA_API)["max_rows"].clone(),
            foreign: || json!({"max_rows": 7}),
            ..project("dataAPI.maxRows", DATA_API, "dataAPI")
        },
        Setting {
            values: || [json!(7), json!(8)],
            look: |scene| on_platform(scene, DATA_API)["db_pool"].clone(),
            foreign: || json!({"db_pool": 3}),
            ..project("dataAPI.poolSize", DATA_API, "dataAPI")
        },
        Setting {
            values: || [json!(10), json!(20)],
            look: |scene| on_platform(scene, DATA_API)["db_pool_acquisition_timeout"].clone(),
            foreign: || json!({"db_pool_acquisition_timeout": 3}),
            ..project("dataAPI.poolAcquisitionTimeoutSeconds", DATA_API, "dataAPI")
        },
        Setting {
            values: || [json!("https://one.example"), json!("https://two.example")],
            look: |scene| auth(scene, "site_url"),
            foreign: || json!({"site_url": "https://elsewhere.example"}),
            ..of_auth("siteURL", "siteURL")
        },
        Setting {
            values: || {
                [
                    json!(["https://one.example/**"]),
                    json!(["https://a.example", "https://b.example"]),
                ]
            },
            look: |scene| sorted(&auth(scene, "uri_allow_list")),
            foreign: || json!({"uri_allow_list": "https://elsewhere.example"}),
            ..of_auth("redirectURLs", "redirectURLs")
        },
        Setting {
            values: || [json!(30), json!(31)],
            look: |scene| auth(scene, "smtp_max_frequency"),
            foreign: || json!({"smtp_max_frequency": 99}),
            ..of_auth("email.minIntervalSeconds", "email")
        },
        Setting {
            values: || [json!(100), json!(101)],
            look: |scene| auth(scene, "rate_limit_email_sent"),
            foreign: || json!({"rate_limit_email_sent": 9}),
            beside: smtp,
            ..of_auth("rateLimits.emailSent", "rateLimits")
        },
        Setting {
            values: || [json!(true), json!(false)],
            look: |scene| json!(!auth(scene, "smtp_host").as_str().unwrap_or_default().is_empty()),
            foreign: || {
                json!({"smtp_host": "elsewhere.example", "smtp_port": "25", "smtp_user": "u", "smtp_pass": "canary-7fQ2-foreign",
                       "smtp_admin_email": "a@b.example", "smtp_sender_name": "N"})
            },
            ..of_smtp("smtp.enabled")
        },
        Setting {
            values: || [json!("one.example"), json!("two.example")],
            look: |scene| auth(scene, "smtp_host"),
            foreign: || json!({"smtp_host": "elsewhere.example"}),
            ..of_smtp("smtp.host")
        },
        Setting {
            values: || [json!(25), json!(465)],
            shown: |value| json!(value.to_string()),
            look: |scene| auth(scene, "smtp_port"),
            foreign: || json!({"smtp_port": "2525"}),
            ..of_smtp("smtp.port")
        },
        Setting {
            values: || [json!("one"), json!("two")],
            look: |scene| auth(scene, "smtp_user"),
            foreign: || json!({"smtp_user": "somebody"}),
            ..of_smtp("smtp.username")
        },
        Setting {
            values: || {
                PASSWORDS
                    .map(|(name, _)| json!({"secretKeyRef": {"name": name, "key": "password"}}))
            },
            shown: |value| {
                let name = value["secretKeyRef"]["name"].as_str().unwrap();
                json!(PASSWORDS.iter().find(|(known, _)| *known == name).unwrap().1)
            },
            look: |scene| auth(scene, "smtp_pass"),
            foreign: || json!({"smtp_pass": "canary-7fQ2-foreign"}),
            ..of_smtp("smtp.password")
        },
        Setting {
            values: || [json!("one@shop.example"), json!("two@shop.example")],
            look: |scene| auth(scene, "smtp_admin_email"),
            foreign: || json!({"smtp_admin_email": "else@where.example"}),
            ..of_smtp("smtp.senderEmail")
        },
        Setting {
            values: || [json!("One"), json!("Two")],
            look: |scene| auth(scene, "smtp_sender_name"),
            foreign: || json!({"smtp_sender_name": "Somebody"}),
            ..of_smtp("smtp.senderName")
        },
    ]
}

/// Puts a value at its place in a spec.
pub fn put(spec: &mut Value, path: &str, value: Value) {
    let pointer = format!("/{}", path.replace('.', "/"));
    let mut place = spec;
    for part in pointer.split('/').skip(1) {
        if place.is_null() {
            *place = json!({});
        }
        place = &mut place[part];
    }
    *place = value;
}

/// The object of a kind.
pub fn stored(scene: &Scene, on: On) -> Value {
    let path = match on {
        On::Project => format!("{PROJECTS}/orders"),
        On::AuthConfig => format!("{AUTH_CONFIGS}/auth"),
    };
    scene.get(&path).unwrap_or_default()
}

/// Changes a part of a spec as a merge patch does; makes the object if it is not there.
pub fn apply(scene: &Scene, on: On, spec: &Value) {
    let path = match on {
        On::Project => format!("{PROJECTS}/orders"),
        On::AuthConfig => format!("{AUTH_CONFIGS}/auth"),
    };
    if scene.get(&path).is_some() {
        assert!(scene.api().change_by_hand(&path, &json!({"spec": spec})));
        return;
    }
    assert_eq!(on, On::AuthConfig, "the project is there first");
    let mut all = json!({"projectRef": {"name": "orders"}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    scene.make(AUTH_CONFIGS, "SupabaseAuthConfig", "auth", all);
}

/// Whether a condition of the present generation says so.
pub fn says(scene: &Scene, on: On, kind: &str, status: &str) -> bool {
    let object = stored(scene, on);
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && Scene::condition(&object, kind).is_some_and(|(now, _)| now == status)
}

/// Whether all that is declared is said to be in force.
pub fn in_force(scene: &Scene, on: On) -> bool {
    let object = stored(scene, on);
    says(scene, on, "Ready", "True")
        && says(scene, on, "Synced", "True")
        && Scene::condition(&object, "Reconciling").is_none()
}

/// Somebody else changes it on the platform.
pub fn by_hand(scene: &Scene, setting: &str, body: &Value) {
    let (reference, now) = (reference(scene), scene.clock.now());
    scene.world().set_by_hand(&reference, setting, body, now).unwrap();
}

/// The leaves of a schema, as far as they are settings. What a reference to a Secret names is one leaf.
fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let open = schema["type"] == "object"
        && schema["properties"].is_object()
        && !schema["properties"]["secretKeyRef"].is_object();
    if !open {
        found.insert(path.to_owned());
        return;
    }
    for (name, property) in schema["properties"].as_object().unwrap() {
        leaves(property, &format!("{path}.{name}"), found);
    }
}

/// The settings that the schemas have.
fn declared() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (plural, parts) in [
        ("supabaseprojects", &["database", "dataAPI"][..]),
        ("supabaseauthconfigs", &["siteURL", "redirectURLs", "smtp", "email", "rateLimits"][..]),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crds/{plural}.yaml"));
        let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let known = spec["properties"].as_object().unwrap();
        for part in parts {
            leaves(&known[*part], part, &mut found);
        }
        // Whatever else an Auth configuration has is a policy, or what the settings are for.
        if plural == "supabaseauthconfigs" {
            let others = ["projectRef", "managementPolicy", "driftPolicy", "suspend"];
            let new: Vec<_> = known
                .keys()
                .filter(|name| !parts.contains(&name.as_str()) && !others.contains(&name.as_str()))
                .collect();
            assert!(new.is_empty(), "settings that this table does not know: {new:?}");
        }
    }
    // These are no settings of the platform: where the password comes from, and when to restart.
    found.retain(|path| {
        !path.starts_with("database.password") && path != "database.parametersRestart"
    });
    found
}

#[test]
fn the_table_has_every_setting_that_the_schemas_have() {
    let table: BTreeSet<String> = settings().iter().map(|one| one.path.to_owned()).collect();
    assert_eq!(table, declared());
}
