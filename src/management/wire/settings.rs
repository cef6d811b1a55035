//! Settings of a project: SSL enforcement, network restrictions, and objects of many settings (Postgres, Auth) by name.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Undecodable;
use super::clear::Clear;
use super::loose::Loose;
use super::names::shown;

/// Networks of one answer that are read.
const MOST_NETWORKS: usize = 1024;

/// A setting as the platform has it.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A truth value.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Another number.
    Fraction(f64),
    /// A text.
    Text(String),
    /// A secret, or what the platform shows instead of it.
    Hidden(SecretString),
    /// Not set: the platform's default.
    Nothing,
    /// Something else.
    Other,
}

/// Settings by the platform's names.
pub type Settings = BTreeMap<String, Setting>;

/// What a setting shall be.
#[derive(Clone, Debug)]
pub enum Given {
    /// A truth value.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Another number.
    Fraction(f64),
    /// A text.
    Text(String),
    /// A secret.
    Secret(SecretString),
}

/// What settings shall be, by the platform's names. Those that are not named stay.
pub type Change = BTreeMap<String, Given>;

impl Serialize for Given {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Fraction(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Secret(secret) => serializer.serialize_str(secret.expose_secret()),
        }
    }
}

/// Whether a setting of this name holds a secret. What is one by its name only is hidden all the same.
pub fn is_secret(name: &str) -> bool {
    let endings = ["_secret", "_secrets", "_pass", "_token", "_key"];
    endings.iter().any(|ending| name.ends_with(ending)) || name == "sms_test_otp"
}

pub(in super::super) fn settings(_: &str, body: &[u8]) -> Result<Settings, Undecodable> {
    let read: BTreeMap<String, Raw> = serde_json::from_slice(body)?;
    let named = |(name, raw): (String, Raw)| {
        let setting = match raw {
            Raw::Text(text) if is_secret(&name) => Setting::Hidden(SecretString::from(&*text)),
            Raw::Text(text) => Setting::Text(text.to_owned()),
            Raw::Flag(flag) => Setting::Flag(flag),
            Raw::Number(number) => Setting::Number(number),
            Raw::Fraction(number) => Setting::Fraction(number),
            Raw::Nothing => Setting::Nothing,
            Raw::Other => Setting::Other,
        };
        (name, setting)
    };
    Ok(read.into_iter().map(named).collect())
}

/// A setting whose name is not known yet: any text may be a secret.
enum Raw {
    Flag(bool),
    Number(i64),
    Fraction(f64),
    Text(Clear),
    Nothing,
    Other,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Raw;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a setting")
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Raw, E> {
                Ok(Raw::Flag(flag))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
                Ok(Raw::Number(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
                Ok(i64::try_from(number).map_or(Raw::Other, Raw::Number))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
                Ok(Raw::Fraction(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Text(text.to_owned().into()))
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Nothing)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Raw::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Raw::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Whether Postgres takes connections with TLS only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SslEnforcement {
    /// Whether it does now.
    pub enforced: bool,
    /// Whether the last change has been carried out.
    pub applied: bool,
}

pub(in super::super) fn ssl_enforcement(
    _: &str,
    body: &[u8],
) -> Result<SslEnforcement, Undecodable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        current_config: Current,
        applied_successfully: bool,
    }
    #[derive(Deserialize)]
    struct Current {
        database: bool,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    Ok(SslEnforcement { enforced: raw.current_config.database, applied: raw.applied_successfully })
}

/// From where the database can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRestrictions {
    /// Whether the organization may restrict.
    pub entitled: bool,
    /// Networks of IPv4 and IPv6, in one list.
    pub networks: Vec<String>,
    /// Whether they are in force: the platform stores a list before it applies it.
    pub applied: bool,
}

pub(in super::super) fn network_restrictions(
    _: &str,
    body: &[u8],
) -> Result<NetworkRestrictions, Undecodable> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        entitlement: Loose,
        config: Config,
        #[serde(default)]
        status: Loose,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        #[serde(default)]
        db_allowed_cidrs: Loose,
        #[serde(default, rename = "dbAllowedCidrsV6")]
        db_allowed_cidrs_v6: Loose,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    let both = [raw.config.db_allowed_cidrs, raw.config.db_allowed_cidrs_v6];
    let networks = both.into_iter().flat_map(Loose::list);
    Ok(NetworkRestrictions {
        entitled: raw.entitlement.text().as_deref() != Some("disallowed"),
        // One that cannot be read is not one of ours, and must not be left out unseen.
        networks: networks
            .take(MOST_NETWORKS)
            .map(|network| shown(&network.text().unwrap_or_default()))
            .collect(),
        // Older answers have no status.
        applied: raw.status.text().as_deref() != Some("stored"),
    })
}

/// The REST and GraphQL interface. What the answer says of the legacy JWT secret is never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataApi {
    /// The schemas, joined by commas; none when it is off.
    pub schemas: String,
    /// The schemas that are searched besides, joined by commas.
    pub extra_search_path: String,
    /// Rows of one answer.
    pub max_rows: Option<i64>,
    /// Connections to the database; none: the platform's default.
    pub pool_size: Option<i64>,
    /// How many seconds a request waits for a connection; none: the platform's default.
    pub pool_acquisition_timeout: Option<i64>,
}

pub(in super::super) fn data_api(_: &str, body: &[u8]) -> Result<DataApi, Undecodable> {
    #[derive(Deserialize)]
    struct Raw {
        // Required: that they are empty means something.
        db_schema: String,
        db_extra_search_path: String,
        #[serde(default)]
        max_rows: Loose,
        #[serde(default)]
        db_pool: Loose,
        #[serde(default)]
        db_pool_acquisition_timeout: Loose,
    }
    let number = |value: Loose| value.number().and_then(|number| i64::try_from(number).ok());
    let raw: Raw = serde_json::from_slice(body)?;
    Ok(DataApi {
        schemas: raw.db_schema,
        extra_search_path: raw.db_extra_search_path,
        max_rows: number(raw.max_rows),
        pool_size: number(raw.db_pool),
        pool_acquisition_timeout: number(raw.db_pool_acquisition_timeout),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_whatever_they_are_and_secrets_do_not_show() {
        let body = json!({
            "smtp_pass": "canary-1", "hook_send_email_secrets": "canary-2", "sms_test_otp": "canary-3",
            "site_url": "https://a", "jwt_exp": 3600, "below": -1, "sessions_timebox": 0.5, "disable_signup": false,
            "smtp_host": null, "new": {"a": ["canary-4"]}, "list": ["canary-5"], "endless": 18_446_744_073_709_551_615_u64,
        });
        let read = settings("", body.to_string().as_bytes()).unwrap();
        assert_eq!(read.len(), 12);
        assert!(!format!("{read:?}").contains("canary"));
        assert!(
            matches!(&read["smtp_pass"], Setting::Hidden(reconcile) if reconcile.expose_secret() == "canary-1")
        );
        assert!(matches!(&read["site_url"], Setting::Text(url) if url == "https://a"));
        assert!(matches!(read["below"], Setting::Number(-1)));
        assert!(matches!(read["smtp_host"], Setting::Nothing));
        assert!(matches!(read["new"], Setting::Other) && matches!(read["endless"], Setting::Other));
        for bad in ["[]", "", "7", "null", "{\"a\":"] {
            assert!(settings("", bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn enforcement_says_both_what_is_and_whether_it_is_through() {
        let read = |body: &str| ssl_enforcement("", body.as_bytes());
        let seen = read(r#"{"currentConfig":{"database":true},"appliedSuccessfully":false}"#);
        let expected = SslEnforcement { enforced: true, applied: false };
        assert_eq!(seen.unwrap(), expected);
        assert!(read(r#"{"currentConfig":{},"appliedSuccessfully":true}"#).is_err());
        assert!(read("{}").is_err());
    }

    #[test]
    fn networks_of_both_families_are_one_list_and_none_is_lost() {
        let body = json!({
            "entitlement": "allowed", "status": "stored", "old_config": {"dbAllowedCidrs": ["0.0.0.0/0"]},
            "config": {"dbAllowedCidrs": ["203.0.113.0/24", 7], "dbAllowedCidrsV6": ["2001:db8::/32"]},
        });
        let read = network_restrictions("", body.to_string().as_bytes()).unwrap();
        assert_eq!(read.networks, ["203.0.113.0/24", "", "2001:db8::/32"]);
        assert!(read.entitled && !read.applied);
        let plain =
            network_restrictions("", br#"{"config":{},"entitlement":"disallowed"}"#).unwrap();
        assert!(plain.applied && plain.networks.is_empty() && !plain.entitled);
        assert!(network_restrictions("", b"{}").is_err());
    }

    #[test]
    fn the_data_api_is_read_without_its_secret() {
        let body = json!({"db_schema": "public, graphql_public", "max_rows": 1000, "db_extra_search_path": "", "db_pool": null,
            "db_pool_acquisition_timeout": null, "jwt_secret": "canary"});
        let read = data_api("", body.to_string().as_bytes()).unwrap();
        assert_eq!((read.max_rows, read.pool_size), (Some(1000), None));
        assert!(!format!("{read:?}").contains("canary"));
        // Absent is not off.
        assert!(data_api("", br#"{"db_extra_search_path":""}"#).is_err());
    }
}
