//! Organizations.

use serde::Deserialize;

use super::Undecodable;
use super::names::{OrganizationSlug, shown};

/// An organization that the token reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its slug.
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
        slug: Option<String>,
        /// The deprecated twin of `slug`.
        id: Option<String>,
        #[serde(default)]
        name: Option<String>,
    }
    let list: Vec<Raw> = serde_json::from_slice(body)?;
    list.into_iter()
        .map(|raw| {
            let slug = raw.slug.or(raw.id).ok_or(Undecodable)?;
            let slug = slug.parse().map_err(|_| Undecodable)?;
            Ok(Organization {
                slug,
                name: shown(&raw.name.unwrap_or_default()),
            })
        })
        .collect()
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
            Organization {
                slug: "acme".parse().unwrap(),
                name: "Acme".to_owned()
            }
        );
        assert_eq!(list[1].slug.as_str(), "old");
        assert!(organizations("", b"[]").unwrap().is_empty());
        for bad in ["{}", "[{}]", r#"[{"slug":"a/b"}]"#, "", "null", "<html>"] {
            assert!(organizations("", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
