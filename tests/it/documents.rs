//! The pages of `docs/`: what comments cite is there, and links lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::programs::repository;

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
}

/// The numbered sections of a page, as `1` and `2.1`.
fn sections(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.trim_start_matches('#').split_whitespace().next())
        .map(|number| number.trim_end_matches('.').to_owned())
        .filter(|number| number.starts_with(|one: char| one.is_ascii_digit()))
        .collect()
}

#[test]
fn every_section_that_a_comment_cites_is_there() {
    let root = repository();
    let mut sources = Vec::new();
    for folder in ["src", "tests/platform/src", "tests/apiserver/src"] {
        collect(&root.join(folder), "rs", &mut sources);
    }
    let mut cited = 0;
    let mut wrong = Vec::new();
    for source in sources {
        let text = std::fs::read_to_string(&source).unwrap();
        for page in ["platform.md", "architecture.md"] {
            let known = sections(&std::fs::read_to_string(root.join("docs").join(page)).unwrap());
            let marker = format!("{page} ");
            for rest in text.split(&marker).skip(1) {
                // One citation may name several sections.
                let line = rest.lines().next().unwrap_or_default();
                let several =
                    line.split(|one: char| one == ',' || one.is_whitespace()).map_while(|word| {
                        match word {
                            "" => Some(""),
                            word => word.strip_prefix('§'),
                        }
                    });
                for section in several.filter(|section| !section.is_empty()) {
                    cited += 1;
                    let number = section.trim_matches(|one: char| !one.is_ascii_digit()).to_owned();
                    if !known.contains(&number) {
                        wrong.push(format!("{}: {page} §{number}", source.display()));
                    }
                }
            }
        }
    }
    assert!(cited > 15, "only {cited} citations were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_step_that_a_comment_names_is_in_the_protocol() {
    let root = repository();
    let page = std::fs::read_to_string(root.join("docs/protocols/create.md")).unwrap();
    let mut sources = Vec::new();
    collect(&root.join("src/project"), "rs", &mut sources);
    let mut named = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(&source).unwrap();
        let comments = text.lines().filter(|line| line.trim_start().starts_with("//"));
        for word in comments.flat_map(|line| line.split(|one: char| !one.is_ascii_alphanumeric())) {
            let step = word.len() == 2
                && word.starts_with(['K', 'M'])
                && word.ends_with(|one: char| one.is_ascii_digit());
            if step {
                named.insert(word.to_owned());
            }
        }
    }
    assert!(named.len() >= 4, "{named:?}");
    for step in named {
        let told = [format!("| {step} "), format!("{step},"), format!(" {step} |")];
        assert!(told.iter().any(|text| page.contains(text)), "{step}");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let root = repository();
    let mut pages = Vec::new();
    collect(&root.join("docs"), "md", &mut pages);
    for page in ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"] {
        pages.push(root.join(page));
    }
    let mut followed = 0;
    let mut wrong = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.contains(' ') {
                continue;
            }
            followed += 1;
            if !page.parent().unwrap().join(path).exists() {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(followed > 20, "only {followed} links were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
