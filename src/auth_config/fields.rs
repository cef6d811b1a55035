//! The table of fields: place in the spec, the platform's name, kind of value, when it is written, and what it waits for.
//!
//! PURE. A new field is a row here and a field in `api::auth_config`. What no row names yet is in [`NOT_TYPED`]; together they are
//! all settings that the platform has (platform.md does not list them: its OpenAPI document does).

/// One field of the spec, and what of the platform it stands for.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its place in the spec.
    pub path: &'static str,
    /// The platform's name.
    pub key: &'static str,
    /// How it is written in either.
    pub kind: Kind,
    /// When it is written, and with which others.
    pub group: Step,
    /// What must be settled before.
    pub gate: Gate,
}

/// How a value is written in the spec and on the platform.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The same in both: a text, a number or a truth value.
    Plain,
    /// A truth value, the other way round on the platform.
    Not,
    /// A number here, a text of digits there.
    Digits,
    /// Texts, joined by commas there; their order means nothing.
    Set,
    /// Texts, joined by commas there, in an order that matters.
    List,
    /// Seconds here, hours there, with fractions.
    Hours,
    /// A word of ours for each text of the platform.
    Enum(&'static [(&'static str, &'static str)]),
    /// A reference to a Secret here; there a text that is read back as a digest.
    Secret,
}

/// The steps of writing, in their order. Each is a request of its own, so that one that is refused holds back no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Step {
    /// What every plan has and nothing depends on.
    Plain,
    /// The mail server, as a whole.
    Smtp,
    /// How many mails are sent: only with a mail server.
    EmailSent,
    /// Texts of mails.
    Templates,
    /// Providers to sign in with.
    Providers,
    /// Text messages.
    Sms,
    /// Protection against robots: the provider and its secret.
    Captcha,
    /// What Auth calls on its way, over HTTP or in Postgres.
    Hooks,
    /// Second factors that cost.
    PaidMfa,
    /// Passwords that were leaked: only in some plans.
    LeakedPasswords,
    /// Limits of sessions: only in some plans.
    SessionLimits,
}

/// What must be settled before a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    None,
    /// This group.
    After(&'static str),
}

/// Fields that are written together or not at all, and can be switched off.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    /// Their place in the spec.
    pub path: &'static str,
    /// The field that switches them; absent means on.
    pub switch: &'static str,
    /// When they are written.
    pub group: Step,
    /// The platform's name of what is emptied to switch them off, alone.
    pub off: &'static str,
}

const fn field(
    path: &'static str,
    key: &'static str,
    kind: Kind,
    group: Step,
    gate: Gate,
) -> Field {
    Field { path, key, kind, group, gate }
}

/// Every setting that has a field in the spec.
pub const FIELDS: &[Field] = &[
    field("siteURL", "site_url", Kind::Plain, Step::Plain, Gate::None),
    field("redirectURLs", "uri_allow_list", Kind::Set, Step::Plain, Gate::None),
    field("email.minIntervalSeconds", "smtp_max_frequency", Kind::Plain, Step::Plain, Gate::None),
    field("smtp.host", "smtp_host", Kind::Plain, Step::Smtp, Gate::None),
    field("smtp.port", "smtp_port", Kind::Digits, Step::Smtp, Gate::None),
    field("smtp.username", "smtp_user", Kind::Plain, Step::Smtp, Gate::None),
    field("smtp.password", "smtp_pass", Kind::Secret, Step::Smtp, Gate::None),
    field("smtp.senderEmail", "smtp_admin_email", Kind::Plain, Step::Smtp, Gate::None),
    field("smtp.senderName", "smtp_sender_name", Kind::Plain, Step::Smtp, Gate::None),
    field(
        "rateLimits.emailSent",
        "rate_limit_email_sent",
        Kind::Plain,
        Step::EmailSent,
        Gate::After("smtp"),
    ),
];

/// The groups of more than one field.
pub const WHOLES: &[Whole] =
    &[Whole { path: "smtp", switch: "smtp.enabled", group: Step::Smtp, off: "smtp_host" }];

/// What the platform has and no row names yet.
pub const NOT_TYPED: &[&str] = &[
    "api_max_request_duration",
    "custom_oauth_enabled",
    "db_max_pool_size",
    "db_max_pool_size_unit",
    "disable_signup",
    "external_anonymous_users_enabled",
    "external_apple_additional_client_ids",
    "external_apple_client_id",
    "external_apple_email_optional",
    "external_apple_enabled",
    "external_apple_secret",
    "external_azure_client_id",
    "external_azure_email_optional",
    "external_azure_enabled",
    "external_azure_secret",
    "external_azure_url",
    "external_bitbucket_client_id",
    "external_bitbucket_email_optional",
    "external_bitbucket_enabled",
    "external_bitbucket_secret",
    "external_discord_client_id",
    "external_discord_email_optional",
    "external_discord_enabled",
    "external_discord_secret",
    "external_email_enabled",
    "external_facebook_client_id",
    "external_facebook_email_optional",
    "external_facebook_enabled",
    "external_facebook_secret",
    "external_figma_client_id",
    "external_figma_email_optional",
    "external_figma_enabled",
    "external_figma_secret",
    "external_github_client_id",
    "external_github_email_optional",
    "external_github_enabled",
    "external_github_secret",
    "external_gitlab_client_id",
    "external_gitlab_email_optional",
    "external_gitlab_enabled",
    "external_gitlab_secret",
    "external_gitlab_url",
    "external_google_additional_client_ids",
    "external_google_client_id",
    "external_google_email_optional",
    "external_google_enabled",
    "external_google_secret",
    "external_google_skip_nonce_check",
    "external_kakao_client_id",
    "external_kakao_email_optional",
    "external_kakao_enabled",
    "external_kakao_secret",
    "external_keycloak_client_id",
    "external_keycloak_email_optional",
    "external_keycloak_enabled",
    "external_keycloak_secret",
    "external_keycloak_url",
    "external_linkedin_oidc_client_id",
    "external_linkedin_oidc_email_optional",
    "external_linkedin_oidc_enabled",
    "external_linkedin_oidc_secret",
    "external_notion_client_id",
    "external_notion_email_optional",
    "external_notion_enabled",
    "external_notion_secret",
    "external_phone_enabled",
    "external_slack_client_id",
    "external_slack_email_optional",
    "external_slack_enabled",
    "external_slack_oidc_client_id",
    "external_slack_oidc_email_optional",
    "external_slack_oidc_enabled",
    "external_slack_oidc_secret",
    "external_slack_secret",
    "external_spotify_client_id",
    "external_spotify_email_optional",
    "external_spotify_enabled",
    "external_spotify_secret",
    "external_twitch_client_id",
    "external_twitch_email_optional",
    "external_twitch_enabled",
    "external_twitch_secret",
    "external_twitter_client_id",
    "external_twitter_email_optional",
    "external_twitter_enabled",
    "external_twitter_secret",
    "external_web3_ethereum_enabled",
    "external_web3_solana_enabled",
    "external_workos_client_id",
    "external_workos_enabled",
    "external_workos_secret",
    "external_workos_url",
    "external_x_client_id",
    "external_x_email_optional",
    "external_x_enabled",
    "external_x_secret",
    "external_zoom_client_id",
    "external_zoom_email_optional",
    "external_zoom_enabled",
    "external_zoom_secret",
    "hook_after_user_created_enabled",
    "hook_after_user_created_secrets",
    "hook_after_user_created_uri",
    "hook_before_user_created_enabled",
    "hook_before_user_created_secrets",
    "hook_before_user_created_uri",
    "hook_custom_access_token_enabled",
    "hook_custom_access_token_secrets",
    "hook_custom_access_token_uri",
    "hook_mfa_verification_attempt_enabled",
    "hook_mfa_verification_attempt_secrets",
    "hook_mfa_verification_attempt_uri",
    "hook_password_verification_attempt_enabled",
    "hook_password_verification_attempt_secrets",
    "hook_password_verification_attempt_uri",
    "hook_send_email_enabled",
    "hook_send_email_secrets",
    "hook_send_email_uri",
    "hook_send_sms_enabled",
    "hook_send_sms_secrets",
    "hook_send_sms_uri",
    "jwt_exp",
    "mailer_allow_unverified_email_sign_ins",
    "mailer_autoconfirm",
    "mailer_notifications_email_changed_enabled",
    "mailer_notifications_identity_linked_enabled",
    "mailer_notifications_identity_unlinked_enabled",
    "mailer_notifications_mfa_factor_enrolled_enabled",
    "mailer_notifications_mfa_factor_unenrolled_enabled",
    "mailer_notifications_password_changed_enabled",
    "mailer_notifications_phone_changed_enabled",
    "mailer_otp_exp",
    "mailer_otp_length",
    "mailer_secure_email_change_enabled",
    "mailer_subjects_confirmation",
    "mailer_subjects_email_change",
    "mailer_subjects_email_changed_notification",
    "mailer_subjects_identity_linked_notification",
    "mailer_subjects_identity_unlinked_notification",
    "mailer_subjects_invite",
    "mailer_subjects_magic_link",
    "mailer_subjects_mfa_factor_enrolled_notification",
    "mailer_subjects_mfa_factor_unenrolled_notification",
    "mailer_subjects_password_changed_notification",
    "mailer_subjects_phone_changed_notification",
    "mailer_subjects_reauthentication",
    "mailer_subjects_recovery",
    "mailer_templates_confirmation_content",
    "mailer_templates_email_change_content",
    "mailer_templates_email_changed_notification_content",
    "mailer_templates_identity_linked_notification_content",
    "mailer_templates_identity_unlinked_notification_content",
    "mailer_templates_invite_content",
    "mailer_templates_magic_link_content",
    "mailer_templates_mfa_factor_enrolled_notification_content",
    "mailer_templates_mfa_factor_unenrolled_notification_content",
    "mailer_templates_password_changed_notification_content",
    "mailer_templates_phone_changed_notification_content",
    "mailer_templates_reauthentication_content",
    "mailer_templates_recovery_content",
    "mfa_max_enrolled_factors",
    "mfa_phone_enroll_enabled",
    "mfa_phone_max_frequency",
    "mfa_phone_otp_length",
    "mfa_phone_template",
    "mfa_phone_verify_enabled",
    "mfa_totp_enroll_enabled",
    "mfa_totp_verify_enabled",
    "mfa_web_authn_enroll_enabled",
    "mfa_web_authn_verify_enabled",
    "nimbus_oauth_client_id",
    "nimbus_oauth_client_secret",
    "oauth_server_allow_dynamic_registration",
    "oauth_server_authorization_path",
    "oauth_server_enabled",
    "passkey_enabled",
    "password_hibp_enabled",
    "password_min_length",
    "password_required_characters",
    "rate_limit_anonymous_users",
    "rate_limit_otp",
    "rate_limit_sms_sent",
    "rate_limit_token_refresh",
    "rate_limit_verify",
    "rate_limit_web3",
    "refresh_token_rotation_enabled",
    "saml_enabled",
    "saml_external_url",
    "security_captcha_enabled",
    "security_captcha_provider",
    "security_captcha_secret",
    "security_manual_linking_enabled",
    "security_refresh_token_reuse_interval",
    "security_sb_forwarded_for_enabled",
    "security_update_password_require_current_password",
    "security_update_password_require_reauthentication",
    "sessions_inactivity_timeout",
    "sessions_single_per_user",
    "sessions_tags",
    "sessions_timebox",
    "sms_autoconfirm",
    "sms_max_frequency",
    "sms_messagebird_access_key",
    "sms_messagebird_originator",
    "sms_otp_exp",
    "sms_otp_length",
    "sms_provider",
    "sms_template",
    "sms_test_otp",
    "sms_test_otp_valid_until",
    "sms_textlocal_api_key",
    "sms_textlocal_sender",
    "sms_twilio_account_sid",
    "sms_twilio_auth_token",
    "sms_twilio_content_sid",
    "sms_twilio_message_service_sid",
    "sms_twilio_verify_account_sid",
    "sms_twilio_verify_auth_token",
    "sms_twilio_verify_message_service_sid",
    "sms_vonage_api_key",
    "sms_vonage_api_secret",
    "sms_vonage_from",
    "webauthn_rp_display_name",
    "webauthn_rp_id",
    "webauthn_rp_origins",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Since the document of which the tests have a copy.
    const NEWER: [&str; 1] = ["security_update_password_require_current_password"];

    #[test]
    fn every_setting_of_the_platform_is_a_row_or_named_as_none() {
        let rows: Vec<_> = FIELDS.iter().map(|field| field.key).collect();
        let ours: BTreeSet<_> = rows.iter().chain(NOT_TYPED).copied().collect();
        assert_eq!(ours.len(), rows.len() + NOT_TYPED.len(), "one is there twice");
        let Some(file) = std::env::var_os("SUPABASE_OPENAPI") else {
            return;
        };
        let text = std::fs::read_to_string(file).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let body = &document["paths"]["/v1/projects/{ref}/config/auth"]["patch"]["requestBody"];
        let mut schema = &body["content"]["application/json"]["schema"];
        if let Some(name) = schema["$ref"].as_str() {
            schema = document.pointer(name.trim_start_matches('#')).unwrap();
        }
        let named = schema["properties"].as_object().unwrap().keys();
        let mut theirs: BTreeSet<_> = named.map(String::as_str).collect();
        theirs.extend(NEWER);
        assert_eq!(ours, theirs);
    }

    #[test]
    fn rows_fit_together() {
        let paths: BTreeSet<_> = FIELDS.iter().map(|field| field.path).collect();
        assert_eq!(paths.len(), FIELDS.len());
        for field in FIELDS {
            let secret = matches!(field.kind, Kind::Secret);
            assert!(!secret || crate::management::wire::is_secret(field.key), "{}", field.key);
            if let Gate::After(path) = field.gate {
                assert!(WHOLES.iter().any(|whole| whole.path == path && whole.group < field.group));
            }
        }
        for whole in WHOLES {
            let within = |field: &&Field| field.path.starts_with(&format!("{}.", whole.path));
            assert!(FIELDS.iter().filter(within).all(|field| field.group == whole.group));
            assert!(FIELDS.iter().any(|field| field.key == whole.off));
        }
    }
}
