//! `POST /v1/projects`: validation, quota, unique names, and the birth of a project.

use serde_json::{Map, Value};

use super::{listing, regions};
use crate::access::Identity;
use crate::answer::{Outcome, Reply};
use crate::clock::later;
use crate::ledger::Effect;
use crate::organization::{Organization, Plan};
use crate::project::{Change, Fate, Key, Next, Password, Project, Settings, Status};
use crate::secret::Secret;
use crate::world::{Call, World};

/// The fields that the endpoint knows; any other is refused.
const FIELDS: &[&str] = &[
    "db_pass",
    "name",
    "organization_id",
    "organization_slug",
    "plan",
    "region",
    "region_selection",
    "kps_enabled",
    "desired_instance_size",
    "template_url",
    "high_availability",
    "release_channel",
    "postgres_engine",
];

const SIZES: &[&str] = &[
    "nano",
    "micro",
    "small",
    "medium",
    "large",
    "xlarge",
    "2xlarge",
    "4xlarge",
    "8xlarge",
    "12xlarge",
    "16xlarge",
    "24xlarge",
    "24xlarge_optimized_memory",
    "24xlarge_optimized_cpu",
    "24xlarge_high_memory",
    "48xlarge",
    "48xlarge_optimized_memory",
    "48xlarge_optimized_cpu",
    "48xlarge_high_memory",
];

/// Passwords that everybody tries first.
const WEAK: &[&str] = &[
    "password", "postgres", "12345678", "123456", "qwerty", "supabase", "letmein", "admin", "1234",
];

/// A create that passed validation.
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) region: &'static str,
    pub(crate) size: Option<String>,
    pub(crate) password: String,
    pub(crate) engine: String,
    pub(crate) channel: String,
}

/// Why a password is refused.
pub(crate) fn password_fault(password: &str, field: &str) -> Option<String> {
    let lower = password.to_lowercase();
    let mut letters = lower.chars();
    let monotonous = letters.next().is_some_and(|first| letters.all(|letter| letter == first));
    if password.chars().count() < 4 {
        Some(format!("{field} must be longer than or equal to 4 characters"))
    } else if monotonous || WEAK.contains(&lower.as_str()) {
        Some(
            "Password is known to be weak and easy to guess, please choose a different one"
                .to_owned(),
        )
    } else {
        None
    }
}

impl World {
    pub(crate) fn create_project(&mut self, call: &Call<'_>) -> Outcome {
        let body = call.json()?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        if let Some(password) = text("db_pass") {
            self.ledger.remember(password);
        }
        let order = self.order(call, &body)?;
        let slug = text("organization_slug").unwrap_or_default();
        let organization = self.organization_of(call, slug)?;
        if call.caller.projects.is_some() {
            return Err(Reply::forbidden());
        }
        if organization.plan.is_paid() && order.size.as_deref() == Some("nano") {
            return Err(call.invalid(&["Instance size nano is not available on paid plans"]));
        }
        if !organization.plan.is_paid() && order.size.as_deref().is_some_and(|size| size != "nano")
        {
            return Err(Reply::error(402, "Instance size is not available on the free plan"));
        }
        self.free_place(organization)
            .map_err(|message| Reply::error(self.config.quota_status, &message))?;
        let organization = organization.slug.clone();
        self.free_name(&organization, &order.name, None)?;
        let reference = self.found_project(order, &organization, &call.caller.identity, None);
        let status = self.config.create_status;
        let project = self.projects.get(&reference).ok_or_else(Reply::project_not_found)?;
        Ok(Reply::json(201, listing::brief(project, status)))
    }

    fn order(&mut self, call: &Call<'_>, body: &Map<String, Value>) -> Result<Order, Reply> {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let mut faults: Vec<String> = body
            .keys()
            .filter(|key| !FIELDS.contains(&key.as_str()))
            .map(|key| format!("property {key} should not exist"))
            .collect();
        let name = text("name").unwrap_or_default();
        if name.is_empty() {
            faults.push("name should not be empty".to_owned());
        }
        if name.chars().count() > 256 {
            faults.push("name must be shorter than or equal to 256 characters".to_owned());
        }
        if name.contains('.') {
            faults.push("name should not contain a . string".to_owned());
        }
        let slug = text("organization_slug").unwrap_or_default();
        let is_slug = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        if slug.is_empty() || !slug.chars().all(is_slug) {
            faults.push("organization_slug must match the pattern ^[\\w-]+$".to_owned());
        }
        let password = text("db_pass").unwrap_or_default();
        faults.extend(password_fault(password, "db_pass"));
        let size = chosen(body, "desired_instance_size", SIZES, &mut faults);
        let engine = chosen(body, "postgres_engine", &["15", "17", "17-oriole"], &mut faults);
        let channels = &["internal", "alpha", "beta", "ga", "withdrawn", "preview"];
        let channel = chosen(body, "release_channel", channels, &mut faults);
        for flag in ["kps_enabled", "high_availability"] {
            if body.get(flag).is_some_and(|value| !value.is_boolean()) {
                faults.push(format!("{flag} must be a boolean value"));
            }
        }
        let region = self.region(body);
        if let Err(fault) = &region {
            faults.push(fault.clone());
        }
        match region {
            Ok(region) if faults.is_empty() => Ok(Order {
                name: name.to_owned(),
                region,
                size,
                password: password.to_owned(),
                engine: engine.unwrap_or_else(|| "17".to_owned()),
                channel: channel.unwrap_or_else(|| "ga".to_owned()),
            }),
            Ok(_) | Err(_) => {
                Err(call.invalid(&faults.iter().map(String::as_str).collect::<Vec<_>>()))
            }
        }
    }

    fn region(&mut self, body: &Map<String, Value>) -> Result<&'static str, String> {
        let unknown = || "region must be one of the available regions".to_owned();
        match (body.get("region"), body.get("region_selection")) {
            (Some(_), Some(_)) => {
                Err("Only one of region or region_selection can be specified".to_owned())
            }
            (None, None) => Err("One of region or region_selection must be specified".to_owned()),
            (Some(region), None) => region.as_str().and_then(regions::specific).ok_or_else(unknown),
            (None, Some(selection)) => {
                let text = |name: &str| selection.get(name).and_then(Value::as_str);
                match (text("type"), text("code")) {
                    (Some("specific"), Some(code)) => regions::specific(code).ok_or_else(unknown),
                    (Some("smartGroup"), Some(code)) => {
                        let group = regions::of_group(code);
                        let index = self.random.below(group.len() as u64);
                        usize::try_from(index)
                            .ok()
                            .and_then(|index| group.get(index).copied())
                            .ok_or_else(unknown)
                    }
                    _ => Err("region_selection is invalid".to_owned()),
                }
            }
        }
    }

    /// Refuses a project for which a member of a free organization has no place left.
    pub(crate) fn free_place(&self, organization: &Organization) -> Result<(), String> {
        if organization.plan.is_paid() {
            return Ok(());
        }
        let most = self.config.free_projects_per_user;
        let crowded: Vec<String> = organization
            .members
            .iter()
            .filter(|user| self.places_taken(user) >= most)
            .map(|user| format!("{user} ({most} project limit)"))
            .collect();
        if crowded.is_empty() {
            return Ok(());
        }
        Err(format!(
            "The following organization members have reached their maximum limits for the number of \
             active free projects within organizations where they are an administrator or owner: {}.",
            crowded.join(", ")
        ))
    }

    fn places_taken(&self, user: &str) -> usize {
        self.projects
            .values()
            .filter(|project| !project.gone && project.branch_of.is_none())
            .filter(|project| project.status.takes_place())
            .filter_map(|project| self.organizations.get(&project.organization))
            .filter(|organization| organization.plan == Plan::Free)
            .filter(|organization| organization.members.contains(user))
            .count()
    }

    /// Refuses a name that another project of the organization holds.
    pub(crate) fn free_name(
        &self,
        organization: &str,
        name: &str,
        except: Option<&str>,
    ) -> Result<(), Reply> {
        let taken = self.projects.values().any(|project| {
            project.organization == organization
                && project.name == name
                && !project.gone
                && project.branch_of.is_none()
                && Some(project.reference.as_str()) != except
                && (self.config.deleted_names_held || !project.status.is_leaving())
        });
        if taken && self.config.names_unique {
            let message = format!("Project {name} already exists in your organization.");
            return Err(Reply::error(self.config.name_conflict_status, &message));
        }
        Ok(())
    }

    /// Brings a project into being and writes it into the ledger.
    pub(crate) fn found_project(
        &mut self,
        order: Order,
        organization: &str,
        by: &Identity,
        branch_of: Option<String>,
    ) -> String {
        let reference = self.random.letters(20);
        let paid = self.organizations.get(organization).is_some_and(|found| found.plan.is_paid());
        let smallest = if paid { "micro" } else { "nano" };
        let effect = Effect::Created {
            reference: reference.clone(),
            organization: organization.to_owned(),
            name: order.name.clone(),
            region: order.region.to_owned(),
            size: order.size.clone(),
        };
        self.accept(by, effect);
        self.ledger.remember(&order.password);
        let fate = self.fates.pop_front().unwrap_or_default();
        let change = match fate {
            Fate::Active => Some(Status::ActiveHealthy),
            Fate::InitFailed => Some(Status::InitFailed),
            Fate::Stuck => None,
        };
        let at = later(self.now, self.config.coming_up);
        let keys = vec![self.key("default", false), self.key("default", true)];
        let project = Project {
            reference: reference.clone(),
            organization: organization.to_owned(),
            name: order.name,
            region: order.region.to_owned(),
            size: order.size.unwrap_or_else(|| smallest.to_owned()),
            status: Status::ComingUp,
            created_at: self.now,
            branch_of,
            gone: false,
            number: self.projects.len() as u64,
            postgres_engine: order.engine,
            release_channel: order.channel,
            pooler_index: self.random.below(2),
            change: change.map(|to| Change { at, to: Next::Status(to) }),
            stuck: fate == Fate::Stuck,
            active_since: None,
            provisioned_at: None,
            password: Password { current: Secret::new(order.password), coming: Vec::new() },
            jwt_secret: Secret::new(self.random.alphanumeric(64)),
            legacy_keys_enabled: true,
            keys,
            settings: Settings::default(),
        };
        self.projects.insert(reference.clone(), project);
        self.change(&reference, |_, _, _| ());
        reference
    }

    /// A fresh API key of the new kind.
    pub(crate) fn key(&mut self, name: &str, secret: bool) -> Key {
        let kind = if secret { "sb_secret" } else { "sb_publishable" };
        let value =
            format!("{kind}_{}_{}", self.random.alphanumeric(22), self.random.alphanumeric(8));
        let template =
            if secret { serde_json::json!({ "role": "service_role" }) } else { Value::Null };
        Key {
            id: self.random.uuid(),
            name: name.to_owned(),
            description: None,
            secret,
            template,
            value: Secret::new(value),
            inserted_at: self.now,
            updated_at: self.now,
        }
    }
}

/// A field with a closed set of values.
fn chosen(
    body: &Map<String, Value>,
    field: &str,
    allowed: &[&str],
    faults: &mut Vec<String>,
) -> Option<String> {
    let value = body.get(field)?;
    let known = value.as_str().filter(|word| allowed.contains(word)).map(str::to_owned);
    if known.is_none() {
        faults.push(format!("{field} must be one of the following values: {}", allowed.join(", ")));
    }
    known
}
