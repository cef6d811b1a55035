//! Add-ons and the compute size: what costs money.

use serde_json::{Map, Value, json};

use crate::answer::{Outcome, Reply};
use crate::project::{Project, Status};
use crate::rules::{Field, Rule, Unknown, check, field};
use crate::world::{Call, World};

/// Each kind of add-on with its variants; those of the last kinds cannot be chosen over the API.
const KINDS: &[(&str, &[&str])] = &[
    (
        "compute_instance",
        &[
            "ci_micro",
            "ci_small",
            "ci_medium",
            "ci_large",
            "ci_xlarge",
            "ci_2xlarge",
            "ci_4xlarge",
            "ci_8xlarge",
            "ci_12xlarge",
            "ci_16xlarge",
            "ci_24xlarge",
            "ci_24xlarge_optimized_cpu",
            "ci_24xlarge_optimized_memory",
            "ci_24xlarge_high_memory",
            "ci_48xlarge",
            "ci_48xlarge_optimized_cpu",
            "ci_48xlarge_optimized_memory",
            "ci_48xlarge_high_memory",
        ],
    ),
    ("custom_domain", &["cd_default"]),
    ("pitr", &["pitr_7", "pitr_14", "pitr_28"]),
    ("ipv4", &["ipv4_default"]),
    ("auth_mfa_phone", &[]),
    ("auth_mfa_web_authn", &[]),
    ("log_drain", &[]),
    ("etl_pipeline", &[]),
];

fn variants_of(kind: &str) -> &'static [&'static str] {
    let found = KINDS.iter().find(|(name, _)| *name == kind);
    found.map_or(&[], |(_, variants)| variants)
}

fn kind_of(variant: &str) -> Option<&'static str> {
    let holds = |(_, variants): &&(&str, &[&str])| variants.contains(&variant);
    KINDS.iter().find(holds).map(|(kind, _)| *kind)
}

const REQUEST: &[Field] = &[
    field(
        "addon_type",
        Rule::Shape(|word| KINDS.iter().any(|(kind, _)| *kind == word), "Invalid option"),
    ),
    field("addon_variant", Rule::Shape(|word| kind_of(word).is_some(), "Invalid input")),
];

impl World {
    pub(crate) fn addons(&self, call: &Call<'_>) -> Outcome {
        let project = self.living(call)?;
        let selected: Vec<Value> = selected(project)
            .iter()
            .map(|(kind, variant)| json!({ "type": kind, "variant": described(kind, variant) }))
            .collect();
        let available: Vec<Value> = KINDS
            .iter()
            .map(|(kind, variants)| {
                let variants: Vec<_> = variants.iter().map(|id| described(kind, id)).collect();
                json!({ "type": kind, "name": kind, "variants": variants })
            })
            .collect();
        Ok(Reply::ok(json!({ "selected_addons": selected, "available_addons": available })))
    }

    pub(crate) fn choose_addon(&mut self, call: &Call<'_>) -> Outcome {
        let paid = self.is_paid(self.ready(call)?);
        let body = call.json()?;
        check(call, &body, REQUEST, Unknown::Ignored)?;
        let (kind, variant) =
            (text(call, &body, "addon_type")?, text(call, &body, "addon_variant")?);
        // The words of all of these were never recorded.
        if !variants_of(&kind).contains(&variant.as_str()) {
            return Err(Reply::error(400, "addon_variant does not belong to addon_type"));
        }
        if !paid {
            return Err(Reply::error(402, "Add-ons are available on Pro Plans and up."));
        }
        let project = self.ready(call)?;
        if kind == "pitr" && ["nano", "micro"].contains(&project.size.as_str()) {
            return Err(Reply::error(400, "PITR needs at least the Small compute size."));
        }
        self.changed(call, "billing/addons", |project| {
            if kind == "compute_instance" {
                variant.trim_start_matches("ci_").clone_into(&mut project.size);
            } else {
                let addons = &mut project.settings.addons;
                addons.retain(|held| kind_of(held) != Some(&kind));
                addons.push(variant);
            }
        });
        self.resize_if(call, kind == "compute_instance");
        Ok(Reply::empty(200))
    }

    pub(crate) fn remove_addon(&mut self, call: &Call<'_>) -> Outcome {
        let project = self.ready(call)?;
        let variant = call.second().to_owned();
        let Some(kind) = kind_of(&variant) else {
            return Err(call.invalid(&["addon_variant: Invalid input"]));
        };
        if !selected(project).iter().any(|(_, held)| *held == variant) {
            return Err(Reply::error(404, "Add-on not found"));
        }
        let smallest = if self.is_paid(project) { "micro" } else { "nano" };
        self.changed(call, "billing/addons", |project| {
            if kind == "compute_instance" {
                smallest.clone_into(&mut project.size);
            } else {
                project.settings.addons.retain(|held| *held != variant);
            }
        });
        self.resize_if(call, kind == "compute_instance");
        Ok(Reply::empty(200))
    }

    fn resize_if(&mut self, call: &Call<'_>, resize: bool) {
        if resize {
            self.change(call.reference(), |project, config, now| {
                if project.status.is_active() {
                    project.enter(Status::Resizing, now, config, false);
                }
            });
        }
    }
}

fn text(call: &Call<'_>, body: &Map<String, Value>, key: &str) -> Result<String, Reply> {
    let missing = format!("{key}: Invalid input: expected string, received undefined");
    let text = body.get(key).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| call.invalid(&[&missing]))
}

/// What a project has, as kind and variant.
fn selected(project: &Project) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    if project.size != "nano" {
        all.push(("compute_instance", format!("ci_{}", project.size)));
    }
    for variant in &project.settings.addons {
        if let Some(kind) = kind_of(variant) {
            all.push((kind, variant.clone()));
        }
    }
    let now = jiff::Timestamp::MAX;
    for (kind, key) in [
        ("auth_mfa_phone", "mfa_phone_verify_enabled"),
        ("auth_mfa_web_authn", "mfa_web_authn_verify_enabled"),
    ] {
        let value = crate::auth::known(key).map(|known| project.settings.auth.value(known, now));
        if value == Some(Value::Bool(true)) {
            all.push((kind, format!("{kind}_default")));
        }
    }
    all
}

fn described(kind: &str, variant: &str) -> Value {
    let mut described = json!({
        "id": variant,
        "name": variant.trim_start_matches("ci_"),
        "price": { "description": kind, "type": "usage", "interval": "hourly", "amount": 0.01344 },
    });
    if let (true, Some(object)) = (kind == "compute_instance", described.as_object_mut()) {
        let meta = json!({
            "cpu_cores": 2, "cpu_dedicated": false, "memory_gb": 1, "baseline_disk_io_mbs": 87, "max_disk_io_mbs": 2085,
            "connections_direct": 60, "connections_pooler": 200, "backup_retention_days": 7,
            "supported_cloud_providers": ["AWS"],
        });
        object.insert("meta".to_owned(), meta);
    }
    described
}
