//! What `config/auth` refuses although each field is well formed: groups that belong together, and plans.
//!
//! Pure: from what is held and what is asked to what is refused. The words are the platform's where they were
//! recorded or reported; a refusal whose words are not known says so beside it.

use serde_json::{Map, Value};

use super::Auth;
use super::fields::{HOOKS, providers};
use crate::config::Config;
use crate::organization::Plan;

/// A refusal, and the fields that it is about.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) keys: Vec<String>,
    pub(crate) status: u16,
    pub(crate) message: String,
}

/// The settings as they would be after a change.
struct After<'a> {
    auth: &'a Auth,
    body: &'a Map<String, Value>,
}

impl After<'_> {
    fn value(&self, key: &str) -> &Value {
        self.body.get(key).unwrap_or_else(|| self.auth.written(key))
    }

    fn is_on(&self, key: &str) -> bool {
        *self.value(key) == Value::Bool(true)
    }

    fn has(&self, key: &str) -> bool {
        self.value(key).as_str().is_some_and(|text| !text.is_empty())
    }

    fn turns_on(&self, key: &str) -> bool {
        self.body.get(key) == Some(&Value::Bool(true))
    }

    /// The asked keys that start with `prefix` and end with `suffix`.
    fn asked(&self, prefix: &str, suffix: &str) -> Vec<String> {
        self.body
            .keys()
            .filter(|key| key.starts_with(prefix) && key.ends_with(suffix))
            .cloned()
            .collect()
    }

    fn asked_of(&self, keys: &[&str]) -> Vec<String> {
        self.body.keys().filter(|key| keys.contains(&key.as_str())).cloned().collect()
    }

    /// What a mail server of one's own lacks.
    fn mail_server_lacks(&self) -> Vec<String> {
        ["smtp_admin_email", "smtp_host", "smtp_port", "smtp_user", "smtp_pass"]
            .into_iter()
            .filter(|key| !self.has(key))
            .map(str::to_uppercase)
            .collect()
    }
}

/// Everything that is refused, the first refusal first.
pub(crate) fn refusals(
    auth: &Auth,
    body: &Map<String, Value>,
    plan: Plan,
    config: &Config,
) -> Vec<Refused> {
    let after = After { auth, body };
    [
        mail_server(&after),
        templates(&after, plan),
        oauth_server(&after),
        paid(&after, plan),
        hooks(&after, plan, config),
        captcha(&after),
        factors(&after),
    ]
    .into_iter()
    .flatten()
    .chain(provider_groups(&after))
    .collect()
}

fn refused(keys: Vec<String>, status: u16, message: impl Into<String>) -> Option<Refused> {
    (!keys.is_empty()).then(|| Refused { keys, status, message: message.into() })
}

fn mail_server(after: &After<'_>) -> Option<Refused> {
    let off = after.body.get("smtp_host").is_some() && !after.has("smtp_host");
    let keys = after.asked_of(&["rate_limit_email_sent", "smtp_sender_name"]);
    let sets = |key: &String| !after.value(key).is_null();
    let lacks = after.mail_server_lacks();
    if lacks.is_empty()
        || (off && !keys.contains(&"rate_limit_email_sent".to_owned()))
        || !keys.iter().any(sets)
    {
        return None;
    }
    let message = format!(
        "Custom SMTP required to configure SMTP_SENDER_NAME or RATE_LIMIT_EMAIL_SENT. Missing {} fields.",
        lacks.join(", ")
    );
    // The group is refused as a whole.
    let mut keys = after.asked("smtp_", "");
    keys.retain(|key| key != "smtp_max_frequency");
    keys.extend(after.asked_of(&["rate_limit_email_sent"]));
    refused(keys, 401, message)
}

fn templates(after: &After<'_>, plan: Plan) -> Option<Refused> {
    if plan.is_paid() || after.mail_server_lacks().is_empty() {
        return None;
    }
    let mut keys = after.asked("mailer_templates_", "");
    keys.extend(after.asked("mailer_subjects_", ""));
    refused(
        keys,
        400,
        "Email template modification is not available for free tier projects using the default email provider. \
         Please upgrade your plan or configure a custom SMTP provider.",
    )
}

fn oauth_server(after: &After<'_>) -> Option<Refused> {
    let pair = after.asked_of(&["oauth_server_enabled", "oauth_server_authorization_path"]);
    if pair.len() == 2 {
        return None;
    }
    refused(
        pair,
        400,
        "Both OAUTH_SERVER_ENABLED and OAUTH_SERVER_AUTHORIZATION_PATH must be provided together when updating \
         OAuth configuration",
    )
}

fn paid(after: &After<'_>, plan: Plan) -> Option<Refused> {
    if plan.is_paid() {
        return None;
    }
    if after.turns_on("password_hibp_enabled") {
        return refused(
            vec!["password_hibp_enabled".to_owned()],
            402,
            "Configuring leaked password protection via HaveIBeenPwned.org is available on Pro Plans and up.",
        );
    }
    let limits = ["sessions_timebox", "sessions_inactivity_timeout", "sessions_single_per_user"];
    let set = |key: &&str| {
        let value = after.body.get(*key).unwrap_or(&Value::Null);
        *value == Value::Bool(true) || value.as_f64().is_some_and(|hours| hours > 0.0)
    };
    if limits.iter().any(set) {
        // The documentation names the plan; the words were never recorded.
        return refused(
            after.asked_of(&limits),
            402,
            "Configuring user sessions is available on Pro Plans and up.",
        );
    }
    let factors = ["mfa_phone_verify_enabled", "mfa_web_authn_verify_enabled"];
    if factors.iter().any(|key| after.turns_on(key)) {
        // A paid add-on; the words were never recorded.
        let mut keys = after.asked("mfa_phone_", "_enabled");
        keys.extend(after.asked("mfa_web_authn_", "_enabled"));
        return refused(keys, 402, "Advanced MFA is available on Pro Plans and up.");
    }
    None
}

fn hooks(after: &After<'_>, plan: Plan, config: &Config) -> Option<Refused> {
    let gated = !matches!(plan, Plan::Team | Plan::Enterprise);
    let mut keys = Vec::new();
    for name in HOOKS {
        let asked = after.asked(&format!("hook_{name}_"), "");
        let of_team = name.ends_with("_verification_attempt")
            && after.turns_on(&format!("hook_{name}_enabled"));
        // A hook that is sent again as it is counts as one that is configured.
        let repeated = after.turns_on(&format!("hook_{name}_enabled"))
            && asked.iter().all(|key| after.body.get(key) == Some(after.auth.written(key)));
        if of_team || repeated {
            keys.extend(asked);
        }
    }
    if gated && !keys.is_empty() {
        let message = "Auth Hooks can only be configured on Team or Enterprise Plans";
        return refused(keys, config.hook_gate_status, message);
    }
    HOOKS.iter().find_map(|name| {
        let key = |part: &str| format!("hook_{name}_{part}");
        let asked = after.asked(&key(""), "");
        let uri = after.value(&key("uri")).as_str().unwrap_or_default();
        if asked.is_empty() || !after.is_on(&key("enabled")) {
            return None;
        }
        // The words of both were never recorded.
        if uri.is_empty() {
            return refused(asked, 400, format!("{} is required", key("uri")));
        }
        let needs_secret = !uri.starts_with("pg-functions://");
        if needs_secret && !after.has(&key("secrets")) {
            return refused(asked, 400, format!("{} is required", key("secrets")));
        }
        None
    })
}

fn captcha(after: &After<'_>) -> Option<Refused> {
    if !after.turns_on("security_captcha_enabled") || after.has("security_captcha_secret") {
        return None;
    }
    // The words were never recorded.
    let keys = after.asked("security_captcha_", "");
    refused(keys, 400, "security_captcha_secret is required")
}

fn factors(after: &After<'_>) -> Option<Refused> {
    ["mfa_totp", "mfa_phone", "mfa_web_authn"].iter().find_map(|factor| {
        let (enroll, verify) =
            (format!("{factor}_enroll_enabled"), format!("{factor}_verify_enabled"));
        let verifies = if *factor == "mfa_totp" {
            *after.value(&verify) != Value::Bool(false)
        } else {
            after.is_on(&verify)
        };
        // The words were never recorded.
        (after.turns_on(&enroll) && !verifies)
            .then(|| {
                refused(after.asked_of(&[&enroll, &verify]), 400, format!("{verify} is required"))
            })
            .flatten()
    })
}

fn provider_groups<'a>(after: &'a After<'_>) -> impl Iterator<Item = Refused> + 'a {
    providers().filter_map(|name| {
        let key = |part: &str| format!("external_{name}_{part}");
        if !after.turns_on(&key("enabled")) {
            return None;
        }
        let parts = ["client_id"].into_iter().chain((name == "keycloak").then_some("url"));
        let lacking: Vec<String> = parts.map(key).filter(|key| !after.has(key)).collect();
        // The words were never recorded.
        let message = format!("{} is required", lacking.first()?);
        let parts = ["enabled", "client_id", "secret", "email_optional", "url"].map(key);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        refused(after.asked_of(&parts), 400, message)
    })
}
