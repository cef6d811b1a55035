//! What the browser shows: pages without script, in light and dark, for any width and for the keyboard alone.
//! Everything that comes from elsewhere is escaped by the template.

use std::sync::LazyLock;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use sha2::{Digest as _, Sha256};

/// Headers of every page: nothing is kept, told to others, framed, or guessed.
pub const PROTECTION: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

/// The one style sheet. The green is Supabase's; its text is dark, for contrast.
const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#fff;--sheet:#f6f7f7;--line:#c9cecb;--ink:#1c1f1d;--soft:#4b524e;--green:#3ecf8e;--on-green:#0b1f15;--link:#12714a;--warn:#7a4b00}\
@media(prefers-color-scheme:dark){:root{--ground:#121413;--sheet:#1b1e1c;--line:#3a403c;--ink:#eceeed;--soft:#b3bab6;--link:#5fe0a8;--warn:#ffcf7a}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
main{max-width:40rem;margin:0 auto;padding:clamp(1.25rem,6vw,4rem) 1.25rem}\
h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}\
h2{font-size:1.05rem;margin:1.75rem 0 .5rem}\
p,ul{margin:0 0 .9rem}\
ul{padding-left:1.25rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.4rem 1.25rem;margin:1.25rem 0;padding:1rem 1.1rem;background:var(--sheet);border:1px solid var(--line);border-radius:.5rem}\
dt{color:var(--soft)}\
dd{margin:0;font-weight:600;overflow-wrap:anywhere}\
.note{border-left:.25rem solid var(--warn);padding:.1rem 0 .1rem .9rem;overflow-wrap:anywhere}\
.action{display:inline-block;margin-top:.75rem;padding:.7rem 1.4rem;border:1px solid #249361;border-radius:.4rem;background:var(--green);color:var(--on-green);font:inherit;font-weight:600;text-decoration:none;cursor:pointer}\
form{margin:0 0 1.5rem}\
.action:hover{filter:brightness(1.06)}\
.action:focus-visible,a:focus-visible{outline:.2rem solid var(--link);outline-offset:.2rem}\
.small{color:var(--soft);font-size:.9rem}\
@media(max-width:30rem){dl{grid-template-columns:1fr;gap:0}dd{margin:0 0 .6rem}.action{display:block;width:100%;text-align:center}}";

/// An error's words as the beginning of a sentence.
pub fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(char::to_uppercase);
    let capital: String = first.into_iter().flatten().collect();
    format!("{capital}{}", letters.as_str())
}

/// The policy of pages: the style above, nothing else, and forms only to where they must go.
pub fn policy(form_action: &str) -> String {
    static HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(Sha256::digest(STYLE)));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action {form_action}; \
         frame-ancestors 'none'",
        *HASH
    )
}

/// An answer with a page, from which no form can be sent.
pub fn answer(status: StatusCode, page: Markup) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    let policy = [(header::CONTENT_SECURITY_POLICY, policy("'none'"))];
    (status, kind, policy, PROTECTION, page.0).into_response()
}

/// A page of a heading and a few sentences.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The heading.
    pub title: &'a str,
    /// The connection that it is about, where one is known.
    pub about: Option<&'a About>,
    /// What there is to say.
    pub sentences: &'a [&'a str],
    /// Where the person can go, and what the way is called.
    pub action: Option<(&'a str, &'a str)>,
}

/// What people compare with what they expect.
#[derive(Clone, Debug)]
pub struct About {
    /// What the operator is called.
    pub operator: String,
    /// The connection, with its namespace where it has one.
    pub connection: String,
    /// Whether it is one of the cluster.
    pub is_shared: bool,
    /// The organization that it is pinned to.
    pub organization: String,
}

impl Render for About {
    fn render(&self) -> Markup {
        html! {
            dl {
                dt { "Operator" } dd { (self.operator) }
                dt { @if self.is_shared { "Cluster connection" } @else { "Connection" } }
                dd { (self.connection) }
                dt { "Organization" } dd { (self.organization) }
            }
        }
    }
}

/// A page that says something.
pub fn message(message: &Message<'_>) -> Markup {
    let body = html! {
        h1 { (message.title) }
        @for sentence in message.sentences {
            p { (sentence) }
        }
        @if let Some(about) = message.about {
            (about)
        }
        @if let Some((name, address)) = message.action {
            p { a.action href=(address) { (name) } }
        }
    };
    page(message.title, &body)
}

/// Who asks for access to what.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks, and for which organization.
    pub about: &'a About,
    /// The connection's namespace; none for one of the cluster.
    pub namespace: Option<&'a str>,
    /// Where the person is sent on to.
    pub return_to: Option<&'a str>,
}

/// The page with the button.
pub fn connect(asked: &Asked<'_>) -> Markup {
    let whom = match asked.namespace {
        Some(namespace) => format!("Whoever may create objects in the namespace {namespace}"),
        None => "Whoever may create objects in a namespace that the connection admits".to_owned(),
    };
    let body = html! {
        h1 { "Connect Supabase" }
        p {
            "A Kubernetes operator asks for access to your Supabase organization "
            strong { (asked.about.organization) } "."
        }
        (asked.about)
        h2 { "What it will be able to do" }
        ul {
            li { "see the organization and its projects, and create, change, pause and delete projects" }
            li { "read their API keys and database addresses, and replace database passwords, where the OAuth app asks for that" }
        }
        p { "Supabase shows the exact list on its own page, where you choose the organization and decide." }
        p.note {
            strong { "Go on only if you expected this. " }
            (whom) " will be able to use this access. If somebody sent you here and you do not know the connection, \
             close this window."
        }
        form method="post" {
            @if let Some(address) = asked.return_to {
                input type="hidden" name="return_to" value=(address);
            }
            button.action type="submit" { "Connect Supabase" }
        }
        p.small {
            "If the same app was given access to this organization before, consenting again may end the access it has: other \
             connections that use the app may have to be connected again."
        }
        @if let Some(address) = asked.return_to {
            p.small { "Afterwards you are sent on to " (address) "." }
        }
    };
    page("Connect Supabase", &body)
}

fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · supabase-operator" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_a_sentence() {
        assert_eq!(capitalized("more than that"), "More than that");
        assert_eq!(capitalized(""), "");
    }

    #[test]
    fn nothing_is_echoed_as_markup() {
        let evil = "\"><script>1</script><img src=x>";
        let about = About {
            operator: evil.to_owned(),
            connection: evil.to_owned(),
            is_shared: false,
            organization: evil.to_owned(),
        };
        let said = message(&Message {
            title: evil,
            about: Some(&about),
            sentences: &[evil],
            action: Some((evil, evil)),
        });
        let asked = connect(&Asked { about: &about, namespace: Some(evil), return_to: Some(evil) });
        for shown in [said.into_string(), asked.into_string()] {
            assert!(!shown.contains("<script") && !shown.contains("<img"), "{shown}");
        }
    }

    #[test]
    fn the_policy_admits_this_style_and_no_script() {
        let policy = policy("'self'");
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")));
        assert!(!policy.contains("unsafe") && !policy.contains("script"));
        assert!(!STYLE.contains('<'), "it stands in the page as it is");
    }
}
