//! What Pods reach of the machine: the API server at the address of its Service, the platform behind TLS, the databases.
//!
//! All of it listens inside the namespaces of the test. There is no kube-proxy; these few tasks stand in for it.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Passes connections to a port of an address on to a port on loopback.
pub async fn forward(address: &str, port: u16, to: u16) {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_on(stream, SocketAddr::from(([127, 0, 0, 1], to))));
        }
    });
}

/// Serves what a server without TLS serves, at `https://ADDRESS`, the first of the names that it proves to have. Returns where
/// it listens, and the authority (PEM) of its certificate.
pub async fn serve_tls(names: &[&str], server: SocketAddr) -> (SocketAddr, String) {
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
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    pass_on(stream, server).await;
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
