//! Words that dashboards, alerts and scripts hang on: metrics, their labels, step names, event reasons, condition types and
//! reasons. What is renamed inside must not rename them: `frozen.txt` lists them, and a difference is a release note.
//!
//! `UPDATE=1 cargo test --test it frozen` writes the list anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use supabase_operator::api::Reason;

use crate::support::programs::repository;

const LIST: &str = "tests/it/frozen.txt";

/// The text of every source file.
fn sources() -> Vec<String> {
    let mut folders = vec![repository().join("src")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                texts.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}

/// The first string literal after each of the marks.
fn literals(texts: &[String], marks: &[&str]) -> BTreeSet<String> {
    let literal = |rest: &str| {
        let rest = rest.trim_start().strip_prefix('"')?;
        let word = rest.split('"').next()?;
        let is_word = word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        is_word.then(|| word.to_owned())
    };
    let mut found = BTreeSet::new();
    for (text, mark) in texts.iter().flat_map(|text| marks.iter().map(move |mark| (text, mark))) {
        found.extend(text.split(mark).skip(1).filter_map(literal));
    }
    found
}

/// The literals of `=> "…"` in the implementations of a trait or a function.
fn arms(texts: &[String], mark: &str) -> BTreeSet<String> {
    let bodies = texts.iter().flat_map(|text| text.split(mark).skip(1));
    let bodies = bodies.map(|rest| rest.split("\n}").next().unwrap().to_owned());
    literals(&bodies.collect::<Vec<_>>(), &["=>"])
}

/// The fields of the structures that are sets of labels.
fn labels(texts: &[String]) -> BTreeSet<String> {
    let structures = texts.iter().flat_map(|text| text.split("EncodeLabelSet)]").skip(1));
    let fields = structures.flat_map(|text| {
        let body = text.split('{').nth(1).unwrap().split('}').next().unwrap().to_owned();
        let names = body
            .split(',')
            .filter_map(|field| field.split(':').next().map(str::trim).map(str::to_owned));
        names.filter(|name| !name.is_empty()).collect::<Vec<_>>()
    });
    fields.collect()
}

#[test]
fn what_users_hang_on_keeps_its_name() {
    let texts = sources();
    let conditions = arms(&texts, "impl ConditionType {");
    let reasons: BTreeSet<_> =
        Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    let lists = [
        ("metrics", literals(&texts, &["registry.register(", "registry.register_with_unit("])),
        ("labels", labels(&texts)),
        ("steps", arms(&texts, "impl StepName for ")),
        ("events", literals(&texts, &["Note::normal(", "Note::warning(", "Note::on_the_way("])),
        ("conditions", conditions),
        ("reasons", reasons),
    ];
    let mut text = String::new();
    for (name, words) in lists {
        assert!(words.len() >= 5, "{name}: {words:?}");
        writeln!(text, "{name}: {}", words.into_iter().collect::<Vec<_>>().join(" ")).unwrap();
    }
    let path = repository().join(LIST);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let frozen = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == frozen, "now:\n{text}\nfrozen in {LIST}:\n{frozen}");
}
