//! What a reconcile of a connection knows: plain values.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::report::{Report, Source};
use crate::controller::{Problem, StepName};
use crate::session::Capabilities;
use crate::session::token_store::{App, Entry, GrantsRead, Memory, StateRead, Token, TokenState};

/// Something that was read, or what to do about its absence.
#[derive(Clone, Debug)]
pub enum Read<T> {
    /// The spec does not name it.
    NotNamed,
    /// It cannot be used.
    Bad(Problem),
    /// It was read, and can be used.
    There(T),
}

/// Tokens that were never used: those of the seed Secret, or those that a consent has given.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The Secret's name.
    pub name: String,
    /// For calls.
    pub access: Option<Token>,
    /// For the next pair.
    pub refresh: Option<Token>,
    /// When the access token ends, if the Secret says so.
    pub expires_at: Option<Timestamp>,
    /// Where the tokens come from.
    pub origin: Origin,
}

/// What consents have given.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The Secret as it was read.
    pub read: GrantsRead,
    /// Digests of the refresh tokens, by flow.
    pub refresh: BTreeMap<String, String>,
}

impl Granted {
    /// The newest pair that is not in the token store yet.
    pub fn offered(&self, state: &TokenState) -> Option<&Entry> {
        let entries = self.read.entries.iter();
        entries
            .filter(|entry| entry.pair.is_some() && !self.is_held(entry, state))
            .max_by_key(|entry| entry.ends_at)
    }

    /// Whether a pair has come into the token store: it is in use, or was used up.
    pub fn is_held(&self, entry: &Entry, state: &TokenState) -> bool {
        let digest = self.refresh.get(&entry.flow);
        digest.is_some_and(|digest| state.digests().any(|known| known == digest))
    }
}

/// Who brought the tokens of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The user put them into a Secret.
    Secret,
    /// Somebody consented.
    Consent {
        /// The key of the grants Secret that the tokens lie under.
        flow: String,
        /// Whether the tokens reach only some projects of the organization.
        limited: bool,
    },
}

/// How the connection authenticates, with what was read of it.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A personal access token, and whether it is a scoped one.
    Pat(Read<(Token, bool)>),
    /// Tokens that an app was given, and renews.
    OAuth {
        /// Who renews them: its client ID and secret.
        app: Read<App>,
        /// The tokens to begin with.
        seed: Read<Seed>,
    },
}

/// Objects that refer to the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// How many.
    pub count: usize,
    /// The first few, where they may be named.
    pub names: Vec<String>,
}

/// All that a reconcile has read.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its own name")]
pub struct Observed {
    /// How to authenticate.
    pub credentials: Credentials,
    /// The state Secret; read for OAuth, and whenever the connection is leaving.
    pub state: StateRead,
    /// The state Secret's name.
    pub state_name: String,
    /// What consents have given and what is on record of them; read while there is no usable credential, and as
    /// long as there is something to sweep.
    pub grants: Option<Granted>,
    /// Whether they were looked for.
    pub looked_for_grants: bool,
    /// Whether the state remembers tokens by digests of another key of the operator.
    pub of_another_key: bool,
    /// Whether the state Secret bears the labels and annotations that it shall, if it is there.
    pub marked: bool,
    /// Whether another connection has the better right to the seed's refresh token: known once it is remembered what this
    /// one holds.
    pub shared: bool,
    /// What this process remembers.
    pub memory: Memory,
    /// What calls have shown.
    pub capabilities: Capabilities,
    /// Whether the credential was replaced in this process, so that what the status says of abilities is another
    /// one's.
    pub replaced: bool,
    /// Whether the status says that the connection as it is declared now is ready.
    pub was_ready: bool,
    /// The name that markers of this process carry.
    pub process: String,
    /// Who uses the connection; read only when it is leaving.
    pub users: Option<Users>,
    /// The command with which somebody consents in a terminal.
    pub connect: String,
    /// Where consent can be given for the connection, if at all.
    pub consent_url: Option<String>,
    /// Whether the authorization is to be revoked before the connection goes.
    pub revokes: bool,
    /// Between two looks at Secrets.
    pub interval: Duration,
}

/// What a reconcile may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the platform for the organizations of an access token.
    Probe(Source),
    /// Spend a refresh token.
    Refresh(Source),
    /// Take the pair of the seed into the state Secret.
    Adopt,
    /// Discard what a consent has given: it is of an organization that is not admitted.
    Discard,
    /// Sweep the grants Secret: what is in the token store by now, and flows that have ended.
    Sweep,
    /// Remember tokens by digests of the operator's present key.
    Rekey,
    /// Give the state Secret the labels and annotations that the connection declares.
    Label,
    /// Close a marker whose token is nowhere any more.
    CloseMarker,
    /// Tell the session what to use, or why it cannot be used: what this report says. In memory only.
    Install(Box<Report>),
    /// End what the app may do in the organization.
    Revoke,
    /// Remove the state Secret.
    Clean,
}

impl StepName for Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Probe(_) => "probe",
            Self::Refresh(_) => "refresh",
            Self::Adopt => "adopt",
            Self::Discard => "discard",
            Self::Sweep => "sweep",
            Self::Rekey => "rekey",
            Self::Label => "label",
            Self::CloseMarker => "close_marker",
            Self::Install(_) => "install",
            Self::Revoke => "revoke",
            Self::Clean => "clean",
        }
    }
}

impl Observed {
    /// The state Secret as it was read, if it is ours.
    pub fn state_secret(&self) -> Option<&Secret> {
        match &self.state {
            StateRead::Ours(_, secret) | StateRead::Damaged(secret) => Some(secret),
            StateRead::Absent | StateRead::Foreign => None,
        }
    }
}
