//! Rename, delete, pause, restore, restart and the database password.

use serde_json::{Value, json};

use super::creation::password_fault;
use crate::answer::{Outcome, Reply};
use crate::clock::later;
use crate::config::WhileComingUp;
use crate::ledger::Effect;
use crate::project::{Next, Project, Status};
use crate::secret::Secret;
use crate::world::{Call, World};

impl World {
    pub(crate) fn update_project(&mut self, call: &Call<'_>) -> Outcome {
        let project = self.living(call)?;
        let (organization, from) = (project.organization.clone(), project.name.clone());
        let body = call.json()?;
        let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || name.chars().count() > 256 || body.len() != 1 {
            return Err(call.invalid(&["name must be longer than or equal to 1 characters"]));
        }
        if name.contains('.') {
            return Err(call.invalid(&["name should not contain a . string"]));
        }
        let reference = call.reference();
        self.free_name(&organization, name, Some(reference))?;
        self.accept(
            &call.caller.identity,
            Effect::Renamed { reference: reference.to_owned(), from, to: name.to_owned() },
        );
        self.change(reference, |project, _, _| {
            name.clone_into(&mut project.name);
            Reply::ok(stub(project))
        })
        .ok_or_else(Reply::project_not_found)
    }

    pub(crate) fn delete_project(&mut self, call: &Call<'_>) -> Outcome {
        let project = self.living(call)?;
        let young = matches!(project.status, Status::ComingUp | Status::Unknown);
        if young && self.config.delete_while_coming_up == WhileComingUp::Refuse {
            return Err(Reply::error(400, "Project not ready for deletion."));
        }
        let mut answer = stub(project);
        if let Some(object) = answer.as_object_mut() {
            object.insert("slug".to_owned(), project.organization.clone().into());
        }
        self.enter(call, Status::GoingDown, |reference| Effect::Deleted { reference });
        Ok(Reply::ok(answer))
    }

    pub(crate) fn pause_project(&mut self, call: &Call<'_>) -> Outcome {
        let project = self.living(call)?;
        if self.is_paid(project) {
            return Err(Reply::error(400, "Projects of a paid organization cannot be paused"));
        }
        if !project.status.is_active() {
            return Err(Reply::error(400, "Project must be active to be paused"));
        }
        self.enter(call, Status::Pausing, |reference| Effect::Paused { reference });
        Ok(Reply::empty(200))
    }

    pub(crate) fn restore_versions(&self, call: &Call<'_>) -> Outcome {
        self.living(call)?;
        Ok(Reply::ok(json!({ "available_versions": [
            { "version": "17.6.1.111", "release_channel": "ga", "postgres_engine": "17" },
        ] })))
    }

    pub(crate) fn restore_project(&mut self, call: &Call<'_>) -> Outcome {
        let project = self.living(call)?;
        if !matches!(project.status, Status::Inactive | Status::RestoreFailed) {
            let status = project.status.as_str();
            let message =
                format!("Project is no longer in a paused state. Its current status is {status}.");
            return Err(Reply::error(400, &message));
        }
        if let Some(organization) = self.organizations.get(&project.organization) {
            self.free_place(organization).map_err(|message| Reply::error(403, &message))?;
        }
        let status = self.config.restore_status;
        self.enter(call, status, |reference| Effect::Restored { reference });
        if let Some(left) = self.failing_restores.checked_sub(1) {
            self.failing_restores = left;
            self.change(call.reference(), |project, _, _| {
                if let Some(change) = &mut project.change {
                    change.to = Next::Status(Status::Inactive);
                }
            });
        }
        Ok(Reply::empty(200))
    }

    pub(crate) fn cancel_restore(&mut self, call: &Call<'_>) -> Outcome {
        if self.living(call)?.status != Status::Restoring {
            return Err(Reply::error(400, "Project is not being restored"));
        }
        self.enter(call, Status::Inactive, |reference| Effect::Paused { reference });
        Ok(Reply::empty(200))
    }

    pub(crate) fn restart_project(&mut self, call: &Call<'_>) -> Outcome {
        if !self.living(call)?.status.is_active() {
            return Err(Reply::error(400, "Project must be active to be restarted"));
        }
        self.enter(call, Status::Restarting, |reference| Effect::Restarted { reference });
        Ok(Reply::empty(200))
    }

    pub(crate) fn change_password(&mut self, call: &Call<'_>) -> Outcome {
        let active = self.living(call)?.status.is_active();
        let body = call.json()?;
        let password = body.get("password").and_then(Value::as_str).unwrap_or_default();
        self.ledger.remember(password);
        if let Some(fault) = password_fault(password, "password") {
            return Err(call.invalid(&[&fault]));
        }
        if !active {
            return Err(Reply::error(400, "Project must be active and healthy."));
        }
        let reference = call.reference();
        self.set_password(reference, password);
        self.accept(
            &call.caller.identity,
            Effect::PasswordChanged { reference: reference.to_owned() },
        );
        Ok(Reply::ok(json!({ "message": "Successfully updated password" })))
    }

    /// Changes the password; the database learns it after the configured lag.
    pub(crate) fn set_password(&mut self, reference: &str, password: &str) {
        self.change(reference, |project, config, now| {
            let at = later(now, config.password_lag);
            project.password.coming.push((at, Secret::new(password)));
        });
    }

    /// The project that a call names, unless it is being deleted.
    pub(crate) fn living(&self, call: &Call<'_>) -> Result<&Project, Reply> {
        let project = self.target(call)?;
        if project.status.is_leaving() { Err(self.gone()) } else { Ok(project) }
    }

    /// The project that a call names, once it is up.
    pub(crate) fn ready(&self, call: &Call<'_>) -> Result<&Project, Reply> {
        let project = self.living(call)?;
        if project.provisioned_at.is_none() {
            return Err(Reply::error(400, "Project must be active and healthy."));
        }
        Ok(project)
    }

    pub(crate) fn is_paid(&self, project: &Project) -> bool {
        self.organizations
            .get(&project.organization)
            .is_some_and(|organization| organization.plan.is_paid())
    }

    fn enter(&mut self, call: &Call<'_>, status: Status, effect: impl FnOnce(String) -> Effect) {
        let reference = call.reference();
        let free = self.projects.get(reference).is_some_and(|project| !self.is_paid(project));
        self.accept(&call.caller.identity, effect(reference.to_owned()));
        self.change(reference, |project, config, now| {
            project.enter(status, now, config, free);
        });
    }
}

fn stub(project: &Project) -> Value {
    json!({ "id": 700_000 + project.number, "ref": project.reference, "name": project.name })
}
