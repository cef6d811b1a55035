//! Organizations, members, entitlements and the caller's profile.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::answer::{Outcome, Reply};
use crate::ledger::Effect;
use crate::organization::{Organization, Plan};
use crate::world::{Call, World};

impl World {
    /// The organization that a call names, if the caller may know it.
    pub(crate) fn organization_of(
        &self,
        call: &Call<'_>,
        slug: &str,
    ) -> Result<&Organization, Reply> {
        let organization = self
            .organizations
            .get(slug)
            .ok_or_else(|| Reply::error(404, "Organization not found"))?;
        if call.caller.organizations.contains(slug) {
            Ok(organization)
        } else {
            Err(match self.config.foreign_ref {
                crate::ForeignRef::Forbidden => Reply::forbidden(),
                crate::ForeignRef::NotFound => Reply::error(404, "Organization not found"),
            })
        }
    }

    pub(crate) fn list_organizations(&self, call: &Call<'_>) -> Reply {
        let list: Vec<Value> = self
            .organizations
            .values()
            .filter(|organization| call.caller.organizations.contains(&organization.slug))
            .map(brief)
            .collect();
        Reply::ok(Value::Array(list))
    }

    pub(crate) fn create_organization(&mut self, call: &Call<'_>) -> Outcome {
        let body = call.json()?;
        let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || name.chars().count() > 256 || body.len() != 1 {
            return Err(call.invalid(&["name must be shorter than or equal to 256 characters"]));
        }
        let organization = Organization {
            slug: self.random.letters(20),
            name: name.to_owned(),
            plan: Plan::Free,
            members: BTreeSet::from([call.caller.user.clone()]),
        };
        let answer = brief(&organization);
        self.accept(
            &call.caller.identity,
            Effect::OrganizationCreated { slug: organization.slug.clone() },
        );
        self.organizations.insert(organization.slug.clone(), organization);
        Ok(Reply::json(201, answer))
    }

    pub(crate) fn get_organization(&self, call: &Call<'_>) -> Outcome {
        let organization = self.organization_of(call, call.reference())?;
        Ok(Reply::ok(json!({
            "id": organization.slug,
            "name": organization.name,
            "plan": organization.plan.as_str(),
            "opt_in_tags": [],
            "allowed_release_channels": ["ga"],
        })))
    }

    pub(crate) fn entitlements(&self, call: &Call<'_>) -> Outcome {
        let paid = self.organization_of(call, call.reference())?.plan.is_paid();
        let switch = |key: &str, enabled: bool| {
            json!({
                "feature": { "key": key, "type": "boolean" },
                "hasAccess": enabled,
                "type": "boolean",
                "config": { "enabled": enabled },
            })
        };
        Ok(Reply::ok(json!({ "entitlements": [
            switch("project_pausing", !paid),
            switch("custom_domain", paid),
            switch("vanity_subdomain", paid),
            switch("dedicated_pooler", paid),
            switch("ipv4", paid),
        ] })))
    }

    pub(crate) fn members(&self, call: &Call<'_>) -> Outcome {
        let organization = self.organization_of(call, call.reference())?;
        let members: Vec<Value> = organization
            .members
            .iter()
            .filter_map(|name| self.users.get(name))
            .map(|user| {
                json!({
                    "user_id": user.id,
                    "user_name": user.name,
                    "email": format!("{}@example.com", user.name),
                    "role_name": "Owner",
                    "mfa_enabled": false,
                    "avatar_url": null,
                })
            })
            .collect();
        Ok(Reply::ok(Value::Array(members)))
    }

    pub(crate) fn profile(&self, call: &Call<'_>) -> Outcome {
        let user = self.users.get(&call.caller.user).ok_or_else(Reply::unauthorized)?;
        Ok(Reply::ok(json!({
            "gotrue_id": user.id,
            "primary_email": format!("{}@example.com", user.name),
            "username": user.name,
        })))
    }
}

fn brief(organization: &Organization) -> Value {
    json!({ "id": organization.slug, "slug": organization.slug, "name": organization.name })
}
