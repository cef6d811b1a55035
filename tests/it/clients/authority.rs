//! The authority of the tests' database, and the certificates that it signs: the server shows another one after each.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use simulated_platform::postgres::Postgres;
use tokio::process::Command;

use crate::support::programs::succeed;

/// An authority that nobody knows who was not given it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

impl Authority {
    /// Another one each time. Its name must differ from others', or clients take them for one that signs badly.
    pub fn new(name: &str) -> Self {
        let mut params = named(name, Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Has a server prove that it is this host; connections from now on see that.
    pub async fn certify(&self, postgres: &Postgres, host: &str) {
        let key = KeyPair::generate().unwrap();
        let params = named(host, vec![host.to_owned()]);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        // Written over what is there: the files stay the server's own.
        let file = postgres.certificate();
        std::fs::write(file.with_extension("key"), key.serialize_pem()).unwrap();
        std::fs::write(&file, certificate.pem()).unwrap();
        let folder: &Path = file.parent().unwrap();
        let mut reload = Command::new("psql");
        reload.args(["-X", "-q", "-U", "supabase_admin", "-d", "postgres"]);
        reload.arg("-h").arg(folder);
        reload.args(["-p", &postgres.port().to_string()]);
        reload.args(["-c", "select pg_reload_conf()"]);
        drop(succeed(reload).await);
    }
}

/// A certificate whose subject is not its issuer's, or clients take it for self-signed.
fn named(subject: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, subject);
    params
}
