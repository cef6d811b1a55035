//! Sending Auth's letters to a real mail server, and saying what came of it.
//!
//! The only place that opens a connection of the platform's own accord, with the settings that were written to
//! `config/auth`. Separate from the world, which stays pure.

use std::fmt;
use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::auth::Letter;

/// How long one exchange with a mail server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The port that speaks TLS from the first byte.
const TLS_AT_ONCE: u16 = 465;

/// What came of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The mail server took it.
    Sent,
    /// No mail server of one's own is configured whole: the platform's own would send it, and here nothing does.
    Off,
    /// The mail server does not accept user and password (535).
    WrongPassword,
    /// The mail server refused with this code.
    Refused(u16),
    /// No mail server answered, or its certificate is not trusted.
    Unreachable,
    /// An address of the letter is none.
    NoAddress,
}

impl fmt::Display for Sent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent => formatter.write_str("sent"),
            Self::Off => formatter.write_str("off"),
            Self::WrongPassword => formatter.write_str("wrong-password"),
            Self::Refused(code) => write!(formatter, "refused-{code}"),
            Self::Unreachable => formatter.write_str("unreachable"),
            Self::NoAddress => formatter.write_str("no-address"),
        }
    }
}

/// Whose certificates are trusted: those of the machine, or of one authority.
#[derive(Clone, Debug, Default)]
pub(crate) struct Postman {
    authority: Option<Certificate>,
}

impl Postman {
    /// Trusts the authorities of this PEM text, and no others.
    pub(crate) fn trusting(pem: &[u8]) -> Option<Self> {
        let authority = Certificate::from_pem(pem).ok()?;
        Some(Self { authority: Some(authority) })
    }

    /// Sends a letter: over TLS always, with STARTTLS on every port but one.
    pub(crate) async fn send(&self, letter: Letter) -> Sent {
        let Some(message) = written(&letter) else {
            return Sent::NoAddress;
        };
        let parameters = TlsParameters::builder(letter.host.clone());
        let parameters = match &self.authority {
            Some(authority) => parameters
                .certificate_store(CertificateStore::None)
                .add_root_certificate(authority.clone()),
            None => parameters,
        };
        let Ok(parameters) = parameters.build_rustls() else {
            return Sent::Unreachable;
        };
        let tls = if letter.port == TLS_AT_ONCE {
            Tls::Wrapper(parameters)
        } else {
            Tls::Required(parameters)
        };
        let password = letter.password.reveal().to_owned();
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&letter.host)
            .port(letter.port)
            .tls(tls)
            .credentials(Credentials::new(letter.user, password))
            .timeout(Some(PATIENCE))
            .build();
        match transport.send(message).await {
            Ok(_) => Sent::Sent,
            Err(error) => match error.status().map(u16::from) {
                Some(535) => Sent::WrongPassword,
                Some(code) => Sent::Refused(code),
                None => Sent::Unreachable,
            },
        }
    }
}

fn written(letter: &Letter) -> Option<lettre::Message> {
    let name = Some(letter.from_name.clone()).filter(|name| !name.is_empty());
    lettre::Message::builder()
        .from(Mailbox::new(name, letter.from.parse().ok()?))
        .to(letter.to.parse().ok()?)
        .subject(letter.subject.clone())
        .header(ContentType::TEXT_HTML)
        .body(letter.body.clone())
        .ok()
}
