//! Workloads that are restarted when an output holds something else: once a change, and never for its first content.
//!
//! What was handed to the workloads last is in the status. A crash between the two writes the same value once more, which
//! restarts nobody.

use kube::ResourceExt as _;

use super::Projects;
use super::facts::{Problem, Rolled};
use crate::api::{Output, Reason, SupabaseProject};
use crate::controller::Note;
use crate::kubernetes::{Error, annotate_template};

/// The longest name after the slash of an annotation's key.
const LONGEST: usize = 63;

/// The annotation of Pod templates that bears an output's digest.
fn annotation(output: &str) -> String {
    // Names of objects are longer than what a key may hold: the end tells them apart best.
    let start = output.len().saturating_sub(LONGEST);
    let end = output.get(start..).unwrap_or(output).trim_start_matches(['-', '.']);
    format!("output.supabase-operator.dev/{end}")
}

/// Restarts the workloads of an output, if what it holds is not what they were given last.
pub async fn roll(
    projects: &Projects,
    project: &SupabaseProject,
    output: &Output,
    (before, content): (Option<&str>, &str),
) -> Rolled {
    let workloads = output.rollout_restart.as_deref().unwrap_or_default();
    if workloads.is_empty() {
        return Rolled::default();
    }
    let given = |digest: &str| Rolled { content: Some(digest.to_owned()), ..Rolled::default() };
    // What is there when this begins is what they have started with, or are waiting for.
    let Some(before) = before.filter(|before| *before != content) else {
        return given(content);
    };
    if !projects.rollout_restart {
        let problem = Problem::new(
            Reason::CapabilityUnavailable,
            format!(
                "{} holds something new, and the workloads of its rolloutRestart were not restarted: the operator was \
                 installed without the right to; restart them, or set the chart's value rolloutRestart.enabled",
                output.name
            ),
        );
        return Rolled { problem: Some(problem), ..given(before) };
    }
    let namespace = project.namespace().unwrap_or_default();
    let annotation = annotation(&output.name);
    let mut rolled = given(content);
    for workload in workloads {
        let (kind, name) = (workload.kind, workload.name.as_str());
        let client = &projects.context.client;
        let done =
            annotate_template(client, &namespace, (kind, name), (&annotation, content)).await;
        match done {
            Ok(()) => {
                let message = format!(
                    "{} {name} was restarted, since {} holds something new",
                    kind.as_str(),
                    output.name
                );
                rolled.notes.push(Note::normal("RolloutRestarted", message));
            }
            // It starts with the present content when it is made.
            Err(Error::NotFound) => {}
            Err(error) => {
                let message = format!(
                    "restarting {} {name} after a change of {}: {error}",
                    kind.as_str(),
                    output.name
                );
                rolled.problem = Some(Problem::new(Reason::Retrying, message));
                rolled.content = Some(before.to_owned());
            }
        }
    }
    rolled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_is_a_valid_key_for_every_name() {
        assert_eq!(annotation("orders-db"), "output.supabase-operator.dev/orders-db");
        for name in [format!("{}-{}", "a".repeat(100), "b".repeat(62)), "x.".repeat(100) + "y"] {
            let key = annotation(&name);
            let (_, end) = key.split_once('/').unwrap();
            assert!(
                (1..=63).contains(&end.len())
                    && end.starts_with(|one: char| one.is_ascii_alphanumeric()),
                "{key}"
            );
        }
    }
}
