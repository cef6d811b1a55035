//! The dashboard's consent page, as far as a browser needs it: which organization, and yes or no.
//!
//! Not the real page's looks: what it asks, and where it sends the browser then (platform.md §2.1). Whoever opens
//! it is the first user, signed in.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Method, Request, Response};
use url::form_urlencoded;

use crate::answer::{Body, Reply};
use crate::hand::Consent;
use crate::world::{FIRST_USER, World};

/// Where the dashboard is, on the address of the API.
pub const DASHBOARD: &str = "/dashboard";
/// The consent page below it.
const PAGE: &str = "/dashboard/authorize";

impl World {
    /// Answers a browser at the dashboard; nothing for other addresses.
    pub(crate) fn dashboard(&mut self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let path = request.uri().path();
        if !path.starts_with("/dashboard/") {
            return None;
        }
        if let Some(reply) = self.settings_page(request) {
            return Some(reply.into_response());
        }
        let reply = match (request.method(), path) {
            (&Method::GET, PAGE) => {
                let query = request.uri().query().unwrap_or_default();
                self.consent_page(&fields(query.as_bytes()))
            }
            (&Method::POST, PAGE) => self.decision(&fields(request.body())),
            _ => page(404, "<h1>Not found</h1>"),
        };
        Some(reply.into_response())
    }

    fn consent_page(&self, asked: &[(String, String)]) -> Reply {
        let id = field(asked, "auth_id");
        let Some(request) = self.oauth.consents.get(id) else {
            return page(404, "<h1>This authorization request is not known any more</h1>");
        };
        let wanted = field(asked, "organization_slug");
        let mut choice = String::new();
        for organization in self.organizations.values() {
            if !organization.members.contains(FIRST_USER) {
                continue;
            }
            let chosen = if organization.slug == wanted { " selected" } else { "" };
            let _ = write!(
                choice,
                "<option value=\"{}\"{chosen}>{}</option>",
                escaped(&organization.slug),
                escaped(&organization.name),
            );
        }
        let scopes = self.oauth.apps.get(&request.client_id).map(|app| {
            let scopes: Vec<_> = app.scopes.iter().map(String::as_str).collect();
            scopes.join(", ")
        });
        let body = format!(
            "<h1>Authorize an app (simulated)</h1><p>The app {} asks for: {}.</p>\
             <form method=\"post\" action=\"{PAGE}\"><input type=\"hidden\" name=\"auth_id\" value=\"{}\">\
             <p><label>Organization <select name=\"organization\">{choice}</select></label></p>\
             <p><button name=\"decision\" value=\"approve\">Authorize</button> \
             <button name=\"decision\" value=\"deny\">Decline</button></p></form>",
            escaped(&request.client_id),
            escaped(&scopes.unwrap_or_default()),
            escaped(id),
        );
        page(200, &body)
    }

    fn decision(&mut self, form: &[(String, String)]) -> Reply {
        let organization = field(form, "organization");
        let is_member = self
            .organizations
            .get(organization)
            .is_some_and(|organization| organization.members.contains(FIRST_USER));
        let consent = match field(form, "decision") {
            "approve" if is_member => {
                Consent::Grant { organization: organization.to_owned(), projects: None }
            }
            "deny" => Consent::Deny,
            _ => return page(400, "<h1>Choose an organization</h1>"),
        };
        let now = self.now;
        match self.consent(field(form, "auth_id"), consent, now) {
            Some(next) => Reply::empty(303).with_header("location", next.to_string()),
            None => page(404, "<h1>This authorization request is not known any more</h1>"),
        }
    }
}

fn page(status: u16, body: &str) -> Reply {
    // With an icon of its own, browsers ask for no other.
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><link rel=\"icon\" href=\"data:,\"><title>Simulated dashboard</title>{body}</html>"
    );
    Reply { status, body: Body::Text("text/html; charset=utf-8", html), headers: Vec::new() }
}

fn fields(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
