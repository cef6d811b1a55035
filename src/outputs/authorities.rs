//! The authorities of Supabase's databases: certificates that anybody may read.
//!
//! What the operator is given is copied into outputs, so nothing but certificates passes: no private key that lay in the same
//! file, and no text between them.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::pem::{PemObject as _, SectionKind};

/// Most bytes: an output whose 64 keys all hold them still fits into a Secret.
pub const LARGEST_AUTHORITIES: usize = 12 * 1024;
/// Characters of a line of PEM.
const LINE: usize = 64;

/// Certificates of authorities, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities(Arc<str>);

/// Why certificates cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// More than fits into outputs.
    #[error("it has more than {LARGEST_AUTHORITIES} bytes")]
    TooLarge,
    /// Not PEM, or nothing in it.
    #[error("it holds no certificate in PEM format")]
    None,
    /// Something else is there too.
    #[error(
        "it holds something else than certificates, such as a private key; everybody may read what outputs hold of it"
    )]
    Other,
    /// No certificate of an authority.
    #[error("a certificate in it cannot be read")]
    Malformed,
}

impl Authorities {
    /// The certificates of a file in PEM format.
    ///
    /// # Errors
    /// Whatever outputs must not hold.
    pub fn read(file: &[u8]) -> Result<Self, Unusable> {
        if file.len() > LARGEST_AUTHORITIES {
            return Err(Unusable::TooLarge);
        }
        let mut store = RootCertStore::empty();
        let mut pem = String::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(file) {
            let (kind, der) = section.map_err(|_| Unusable::None)?;
            if kind != SectionKind::Certificate {
                return Err(Unusable::Other);
            }
            pem.push_str(&section_of(&der));
            store.add(der.into()).map_err(|_| Unusable::Malformed)?;
        }
        if store.is_empty() {
            return Err(Unusable::None);
        }
        Ok(Self(pem.into()))
    }

    /// The certificates in PEM format, and nothing else.
    pub fn pem(&self) -> &str {
        &self.0
    }
}

fn section_of(der: &[u8]) -> String {
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let encoded: Vec<char> = STANDARD.encode(der).chars().collect();
    for line in encoded.chunks(LINE) {
        let line: String = line.iter().collect();
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
