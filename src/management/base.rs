//! Where the Management API is, and other addresses that whoever installs the operator gives.
//!
//! Options, never fields of a tenant's object. Checked once, here, so that a token can only travel encrypted or
//! within this machine.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The beginning of addresses: `https`, or `http` to a loopback host.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBaseUrl {
    /// It cannot be read.
    #[error("it is not a URL; give one such as https://api.supabase.com")]
    NotAUrl,
    /// A token would travel in clear.
    #[error("it must begin with https:// (http:// is for loopback hosts only)")]
    NotHttps,
    /// It holds a user or a password.
    #[error("it must not hold a user or a password")]
    Credentials,
    /// It holds a query or a fragment.
    #[error("it must end with its path")]
    Query,
}

impl BaseUrl {
    /// Supabase's own.
    pub const SUPABASE: &'static str = "https://api.supabase.com";

    /// The address of a path below it.
    pub fn below(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.0.as_str().trim_end_matches('/'))
    }

    /// Its path, without a slash at the end.
    pub fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// Scheme, host and port, as browsers write them.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether an address is below this one: of the same origin, and its path begins with this one's, whole segments
    /// only.
    pub fn contains(&self, address: &Url) -> bool {
        let rest = address.path().strip_prefix(self.path());
        address.origin() == self.0.origin()
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it names this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl FromStr for BaseUrl {
    type Err = BadBaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text.trim()).map_err(|_| BadBaseUrl::NotAUrl)?;
        match url.scheme() {
            "https" if url.has_host() => {}
            "http" if is_loopback(&url) => {}
            _ => return Err(BadBaseUrl::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadBaseUrl::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BadBaseUrl::Query);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_encrypted_or_not_at_all() {
        for (text, expected) in [
            ("https://api.supabase.com", Ok("https://api.supabase.com")),
            (" https://api.supabase.com/ \n", Ok("https://api.supabase.com")),
            ("https://gateway.example/supabase/", Ok("https://gateway.example/supabase")),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
            ("http://127.9.9.9", Ok("http://127.9.9.9")),
            ("http://[::1]:8080", Ok("http://[::1]:8080")),
            ("http://localhost:1", Ok("http://localhost:1")),
            ("http://api.supabase.com", Err(BadBaseUrl::NotHttps)),
            ("http://localhost.example", Err(BadBaseUrl::NotHttps)),
            ("http://127.0.0.1.example", Err(BadBaseUrl::NotHttps)),
            ("http://169.254.169.254", Err(BadBaseUrl::NotHttps)),
            ("http://0.0.0.0", Err(BadBaseUrl::NotHttps)),
            ("ftp://api.supabase.com", Err(BadBaseUrl::NotHttps)),
            ("file:///etc/passwd", Err(BadBaseUrl::NotHttps)),
            ("https://user@api.supabase.com", Err(BadBaseUrl::Credentials)),
            ("https://:pass@api.supabase.com", Err(BadBaseUrl::Credentials)),
            ("https://api.supabase.com?x=1", Err(BadBaseUrl::Query)),
            ("https://api.supabase.com#x", Err(BadBaseUrl::Query)),
            ("api.supabase.com", Err(BadBaseUrl::NotAUrl)),
            ("", Err(BadBaseUrl::NotAUrl)),
        ] {
            let parsed = text.parse::<BaseUrl>().map(|url| url.to_string());
            assert_eq!(parsed.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_below_another_by_whole_segments_of_the_same_origin() {
        let base: BaseUrl = "https://portal.example/teams/".parse().unwrap();
        for (address, below) in [
            ("https://portal.example/teams", true),
            ("https://portal.example/teams/a?b=c#d", true),
            ("https://portal.example:443/teams/a", true),
            ("https://PORTAL.example/teams/../teams/a", true),
            ("https://portal.example/teamsters", false),
            ("https://portal.example/teams/../admin", false),
            ("https://portal.example/teams/%2e%2e/admin", false),
            ("https://portal.example\\@evil.example/teams", false),
            ("https://portal.example@evil.example/teams", false),
            ("https://portal.example.evil.example/teams", false),
            ("https://portal.example:8443/teams", false),
            ("http://portal.example/teams", false),
            ("javascript://portal.example/teams", false),
        ] {
            let url = Url::parse(address).unwrap();
            assert_eq!(base.contains(&url), below, "{address}");
        }
    }

    #[test]
    fn supabases_own_address_is_accepted() {
        let base: BaseUrl = BaseUrl::SUPABASE.parse().unwrap();
        assert_eq!(base.below("/v1/projects?a=b"), "https://api.supabase.com/v1/projects?a=b");
        assert!(!base.is_loopback());
    }
}
