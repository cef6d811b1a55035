//! API keys of a project.

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Undecodable;
use super::clear::Clear;
use super::loose::Loose;
use super::names::{shown, word};

/// An API key. Names are unique per kind only.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// What it is called on the dashboard, such as `default` or `anon`.
    pub name: String,
    /// Of which generation it is, and whether it may be public.
    pub kind: KeyKind,
    /// Its value; absent where the platform hides it from this token, or shows it masked.
    pub value: Option<SecretString>,
}

/// The kind of an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A JWT: `anon` or `service_role`.
    Legacy,
    /// For browsers and apps.
    Publishable,
    /// For servers.
    Secret,
    /// Something new.
    Other(String),
}

pub(in super::super) fn api_keys(_: &str, body: &[u8]) -> Result<Vec<ApiKey>, Undecodable> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        name: Loose,
        #[serde(default)]
        r#type: Loose,
        #[serde(default)]
        api_key: Loose<IgnoredAny, Clear>,
    }
    let list: Vec<Loose<Raw>> = serde_json::from_slice(body)?;
    let read = |raw: Raw| {
        let name = raw.name.text()?;
        Some(ApiKey {
            kind: kind(raw.r#type.text().as_deref(), &name),
            name: shown(&name),
            value: raw
                .api_key
                .text()
                .filter(|value| is_clear(value))
                .map(|value| SecretString::from(&*value)),
        })
    };
    // One that cannot be read is one that is missing: the others are good all the same.
    Ok(list.into_iter().filter_map(|entry| read(entry.object()?)).collect())
}

fn kind(named: Option<&str>, name: &str) -> KeyKind {
    match named {
        Some("legacy") => KeyKind::Legacy,
        Some("publishable") => KeyKind::Publishable,
        Some("secret") => KeyKind::Secret,
        Some(other) => KeyKind::Other(word(other).unwrap_or_else(|| "unrecognized".to_owned())),
        // Older projects name no kind.
        None if name == "anon" || name == "service_role" => KeyKind::Legacy,
        None => KeyKind::Other("unnamed".to_owned()),
    }
}

/// A masked key has dots in it, or whatever else no key is made of.
fn is_clear(value: &str) -> bool {
    !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn keys_are_read_and_masks_are_not_taken_for_keys() {
        let body = r#"[
            {"name":"anon","id":"anon","type":"legacy","api_key":"eyJ.a.b_-","hash":"h","prefix":"p"},
            {"name":"service_role","api_key":"eyJ.c.d"},
            {"name":"default","type":"publishable","api_key":"sb_publishable_x_y","description":null},
            {"name":"default","type":"secret","api_key":"sb_secret_abc··········"},
            {"name":"other","type":"secret","api_key":null},
            {"name":"new","type":"quantum","api_key":"***"}
        ]"#;
        let keys = api_keys("", body.as_bytes()).unwrap();
        let seen: Vec<_> = keys
            .iter()
            .map(|key| {
                (key.kind.clone(), key.value.as_ref().map(|value| value.expose_secret().to_owned()))
            })
            .collect();
        let clear = |text: &str| Some(text.to_owned());
        assert_eq!(
            seen,
            [
                (KeyKind::Legacy, clear("eyJ.a.b_-")),
                (KeyKind::Legacy, clear("eyJ.c.d")),
                (KeyKind::Publishable, clear("sb_publishable_x_y")),
                (KeyKind::Secret, None),
                (KeyKind::Secret, None),
                (KeyKind::Other("quantum".to_owned()), None),
            ]
        );
        assert!(!format!("{keys:?}").contains("sb_publishable_x_y"));
    }

    #[test]
    fn what_is_no_list_of_keys_is_none() {
        assert!(api_keys("", b"[]").unwrap().is_empty());
        for bad in ["{}", "", "7", "null"] {
            assert!(api_keys("", bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_does_not_take_the_others_with_it() {
        let body = r#"[{},1,null,{"name":7,"type":"secret","api_key":"x"},
            {"name":"default","type":"secret","api_key":{"odd":[]}},
            {"name":"default","type":"publishable","api_key":"sb_publishable_x"}]"#;
        let keys = api_keys("", body.as_bytes()).unwrap();
        let seen: Vec<_> = keys.iter().map(|key| (key.kind.clone(), key.value.is_some())).collect();
        assert_eq!(seen, [(KeyKind::Secret, false), (KeyKind::Publishable, true)]);
    }
}
