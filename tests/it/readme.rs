//! README.md keeps up with the code: every reason that users may meet is explained, every variable that
//! the chart sets is listed.

use std::collections::BTreeSet;

use clap::Args as _;
use supabase_operator::api::Reason;
use supabase_operator::management::Endpoint;
use supabase_operator::options::Options;

use crate::support::programs::repository;

pub fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).unwrap()
}

/// The texts between backquotes in the first cells of the tables under a heading.
pub fn first_cells(readme: &str, heading: &str) -> Vec<String> {
    let section = readme.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Whoever registers an OAuth app goes by this: its scopes are fixed with it.
#[test]
fn every_scope_that_is_needed_is_named() {
    // The description is not part of the repository.
    let Some(file) = std::env::var_os("SUPABASE_OPENAPI") else {
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let named = first_cells(&readme(), "Connecting with OAuth");
    let mut seen = 0;
    for endpoint in Endpoint::ALL {
        let method = endpoint.method().as_str().to_lowercase();
        let operation = &document["paths"][endpoint.path()][method];
        let Some(scope) = operation["x-oauth-scope"].as_str() else { continue };
        assert!(named.iter().any(|one| one == scope), "README.md does not name {scope}");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn every_reason_is_explained() {
    let explained = first_cells(&readme(), "When something is wrong");
    for reason in Reason::ALL {
        let name = reason.as_str();
        assert!(explained.iter().any(|cell| cell == name), "README.md does not explain {name}");
    }
    for name in explained {
        let known = Reason::ALL.iter().any(|reason| reason.as_str() == name);
        assert!(known, "README.md explains {name}, which is no reason");
    }
}

/// Flag and default of every option, as the program has them.
fn options() -> Vec<(String, Option<String>)> {
    let command = Options::augment_args(clap::Command::new("run"));
    let options = command.get_arguments().map(|argument| {
        let default = argument.get_default_values().first();
        let default = default.map(|value| value.to_str().unwrap().to_owned());
        (format!("--{}", argument.get_long().unwrap()), default)
    });
    options.collect()
}

#[test]
fn every_option_is_listed_with_its_default() {
    let readme = readme();
    let listed = first_cells(&readme, "Options");
    for (flag, default) in options() {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{flag}` |")));
        let row = row.unwrap_or_else(|| panic!("README.md does not list {flag}"));
        if let Some(default) = default {
            assert!(
                row.contains(&format!("| `{default}` |")),
                "{flag} has default {default}: {row}"
            );
        }
    }
    for flag in listed {
        assert!(options().iter().any(|(known, _)| *known == flag), "there is no option {flag}");
    }
}

#[test]
fn the_chart_sets_every_option_and_no_other_variable() {
    let chart = repository().join("charts/supabase-operator/templates/deployment.yaml");
    let chart = std::fs::read_to_string(chart).unwrap();
    let after = chart.split("SUPABASE_OPERATOR_").skip(1);
    let names = after.map(|rest| rest.split(|c: char| c != '_' && !c.is_ascii_uppercase()).next());
    let set: BTreeSet<_> =
        names.map(|name| format!("--{}", name.unwrap().to_lowercase().replace('_', "-"))).collect();
    let known: BTreeSet<_> = options().into_iter().map(|(flag, _)| flag).collect();
    assert_eq!(set, known);
}

/// The story that stops an attack on the consent pages is there by its name, or "the same" as the one above.
#[test]
fn every_attack_has_its_story() {
    let stories = ["consent_attacks.rs", "consent_pages/mod.rs"].map(|file| {
        let file = repository().join("tests/it/stories").join(file);
        std::fs::read_to_string(file).unwrap()
    });
    let readme = readme();
    let table = readme.split("| attack | what stops it | test |\n").nth(1).unwrap();
    let rows: Vec<_> = table.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 10, "{rows:#?}");
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let named: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() || cell.starts_with("the same"), "{row}");
        for name in named {
            let story = format!("async fn {name}()");
            assert!(stories.iter().any(|text| text.contains(&story)), "{name}");
        }
    }
}

#[test]
fn every_file_that_the_readme_links_to_is_there() {
    for file in ["README.md", "charts/supabase-operator/README.md"] {
        let file = repository().join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        let links = text.split("](").skip(1);
        for link in links.map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("http") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            let headed = || {
                let text = std::fs::read_to_string(&target).unwrap();
                text.lines().any(|line| anchor(line) == heading)
            };
            let there = target.exists() && (heading.is_empty() || headed());
            assert!(there, "{} links to {link}, which is missing", file.display());
        }
    }
}

/// What a heading is linked to by.
fn anchor(line: &str) -> String {
    let heading = line.trim_start_matches('#');
    if heading == line {
        return String::new();
    }
    let words = heading.trim().to_lowercase().replace(' ', "-");
    words.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
}
