//! Objects to apply, built so that a test reads as prose:
//! `project("orders").in_region("eu-central-1").on_delete("Delete")`. Plain JSON; nothing is validated here.

use serde_json::{Value, json};

/// An object under construction.
#[derive(Clone, Debug)]
pub struct Sample(Value);

impl From<Sample> for Value {
    fn from(sample: Sample) -> Self {
        sample.0
    }
}

/// A project of the connection `acme` that is valid and says as little as possible.
pub fn project(name: &str) -> Sample {
    Sample(json!({
        "apiVersion": "supabase-operator.dev/v1alpha1",
        "kind": "SupabaseProject",
        "metadata": {"name": name},
        "spec": {
            "connectionRef": {"kind": "SupabaseConnection", "name": "acme"},
            "region": "eu-central-1",
            "database": {"password": {"generate": {}}},
        },
    }))
}

/// A connection with the personal access token of the Secret `supabase-token`.
pub fn token_connection(name: &str) -> Sample {
    connection("SupabaseConnection", name, &token_auth())
}

/// A connection with the OAuth app and tokens of the Secrets `supabase-oauth-app` and
/// `supabase-oauth-tokens`.
pub fn oauth_connection(name: &str) -> Sample {
    connection("SupabaseConnection", name, &oauth_auth())
}

/// A cluster connection with such an app and such tokens, in the operator's namespace.
pub fn cluster_oauth_connection(name: &str) -> Sample {
    connection("ClusterSupabaseConnection", name, &oauth_auth())
}

/// A cluster connection with the personal access token of the Secret `supabase-token` in the operator's
/// namespace.
pub fn cluster_connection(name: &str) -> Sample {
    connection("ClusterSupabaseConnection", name, &token_auth())
}

/// Auth settings of a project, that declare none.
pub fn auth_config(name: &str, project: &str) -> Sample {
    Sample(json!({
        "apiVersion": "supabase-operator.dev/v1alpha1",
        "kind": "SupabaseAuthConfig",
        "metadata": {"name": name},
        "spec": {"projectRef": {"name": project}},
    }))
}

/// A Secret with these keys.
pub fn secret(name: &str, data: &[(&str, &str)]) -> Sample {
    let data: serde_json::Map<_, _> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let metadata = json!({"name": name});
    Sample(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}))
}

fn oauth_auth() -> Value {
    let app = json!({"name": "supabase-oauth-app"});
    let tokens = json!({"name": "supabase-oauth-tokens"});
    json!({"oauth": {"appSecretRef": app, "tokenSecretRef": tokens}})
}

fn token_auth() -> Value {
    json!({"personalAccessToken": {"secretKeyRef": {"name": "supabase-token", "key": "token"}}})
}

fn connection(kind: &str, name: &str, auth: &Value) -> Sample {
    Sample(json!({
        "apiVersion": "supabase-operator.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"auth": auth},
    }))
}

impl Sample {
    /// With a field of the spec, by its path: `.with("database/password/onLost", "Reset")`.
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        *at(&mut self.0["spec"], path) = value.into();
        self
    }

    /// Without a field of the spec.
    pub fn without(mut self, path: &str) -> Self {
        let (parent, field) = path.rsplit_once('/').unwrap_or(("", path));
        at(&mut self.0["spec"], parent).as_object_mut().unwrap().remove(field);
        self
    }

    /// In a namespace other than the one at hand.
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.0["metadata"]["namespace"] = json!(namespace);
        self
    }

    /// With an annotation under the operator's prefix.
    pub fn annotated(mut self, name: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][format!("supabase-operator.dev/{name}")] = json!(value);
        self
    }

    /// Of another connection of its namespace.
    pub fn of_connection(self, name: &str) -> Self {
        self.with("connectionRef", json!({"kind": "SupabaseConnection", "name": name}))
    }

    /// Of a cluster connection.
    pub fn of_cluster_connection(self, name: &str) -> Self {
        self.with("connectionRef", json!({"kind": "ClusterSupabaseConnection", "name": name}))
    }

    /// In this region.
    pub fn in_region(self, region: &str) -> Self {
        self.with("region", region)
    }

    /// With this name on the platform.
    pub fn called(self, project_name: &str) -> Self {
        self.with("projectName", project_name)
    }

    /// With this deletion policy.
    pub fn on_delete(self, policy: &str) -> Self {
        self.with("deletionPolicy", policy)
    }

    /// With the password of a Secret's key.
    pub fn with_password_of(self, secret: &str, key: &str) -> Self {
        self.with("database/password", json!({"secretKeyRef": {"name": secret, "key": key}}))
    }

    /// With one more output; `details` are its other fields.
    pub fn with_output(mut self, name: &str, preset: &str, details: Value) -> Self {
        let mut output = details;
        output["name"] = json!(name);
        output["preset"] = json!(preset);
        let outputs = at(&mut self.0["spec"], "outputs");
        let mut all = outputs.as_array().cloned().unwrap_or_default();
        all.push(output);
        *outputs = Value::Array(all);
        self
    }
}

/// The place of a path; what is missing on the way is made.
fn at<'a>(value: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('/').filter(|field| !field.is_empty()).fold(value, |value, field| &mut value[field])
}

#[test]
fn a_sample_says_what_its_prose_says() {
    let sample = project("orders")
        .in_region("us-east-1")
        .on_delete("Delete")
        .with("database/password/onLost", "Reset")
        .without("connectionRef/kind")
        .with_output("web", "Env", json!({"kind": "ConfigMap"}));
    let object = Value::from(sample);
    assert_eq!(object["spec"]["region"], "us-east-1");
    assert_eq!(object["spec"]["deletionPolicy"], "Delete");
    assert_eq!(object["spec"]["database"]["password"], json!({"generate": {}, "onLost": "Reset"}));
    assert_eq!(object["spec"]["connectionRef"], json!({"name": "acme"}));
    assert_eq!(
        object["spec"]["outputs"],
        json!([{"name": "web", "preset": "Env", "kind": "ConfigMap"}])
    );
}
