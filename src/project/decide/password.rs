//! How the database password stands: known, kept, to be put back, to be replaced, or not known.

use super::Draft;
use super::spec::is_observed_only;
use crate::api::project::{OnLost, PasswordOrigin};
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject};
use crate::outputs::Belonging;
use crate::project::facts::{FoundPassword, Observed, Problem};
use crate::project::step::PasswordSource;
use crate::rules::conditions;
use crate::rules::digest::comparable;

/// How often marks are put back on the password Secret before they are left off, until the spec changes.
const REMARKED_AT_MOST: u32 = 3;

/// How the database password stands.
#[derive(Debug)]
pub(super) enum Password {
    /// Known and kept.
    Fine,
    /// It must be put into its Secret.
    Keep(PasswordSource),
    /// A new one must be set.
    Reset,
    /// It is not known, or its Secret is somebody else's.
    Trouble(Problem),
}

/// Looks at the password Secret, what is recorded, and what is supplied. The password of a project that is only observed
/// is not replaced: that it would have to be is told.
pub(super) fn password(
    project: &SupabaseProject,
    observed: &Observed,
    status: &ProjectStatus,
) -> Password {
    let judged = judge(project, observed, status);
    if !matches!(judged, Password::Reset) || !is_observed_only(project) {
        return judged;
    }
    let (reason, what) = if is_known(status) {
        (Reason::PasswordLost, "is lost")
    } else {
        (Reason::PasswordUnknown, "of the adopted project is not known")
    };
    Password::Trouble(Problem::new(
        reason,
        format!(
            "the database password {what}, and with managementPolicy Observe no new one is set; give it with \
             spec.database.password.secretKeyRef, or leave database values out of the outputs' include"
        ),
    ))
}

/// Whether a password of the project was ever known.
pub(super) fn is_known(status: &ProjectStatus) -> bool {
    let recorded = status.credentials.as_ref();
    status.was_created() || recorded.is_some_and(|known| known.password_digest.is_some())
}

/// Whether the password is only what somebody said of a project that was adopted: the platform tells nobody whether a
/// password is right.
pub(super) fn is_unverified(status: &ProjectStatus) -> bool {
    let origin = status.credentials.as_ref().map(|known| known.password);
    !status.was_created() && origin == Some(PasswordOrigin::Supplied)
}

fn judge(project: &SupabaseProject, observed: &Observed, status: &ProjectStatus) -> Password {
    let reference = status.reference.as_deref();
    let recorded = status.credentials.as_ref();
    let digest = recorded.and_then(|credentials| credentials.password_digest.as_deref());
    let created = status.was_created();
    let supplied = observed.usable_supplied();
    let kept = match &observed.password {
        FoundPassword::Missing => None,
        FoundPassword::There(kept) => Some(kept),
    };
    if let Some(kept) = kept
        && kept.belonging != Belonging::Ours
    {
        let same_project = kept.orphaned && kept.reference.as_deref() == reference;
        return if same_project
            && kept.digest.as_deref().is_some_and(|kept| {
                digest.is_none_or(|digest| kept == digest || !comparable(kept, digest))
            }) {
            Password::Keep(PasswordSource::Retained)
        } else {
            Password::Trouble(foreign(project, kept.reference.as_deref()))
        };
    }
    if kept.is_some_and(|kept| kept.pending) {
        return Password::Reset;
    }
    let Some(digest) = digest else {
        return match supplied {
            _ if created => lost(project, status),
            Some(_) => Password::Keep(PasswordSource::Supplied),
            // Once: the digest of what is set is recorded, and what is declared but cannot be read may come.
            None if resets(project) && observed.supplied.is_none() => Password::Reset,
            None => Password::Trouble(Problem::new(
                Reason::PasswordUnknown,
                "the project was adopted and its database password is not known; give it with \
                 spec.database.password.secretKeyRef, set spec.database.password.onLost: Reset for a new one, or \
                 leave database values out of the outputs' include",
            )),
        };
    };
    let replaced = supplied.is_some_and(|supplied| supplied.digest != digest);
    if !created && replaced {
        return Password::Keep(PasswordSource::Supplied);
    }
    if let Some(kept) = kept
        && let Some(there) = kept.digest.as_deref()
    {
        let noted = kept.reference.as_deref() == reference;
        if there == digest {
            return if noted && kept.marked || are_taken_away(project, observed) {
                Password::Fine
            } else {
                Password::Keep(PasswordSource::Kept)
            };
        }
        // What is recorded was made with another key of the operator, and says nothing. The Secret does: it is ours
        // and was labelled when its password was known to be the project's, or was made for the create call.
        let ours = noted || created && kept.reference.is_none();
        if ours && !comparable(there, digest) {
            return Password::Keep(PasswordSource::Kept);
        }
    }
    if observed.recovered.is_some() {
        return Password::Keep(PasswordSource::Recovered);
    }
    lost(project, status)
}

/// Whether somebody takes our marks off the Secret as often as they are put on, as a webhook may: the password is right without
/// them.
fn are_taken_away(project: &SupabaseProject, observed: &Observed) -> bool {
    let (generation, most) = (project.metadata.generation, REMARKED_AT_MOST);
    let remarked = observed.memo.remarked.as_deref();
    remarked.is_some_and(|(of, times)| *of == generation && *times >= most)
}

/// The Secret may keep another project's only password: what is advised leaves it where it is.
fn foreign(project: &SupabaseProject, keeps: Option<&str>) -> Problem {
    let secret = project.password_secret_name();
    let whose = keeps.map_or_else(
        || "does not belong to this object".to_owned(),
        |reference| format!("keeps the password of project {reference}"),
    );
    Problem::new(
        Reason::PasswordSecretConflict,
        format!(
            "the Secret {secret} is there and {whose}, so it is left alone and the password of this project has no \
             place; keep what it holds in a Secret of another name before you make room, or use an object of another \
             name that adopts this project"
        ),
    )
}

/// A digest from before digests were bound to their object gives way to one that is, once the password has shown
/// that it is the one.
pub(super) fn rebind(observed: &Observed, status: &mut ProjectStatus) {
    let FoundPassword::There(kept) = &observed.password else {
        return;
    };
    let (Some(old), Some(new)) = (&kept.digest, &kept.bound) else {
        return;
    };
    let recorded = status
        .credentials
        .as_mut()
        .and_then(|known| known.password_digest.as_mut())
        .filter(|recorded| *recorded == old);
    let Some(recorded) = recorded else { return };
    recorded.clone_from(new);
    let attempts = status.creation.iter_mut().flat_map(|creation| &mut creation.attempts);
    for attempt in attempts.filter(|attempt| attempt.password_digest == *old) {
        attempt.password_digest.clone_from(new);
    }
}

/// Nowhere to be found.
fn lost(project: &SupabaseProject, status: &ProjectStatus) -> Password {
    let created = status.was_created();
    // Set with the first look at outputs, and never removed: before, nobody can have got the password.
    let handed_out =
        conditions::find(&status.conditions, ConditionType::OutputsWritten.as_str()).is_some();
    let unused = created && !handed_out && status.outputs.is_empty();
    if unused || resets(project) {
        return Password::Reset;
    }
    Password::Trouble(Problem::new(
        Reason::PasswordLost,
        "the Secret with the database password was deleted or edited, and no output holds the password; restore \
         it from a backup, or set spec.database.password.onLost: Reset for a new password",
    ))
}

fn resets(project: &SupabaseProject) -> bool {
    project.spec.database.password.on_lost == OnLost::Reset
}

/// Whether the supplied password is another than the one that the project was created with.
pub(super) fn password_differs(observed: &Observed, status: &ProjectStatus) -> bool {
    let recorded = status.credentials.as_ref();
    let origin = recorded.map(|credentials| credentials.password);
    let digest = recorded.and_then(|credentials| credentials.password_digest.as_deref());
    status.was_created()
        && origin != Some(PasswordOrigin::Unknown)
        && match &observed.supplied {
            Some(Ok(supplied)) => digest.is_none_or(|digest| {
                supplied.digest != digest && comparable(&supplied.digest, digest)
            }),
            Some(Err(_)) | None => false,
        }
}

/// Whether nothing has to be done about the password before outputs are written.
pub(in crate::project) fn password_is_settled(
    project: &SupabaseProject,
    observed: &Observed,
    status: &ProjectStatus,
) -> bool {
    match password(project, observed, status) {
        Password::Fine | Password::Trouble(_) => true,
        Password::Reset | Password::Keep(_) => false,
    }
}

/// A password that was lost although nobody is waiting for it: told before somebody does.
pub(super) fn unnoticed(
    project: &SupabaseProject,
    observed: &Observed,
    draft: &Draft,
) -> Option<Problem> {
    let problem = password_trouble(project, observed, draft)?;
    // Not to know an adopted project's password is in order as long as no output wants it.
    (!wants_password(project) && problem.reason != Reason::PasswordUnknown).then_some(problem)
}

/// Why the password cannot be handed out.
pub(super) fn password_trouble(
    project: &SupabaseProject,
    observed: &Observed,
    draft: &Draft,
) -> Option<Problem> {
    match password(project, observed, &draft.status) {
        Password::Trouble(problem) => Some(problem),
        Password::Fine | Password::Keep(_) | Password::Reset => None,
    }
}

/// Whether an output needs the password.
pub(super) fn wants_password(project: &SupabaseProject) -> bool {
    project.wanted_outputs().iter().any(crate::api::Output::needs_password)
}
