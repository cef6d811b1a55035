//! The letters that Auth writes, from the settings in force: what is in them, and where they go.
//!
//! Pure: sending is the work of [`crate::mail`].

use std::fmt;

use jiff::Timestamp;

use super::{Auth, known};
use crate::secret::Secret;

/// The occasions on which Auth writes to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the platform's own words")]
pub enum Message {
    Confirmation,
    EmailChange,
    Invite,
    MagicLink,
    Reauthentication,
    Recovery,
}

impl Message {
    /// The word used in the names of settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::EmailChange => "email_change",
            Self::Invite => "invite",
            Self::MagicLink => "magic_link",
            Self::Reauthentication => "reauthentication",
            Self::Recovery => "recovery",
        }
    }

    /// The occasion of this word.
    pub fn named(word: &str) -> Option<Self> {
        [
            Self::Confirmation,
            Self::EmailChange,
            Self::Invite,
            Self::MagicLink,
            Self::Reauthentication,
            Self::Recovery,
        ]
        .into_iter()
        .find(|message| message.as_str() == word)
    }
}

/// One letter, ready to be sent.
#[derive(Clone)]
pub struct Letter {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Secret,
    pub(crate) from: String,
    pub(crate) from_name: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) body: String,
}

impl fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Letter")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// The letter to `to`; none while no mail server of one's own is configured whole.
    pub(crate) fn letter(&self, message: Message, to: &str, now: Timestamp) -> Option<Letter> {
        let text = |key: &str| self.text(key, now);
        let word = message.as_str();
        let site = text("site_url").unwrap_or_default();
        let link = format!("{}/auth/v1/verify?type={word}", site.trim_end_matches('/'));
        let filled = |key: &str| {
            let template = known(key).map(|known| self.value(known, now));
            let template = template.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
            template
                .replace("{{ .SiteURL }}", &site)
                .replace("{{ .ConfirmationURL }}", &link)
                .replace("{{ .Email }}", to)
        };
        Some(Letter {
            host: text("smtp_host")?,
            port: text("smtp_port")?.parse().ok()?,
            user: text("smtp_user")?,
            password: Secret::new(text("smtp_pass")?),
            from: text("smtp_admin_email")?,
            from_name: text("smtp_sender_name").unwrap_or_default(),
            to: to.to_owned(),
            subject: filled(&format!("mailer_subjects_{word}")),
            body: filled(&format!("mailer_templates_{word}_content")),
        })
    }
}
