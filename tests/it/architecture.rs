//! Which room may import what, and which may have effects: the arrows of the house, checked on its sources.

mod circles;

use std::path::{Path, PathBuf};

use crate::support::programs::repository;

/// Longest file of a room, tests left out.
const LONGEST: usize = 400;

struct Source {
    path: String,
    text: String,
}

/// Every source file, without its unit tests.
fn sources() -> Vec<Source> {
    let root = repository().join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 40, "only {} files found in {}", found.len(), root.display());
    found
}

fn collect(root: &Path, folder: &PathBuf, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if name.ends_with("/tests.rs") || name.contains("/tests/") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            found.push(Source { path: name, text });
        }
    }
}

/// The top-level modules of ours that a file names.
fn ours(source: &Source) -> Vec<String> {
    let rest = source.text.split("crate::").skip(1);
    rest.flat_map(|rest| {
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(',').collect::<Vec<_>>(),
            None => vec![rest],
        };
        names
            .into_iter()
            .map(|name| {
                let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                name.trim().chars().take_while(|letter| is_part(*letter)).collect::<String>()
            })
            .collect::<Vec<_>>()
    })
    .filter(|name| !name.is_empty())
    .collect()
}

fn only(room: &str, allowed: &[&str]) -> Vec<String> {
    let in_room = |source: &&Source| source.path.starts_with(room);
    let sources = sources();
    let files: Vec<_> = sources.iter().filter(in_room).collect();
    assert!(!files.is_empty(), "no file in {room}");
    files
        .iter()
        .flat_map(|source| {
            ours(source)
                .into_iter()
                .filter(|name| !allowed.contains(&name.as_str()))
                .map(|name| format!("{} imports crate::{name}", source.path))
        })
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one list of arrows")]
fn arrows_run_one_way() {
    let mut wrong = Vec::new();
    wrong.extend(only("api/", &["api"]));
    wrong.extend(only("rules/", &["rules"]));
    wrong.extend(only("management/", &["management"]));
    wrong.extend(only("environment.rs", &["management", "rules"]));
    wrong.extend(only("outputs/", &["outputs", "api", "rules"]));
    wrong.extend(only(
        "controller/",
        &[
            "controller",
            "ending",
            "api",
            "kubernetes",
            "leader",
            "rules",
            "seen",
            "slots",
            "telemetry",
            // The translator from the platform's errors, and when settings are read.
            "management",
            "settings",
        ],
    ));
    wrong.extend(only("kubernetes/", &["kubernetes", "api", "slots"]));
    wrong.extend(only("seen/", &["seen", "api", "kubernetes"]));
    wrong.extend(only("slots.rs", &[]));
    // `controller` in a decision is the shape of decisions, and of wakes; plain values both.
    wrong.extend(only(
        "project/decide/",
        &[
            "project",
            "api",
            "rules",
            "outputs",
            "controller",
            "management",
            "kubernetes",
            "seen",
            "settings",
        ],
    ));
    wrong.extend(only(
        "auth_config/decide/",
        &["auth_config", "api", "rules", "controller", "settings"],
    ));
    wrong.extend(only(
        "parents.rs",
        &["api", "controller", "kubernetes", "rules", "seen", "session"],
    ));
    wrong.extend(only("versions.rs", &["api", "controller", "kubernetes"]));
    wrong.extend(only(
        "session/",
        &[
            "session",
            "management",
            "api",
            "rules",
            "kubernetes",
            "leader",
            "telemetry",
            "controller",
            "seen",
            "slots",
            "tasks",
        ],
    ));
    wrong.extend(only(
        "inventory/",
        &["inventory", "session", "management", "api", "controller", "seen", "slots", "tasks"],
    ));
    // Whoever goes through the flow needs neither to lead nor to touch the tokens in use.
    wrong.extend(only(
        "consent/",
        &[
            "consent",
            "session",
            "management",
            "api",
            "rules",
            "kubernetes",
            "keys",
            "environment",
            "serving",
            "telemetry",
            "controller",
            "seen",
        ],
    ));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn settings_stand_on_values_only() {
    let mut wrong = Vec::new();
    // `management` gives it the errors that it judges, and nothing to call.
    wrong.extend(only("settings/", &["settings", "api", "rules", "management"]));
    for pure in ["declared.rs", "fields.rs", "values.rs"] {
        let file = format!("auth_config/{pure}");
        wrong.extend(only(&file, &["auth_config", "settings", "api", "rules", "management"]));
    }
    wrong.extend(only("project/settings/", &["project", "settings", "api", "rules", "management"]));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_outside_knows_no_kubernetes() {
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.path.starts_with("management/"))
        .filter(|source| source.text.contains("kube::") || source.text.contains("k8s_openapi::api"))
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn decisions_outputs_rules_and_types_are_pure() {
    let pure = |path: &str| {
        path.starts_with("api/")
            || path.starts_with("rules/")
            || path.starts_with("outputs/")
            || path.contains("/decide")
            || path.starts_with("settings/")
            || ["declared.rs", "fields.rs", "values.rs"]
                .iter()
                .any(|file| path == format!("auth_config/{file}"))
            || path.starts_with("project/settings/")
    };
    let effects = [
        ".await",
        "async fn",
        "kube::Client",
        "kube::Api",
        "Api<",
        "reqwest",
        "tokio::",
        "std::fs",
        "std::net",
        "std::env",
        "Timestamp::now",
        "Instant",
        "SystemTime",
    ];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| pure(&source.path)) {
        let code = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            wrong.extend(
                effects
                    .iter()
                    .filter(|effect| line.contains(*effect))
                    .map(|effect| format!("{}: {effect}: {}", source.path, line.trim())),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn observing_has_no_effect_and_asks_no_decision() {
    let writes = [
        "kubernetes::create",
        "kubernetes::replace",
        "kubernetes::delete",
        "kubernetes::write_status",
        "kubernetes::set_finalizers",
        "create_project",
        "rename_project",
        "delete_project",
        "pause_project",
        "restore_project",
        "change_password",
        "set_ssl_enforcement",
        "restrict_networks",
        "change_data_api",
        "replace_parameters",
        "change_auth_config",
        "refresh_token(",
        // Of this process: what is observed is remembered by somebody else.
        "memory.note(",
        "memory.keep(",
        "versions.note(",
        "versions.keep(",
        ".unfollow(",
        "follow(",
        ".enter(",
        "names.take(",
        "session.remember",
        "index.note(",
    ];
    let (mut wrong, mut looked) = (Vec::new(), 0);
    let observes = |source: &&Source| {
        source.path.ends_with("/observe.rs") || source.path.contains("/observe/")
    };
    for source in sources().iter().filter(observes) {
        looked += 1;
        wrong.extend(
            writes
                .iter()
                .filter(|write| source.text.contains(*write))
                .map(|write| format!("{}: {write}", source.path)),
        );
        // The plan of reads is the one thing that is asked of decisions.
        let asked = source.text.matches("decide::").count();
        let needs = source.text.matches("decide::needs").count();
        if asked > needs {
            wrong.push(format!("{}: asks a decision", source.path));
        }
    }
    assert!(wrong.is_empty() && looked >= 5, "{looked}: {wrong:#?}");
}

#[test]
fn only_decisions_and_the_builder_set_conditions() {
    let marks = [
        ".set(ConditionType::",
        "conditions::set(",
        ".progressing(",
        ".stalled(",
        ".resting(",
        ".reached(",
    ];
    let may = |path: &str| {
        let decides = path.contains("/decide/");
        // What the words are, reading them, and an object that is not understood, for which nothing is decided.
        let about = [
            "api/",
            "rules/conditions.rs",
            "seen/",
            "controller/status.rs",
            "controller/report.rs",
            "controller/unreadable.rs",
        ];
        decides || about.iter().any(|one| path.starts_with(one))
    };
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for source in sources() {
        let sets = marks.iter().filter(|mark| source.text.contains(*mark));
        for mark in sets {
            seen += 1;
            if !may(&source.path) {
                wrong.push(format!("{}: {mark}", source.path));
            }
        }
    }
    assert!(wrong.is_empty() && seen > 15, "{seen}: {wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            wrong.push(format!("{} does not begin with //!", source.path));
        }
        let lines = source.text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{} has {lines} lines", source.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_message_advises_to_take_away_what_may_be_the_only_copy() {
    let advice = [
        "delete it",
        "delete or rename",
        "delete the Secret",
        "remove it",
        "remove or rename",
        "delete them in",
        "delete them first",
    ];
    let mut seen = 0;
    for source in sources() {
        for line in source.text.lines() {
            let code = line.trim_start();
            if code.starts_with("//") || !code.contains(' ') {
                continue;
            }
            seen += 1;
            for words in advice {
                assert!(!code.contains(words), "{}: {code}", source.path);
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}
