//! Every field of `config/auth`: what it may hold and what it is on an untouched project.
//!
//! One table; nothing here knows a project. Providers, hooks and messages share their fields, so each is a name here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::rules::{Field, Rule, Usual};

/// A field, with what the table says about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) field: Field,
    pub(crate) usual: Usual,
    /// Read back as a digest only.
    pub(crate) secret: bool,
}

/// The field of this key.
pub(crate) fn known(key: &str) -> Option<&'static Known> {
    TABLE.get(key)
}

/// All fields, by key.
pub(crate) fn all() -> impl Iterator<Item = &'static Known> {
    TABLE.values()
}

const PROVIDERS: &[&str] = &[
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "figma",
    "github",
    "gitlab",
    "google",
    "kakao",
    "keycloak",
    "linkedin_oidc",
    "notion",
    "slack",
    "slack_oidc",
    "spotify",
    "twitch",
    "twitter",
    "workos",
    "x",
    "zoom",
];
/// Providers with an address of their own.
pub(crate) const WITH_URL: &[&str] = &["azure", "gitlab", "keycloak", "workos"];

/// The names of all providers.
pub(crate) fn providers() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().copied()
}

/// The hooks.
pub(crate) const HOOKS: &[&str] = &[
    "after_user_created",
    "before_user_created",
    "custom_access_token",
    "mfa_verification_attempt",
    "password_verification_attempt",
    "send_email",
    "send_sms",
];

/// The messages, with their subject on an untouched project.
const MESSAGES: &[(&str, &str)] = &[
    ("confirmation", "Confirm Your Signup"),
    ("email_change", "Confirm Email Change"),
    ("invite", "You have been invited"),
    ("magic_link", "Your Magic Link"),
    ("reauthentication", "Confirm Reauthentication"),
    ("recovery", "Reset Your Password"),
];
const NOTIFICATIONS: &[(&str, &str)] = &[
    ("email_changed", "Your email address has been changed"),
    ("identity_linked", "A new identity has been linked"),
    ("identity_unlinked", "An identity has been unlinked"),
    ("mfa_factor_enrolled", "A new MFA factor has been enrolled"),
    ("mfa_factor_unenrolled", "An MFA factor has been unenrolled"),
    ("password_changed", "Your password has been changed"),
    ("phone_changed", "Your phone number has been changed"),
];
/// The body of every message on an untouched project; the real ones differ from message to message.
const BODY: &str =
    "<h2>{{ .SiteURL }}</h2>\n<p><a href=\"{{ .ConfirmationURL }}\">Continue</a></p>";

const MOST: i64 = i32::MAX as i64;
const SHORT: i64 = i16::MAX as i64;

const PASSWORD_CHARACTERS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789",
    "abcdefghijklmnopqrstuvwxyz:ABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789",
    "abcdefghijklmnopqrstuvwxyz:ABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789:!@#$%^&*()_+-=[]{};'\\\\:\"|<>?,./`~",
    "",
];

const URL: Rule = Rule::Shape(
    |text| !text.is_empty() && !text.contains(','),
    "Invalid string: must match pattern /^[^,]+$/",
);
const TAGS: Rule = Rule::Shape(are_tags, "Invalid string: must be tags separated by commas");
const OTPS: Rule = Rule::Shape(
    are_otps,
    "Invalid string: must be phone numbers and codes such as 15551234=123456",
);
const MOMENT: Rule =
    Rule::Shape(|text| text.parse::<jiff::Timestamp>().is_ok(), "Invalid ISO datetime");
const EMAIL: Rule = Rule::Shape(is_email, "Invalid email address");
const PORT: Rule = Rule::Shape(
    |text| {
        text.is_empty()
            || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
    },
    "Invalid string: must be a port between 0 and 65535",
);

fn are_tags(text: &str) -> bool {
    let is_tag = |tag: &str| {
        tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    !text.trim_start().starts_with(',') && text.split(',').map(str::trim).all(is_tag)
}

fn are_otps(text: &str) -> bool {
    let digits = |word: &str, most: usize| {
        (1..=most).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
    };
    let pairs = text.strip_suffix(',').unwrap_or(text);
    text.is_empty()
        || pairs.split(',').all(|pair| {
            pair.split_once('=').is_some_and(|(phone, code)| digits(phone, 15) && digits(code, 64))
        })
}

fn is_email(text: &str) -> bool {
    let letters = |word: &str, more: &[u8]| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    let Some((name, host)) = text.rsplit_once('@') else {
        return false;
    };
    let labels: Vec<&str> = host.split('.').collect();
    letters(name, b"_'+-.")
        && !name.starts_with('.')
        && !name.ends_with(['.', '\''])
        && !name.contains("..")
        && labels.len() > 1
        && labels.iter().all(|label| letters(label, b"-") && !label.starts_with('-'))
        && labels.last().is_some_and(|last| {
            last.len() > 1 && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        })
}

use Usual::{Is, Null, Number, Text};

#[rustfmt::skip]
const SINGLE: &[(&str, Rule, Usual)] = &[
    ("api_max_request_duration", Rule::Whole(i64::MIN, i64::MAX), Number(10)),
    ("custom_oauth_enabled", Rule::Flag, Is(false)),
    ("db_max_pool_size", Rule::Whole(i64::MIN, i64::MAX), Number(10)),
    ("db_max_pool_size_unit", Rule::Choice(&["connections", "percent"]), Text("connections")),
    ("disable_signup", Rule::Flag, Is(false)),
    ("external_anonymous_users_enabled", Rule::Flag, Is(false)),
    ("external_apple_additional_client_ids", Rule::Text, Null),
    ("external_email_enabled", Rule::Flag, Is(true)),
    ("external_google_additional_client_ids", Rule::Text, Null),
    ("external_google_skip_nonce_check", Rule::Flag, Null),
    ("external_phone_enabled", Rule::Flag, Is(false)),
    ("external_web3_ethereum_enabled", Rule::Flag, Is(false)),
    ("external_web3_solana_enabled", Rule::Flag, Is(false)),
    ("jwt_exp", Rule::Whole(0, 604_800), Number(3600)),
    ("mailer_allow_unverified_email_sign_ins", Rule::Flag, Is(false)),
    ("mailer_autoconfirm", Rule::Flag, Is(false)),
    ("mailer_otp_exp", Rule::Whole(0, MOST), Number(3600)),
    ("mailer_otp_length", Rule::Whole(6, 10), Number(8)),
    ("mailer_secure_email_change_enabled", Rule::Flag, Is(true)),
    ("mfa_max_enrolled_factors", Rule::Whole(0, MOST), Number(10)),
    ("mfa_phone_enroll_enabled", Rule::Flag, Is(false)),
    ("mfa_phone_max_frequency", Rule::Whole(0, SHORT), Number(5)),
    ("mfa_phone_otp_length", Rule::Whole(0, SHORT), Number(6)),
    ("mfa_phone_template", Rule::Text, Text("Your code is {{ .Code }}")),
    ("mfa_phone_verify_enabled", Rule::Flag, Is(false)),
    ("mfa_totp_enroll_enabled", Rule::Flag, Is(true)),
    ("mfa_totp_verify_enabled", Rule::Flag, Is(true)),
    ("mfa_web_authn_enroll_enabled", Rule::Flag, Is(false)),
    ("mfa_web_authn_verify_enabled", Rule::Flag, Is(false)),
    ("nimbus_oauth_client_id", Rule::Text, Null),
    ("nimbus_oauth_client_secret", Rule::Text, Null),
    ("oauth_server_allow_dynamic_registration", Rule::Flag, Is(false)),
    ("oauth_server_authorization_path", Rule::Text, Null),
    ("oauth_server_enabled", Rule::Flag, Is(false)),
    ("passkey_enabled", Rule::Flag, Is(false)),
    ("password_hibp_enabled", Rule::Flag, Is(false)),
    ("password_min_length", Rule::Whole(6, SHORT), Number(6)),
    ("password_required_characters", Rule::Choice(PASSWORD_CHARACTERS), Null),
    ("rate_limit_anonymous_users", Rule::Whole(1, MOST), Number(30)),
    ("rate_limit_email_sent", Rule::Whole(1, MOST), Number(2)),
    ("rate_limit_otp", Rule::Whole(1, MOST), Number(30)),
    ("rate_limit_sms_sent", Rule::Whole(1, MOST), Number(30)),
    ("rate_limit_token_refresh", Rule::Whole(1, MOST), Number(150)),
    ("rate_limit_verify", Rule::Whole(1, MOST), Number(30)),
    ("rate_limit_web3", Rule::Whole(1, MOST), Number(30)),
    ("refresh_token_rotation_enabled", Rule::Flag, Is(true)),
    ("saml_enabled", Rule::Flag, Is(false)),
    ("saml_external_url", URL, Null),
    ("security_captcha_enabled", Rule::Flag, Is(false)),
    ("security_captcha_provider", Rule::Choice(&["turnstile", "hcaptcha"]), Text("hcaptcha")),
    ("security_captcha_secret", Rule::Text, Null),
    ("security_manual_linking_enabled", Rule::Flag, Is(false)),
    ("security_refresh_token_reuse_interval", Rule::Whole(0, 300), Number(10)),
    ("security_sb_forwarded_for_enabled", Rule::Flag, Is(false)),
    ("security_update_password_require_current_password", Rule::Flag, Is(false)),
    ("security_update_password_require_reauthentication", Rule::Flag, Is(false)),
    ("sessions_inactivity_timeout", Rule::Real(0.0, 8760.0), Number(0)),
    ("sessions_single_per_user", Rule::Flag, Is(false)),
    ("sessions_tags", TAGS, Null),
    ("sessions_timebox", Rule::Real(0.0, 8760.0), Number(0)),
    ("site_url", URL, Text("http://localhost:3000")),
    ("sms_autoconfirm", Rule::Flag, Is(false)),
    ("sms_max_frequency", Rule::Whole(0, SHORT), Number(5)),
    ("sms_messagebird_access_key", Rule::Text, Null),
    ("sms_messagebird_originator", Rule::Text, Null),
    ("sms_otp_exp", Rule::Whole(0, MOST), Number(60)),
    ("sms_otp_length", Rule::Whole(0, SHORT), Number(6)),
    ("sms_provider", Rule::Choice(&["messagebird", "textlocal", "twilio", "twilio_verify", "vonage"]), Text("twilio")),
    ("sms_template", Rule::Text, Text("Your code is {{ .Code }}")),
    ("sms_test_otp", OTPS, Null),
    ("sms_test_otp_valid_until", MOMENT, Null),
    ("sms_textlocal_api_key", Rule::Text, Null),
    ("sms_textlocal_sender", Rule::Text, Null),
    ("sms_twilio_account_sid", Rule::Text, Null),
    ("sms_twilio_auth_token", Rule::Text, Null),
    ("sms_twilio_content_sid", Rule::Text, Null),
    ("sms_twilio_message_service_sid", Rule::Text, Null),
    ("sms_twilio_verify_account_sid", Rule::Text, Null),
    ("sms_twilio_verify_auth_token", Rule::Text, Null),
    ("sms_twilio_verify_message_service_sid", Rule::Text, Null),
    ("sms_vonage_api_key", Rule::Text, Null),
    ("sms_vonage_api_secret", Rule::Text, Null),
    ("sms_vonage_from", Rule::Text, Null),
    ("smtp_admin_email", EMAIL, Null),
    ("smtp_host", Rule::Text, Null),
    ("smtp_max_frequency", Rule::Whole(0, SHORT), Number(60)),
    ("smtp_pass", Rule::Text, Null),
    ("smtp_port", PORT, Null),
    ("smtp_sender_name", Rule::Text, Null),
    ("smtp_user", Rule::Text, Null),
    ("uri_allow_list", Rule::Text, Text("")),
    ("webauthn_rp_display_name", Rule::Text, Null),
    ("webauthn_rp_id", Rule::Text, Null),
    ("webauthn_rp_origins", Rule::Text, Null),
];

/// Fields that null is refused for.
const NOT_NULLABLE: &[&str] =
    &["custom_oauth_enabled", "mailer_otp_exp", "passkey_enabled", "sms_otp_length"];

/// Secret fields besides those of providers and hooks.
const SECRETS: &[&str] = &[
    "nimbus_oauth_client_secret",
    "security_captcha_secret",
    "sms_messagebird_access_key",
    "sms_textlocal_api_key",
    "sms_twilio_auth_token",
    "sms_twilio_verify_auth_token",
    "sms_vonage_api_secret",
    "smtp_pass",
];

static TABLE: LazyLock<BTreeMap<&'static str, Known>> = LazyLock::new(|| {
    let mut rows: Vec<(&'static str, Rule, Usual, bool)> = SINGLE
        .iter()
        .map(|(key, rule, usual)| (*key, *rule, *usual, SECRETS.contains(key)))
        .collect();
    // The keys live as long as the table, which is for ever.
    let mut add = |key: String, rule, usual, secret| {
        rows.push((String::leak(key), rule, usual, secret));
    };
    for name in PROVIDERS {
        let key = |part: &str| format!("external_{name}_{part}");
        add(key("enabled"), Rule::Flag, Is(false), false);
        add(key("client_id"), Rule::Text, Null, false);
        add(key("secret"), Rule::Text, Null, true);
        if *name != "workos" {
            add(key("email_optional"), Rule::Flag, Is(false), false);
        }
        if WITH_URL.contains(name) {
            add(key("url"), Rule::Text, Null, false);
        }
    }
    for name in HOOKS {
        let key = |part: &str| format!("hook_{name}_{part}");
        add(key("enabled"), Rule::Flag, Is(false), false);
        add(key("uri"), Rule::Text, Null, false);
        add(key("secrets"), Rule::Text, Null, true);
    }
    for (name, subject) in MESSAGES {
        add(format!("mailer_subjects_{name}"), Rule::Text, Text(subject), false);
        add(format!("mailer_templates_{name}_content"), Rule::Text, Text(BODY), false);
    }
    for (name, subject) in NOTIFICATIONS {
        let key = format!("mailer_subjects_{name}_notification");
        add(key, Rule::Text, Text(subject), false);
        let key = format!("mailer_templates_{name}_notification_content");
        add(key, Rule::Text, Text(BODY), false);
        let key = format!("mailer_notifications_{name}_enabled");
        add(key, Rule::Flag, Is(false), false);
    }
    rows.into_iter()
        .map(|(key, rule, usual, secret)| {
            let nullable = !NOT_NULLABLE.contains(&key);
            let field = Field { key, rule, nullable };
            (key, Known { field, usual, secret })
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_writable_field_once() {
        assert_eq!(TABLE.len(), 235);
        let secrets = TABLE.values().filter(|known| known.secret).count();
        assert_eq!(secrets, 21 + 7 + 8);
    }

    #[test]
    fn what_is_usual_fits_its_rule() {
        for known in all() {
            let faults = known.field.faults("", &known.usual.value());
            assert!(faults.is_empty(), "{faults:?}");
        }
    }
}
