//! Auth writes real letters: to a mail server of its own kind, with the settings that were written over the API.

use std::path::Path;

use serde_json::{Value, json};
use simulated_platform::server::Server;
use simulated_platform::{Message, Pat, Plan, Sent, World};

use crate::client::ask;
use crate::mail_server::{Arrived, MailServer};
use crate::program::Program;
use crate::stage::{calm, order};

const TO: &str = "somebody@shop.example";

struct Post {
    mail: MailServer,
    server: Server,
    token: String,
    reference: String,
    user: String,
    password: String,
}

/// A word that is in no other run.
fn canary(kind: &str) -> String {
    format!("{kind}-{:016x}", getrandom::u64().unwrap())
}

impl Post {
    fn start() -> Option<Self> {
        let ensure = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/ensure");
        let (user, password) = (canary("user"), canary("password"));
        let mail = MailServer::start(&ensure, &user, &password)?;
        let mut world = World::new(calm(), 5);
        world.add_organization("acme", "Acme", Plan::Pro);
        let token = world.add_pat(Pat::classic());
        let server = Server::start(world, "127.0.0.1:0".parse().unwrap()).unwrap();
        server.trust_mail_servers(mail.certificate().as_bytes()).unwrap();
        let now = server.now();
        let reference = server.world().add_foreign_project("acme", "orders", now);
        Some(Self { mail, server, token, reference, user, password })
    }

    /// Writes Auth settings over the API.
    fn patch(&self, body: &Value) {
        let path = format!("/v1/projects/{}/config/auth", self.reference);
        let address = self.server.address();
        let answer = ask(address, &self.token, "PATCH", &path, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    fn configure(&self) {
        self.patch(&json!({ "smtp_host": "127.0.0.1", "smtp_port": self.mail.port().to_string(),
            "smtp_user": self.user, "smtp_pass": self.password, "smtp_admin_email": "no-reply@shop.example",
            "smtp_sender_name": "Shop" }));
    }

    fn send(&self) -> Sent {
        self.server.send_mail(&self.reference, Message::Recovery, TO).unwrap()
    }
}

#[test]
fn a_letter_arrives_with_what_was_written_to_the_settings() {
    let Some(post) = Post::start() else { return };
    post.configure();
    let subject = canary("subject");
    post.patch(&json!({ "mailer_subjects_recovery": subject }));
    assert_eq!(post.send(), Sent::Sent);
    let expected = Arrived {
        subject,
        from: "no-reply@shop.example".to_owned(),
        to: TO.to_owned(),
        user: post.user.clone(),
    };
    assert_eq!(post.mail.arrived(), [expected]);
}

#[test]
fn a_wrong_password_and_a_changed_one_are_seen() {
    let Some(mut post) = Post::start() else {
        return;
    };
    post.configure();
    post.patch(&json!({ "smtp_pass": canary("wrong") }));
    assert_eq!(post.send(), Sent::WrongPassword);
    post.patch(&json!({ "smtp_pass": post.password }));
    assert_eq!(post.send(), Sent::Sent);
    let changed = canary("changed");
    let user = post.user.clone();
    post.mail.change_password(&user, &changed);
    assert_eq!(post.send(), Sent::WrongPassword);
    post.patch(&json!({ "smtp_pass": changed }));
    assert_eq!(post.send(), Sent::Sent);
}

/// What writes a value back that it has read makes the digest the password.
#[test]
fn a_digest_written_back_is_no_password() {
    let Some(post) = Post::start() else { return };
    post.configure();
    let now = post.server.now();
    let shown = post.server.world().setting(&post.reference, "config/auth", now).unwrap();
    post.patch(&json!({ "smtp_pass": shown["smtp_pass"] }));
    assert_eq!(post.send(), Sent::WrongPassword);
}

#[test]
fn without_a_mail_server_of_its_own_nothing_is_sent() {
    let Some(post) = Post::start() else { return };
    assert_eq!(post.send(), Sent::Off);
    post.configure();
    assert_eq!(post.send(), Sent::Sent);
    post.patch(&json!({ "smtp_host": "" }));
    assert_eq!(post.send(), Sent::Off);
    assert_eq!(post.mail.arrived().len(), 1);
}

#[test]
fn a_mail_server_that_is_not_trusted_gets_no_letter() {
    let Some(post) = Post::start() else { return };
    post.configure();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let other = other.cert.pem();
    post.server.trust_mail_servers(other.as_bytes()).unwrap();
    assert_eq!(post.send(), Sent::Unreachable);
    assert_eq!(post.mail.arrived(), []);
}

#[test]
fn programs_can_ask_for_a_letter_over_http() {
    let Some(post) = Post::start() else { return };
    post.configure();
    let path = format!("/dashboard/projects/{}/mail", post.reference);
    let wanted = json!({ "to": TO, "message": "invite" }).to_string();
    let answer = ask(post.server.address(), "", "POST", &path, &wanted);
    assert_eq!(answer.body, json!({ "outcome": "sent" }));
    assert_eq!(post.mail.arrived()[0].subject, "You have been invited");
    let wanted = json!({ "to": TO, "message": "postcard" }).to_string();
    assert_eq!(ask(post.server.address(), "", "POST", &path, &wanted).status, 400);
}

#[test]
fn the_program_writes_letters_to_the_servers_that_it_is_told_to_trust() {
    let ensure = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/ensure");
    let (user, password) = (canary("user"), canary("password"));
    let Some(mail) = MailServer::start(&ensure, &user, &password) else {
        return;
    };
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), mail.certificate()).unwrap();
    let path = authority.path().to_str().unwrap();
    let program = Program::start(&["--pace", "instant", "--mail-authority", path]);
    let created = program.ask("POST", "/v1/projects", &order("acme", "orders"));
    let reference = created.body["ref"].as_str().unwrap();
    let settings = format!("/dashboard/projects/{reference}/settings/config/auth");
    let configured = program.ask(
        "POST",
        &settings,
        &json!({ "smtp_host": "127.0.0.1", "smtp_port": mail.port().to_string(), "smtp_user": user,
            "smtp_pass": password, "smtp_admin_email": "no-reply@shop.example", "smtp_sender_name": "Shop" }),
    );
    assert_eq!(configured.status, 200, "{}", configured.body);
    let letter = format!("/dashboard/projects/{reference}/mail");
    let told = program.ask("POST", &letter, &json!({ "to": TO }));
    assert_eq!(told.body, json!({ "outcome": "sent" }));
    assert_eq!(mail.arrived()[0].user, user);
}
