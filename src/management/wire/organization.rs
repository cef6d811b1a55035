//! Organizations.

use serde::Deserialize;

use super::Undecodable;
use super::loose::Loose;
use super::names::{OrganizationSlug, shown};

/// An organization that the token reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// What it is called in paths.
    pub slug: OrganizationSlug,
    /// What people call it; cut, and without control characters.
    pub name: String,
}

pub(in super::super) fn organizations(
    _: &str,
    body: &[u8],
) -> Result<Vec<Organization>, Undecodable> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        slug: Loose,
        /// The deprecated twin of `slug`.
        #[serde(default)]
        id: Loose,
        #[serde(default)]
        name: Loose,
    }
    let list: Vec<Loose<Raw>> = serde_json::from_slice(body)?;
    let entries = list.len();
    let read = |raw: Raw| {
        let slug = raw.slug.text().or_else(|| raw.id.text())?.parse().ok()?;
        let name = shown(&raw.name.text().unwrap_or_default());
        Some(Organization { slug, name })
    };
    let organizations: Vec<_> =
        list.into_iter().filter_map(|entry| read(entry.object()?)).collect();
    // One that cannot be read takes nobody's away; none at all is no answer.
    if organizations.is_empty() && entries > 0 {
        return Err(Undecodable);
    }
    Ok(organizations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organizations_are_read_by_slug() {
        let body = br#"[{"id":"acme","slug":"acme","name":"Acme"},{"id":"old","name":null,"x":1}]"#;
        let list = organizations("", body).unwrap();
        assert_eq!(
            list[0],
            Organization { slug: "acme".parse().unwrap(), name: "Acme".to_owned() }
        );
        assert_eq!(list[1].slug.as_str(), "old");
        assert!(organizations("", b"[]").unwrap().is_empty());
        let odd = br#"[{"slug":"a/b"},7,{"slug":"acme","name":[]}]"#;
        let list = organizations("", odd).unwrap();
        assert_eq!((list.len(), list[0].slug.as_str()), (1, "acme"));
        for bad in ["{}", "[{}]", r#"[{"slug":"a/b"}]"#, "", "null", "<html>"] {
            assert!(organizations("", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
