//! The endpoints of the Management API, one file per subject.
//!
//! Every endpoint is a method of [`World`]: it has been authenticated, counted and admitted before.

mod addons;
mod auth;
mod creation;
mod health;
mod keys;
mod lifecycle;
mod listing;
mod organizations;
mod overview;
mod parameters;
mod pooler;
mod regions;
mod services;
mod settings;

pub(crate) use creation::Order;

use crate::answer::Outcome;
use crate::routes::Operation;
use crate::world::{Call, World};

impl World {
    /// Performs an admitted call.
    pub(crate) fn perform(&mut self, call: &Call<'_>) -> Outcome {
        match call.operation {
            Operation::GetProfile => self.profile(call),
            Operation::Authorize => self.authorize_page(call),
            Operation::Token => self.token(call),
            Operation::Revoke => self.revoke_endpoint(call),
            Operation::ListOrganizations => Ok(self.list_organizations(call)),
            Operation::CreateOrganization => self.create_organization(call),
            Operation::GetOrganization => self.get_organization(call),
            Operation::GetEntitlements => self.entitlements(call),
            Operation::ListMembers => self.members(call),
            Operation::ListOrganizationProjects => self.list_organization_projects(call),
            Operation::ListProjects => Ok(self.list_projects(call)),
            Operation::CreateProject => self.create_project(call),
            Operation::ListRegions => self.list_regions(call),
            Operation::GetProject => self.get_project(call),
            Operation::UpdateProject => self.update_project(call),
            Operation::DeleteProject => self.delete_project(call),
            Operation::PauseProject => self.pause_project(call),
            Operation::ListRestoreVersions => self.restore_versions(call),
            Operation::RestoreProject => self.restore_project(call),
            Operation::CancelRestore => self.cancel_restore(call),
            Operation::RestartProject => self.restart_project(call),
            Operation::GetHealth => self.health(call),
            Operation::ListKeys => self.list_keys(call),
            Operation::CreateKey => self.create_key(call),
            Operation::GetLegacyKeys => self.legacy_keys(call),
            Operation::SetLegacyKeys => self.set_legacy_keys(call),
            Operation::GetKey => self.get_key(call),
            Operation::UpdateKey => self.update_key(call),
            Operation::DeleteKey => self.delete_key(call),
            Operation::GetPooler => self.pooler(call),
            Operation::UpdatePooler => self.update_pooler(call),
            Operation::ChangePassword => self.change_password(call),
            Operation::GetAuth => self.auth(call),
            Operation::UpdateAuth => self.update_auth(call),
            Operation::GetSsl => self.ssl(call),
            Operation::SetSsl => self.set_ssl(call),
            Operation::GetRestrictions => self.restrictions(call),
            Operation::PatchRestrictions => self.patch_restrictions(call),
            Operation::ApplyRestrictions => self.apply_restrictions(call),
            Operation::GetPostgres => self.postgres_config(call),
            Operation::ReplacePostgres => self.replace_postgres_config(call),
            Operation::PatchPostgres => self.patch_postgres_config(call),
            Operation::GetDataApi => self.data_api(call),
            Operation::UpdateDataApi => self.update_data_api(call),
            Operation::GetAddons => self.addons(call),
            Operation::ChooseAddon => self.choose_addon(call),
            Operation::RemoveAddon => self.remove_addon(call),
            Operation::GetStorage => self.storage(call),
            Operation::UpdateStorage => self.update_storage(call),
            Operation::GetRealtime => self.realtime(call),
            Operation::UpdateRealtime => self.update_realtime(call),
            Operation::GetOverview => self.overview(call),
            Operation::ListBranches => self.branches(call),
        }
    }
}
