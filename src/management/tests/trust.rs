//! Whom the client trusts, and the way through proxies that inspect TLS: over real sockets, with certificates made here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::management::*;

/// A server of the Management API whose certificate is signed by an authority that nobody knows. It takes `CONNECT` too, and
/// then answers in place of whom the client meant, as a proxy does that inspects TLS.
struct Inspected {
    port: u16,
    /// The authority's certificate, as PEM.
    authority: String,
    tunnels: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Inspected {
    async fn start(names: &[&str]) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inspected = Self {
            port: listener.local_addr().unwrap().port(),
            authority: pem(authority.der()),
            tunnels: Arc::default(),
            requests: Arc::default(),
        };
        let (tunnels, requests) = (inspected.tunnels.clone(), inspected.requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, requests) = (acceptor.clone(), requests.clone());
                let tunnels = tunnels.clone();
                tokio::spawn(async move {
                    let stream = enter(stream, &tunnels).await;
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    while head(&mut stream).await.is_some() {
                        requests.fetch_add(1, Ordering::SeqCst);
                        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        inspected
    }

    /// The bundle that its administrators hand out: with others before it, and words between.
    fn bundle(&self) -> String {
        let other = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()]).unwrap();
        format!("# authorities\n{}\n# ours\n{}", pem(other.cert.der()), self.authority)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn pem(certificate: &[u8]) -> String {
    let text = STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// Opens the tunnel, where one is asked for.
async fn enter(mut stream: TcpStream, tunnels: &AtomicUsize) -> TcpStream {
    let mut first = [0; 7];
    if stream.peek(&mut first).await.is_ok() && first == *b"CONNECT" {
        head(&mut stream).await;
        tunnels.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
    }
    stream
}

/// Reads up to the end of a request's head.
async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<()> {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        heard.push(stream.read_u8().await.ok()?);
    }
    Some(())
}

async fn ask(
    base: &str,
    proxy: Option<&str>,
    ca_bundle: Option<&str>,
) -> Result<Vec<Organization>, Error> {
    let base: BaseUrl = base.parse().unwrap();
    let proxy = proxy.map(|proxy| Proxy::read(proxy).unwrap());
    let network = Network::new(&base, proxy.as_ref(), ca_bundle.map(str::as_bytes)).unwrap();
    let client = Client::new(base, Arc::new(network));
    let token: SecretString = "sbp_token".into();
    let exchange = client.send(&organizations(), Some(&token)).await;
    exchange.outcome.map(|answer| answer.value)
}

fn assert_distrusted(refusal: &Error) {
    let said = refusal.to_string();
    assert!(said.contains("certificate") && said.contains("not trusted"), "{said}");
    assert!(said.contains("--management-api-ca-bundle"), "{said}");
    assert!(said.contains("managementAPI.caBundle"), "{said}");
    assert!(refusal.was_not_sent());
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_from_a_broken_network() {
    let server = Inspected::start(&["localhost"]).await;
    let base = format!("https://localhost:{}", server.port);
    assert_distrusted(&ask(&base, None, None).await.unwrap_err());
    // Trusted, but for another name.
    let wrong = format!("https://127.0.0.1:{}", server.port);
    assert_distrusted(&ask(&wrong, None, Some(&server.bundle())).await.unwrap_err());
    assert_eq!(server.requests(), 0);
    let nobody = ask("https://localhost:1", None, None).await.unwrap_err();
    assert_eq!(nobody, Error::Unreachable { sent: Sent::No });
    assert!(nobody.to_string().contains("DNS"), "{nobody}");
}

#[tokio::test]
async fn an_authority_of_the_bundle_is_trusted() {
    let server = Inspected::start(&["localhost"]).await;
    let base = format!("https://localhost:{}", server.port);
    assert_eq!(ask(&base, None, Some(&server.bundle())).await, Ok(Vec::new()));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_proxy_that_inspects_tls_is_trusted_by_the_bundle_only() {
    let proxy = Inspected::start(&["platform.example"]).await;
    let address = format!("http://user:password@127.0.0.1:{}", proxy.port);
    let base = "https://platform.example";
    assert_distrusted(&ask(base, Some(&address), None).await.unwrap_err());
    let seen = ask(base, Some(&address), Some(&proxy.bundle())).await;
    assert_eq!(seen, Ok(Vec::new()));
    assert_eq!(proxy.tunnels.load(Ordering::SeqCst), 2);
    assert_eq!(proxy.requests(), 1);
}

#[test]
fn a_bundle_or_a_proxy_that_cannot_be_used_is_refused_at_start() {
    let base: BaseUrl = "https://platform.example".parse().unwrap();
    for bundle in
        ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let refused = Network::new(&base, None, Some(bundle.as_bytes()));
        assert!(matches!(refused, Err(NetworkError::Bundle)), "{bundle}");
    }
    for proxy in [
        "socks5://user:canary@proxy.example:1080",
        "socks5h://proxy.example",
        "proxy.example:3128",
        "http://",
        "",
    ] {
        let refusal = Proxy::read(proxy).unwrap_err().to_string();
        assert!(refusal.contains("http://proxy.example:3128"), "{refusal}");
        assert!(refusal.contains("socks5") && !refusal.contains("canary"));
    }
    let proxy = Proxy::read("http://user:canary@proxy.example:3128").unwrap();
    assert!(!format!("{proxy:?}").contains("canary"));
    let here: BaseUrl = "http://127.0.0.1:8080".parse().unwrap();
    let refused = Network::new(&here, Some(&proxy), None);
    assert!(matches!(refused, Err(NetworkError::ProxyBeforeLoopback)));
}
