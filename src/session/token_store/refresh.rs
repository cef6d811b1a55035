//! Spending a refresh token: marker, call, answer stored, and only then used.
//!
//! ```text
//!   turn in the budget ── marker written ── leadership looked at ── token call ── answer stored ── in use
//!                         (proves that the   (right before)          (once)        (until it is,
//!                          Secret can be                                            through shutdown)
//!                          written)
//! ```
//!
//! Runs as a task of its own, so that nothing that happens to the reconcile cuts it short.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use tracing::{info, warn};

use super::memory::CallEnd;
use super::store::Store;
use super::tokens::{App, Consumed, Marker, Token, TokenState, proof};
use crate::kubernetes;
use crate::leader::Leadership;
use crate::management::{Endpoint, Error, Rejection, TokenGrant, refresh_token};
use crate::rules::backoff;
use crate::rules::digest::DigestKey;
use crate::session::{Identity, Session};

/// Life of an access token whose answer says nothing sensible.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The shortest life that is believed.
const LIFETIME_LEAST: Duration = Duration::from_secs(120);

/// A refresh to be made.
#[derive(Debug)]
pub struct RefreshRequest {
    /// Where the state is kept.
    pub store: Store,
    /// The state Secret as it was read.
    pub secret: Option<Secret>,
    /// What it held.
    pub state: TokenState,
    /// The refresh token to spend.
    pub token: Token,
    /// Whether the token comes from the seed Secret.
    pub from_seed: bool,
    /// Who spends it.
    pub app: App,
    /// The name that the marker carries.
    pub process: String,
}

/// What came of a refresh.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// A new pair is stored and in use.
    Granted,
    /// The token is not accepted any more; that is stored.
    Refused,
    /// The platform does not know the app, or its secret is wrong. Nothing was spent.
    WrongApp,
    /// The token endpoint wants to be left alone. Nothing was spent.
    Throttled(Option<Duration>),
    /// The call was not made, or certainly not carried out.
    NotDone(Error),
    /// The token may be spent, and the answer is lost.
    Lost(Error),
    /// The marker could not be written, so nothing was sent.
    NotMarked(kubernetes::Error),
}

impl RefreshOutcome {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::WrongApp => "wrong_app",
            Self::Throttled(_) => "throttled",
            Self::NotDone(_) => "not_done",
            Self::Lost(_) => "lost",
            Self::NotMarked(_) => "not_marked",
        }
    }
}

/// What a refresh needs besides its request.
pub(in crate::session) struct Refresher {
    pub(in crate::session) session: Session,
    pub(in crate::session) leadership: Leadership,
    pub(in crate::session) key: DigestKey,
}

/// Makes a refresh.
pub(in crate::session) async fn run(
    refresher: Refresher,
    request: RefreshRequest,
) -> RefreshOutcome {
    let outcome = refresh(&refresher, request).await;
    refresher.session.gateway().refreshed(outcome.as_str());
    match &outcome {
        RefreshOutcome::Granted => info!(connection = %refresher.session.id(), "tokens refreshed"),
        RefreshOutcome::Refused
        | RefreshOutcome::WrongApp
        | RefreshOutcome::Throttled(_)
        | RefreshOutcome::NotDone(_)
        | RefreshOutcome::Lost(_)
        | RefreshOutcome::NotMarked(_) => {
            warn!(connection = %refresher.session.id(), outcome = outcome.as_str(), "tokens not refreshed");
        }
    }
    outcome
}

async fn refresh(refresher: &Refresher, request: RefreshRequest) -> RefreshOutcome {
    let gateway = refresher.session.gateway();
    let id = refresher.session.id();
    let tenant = id.namespace.as_deref().unwrap_or_default();
    let client = Identity::of_client(&request.app, id);
    let permit = match gateway.admit(&client, tenant, "", Endpoint::Token).await {
        Ok(permit) => permit,
        Err(Error::Throttled { retry_after }) => return RefreshOutcome::Throttled(retry_after),
        Err(error) => return RefreshOutcome::NotDone(error),
    };
    let marker = Marker {
        process: request.process.clone(),
        at: gateway.clock().now(),
        token: request.token.digest.clone(),
    };
    let with_marker = TokenState { marker: Some(marker.clone()), ..request.state.clone() };
    let begun = gateway.uptime();
    refresher.session.remember(|memory| {
        memory.ended = None;
        memory.refreshed = Some(begun);
    });
    let secret = match request.store.write(request.secret.as_ref(), &with_marker).await {
        Ok(secret) => secret,
        Err(error) => return RefreshOutcome::NotMarked(error),
    };
    // From here on calls wait, and the Lease is not given away before the answer is stored.
    let refreshing = refresher.session.begin_refresh();
    let held = refresher.leadership.hold();
    // Until it is known better, the token is spent: a panic must not make it fresh again.
    refresher.session.remember(|memory| {
        memory.ended = Some((marker.clone(), CallEnd::Lost { begun }));
    });
    let call = refresh_token(&request.app.app, &request.token.value);
    let outcome = gateway.exchange(permit, &call, None).await.outcome;
    let outcome = match outcome {
        Ok(answer) => {
            let grant = answer.value;
            keep(refresher, &request, &marker, with_marker, secret, &grant).await;
            RefreshOutcome::Granted
        }
        Err(Error::Rejected { because: Rejection::InvalidClient, .. }) => RefreshOutcome::WrongApp,
        Err(Error::Throttled { retry_after }) => RefreshOutcome::Throttled(retry_after),
        // Every other refusal of the token endpoint is about the token; a used one answers 404.
        Err(Error::Rejected { .. }) => {
            // Whoever ended the refresh token has perhaps ended the access token too.
            if let Some(access) = &request.state.access {
                refresher.session.remember(|memory| memory.doubt_one(&access.digest));
            }
            give_up(refresher, &request, &marker, with_marker, secret).await;
            RefreshOutcome::Refused
        }
        Err(error) if error.was_not_sent() => RefreshOutcome::NotDone(error),
        Err(error) => RefreshOutcome::Lost(error),
    };
    refresher.session.remember(|memory| {
        memory.ended = match &outcome {
            RefreshOutcome::Granted | RefreshOutcome::Refused => None,
            RefreshOutcome::WrongApp
            | RefreshOutcome::Throttled(_)
            | RefreshOutcome::NotDone(_)
            | RefreshOutcome::NotMarked(_) => Some((marker.clone(), CallEnd::Harmless)),
            RefreshOutcome::Lost(_) => Some((marker.clone(), CallEnd::Lost { begun })),
        };
        memory.lost = match &outcome {
            RefreshOutcome::Lost(_) => memory.lost.saturating_add(1),
            RefreshOutcome::Granted | RefreshOutcome::Refused | RefreshOutcome::WrongApp => 0,
            RefreshOutcome::Throttled(_)
            | RefreshOutcome::NotDone(_)
            | RefreshOutcome::NotMarked(_) => memory.lost,
        };
    });
    drop((refreshing, held));
    outcome
}

/// Stores a grant and puts it to use.
async fn keep(
    refresher: &Refresher,
    request: &RefreshRequest,
    marker: &Marker,
    with_marker: TokenState,
    secret: Secret,
    grant: &TokenGrant,
) {
    let gateway = refresher.session.gateway();
    let (now, spent) = (gateway.clock().now(), &request.token.digest);
    let replace = |before: &TokenState| {
        granted(before, request, grant, &refresher.key, now, &refresher.session.id().to_string())
    };
    let merge = |stored: &TokenState| {
        let current = stored.refresh.as_ref().map(|token| token.digest.as_str());
        // Ours is the newest pair as long as nobody has put another one in the place of the token it was made of.
        let replaceable = stored.marker.as_ref() == Some(marker)
            || current == Some(spent)
            || current.is_none_or(|current| stored.is_consumed(current, Some(&request.app.digest)));
        replaceable.then(|| replace(stored))
    };
    let next = replace(&with_marker);
    let index = refresher.session.index();
    let stored = request
        .store
        .insist(Some(secret), next.clone(), merge, super::store::lives_in(index))
        .await;
    if stored.is_none() {
        warn!(
            connection = %refresher.session.id(),
            "new tokens were not stored: their Secret belongs to somebody else, or the connection is gone"
        );
    }
    let state = stored.unwrap_or(next);
    let predecessor = request.state.access.as_ref().filter(|_| !request.from_seed);
    refresher.session.remember(|memory| {
        let digest = |token: &Option<Token>| token.as_ref().map(|token| token.digest.clone());
        memory.granted_refresh = digest(&state.refresh);
        memory.grant(digest(&state.access), predecessor.map(|token| token.digest.as_str()));
    });
    refresher.session.renew(&state, &request.app, &refresher.key);
}

/// Stores that a token is not accepted any more.
async fn give_up(
    refresher: &Refresher,
    request: &RefreshRequest,
    marker: &Marker,
    with_marker: TokenState,
    secret: Secret,
) {
    let refuse = |before: &TokenState| {
        let mut next = before.clone();
        if next.marker.as_ref() == Some(marker) {
            next.marker = None;
        }
        next.consume(Consumed {
            digest: request.token.digest.clone(),
            seed: request.from_seed,
            refused: Some(request.app.digest.clone()),
        });
        next
    };
    let merge = |stored: &TokenState| {
        let next = refuse(stored);
        (next != *stored).then_some(next)
    };
    let index = refresher.session.index();
    request
        .store
        .insist(Some(secret), refuse(&with_marker), merge, super::store::lives_in(index))
        .await;
}

/// The state after a grant.
fn granted(
    before: &TokenState,
    request: &RefreshRequest,
    grant: &TokenGrant,
    key: &DigestKey,
    now: Timestamp,
    jitter: &str,
) -> TokenState {
    let refresh = grant.refresh_token.clone().map(|value| Token::refresh(key, value));
    let lifetime = grant.expires_in.unwrap_or(LIFETIME).max(LIFETIME_LEAST);
    let access = Token::access(key, grant.access_token.clone());
    let mut next = TokenState {
        granted_by: Some(proof(key, &access, &request.app)),
        access: Some(access),
        refresh: refresh.clone(),
        granted_at: later(now, Duration::ZERO),
        expires_at: later(now, lifetime),
        refresh_at: later(now, renewal(lifetime, jitter)),
        seed: if request.from_seed {
            Some(request.token.digest.clone())
        } else {
            before.seed.clone()
        },
        limited: grant.limited_to_projects,
        consumed: before.consumed.clone(),
        marker: None,
    };
    // Where tokens do not rotate, the old one is the new one.
    if refresh.as_ref().map(|token| &token.digest) != Some(&request.token.digest) {
        next.consume(Consumed {
            digest: request.token.digest.clone(),
            seed: request.from_seed,
            refused: None,
        });
    }
    next
}

/// The state after the pair of a seed was taken over without being spent.
pub fn adopted(
    before: &TokenState,
    access: Option<Token>,
    refresh: &Token,
    (expires_at, limited): (Option<Timestamp>, bool),
    now: Timestamp,
    jitter: &str,
) -> TokenState {
    let left = expires_at.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    let mut next = TokenState {
        access,
        granted_at: later(now, Duration::ZERO),
        expires_at,
        refresh_at: later(now, renewal(left.unwrap_or(LIFETIME).max(LIFETIME_LEAST), jitter)),
        seed: Some(refresh.digest.clone()),
        refresh: Some(refresh.clone()),
        limited,
        granted_by: None,
        consumed: before.consumed.clone(),
        marker: None,
    };
    if let Some(marker) = before.marker.as_ref().filter(|marker| marker.token != refresh.digest) {
        // Its answer is lost, and nobody will look for it any more.
        next.consume(Consumed { digest: marker.token.clone(), seed: true, refused: None });
    }
    next
}

/// When to replace a pair: at 50 to 75 % of its life, differently for every connection.
fn renewal(lifetime: Duration, seed: &str) -> Duration {
    // `spread` moves by a tenth either way: 0.56 to 0.69.
    backoff::spread(lifetime * 5 / 8, seed, 0)
}

fn later(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    let wait = SignedDuration::try_from(wait).ok()?;
    let at = now.checked_add(wait).ok()?;
    // Whole seconds, as Kubernetes keeps them.
    Timestamp::from_second(at.as_second()).ok()
}
