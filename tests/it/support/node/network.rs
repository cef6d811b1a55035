//! What Pods reach of the machine: the API server at the address of its Service, the platform behind TLS, the databases.
//!
//! All of it listens inside the namespaces of the test. There is no kube-proxy; these few tasks stand in for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::io::InspectReader;

use super::super::programs::succeed;

/// One request to the platform, as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The Pod's address.
    pub from: IpAddr,
    /// When.
    pub at: Instant,
    /// Method and path. More of the same request shows as an empty text.
    pub what: String,
}

impl Call {
    /// Whether it leaves the platform as it is.
    pub fn only_reads(&self) -> bool {
        self.what.starts_with("GET ")
    }
}

/// The requests of all Pods to the platform, oldest first. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    fn note(&self, from: IpAddr, text: &[u8]) {
        let line = text.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        // Neither queries nor bodies, which hold secrets.
        let what = line.strip_suffix(" HTTP/1.1").and_then(|what| what.split('?').next());
        let what = what.unwrap_or_default().to_owned();
        let call = Call { from, at: Instant::now(), what };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// Those of one Pod since a moment.
    pub fn of(&self, from: IpAddr, since: Instant) -> Vec<Call> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|call| call.from == from && call.at >= since).cloned().collect()
    }
}

/// Drops everything between a Pod and an address of this machine, in both directions, of connections that are open too. Once
/// in a story.
pub async fn cut_off(pod: IpAddr, address: &str) {
    let pod = pod.to_string();
    let (from, to) = (["from", &pod, "to", address], ["from", address, "to", &pod]);
    // Rules hold for the machine's own addresses too where these are not looked up before all rules.
    rule("add", "3", &["lookup", "local"]).await;
    rule("add", FROM, &[&from[..], &["blackhole"]].concat()).await;
    rule("add", TO, &[&to[..], &["blackhole"]].concat()).await;
    rule("del", "0", &[]).await;
}

/// Undoes that.
pub async fn heal() {
    rule("del", FROM, &[]).await;
    rule("del", TO, &[]).await;
}

/// Numbers of rules: they are asked in this order.
const FROM: &str = "1";
const TO: &str = "2";

async fn rule(verb: &str, number: &str, what: &[&str]) {
    let mut command = Command::new("ip");
    command.args(["rule", verb, "pref", number]).args(what);
    succeed(command).await;
}

/// Passes connections to a port of an address on to a port on loopback.
pub async fn forward(address: &str, port: u16, to: u16) {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_on(stream, SocketAddr::from(([127, 0, 0, 1], to))));
        }
    });
}

/// Serves what a server without TLS serves, at `https://ADDRESS`, the first of the names that it proves to have, and notes each
/// request. Returns where it listens, and the authority (PEM) of its certificate.
pub async fn serve_tls(names: &[&str], server: SocketAddr, calls: &Calls) -> (SocketAddr, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "authority of the tests");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let owned: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut own = CertificateParams::new(owned).unwrap();
    own.distinguished_name.push(DnType::CommonName, "the platform");
    let certificate = own.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((names[0], 443)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = calls.clone();
    tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            let (acceptor, calls) = (acceptor.clone(), calls.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let noted = InspectReader::new(stream, move |text| calls.note(from.ip(), text));
                    pass_on(noted, server).await;
                }
            });
        }
    });
    (address, pem)
}

/// Until one of both hangs up.
async fn pass_on(mut stream: impl AsyncRead + AsyncWrite + Unpin, server: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}
