//! The keys and values of an output.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::ExposeSecret as _;

use super::{Database, Facts};
use crate::api::{Output, OutputKind, OutputValue, Preset};
use crate::rules::password;

/// Type of a Secret with the preset Env.
const OPAQUE: &str = "Opaque";
/// Type of a Secret with the preset ServiceBinding (Service Binding specification, "Well-known Secret Entries").
const SERVICE_BINDING: &str = "servicebinding.io/postgresql";

/// What an output shall hold. Its debug output names keys only.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(BTreeMap<String, String>);

impl Data {
    /// Keys and values.
    pub const fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl From<BTreeMap<String, String>> for Data {
    fn from(entries: BTreeMap<String, String>) -> Self {
        Self(entries)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A rendered output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Type of the Secret; of no meaning for a ConfigMap.
    pub kind: &'static str,
    /// What it holds.
    pub data: Data,
    /// What it should hold and cannot, since it is not known.
    pub missing: Vec<Missing>,
}

/// A value that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The value.
    pub value: OutputValue,
    /// The key that it would have.
    pub key: String,
}

impl Rendered {
    /// Keeps what an earlier writing put there for values that are not known now: applications go on with it.
    pub fn keep(&mut self, entries: &BTreeMap<String, Vec<u8>>) {
        for missing in &self.missing {
            let text = entries.get(&missing.key).and_then(|bytes| std::str::from_utf8(bytes).ok());
            if let Some(text) = text {
                self.data.0.insert(missing.key.clone(), text.to_owned());
            }
        }
    }
}

/// What an output with no `include` holds: all but the legacy keys.
const DEFAULT: [OutputValue; 10] = [
    OutputValue::URL,
    OutputValue::ProjectRef,
    OutputValue::PublishableKey,
    OutputValue::SecretKey,
    OutputValue::DatabaseURI,
    OutputValue::DatabaseHost,
    OutputValue::DatabasePort,
    OutputValue::DatabaseName,
    OutputValue::DatabaseUser,
    OutputValue::DatabasePassword,
];

/// What a binding holds, besides `type` and `provider`.
const BINDING: [(OutputValue, &str); 6] = [
    (OutputValue::DatabaseHost, "host"),
    (OutputValue::DatabasePort, "port"),
    (OutputValue::DatabaseName, "database"),
    (OutputValue::DatabaseUser, "username"),
    (OutputValue::DatabasePassword, "password"),
    (OutputValue::DatabaseURI, "uri"),
];

/// Renders an output.
pub fn render(output: &Output, facts: &Facts) -> Rendered {
    match output.preset {
        Preset::Env => environment(output, facts),
        Preset::ServiceBinding => binding(output, facts),
    }
}

fn environment(output: &Output, facts: &Facts) -> Rendered {
    let prefix = output.prefix.as_deref().unwrap_or_default();
    let wanted = output.include.as_deref().unwrap_or(&DEFAULT);
    let named = wanted.iter().map(|value| (*value, format!("{prefix}{}", variable(*value))));
    collect(output, facts, OPAQUE, named)
}

fn binding(output: &Output, facts: &Facts) -> Rendered {
    let named = BINDING.iter().map(|(value, key)| (*value, (*key).to_owned()));
    let mut rendered = collect(output, facts, SERVICE_BINDING, named);
    for (key, value) in [("type", "postgresql"), ("provider", "supabase"), ("sslmode", "require")] {
        rendered.data.0.insert(key.to_owned(), value.to_owned());
    }
    rendered
}

fn collect(
    output: &Output,
    facts: &Facts,
    kind: &'static str,
    wanted: impl Iterator<Item = (OutputValue, String)>,
) -> Rendered {
    let mut data = BTreeMap::new();
    let mut missing = Vec::new();
    for (value, key) in wanted {
        // The schema says so too; a ConfigMap holds no secret whatever the schema says.
        let allowed = output.kind == OutputKind::Secret || value.is_public();
        match value_of(value, output, facts).filter(|_| allowed) {
            Some(text) => {
                data.insert(key, text);
            }
            None => missing.push(Missing { value, key }),
        }
    }
    Rendered { kind, data: Data(data), missing }
}

fn value_of(value: OutputValue, output: &Output, facts: &Facts) -> Option<String> {
    let database = || facts.database(output.endpoint);
    let password = || facts.password.as_ref().map(secrecy::ExposeSecret::expose_secret);
    let key = |key: &Option<secrecy::SecretString>| {
        key.as_ref().map(|key| key.expose_secret().to_owned())
    };
    match value {
        OutputValue::URL => Some(facts.api_url()),
        OutputValue::ProjectRef => Some(facts.reference.clone()),
        OutputValue::PublishableKey => key(&facts.keys.publishable),
        OutputValue::SecretKey => key(&facts.keys.secret),
        OutputValue::AnonKey => key(&facts.keys.anon),
        OutputValue::ServiceRoleKey => key(&facts.keys.service_role),
        OutputValue::DatabaseURI => Some(uri(database()?, password()?)),
        OutputValue::DatabaseHost => database().map(|database| database.host.clone()),
        OutputValue::DatabasePort => database().map(|database| database.port.to_string()),
        OutputValue::DatabaseName => database().map(|database| database.name.clone()),
        OutputValue::DatabaseUser => database().map(|database| database.user.clone()),
        OutputValue::DatabasePassword => password().map(str::to_owned),
    }
}

/// A Postgres connection URI. `sslmode=require` is what every endpoint bears; `verify-full` needs a CA file that
/// only the dashboard offers (platform.md §6).
fn uri(database: &Database, password: &str) -> String {
    let Database { endpoint: _, host, port, user, name } = database;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let (user, password, name) =
        (password::encode(user), password::encode(password), password::encode(name));
    format!("postgresql://{user}:{password}@{host}:{port}/{name}?sslmode=require")
}

/// The environment variable of a value.
const fn variable(value: OutputValue) -> &'static str {
    match value {
        OutputValue::URL => "SUPABASE_URL",
        OutputValue::ProjectRef => "SUPABASE_PROJECT_REF",
        OutputValue::PublishableKey => "SUPABASE_PUBLISHABLE_KEY",
        OutputValue::SecretKey => "SUPABASE_SECRET_KEY",
        OutputValue::AnonKey => "SUPABASE_ANON_KEY",
        OutputValue::ServiceRoleKey => "SUPABASE_SERVICE_ROLE_KEY",
        OutputValue::DatabaseURI => "SUPABASE_DB_URL",
        OutputValue::DatabaseHost => "SUPABASE_DB_HOST",
        OutputValue::DatabasePort => "SUPABASE_DB_PORT",
        OutputValue::DatabaseName => "SUPABASE_DB_NAME",
        OutputValue::DatabaseUser => "SUPABASE_DB_USER",
        OutputValue::DatabasePassword => "SUPABASE_DB_PASSWORD",
    }
}

/// The database password that an output holds, by itself or in a URI, for finding a lost one again.
pub fn password_in(output: &Output, entries: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let (plain, uri) = match output.preset {
        Preset::ServiceBinding => ("password".to_owned(), "uri".to_owned()),
        Preset::Env => {
            let prefix = output.prefix.as_deref().unwrap_or_default();
            let key = |value| format!("{prefix}{}", variable(value));
            (key(OutputValue::DatabasePassword), key(OutputValue::DatabaseURI))
        }
    };
    let text = |key: &str| entries.get(key).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let in_uri = text(&uri).and_then(|uri| {
        let (_, rest) = uri.split_once("://")?;
        let (user, _) = rest.split_once('@')?;
        password::decode(user.split_once(':')?.1)
    });
    text(&plain).map(str::to_owned).into_iter().chain(in_uri).collect()
}

impl Output {
    /// Whether it holds something that comes from the database password.
    pub fn needs_password(&self) -> bool {
        match (self.preset, &self.include) {
            (Preset::ServiceBinding, _) | (Preset::Env, None) => true,
            (Preset::Env, Some(values)) => values.iter().any(|value| value.needs_password()),
        }
    }
}

impl OutputValue {
    /// Whether anybody may read it.
    pub const fn is_public(self) -> bool {
        match self {
            Self::URL | Self::ProjectRef | Self::PublishableKey | Self::AnonKey => true,
            Self::SecretKey
            | Self::ServiceRoleKey
            | Self::DatabaseURI
            | Self::DatabaseHost
            | Self::DatabasePort
            | Self::DatabaseName
            | Self::DatabaseUser
            | Self::DatabasePassword => false,
        }
    }

    /// Whether it comes from the database password.
    pub const fn needs_password(self) -> bool {
        matches!(self, Self::DatabaseURI | Self::DatabasePassword)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Endpoint;
    use crate::outputs::Keys;

    fn facts() -> Facts {
        let database = |endpoint, port, user: &str| Database {
            endpoint,
            host: "aws-0-eu-central-1.pooler.supabase.com".into(),
            port,
            user: user.into(),
            name: "postgres".into(),
        };
        Facts {
            reference: "abcdefghijklmnopqrst".into(),
            keys: Keys {
                publishable: Some("sb_publishable_p".into()),
                secret: Some("sb_secret_s".into()),
                anon: Some("anon-jwt".into()),
                service_role: None,
            },
            databases: vec![
                database(Endpoint::SessionPooler, 5432, "postgres.abcdefghijklmnopqrst"),
                database(Endpoint::TransactionPooler, 6543, "postgres.abcdefghijklmnopqrst"),
            ],
            password: Some("p@ss/wörd".into()),
        }
    }

    fn entries(rendered: &Rendered) -> Vec<(&str, &str)> {
        rendered.data.0.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    fn misses(rendered: &Rendered, value: OutputValue) -> bool {
        rendered.missing.iter().any(|missing| missing.value == value)
    }

    #[test]
    fn what_was_written_stays_where_it_is_not_known_any_more() {
        let output = Output::named("out");
        let written = render(&output, &facts()).data.0;
        let bytes =
            written.clone().into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
        let mut rendered = render(&output, &Facts { password: None, ..facts() });
        rendered.keep(&bytes);
        assert_eq!(rendered.data.0, written);
        assert!(misses(&rendered, OutputValue::DatabaseURI));
    }

    #[test]
    fn the_default_holds_everything_but_the_legacy_keys() {
        let rendered = render(&Output::named("out"), &facts());
        assert_eq!(rendered.kind, "Opaque");
        assert!(rendered.missing.is_empty());
        assert_eq!(
            entries(&rendered),
            [
                ("SUPABASE_DB_HOST", "aws-0-eu-central-1.pooler.supabase.com"),
                ("SUPABASE_DB_NAME", "postgres"),
                ("SUPABASE_DB_PASSWORD", "p@ss/wörd"),
                ("SUPABASE_DB_PORT", "5432"),
                (
                    "SUPABASE_DB_URL",
                    "postgresql://postgres.abcdefghijklmnopqrst:p%40ss%2Fw%C3%B6rd@aws-0-eu-central-1.pooler.supabase.com:5432/postgres?sslmode=require"
                ),
                ("SUPABASE_DB_USER", "postgres.abcdefghijklmnopqrst"),
                ("SUPABASE_PROJECT_REF", "abcdefghijklmnopqrst"),
                ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_p"),
                ("SUPABASE_SECRET_KEY", "sb_secret_s"),
                ("SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co"),
            ]
        );
    }

    #[test]
    fn a_prefix_and_a_choice_of_values_are_kept_to() {
        let output = Output {
            prefix: Some("NEXT_PUBLIC_".into()),
            include: Some(vec![OutputValue::URL, OutputValue::PublishableKey]),
            kind: OutputKind::ConfigMap,
            ..Output::named("web")
        };
        assert_eq!(
            entries(&render(&output, &facts())),
            [
                ("NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY", "sb_publishable_p"),
                ("NEXT_PUBLIC_SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co"),
            ]
        );
    }

    #[test]
    fn a_config_map_never_holds_a_secret() {
        let output = Output { kind: OutputKind::ConfigMap, ..Output::named("web") };
        let rendered = render(&output, &facts());
        assert!(rendered.data.0.keys().all(|key| !key.contains("SECRET") && !key.contains("DB_")));
        assert!(misses(&rendered, OutputValue::DatabaseURI));
    }

    #[test]
    fn a_binding_has_the_keys_of_the_specification() {
        let output = Output {
            preset: Preset::ServiceBinding,
            endpoint: Endpoint::TransactionPooler,
            ..Output::named("db")
        };
        let rendered = render(&output, &facts());
        assert_eq!(rendered.kind, "servicebinding.io/postgresql");
        let keys: Vec<_> = rendered.data.0.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "database", "host", "password", "port", "provider", "sslmode", "type", "uri",
                "username"
            ]
        );
        assert_eq!(rendered.data.0["port"], "6543");
    }

    #[test]
    fn what_is_not_known_is_missing_not_empty() {
        let rendered = render(
            &Output { endpoint: Endpoint::Direct, ..Output::named("out") },
            &Facts { password: None, ..facts() },
        );
        assert!(misses(&rendered, OutputValue::DatabaseURI));
        assert!(misses(&rendered, OutputValue::DatabaseHost));
        assert!(misses(&rendered, OutputValue::DatabasePassword));
        assert!(!rendered.data.0.contains_key("SUPABASE_DB_URL"));
    }

    #[test]
    fn a_password_is_found_again_in_what_was_written() {
        for output in [
            Output { prefix: Some("X_".into()), ..Output::named("a") },
            Output { preset: Preset::ServiceBinding, ..Output::named("b") },
        ] {
            let written = render(&output, &facts()).data.0;
            let bytes = written.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
            assert_eq!(password_in(&output, &bytes), ["p@ss/wörd", "p@ss/wörd"]);
        }
    }

    #[test]
    fn debug_output_shows_no_value() {
        let shown = format!("{:?} {:?}", facts(), render(&Output::named("out"), &facts()));
        assert!(!shown.contains("sb_secret_s") && !shown.contains("p@ss"), "{shown}");
    }
}
