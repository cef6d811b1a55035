//! Names that go into paths: checked once, safe everywhere.

use std::fmt;
use std::str::FromStr;

/// The ref of a project: 20 lower-case letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectRef(String);

/// What an organization is called in paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationSlug(String);

/// A text that cannot be such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Not a ref.
    #[error("a project ref has 20 lower-case letters")]
    Ref,
    /// Not a slug.
    #[error("an organization slug has letters, digits, - and _ only")]
    Slug,
}

impl ProjectRef {
    /// The ref.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectRef {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sound = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_lowercase());
        if sound { Ok(Self(text.to_owned())) } else { Err(BadName::Ref) }
    }
}

impl fmt::Display for ProjectRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl OrganizationSlug {
    /// The slug.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganizationSlug {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let sound = (1..=100).contains(&text.len()) && text.bytes().all(fits);
        if sound { Ok(Self(text.to_owned())) } else { Err(BadName::Slug) }
    }
}

impl fmt::Display for OrganizationSlug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A word of a vocabulary that grows, if it looks like one: short, and nothing but letters, digits and
/// `_ - . :`.
pub(in super::super) fn word(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let sound = (1..=64).contains(&text.len()) && text.bytes().all(fits);
    sound.then(|| text.to_owned())
}

/// A host name or address, if it can be one.
pub(super) fn host(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let sound = (1..=253).contains(&text.len()) && text.bytes().all(fits);
    sound.then(|| text.to_owned())
}

/// A text to be shown to people: without control characters, and not longer than 256 characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_names_get_into_paths() {
        assert!("abcdefghijklmnopqrst".parse::<ProjectRef>().is_ok());
        for bad in [
            "",
            "abc",
            "abcdefghijklmnopqrsT",
            "abcdefghijklmnopqrs1",
            "../../v1/oauth/toke",
            "abcdefghijklmnopqrst\n",
        ] {
            assert_eq!(bad.parse::<ProjectRef>(), Err(BadName::Ref), "{bad}");
        }
        assert!("My-org_1".parse::<OrganizationSlug>().is_ok());
        for bad in ["", "a/b", "a b", "a?b", "..", "é", &"a".repeat(101)] {
            assert_eq!(bad.parse::<OrganizationSlug>(), Err(BadName::Slug), "{bad}");
        }
    }

    #[test]
    fn words_hosts_and_shown_texts_are_bounded() {
        assert_eq!(word("projects:read").as_deref(), Some("projects:read"));
        for bad in ["", "a b", "a\n", "<b>", &"a".repeat(65)] {
            assert_eq!(word(bad), None, "{bad}");
        }
        assert!(host("aws-0-eu-central-1.pooler.supabase.com").is_some());
        for bad in ["", "a/b", "a@b", "a b", "a%00", &"a".repeat(254)] {
            assert_eq!(host(bad), None, "{bad}");
        }
        assert_eq!(shown("Acme\r\n\u{1b}[1m Inc"), "Acme[1m Inc");
        assert_eq!(shown(&"é".repeat(300)).chars().count(), 256);
    }
}
