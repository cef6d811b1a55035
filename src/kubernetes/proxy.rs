//! The way to the API server through a proxy, chosen as kubectl chooses it: `proxy-url` of the kubeconfig, else
//! `HTTPS_PROXY` unless `NO_PROXY` names the server. A Pod's own configuration knows no proxy.
//!
//! Separate because the client library goes by other rules: it asks `NO_PROXY` about the proxy instead of the server, and
//! gives up on lists that everybody else can read.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use percent_encoding::percent_decode_str;
use tower::retry::RetryLayer;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};
use url::Url;

/// An HTTP proxy. Its password shows nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    address: Uri,
    authorization: Option<HeaderValue>,
}

/// A proxy that cannot be used. No text of it is shown: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct Unusable {
    origin: &'static str,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("this is no address; give one such as http://proxy.example:3128")]
    NoAddress,
    #[error(
        "a proxy of the scheme {0} is not supported; give an HTTP proxy such as http://proxy.example:3128, or reach \
        the API server with 'kubectl proxy'"
    )]
    Scheme(String),
}

/// The proxy before an API server, if any. `named` is the kubeconfig's `proxy-url`, which holds whatever `NO_PROXY` says.
///
/// # Errors
/// Where it is no HTTP proxy.
pub fn choose(
    server: &Uri,
    named: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, Unusable> {
    let variable = |name: &str| {
        let either = variable(name).filter(|value| !value.is_empty());
        either.or_else(|| variable(&name.to_lowercase()).filter(|value| !value.is_empty()))
    };
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return read(named, "proxy-url of the kubeconfig").map(Some);
    }
    if server.scheme_str() != Some("https") {
        return Ok(None);
    }
    let Some(proxy) = variable("HTTPS_PROXY") else {
        return Ok(None);
    };
    let exempt = variable("NO_PROXY").unwrap_or_default();
    if is_exempt(server, &exempt) {
        return Ok(None);
    }
    read(&proxy, "HTTPS_PROXY").map(Some)
}

/// `proxy.example:3128` means `http://proxy.example:3128`.
fn read(text: &str, origin: &'static str) -> Result<Proxy, Unusable> {
    let unusable = |problem| Unusable { origin, problem };
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|_| unusable(Problem::NoAddress))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable(Problem::Scheme(url.scheme().to_owned())));
    }
    let host = url.host_str().ok_or_else(|| unusable(Problem::NoAddress))?;
    let port = url.port_or_known_default().unwrap_or(80);
    let address = format!("{}://{host}:{port}", url.scheme()).parse();
    let address = address.map_err(|_| unusable(Problem::NoAddress))?;
    let known = !url.username().is_empty() || url.password().is_some();
    let authorization = known.then(|| {
        let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
        pair.push(b':');
        pair.extend(percent_decode_str(url.password().unwrap_or_default()));
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
    });
    let authorization = authorization.transpose().map_err(|_| unusable(Problem::NoAddress))?;
    Ok(Proxy {
        address,
        authorization: authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        }),
    })
}

/// Whether a server is reached directly: this machine always is (as with Go's `httpproxy`, which kubectl uses), and
/// what the list names: addresses, networks, names with what is below them (`.name`: only that), each with a port if wanted.
fn is_exempt(server: &Uri, list: &str) -> bool {
    let Some(host) = server.host() else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches([']', '.']).to_lowercase();
    let port = server.port_u16().unwrap_or(443);
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    list.split(',')
        .map(|entry| entry.trim().to_lowercase())
        .any(|entry| entry == "*" || names(&entry, &host, address, port))
}

fn names(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if let Some((network, bits)) = entry.split_once('/') {
        let network: Option<IpAddr> = network.parse().ok();
        return match (network, address, bits.parse()) {
            (Some(network), Some(address), Ok(bits)) => holds(network, bits, address),
            _ => false,
        };
    }
    let (name, wanted) = split_port(entry);
    if wanted.is_some_and(|wanted| wanted != port.to_string()) {
        return false;
    }
    if let Ok(named) = name.parse::<IpAddr>() {
        return address == Some(named);
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    match name.strip_prefix('.') {
        Some("") => false,
        Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
        None if name.is_empty() => false,
        None => {
            let below = host.strip_suffix(name);
            below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
    }
}

/// `host:port`, `[address]:port`, or no port.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (address, port) = rest.split_once(']').unwrap_or((rest, ""));
        return (address, port.strip_prefix(':'));
    }
    match entry.split_once(':') {
        // More than one colon: an address.
        Some((_, port)) if port.contains(':') => (entry, None),
        Some((host, port)) => (host, Some(port)),
        None => (entry, None),
    }
}

/// Whether a network of so many leading bits holds an address.
fn holds(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            bits <= 32 && network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            bits <= 128 && network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

impl Proxy {
    /// A client that reaches the API server through it.
    pub(super) fn client(
        &self,
        config: &Config,
        timeout: &TimeoutLayer,
    ) -> Result<Client, kube::Error> {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_connect_timeout(config.connect_timeout);
        if self.address.scheme_str() == Some("https") {
            let secured = config.rustls_https_connector_with_connector(direct)?;
            return self.through(secured, config, timeout);
        }
        self.through(direct, config, timeout)
    }

    /// The layers of the client library, as far as they concern us, over a tunnel.
    fn through<C>(
        &self,
        connector: C,
        config: &Config,
        timeout: &TimeoutLayer,
    ) -> Result<Client, kube::Error>
    where
        C: tower::Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: hyper_util::client::legacy::connect::Connection
            + hyper::rt::Read
            + hyper::rt::Write
            + Send
            + Unpin
            + 'static,
        C::Future: Send + 'static,
        C::Error: Into<BoxError>,
    {
        let mut tunnel = Tunnel::new(self.address.clone(), connector);
        if let Some(authorization) = &self.authorization {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let connector = config.rustls_https_connector_with_connector(tunnel)?;
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .layer(RetryLayer::new(RetryPolicy::server_retry()))
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .map_err(BoxError::from)
            .service(client.build(connector));
        Ok(ClientBuilder::new(service, config.default_namespace.clone())
            .with_layer(timeout)
            .build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "https://api.cluster.example:6443";

    fn chosen(
        server: &str,
        named: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Option<String>, String> {
        let server: Uri = server.parse().unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        choose(&server, named, variable)
            .map(|proxy| proxy.map(|proxy| proxy.address.to_string()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_kubeconfig_goes_before_the_variables() {
        let proxy = Some("http://proxy.example:3128/".to_owned());
        let variables = [("HTTPS_PROXY", "http://other.example"), ("NO_PROXY", "*")];
        assert_eq!(
            chosen(SERVER, Some("http://proxy.example:3128"), &variables),
            Ok(proxy.clone())
        );
        for name in ["HTTPS_PROXY", "https_proxy"] {
            for value in ["http://proxy.example:3128", "proxy.example:3128"] {
                assert_eq!(chosen(SERVER, None, &[(name, value)]), Ok(proxy.clone()));
            }
        }
        for none in [&[][..], &[("HTTPS_PROXY", "")], &[("HTTP_PROXY", "http://a")]] {
            assert_eq!(chosen(SERVER, None, none), Ok(None));
        }
    }

    #[test]
    fn this_machine_is_reached_directly() {
        let variables = [("HTTPS_PROXY", "http://proxy.example")];
        for server in [
            "https://127.0.0.1:6443",
            "https://localhost:6443",
            "https://[::1]:6443",
            "http://api.cluster.example",
        ] {
            assert_eq!(chosen(server, None, &variables), Ok(None), "{server}");
        }
    }

    #[test]
    fn no_proxy_is_about_the_server() {
        let table = [
            (SERVER, "*", true),
            (SERVER, "cluster.example", true),
            (SERVER, ".cluster.example", true),
            (SERVER, "*.cluster.example", true),
            (SERVER, " a.b , API.Cluster.Example,", true),
            (SERVER, "api.cluster.example:6443", true),
            (SERVER, "api.cluster.example:443", false),
            (SERVER, ".api.cluster.example", false),
            (SERVER, "ster.example", false),
            (SERVER, "proxy.example", false),
            (SERVER, ",,", false),
            (SERVER, ".", false),
            (SERVER, "", false),
            ("https://api.cluster.example", "api.cluster.example:443", true),
            ("https://10.1.2.3:6443", "10.0.0.0/8", true),
            ("https://10.1.2.3:6443", "10.1.2.3", true),
            ("https://10.1.2.3:6443", "10.1.2.3:443", false),
            ("https://10.1.2.3:6443", "0.0.0.0/0", true),
            ("https://10.1.2.3:6443", "11.0.0.0/8", false),
            ("https://10.1.2.3:6443", "10.0.0.0/33", false),
            ("https://10.1.2.3:6443", "fd00::/8", false),
            ("https://[fd00::1]:6443", "fd00::/8", true),
            ("https://[fd00::1]:6443", "fd00::1", true),
            ("https://[fd00::1]:6443", "[fd00::1]:6443", true),
            ("https://[fd00::1]:6443", "fe80::/10", false),
        ];
        for (server, list, exempt) in table {
            let variables = [("HTTPS_PROXY", "http://proxy.example"), ("NO_PROXY", list)];
            let direct = chosen(server, None, &variables).unwrap().is_none();
            assert_eq!(direct, exempt, "{server} and {list:?}");
        }
    }

    #[test]
    fn other_proxies_are_refused_in_words_without_their_password() {
        for scheme in ["socks5", "socks5h", "ftp"] {
            let address = format!("{scheme}://user:canary@proxy.example:1080");
            for (named, variables, origin) in [
                (Some(address.as_str()), vec![], "proxy-url of the kubeconfig"),
                (None, vec![("HTTPS_PROXY", address.as_str())], "HTTPS_PROXY"),
            ] {
                let refusal = chosen(SERVER, named, &variables).unwrap_err();
                assert!(refusal.starts_with(origin), "{refusal}");
                assert!(refusal.contains(scheme) && refusal.contains("http://"));
                assert!(!refusal.contains("canary"), "{refusal}");
            }
        }
        assert!(chosen(SERVER, Some("http://"), &[]).is_err());
    }

    #[test]
    fn a_password_is_sent_to_the_proxy_and_shown_nowhere() {
        let server: Uri = SERVER.parse().unwrap();
        let proxy = choose(&server, Some("http://user:ca%40nary@proxy.example"), |_| None);
        let proxy = proxy.unwrap().unwrap();
        let expected = format!("Basic {}", STANDARD.encode("user:ca@nary"));
        assert_eq!(proxy.authorization.as_ref().unwrap(), expected.as_str());
        assert!(!format!("{proxy:?}").contains("nary"));
        assert!(!format!("{proxy:?}").contains(&STANDARD.encode("user:ca@nary")));
    }
}
