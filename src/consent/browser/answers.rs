//! HTTP: routes, what a request may be, and the headers that every answer bears.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Form, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use tracing::warn;
use url::Url;

use super::steps::{Connected, Returned, Stopped};
use super::stopped::Why;
use super::{CALLBACK, Site};
use crate::consent::pages::{self, Asked, Message, policy};
use crate::management::DASHBOARD_ORIGIN;
use crate::rules::link::PAGES;

/// Requests a second, from everybody together, and how many may come at once.
const PACE: NonZeroU32 = NonZeroU32::new(20).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// The most that a form may hold, in bytes.
const FORM: usize = 8 * 1024;

/// The routes below the external address's path.
pub(super) fn router(site: &Arc<Site>) -> Router {
    let page = get(show).post(begin).layer(DefaultBodyLimit::max(FORM));
    let routes = Router::new()
        .route(&format!("{PAGES}{{link}}"), page)
        .route(CALLBACK, get(callback))
        .fallback(|| async { stopped(&Why::UnknownLink.into()) })
        .with_state(Arc::clone(site));
    let routes = match site.base.path() {
        "" => routes,
        path => Router::new()
            .nest(path, routes)
            .fallback(|| async { stopped(&Why::UnknownLink.into()) }),
    };
    let limiter = RateLimiter::direct(Quota::per_second(PACE).allow_burst(BURST));
    routes.layer(from_fn_with_state(Arc::new(limiter), pace)).layer(from_fn(protect))
}

/// Holds everybody to a pace: pages are for people.
async fn pace(
    State(limiter): State<Arc<DefaultDirectRateLimiter>>,
    request: Request,
    next: Next,
) -> Response {
    if limiter.check().is_ok() {
        return next.run(request).await;
    }
    let message = Message {
        title: "Too many requests",
        about: None,
        sentences: &["Wait a moment, and load the page again."],
        action: None,
    };
    let mut answer = pages::answer(StatusCode::TOO_MANY_REQUESTS, pages::message(&message));
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

/// What every answer bears, whatever it is.
async fn protect(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    for (name, value) in pages::PROTECTION {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        set_policy(headers, "'none'");
    }
    answer
}

fn set_policy(headers: &mut HeaderMap, form_action: &str) {
    if let Ok(value) = HeaderValue::from_str(&policy(form_action)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, value);
    }
}

#[derive(Default, Deserialize)]
struct Wish {
    return_to: Option<String>,
}

/// The page with the button. It reads what the watch has seen, and nothing else.
async fn show(
    State(site): State<Arc<Site>>,
    Path(link): Path<String>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Response {
    let Some(subject) = site.subjects.by_link(&site.links, &link) else {
        return stopped(&Why::UnknownLink.into());
    };
    if !subject.wants_consent {
        return stopped(&site.not_needed(&subject));
    }
    let wish = wish.map(|Query(wish)| wish).unwrap_or_default();
    let return_to = wish.return_to.and_then(|address| site.admitted(&address));
    let asked = Asked {
        about: &site.about(&subject),
        namespace: subject.namespace.as_deref(),
        return_to: return_to.as_ref().map(Url::as_str),
    };
    let mut answer = pages::answer(StatusCode::OK, pages::connect(&asked));
    // Browsers hold redirections of a form to this too: the platform, its consent page, back here, and on.
    let mut form_action =
        format!("'self' {} {DASHBOARD_ORIGIN}", site.environment.management.base().origin());
    if let Some(address) = &return_to {
        form_action = format!("{form_action} {}", address.origin().ascii_serialization());
    }
    set_policy(answer.headers_mut(), &form_action);
    answer
}

async fn begin(
    State(site): State<Arc<Site>>,
    Path(link): Path<String>,
    headers: HeaderMap,
    wish: Result<Form<Wish>, FormRejection>,
) -> Response {
    let begun = if is_from_our_page(&headers, &site.base.origin()) {
        let wish = wish.map(|Form(wish)| wish).unwrap_or_default();
        site.begin(&link, wish.return_to.as_deref()).await
    } else {
        Err(Why::Forged.into())
    };
    match begun {
        Ok(leave) => {
            let mut answer = sent_to(&leave.location);
            set_cookie(&mut answer, &leave.set_cookie);
            answer
        }
        Err(why) => failed(&site, &why),
    }
}

/// Whether our own page sent a form. With `no-referrer`, browsers say `null` in `Origin` of their own accord, and
/// `Sec-Fetch-Site` tells; those too old to say that are believed by their `Origin`.
fn is_from_our_page(headers: &HeaderMap, ours: &str) -> bool {
    let said = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    match said("sec-fetch-site") {
        Some(site) => site == b"same-origin",
        None => said("origin") == Some(ours.as_bytes()),
    }
}

async fn callback(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    returned: Result<Query<Returned>, QueryRejection>,
) -> Response {
    // What cannot be read has no state.
    let returned = returned.map(|Query(returned)| returned).unwrap_or_default();
    let cookies: Vec<_> =
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    let (ticket, done) = site.finish(returned, &cookies).await;
    // Where the cluster could not be asked, nothing was spent: loading the page again may work.
    let spent = !matches!(&done, Err(stopped) if stopped.why.is_passing());
    let mut answer = match done {
        Ok(connected) => {
            site.metrics.consent("connected");
            welcome(&site, &connected)
        }
        Err(why) => failed(&site, &why),
    };
    if let Some(ticket) = ticket.filter(|_| spent) {
        set_cookie(&mut answer, &ticket.forget_cookie());
    }
    answer
}

fn welcome(site: &Site, connected: &Connected) -> Response {
    if let Some(address) = &connected.return_to {
        return sent_to(address.as_str());
    }
    let names: Vec<_> = connected.organizations.iter().map(|one| one.slug.to_string()).collect();
    let organization = if names.is_empty() {
        "Access was given; the operator checks for which organization.".to_owned()
    } else {
        format!("Access was given to the organization {}.", names.join(", "))
    };
    let next = "The operator takes over from here: the connection is ready within a minute, and projects that wait for it are \
                created then.";
    let message = Message {
        title: "Connected",
        about: Some(&site.about(&connected.subject)),
        sentences: &[&organization, next, "You can close this window."],
        action: None,
    };
    pages::answer(StatusCode::OK, pages::message(&message))
}

/// Counts and says why a flow stopped.
fn failed(site: &Site, why: &Stopped) -> Response {
    site.metrics.consent(why.why.label());
    warn!(
        reason = why.why.label(),
        error = &why.why as &dyn std::error::Error,
        "a consent flow stopped"
    );
    stopped(why)
}

fn stopped(stopped: &Stopped) -> Response {
    let sentence = format!("{}.", pages::capitalized(&stopped.why.to_string()));
    let message = Message {
        title: stopped.why.title(),
        about: stopped.about.as_ref(),
        sentences: &[&sentence],
        action: stopped.again.as_deref().map(|address| ("Begin again", address)),
    };
    pages::answer(stopped.why.status(), pages::message(&message))
}

/// `location` is an address that was parsed and written again: there is no line end in it.
fn sent_to(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return stopped(&Why::Interrupted.into());
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

fn set_cookie(answer: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn a_form_is_from_our_page_or_forged() {
        const OURS: &str = "https://connect.example";
        let said = |pairs: &[(&'static str, &'static str)]| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_static(value))
                })
                .collect();
            is_from_our_page(&headers, OURS)
        };
        assert!(said(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(said(&[("origin", OURS)]));
        for forged in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "https://evil.example")],
            &[("origin", "https://connect.example.evil.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", OURS)],
            &[("sec-fetch-site", "same-site"), ("origin", OURS)],
            &[("sec-fetch-site", "none"), ("origin", OURS)],
        ] {
            assert!(!said(forged), "{forged:?}");
        }
    }
}
