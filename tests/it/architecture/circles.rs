//! No two files of the house import each other, neither directly nor by way of others.
//!
//! Which file a name comes from is found out as the compiler does it: along `use`, through modules that pass a name on.
//! A module and the files below it are one thing here: a child may build on what stands in its parent. Methods are not
//! seen.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, sources};

/// Where a module or an item stands, from the root of the crate.
type Place = Vec<String>;

/// What one file says about names.
struct File {
    path: String,
    code: String,
    /// What stands behind a name, by `use` or `mod`.
    bound: BTreeMap<String, Place>,
    /// Modules of which everything is bound.
    globs: Vec<Place>,
    /// What it names: in `use`, and in code.
    named: BTreeSet<Place>,
}

fn is_part(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn parts(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty())
}

fn module_of(file: &str) -> Place {
    let parts = file.strip_suffix(".rs").unwrap().split('/');
    parts.filter(|part| !["mod", "lib"].contains(part)).map(str::to_owned).collect()
}

/// What a tree of `use` binds: names, and what each stands for.
fn leaves(tree: &str, before: &Place) -> Vec<(String, Place)> {
    let Some((stem, list)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
        let mut whole: Place = before.iter().cloned().chain(parts(path)).collect();
        if whole.len() > 1 && whole.last().is_some_and(|last| last == "self") {
            whole.pop();
        }
        let name = Some(alias.trim().to_owned()).filter(|alias| !alias.is_empty());
        let name = name.or_else(|| whole.last().cloned());
        return name
            .filter(|_| !tree.trim().is_empty())
            .map(|name| (name, whole))
            .into_iter()
            .collect();
    };
    let before = before.iter().cloned().chain(parts(stem)).collect();
    let mut depth = 0;
    let inner = list.rsplit_once('}').unwrap().0;
    let branches = inner.split(|letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    branches.flat_map(|branch| leaves(branch, &before)).collect()
}

/// What a path means in a module; nothing where it leads to another crate.
fn absolute(path: &[String], module: &Place, bound: &BTreeMap<String, Place>) -> Option<Place> {
    let (first, rest) = path.split_first()?;
    let mut place = match first.as_str() {
        "crate" => Place::new(),
        "self" => module.clone(),
        "super" => module.split_last()?.1.to_vec(),
        name => bound.get(name)?.clone(),
    };
    for part in rest {
        if part == "super" {
            place.pop();
        } else {
            place.push(part.clone());
        }
    }
    Some(place)
}

/// The tree of a statement that ends here, if it is a `use`; and what stands before it.
fn import(statement: &str) -> Option<(&str, &str)> {
    let (before, tree) = statement.strip_suffix(';')?.rsplit_once("use ")?;
    let visibility = before.rsplit('\n').next()?.trim();
    let is_import = ["", "pub"].contains(&visibility)
        || visibility.starts_with("pub(") && visibility.ends_with(')');
    // Else it is a word of a text.
    let is_tree =
        |letter: char| is_part(letter) || letter.is_whitespace() || ":{},*".contains(letter);
    let is_import = is_import && tree.chars().all(is_tree);
    is_import.then_some((before, tree))
}

fn read(source: &Source) -> File {
    let module = module_of(&source.path);
    let lines = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let (mut code, mut imports, mut bound) = (String::new(), Vec::new(), BTreeMap::new());
    for statement in text.split_inclusive(';') {
        if let Some((before, tree)) = import(statement) {
            code.push_str(before);
            imports.extend(leaves(tree, &Place::new()));
            continue;
        }
        code.push_str(statement);
        let last = statement.lines().last().and_then(|line| line.strip_suffix(';'));
        let child = last.and_then(|line| line.split_once("mod ")).map(|(_, child)| child);
        if let Some(child) = child.filter(|child| child.chars().all(is_part)) {
            let place = module.iter().cloned().chain([child.to_owned()]).collect();
            bound.insert(child.to_owned(), place);
        }
    }
    let (mut globs, mut named) = (Vec::new(), BTreeSet::new());
    for (name, path) in imports {
        let Some(mut place) = absolute(&path, &module, &bound) else { continue };
        if name == "*" {
            place.pop();
            globs.push(place);
        } else {
            bound.insert(name, place.clone());
            named.insert(place);
        }
    }
    let words = code.split(|letter: char| !is_part(letter) && letter != ':');
    let paths =
        words.filter(|word| word.contains("::")).map(|word| parts(word).collect::<Vec<_>>());
    named.extend(paths.filter_map(|path| absolute(&path, &module, &bound)));
    File { path: source.path.clone(), code, bound, globs, named }
}

type House = BTreeMap<Place, File>;
/// Which file takes which names from which other one.
type Arrows = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The module in which something is defined; none for a module itself.
fn home(house: &House, place: &[String], steps: usize) -> Option<Place> {
    assert!(steps < 20, "{place:?} leads to itself");
    let mut module = Place::new();
    for (index, part) in place.iter().enumerate() {
        module.push(part.clone());
        if house.contains_key(&module) {
            continue;
        }
        module.pop();
        let file = house.get(&module)?;
        if let Some(passed_on) = file.bound.get(part) {
            let further: Place =
                passed_on.iter().chain(place.iter().skip(index + 1)).cloned().collect();
            return home(house, &further, steps + 1);
        }
        let defines = |glob: &&Place| {
            let code = house.get(*glob).map(|file| file.code.as_str()).unwrap_or_default();
            let words = ["fn", "struct", "enum", "trait", "type", "const", "static"];
            words.iter().any(|word| code.contains(&format!("{word} {part}")))
        };
        return Some(file.globs.iter().find(defines).cloned().unwrap_or(module));
    }
    None
}

fn arrows(sources: &[Source]) -> Arrows {
    // What stands in `main.rs` is another crate.
    let sources = sources.iter().filter(|source| source.path != "main.rs");
    let house: House = sources.map(|source| (module_of(&source.path), read(source))).collect();
    let mut arrows = Arrows::new();
    for (module, file) in &house {
        for place in &file.named {
            let Some(home) = home(&house, place, 0) else { continue };
            if home.starts_with(module) || module.starts_with(&home) {
                continue;
            }
            let taken = arrows.entry(file.path.clone()).or_default();
            taken.entry(house[&home].path.clone()).or_default().extend(place.last().cloned());
        }
    }
    arrows
}

fn circles(arrows: &Arrows) -> BTreeSet<BTreeSet<String>> {
    let reached = |from: &String| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(next) = open.pop() {
            let more = arrows.get(next).into_iter().flat_map(BTreeMap::keys);
            open.extend(more.filter(|one| reached.insert((*one).clone())));
        }
        reached
    };
    let reach: BTreeMap<_, _> = arrows.keys().map(|from| (from, reached(from))).collect();
    let circle = |(one, ahead): (&&String, &BTreeSet<String>)| -> BTreeSet<String> {
        let is_back = |other: &&String| reach.get(other).is_some_and(|back| back.contains(*one));
        ahead.iter().filter(is_back).cloned().collect()
    };
    reach.iter().map(circle).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn files_import_each_other_in_no_circle() {
    let arrows = arrows(&sources());
    let found: usize = arrows.values().map(BTreeMap::len).sum();
    assert!(found > 1000, "only {found} arrows");
    let circles = circles(&arrows);
    let mut wrong = Vec::new();
    for circle in &circles {
        let within = |file: &String| {
            let taken = arrows[file].iter().filter(|(from, _)| circle.contains(*from));
            taken
                .map(|(from, names)| format!("{file} takes {names:?} from {from}"))
                .collect::<Vec<_>>()
        };
        wrong.push(circle.iter().flat_map(within).collect::<Vec<_>>());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn circles_are_found_through_whatever_passes_a_name_on() {
    let circles_of = |texts: &[(&str, &str)]| {
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        circles(&arrows(&texts.iter().map(source).collect::<Vec<_>>())).len()
    };
    let uses = ("a/one.rs", "use super::two::{self as other, Two};\npub struct One;");
    let root = ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::*;");
    for (name, text, expected) in [
        ("nothing", "pub struct Two;", 0),
        ("use", "use super::one::One;\npub struct Two;", 1),
        ("a list", "use std::fmt;\n\nuse crate::{a::{one::One}, b};\npub struct Two;", 1),
        ("what the room passes on", "use crate::a::One;\npub struct Two;", 1),
        ("another name", "use crate::a::One as Uno;\npub struct Two;", 1),
        ("a module", "use super::one;\npub struct Two(one::One);", 1),
        ("a path in code", "pub struct Two(super::one::One);", 1),
        ("a comment", "// use super::one::One;\npub struct Two;", 0),
        ("a module that is not used", "use super::one;\npub struct Two;", 0),
        ("what the parent defines", "use super::Top;\npub struct Two;", 0),
    ] {
        assert_eq!(circles_of(&[root, uses, ("a/two.rs", text)]), expected, "{name}");
    }
    let passing = [
        ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::*;"),
        ("a/one.rs", "use super::Two;\npub struct One;"),
        ("a/two.rs", "use super::One;\npub struct Two;"),
    ];
    assert_eq!(
        circles_of(&passing),
        1,
        "both by what the room passes on, one of them with everything"
    );
    let three = [
        ("x.rs", "use crate::y::Y;\npub struct X;"),
        ("y.rs", "use crate::z::Z;\npub struct Y;"),
        ("z.rs", "use crate::x::X;\npub struct Z;"),
    ];
    assert_eq!(circles_of(&three), 1, "by way of a third");
}
