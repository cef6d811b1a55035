//! What `docker build .` is given: enough for the Dockerfile, and nothing that it does not need. No Docker is needed to
//! tell: `.dockerignore` is applied as Docker applies it, and cargo is asked about exactly the files that are left.
//!
//! Besides these files the build needs: `BuildKit` (the cache mounts), crates.io or a mirror of it, the two images that
//! the Dockerfile names, and of the first one bash, a C compiler for `ring`, and readelf, all of which
//! `rust:…-slim-bookworm` has.
//!
//! `make image` needs none of that and reads the last stage of the Dockerfile: that it reads all of it is held here too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::programs::{repository, run, succeed};

/// Folders that no checkout has.
const NOT_CHECKED_OUT: [&str; 3] = [".git", "target", ".cache"];

/// Docker's rules, which are not Git's: a pattern begins at the root, `*` stops at a slash, what holds for a folder
/// holds for all in it, and the last pattern that fits decides.
/// <https://docs.docker.com/build/concepts/context/#dockerignore-files>
struct Ignored(Vec<(bool, GlobSet)>);

impl Ignored {
    fn read() -> Self {
        let text = std::fs::read_to_string(repository().join(".dockerignore")).unwrap();
        let lines = text.lines().map(str::trim);
        let patterns = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = patterns.map(|line| {
            let (lets_through, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern),
                None => (false, line),
            };
            let pattern = pattern.trim_matches('/');
            let mut globs = GlobSetBuilder::new();
            for pattern in [pattern.to_owned(), format!("{pattern}/**")] {
                let mut glob = GlobBuilder::new(&pattern);
                globs.add(glob.literal_separator(true).build().unwrap());
            }
            (lets_through, globs.build().unwrap())
        });
        Self(read.collect())
    }

    fn lets_through(&self, path: &Path) -> bool {
        let last = self.0.iter().rfind(|(_, globs)| globs.is_match(path));
        last.is_none_or(|(lets_through, _)| *lets_through)
    }
}

/// All files below a folder of the repository, by their paths from its root.
fn files(below: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(repository().join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if below == Path::new("") && NOT_CHECKED_OUT.iter().any(|name| path == Path::new(name)) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else {
            found.insert(path);
        }
    }
}

/// The files that Docker is given.
fn context() -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    files(Path::new(""), &mut all);
    let ignored = Ignored::read();
    all.retain(|path| ignored.lets_through(path));
    all
}

fn text(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

#[tokio::test]
async fn cargo_finds_in_the_context_all_that_it_builds() {
    let folder = tempfile::tempdir().unwrap();
    for file in context() {
        let copy = folder.path().join(&file);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(repository().join(&file), copy).unwrap();
    }
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "host-tuple"]);
    let host = succeed(rustc).await;
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo
        .args(["metadata", "--offline", "--locked", "--format-version=1"])
        // Crates of other platforms may never have been fetched.
        .args(["--filter-platform", host.trim()])
        .current_dir(folder.path());
    let metadata: Value = serde_json::from_str(&succeed(cargo).await).unwrap();
    let ours = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "supabase-operator")
        .unwrap();
    let mut built = 0;
    for target in ours["targets"].as_array().unwrap() {
        let kind = target["kind"][0].as_str().unwrap();
        if ["lib", "bin", "custom-build"].contains(&kind) {
            let source = target["src_path"].as_str().unwrap();
            assert!(Path::new(source).exists(), "{kind}: {source} is missing");
            built += 1;
        }
    }
    assert!(built >= 2, "{ours}");
}

#[test]
fn what_the_dockerfile_names_is_there() {
    let dockerfile = text("Dockerfile");
    let context = context();
    let mut copied = 0;
    for line in dockerfile.lines().map(str::trim) {
        let Some(arguments) = line.strip_prefix("COPY ") else {
            continue;
        };
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        if arguments.iter().any(|word| word.starts_with("--from=")) {
            continue;
        }
        let (_, sources) = arguments.split_last().unwrap();
        for source in sources.iter().filter(|word| !word.starts_with("--")) {
            let there = *source == "." || context.iter().any(|file| file.starts_with(source));
            assert!(there, "{line}: the context has no {source}");
            copied += 1;
        }
    }
    assert!(copied > 0, "the Dockerfile copies nothing");
    let version = |text: &str| -> Vec<u32> {
        let numbers = text.split('.').map(|number| number.parse().unwrap());
        numbers.collect()
    };
    let value = |text: &str, before: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(before));
        line.unwrap().trim_matches('"').to_owned()
    };
    let used = version(&value(&dockerfile, "ARG RUST="));
    let needed = version(&value(&text("Cargo.toml"), "rust-version = "));
    assert!(used >= needed, "the Dockerfile builds with Rust {used:?}, {needed:?} is needed");
    for (what, text) in [
        ("the program", "--bin supabase-operator"),
        ("the chart's port", "EXPOSE 8080"),
        ("the chart's user", "USER 65532:65532"),
    ] {
        assert!(dockerfile.contains(text), "{what}: the Dockerfile says no {text}");
    }
}

/// Files that the source takes in when it is compiled are part of what is built.
#[test]
fn what_the_source_takes_in_is_let_through() {
    let context = context();
    let mut sources = BTreeSet::new();
    files(Path::new("src"), &mut sources);
    for source in &sources {
        assert!(context.contains(source), "{} is held back", source.display());
        let text = text(source.to_str().unwrap());
        for macro_ in ["include_str!(", "include_bytes!(", "include!("] {
            for rest in text.split(macro_).skip(1) {
                let named =
                    rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                let named =
                    named.unwrap_or_else(|| panic!("{}: {macro_} of what?", source.display()));
                let file = source.parent().unwrap().join(named);
                assert!(context.contains(&file), "{} takes in {named}", source.display());
            }
        }
    }
}

#[test]
fn nothing_but_sources_and_manifests_is_given_away() {
    for file in context() {
        let is_source = file.extension().is_some_and(|extension| extension == "rs");
        let is_manifest = file.ends_with("Cargo.toml") || file == Path::new("Cargo.lock");
        // What its unit tests compare with.
        let is_golden = file.file_name().is_some_and(|name| name == "golden.txt");
        assert!(is_source || is_manifest || is_golden, "{} is let through", file.display());
    }
}

/// The instructions of the Dockerfile's last stage: name and arguments, with the values given to ARG put in.
fn last_stage(given: &[(&str, &str)]) -> Vec<(String, String)> {
    let dockerfile = text("Dockerfile");
    let (_, stage) = dockerfile.rsplit_once("\nFROM ").unwrap();
    let lines = stage.lines().skip(1).filter(|line| !line.starts_with('#'));
    let stage = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let instructions = stage.lines().filter_map(|line| line.split_once(' '));
    let put_in = instructions.map(|(name, arguments)| {
        let put_in = given.iter().fold(arguments.to_owned(), |arguments, (name, value)| {
            arguments.replace(&format!("${{{name}}}"), value)
        });
        (name.to_owned(), put_in)
    });
    put_in.collect()
}

async fn image_config(dockerfile: &Path) -> (bool, String) {
    let mut command = Command::new(repository().join("tests/tools/oci-image"));
    command.args(["config", "--dockerfile"]).arg(dockerfile).args([
        "--version=1.2.3",
        "--revision=cafe",
        "--epoch=86400",
        "--architecture=amd64",
    ]);
    run(command).await
}

/// `make image` and `docker build .` make images that say the same of themselves.
#[tokio::test]
async fn both_ways_to_an_image_say_the_same_of_it() {
    let (good, printed) = image_config(&repository().join("Dockerfile")).await;
    assert!(good, "{printed}");
    let image: Value = serde_json::from_str(&printed).unwrap();
    let made = &image["config"];
    let created = "1970-01-02T00:00:00Z";
    assert_eq!(image["created"], created);
    let stage = last_stage(&[("VERSION", "1.2.3"), ("REVISION", "cafe"), ("CREATED", created)]);
    let all = |name: &str| -> Vec<&str> {
        let those = stage.iter().filter(|(own, _)| own == name);
        those.map(|(_, arguments)| arguments.trim()).collect()
    };
    assert_eq!(all("USER"), [made["User"].as_str().unwrap()]);
    assert_eq!(all("WORKDIR"), [made["WorkingDir"].as_str().unwrap()]);
    let ports: serde_json::Map<_, _> =
        all("EXPOSE").iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
    assert_eq!(made["ExposedPorts"], Value::Object(ports));
    let [entrypoint] = all("ENTRYPOINT")[..] else { panic!("{stage:?}") };
    assert_eq!(made["Entrypoint"], serde_json::from_str::<Value>(entrypoint).unwrap());
    let [copied] = all("COPY")[..] else { panic!("{stage:?}") };
    assert_eq!(made["Entrypoint"][0], copied.rsplit_once(' ').unwrap().1);
    // The first is what the base image has.
    let environment = &made["Env"].as_array().unwrap()[1..];
    assert_eq!(environment, all("ENV"));
    let labels = all("LABEL").join(" ").replace('"', "");
    let mut labels: Vec<_> = labels.split("org.").map(str::trim).skip(1).collect();
    labels.sort_unstable();
    let made = made["Labels"].as_object().unwrap().iter();
    let mut made: Vec<_> =
        made.map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
    made.sort_unstable();
    assert_eq!(made, labels.iter().map(|label| format!("org.{label}")).collect::<Vec<_>>());
    for name in ["title", "description", "licenses", "url", "version", "revision", "created"] {
        let label = format!("org.opencontainers.image.{name}=");
        assert!(made.iter().any(|one| one.starts_with(&label)), "no {label}: {made:?}");
    }
}

/// Nothing in the Dockerfile is passed over by `make image`.
#[tokio::test]
async fn what_is_not_understood_of_the_dockerfile_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dockerfile = folder.path().join("Dockerfile");
    std::fs::write(&dockerfile, text("Dockerfile") + "VOLUME /state\n").unwrap();
    let (good, said) = image_config(&dockerfile).await;
    assert!(!good && said.contains("VOLUME /state"), "{said}");
}

/// The workspace's version is the image's, whichever way it is built, and the chart's.
#[test]
fn the_version_is_the_same_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let dockerfile = text("Dockerfile");
    assert!(dockerfile.contains(&format!("\nARG VERSION={version}\n")), "not {version}");
    assert!(dockerfile.contains(&format!("--tag supabase-operator:{version} ")), "not {version}");
    let chart = text("charts/supabase-operator/Chart.yaml");
    let application = chart.lines().find_map(|line| line.strip_prefix("appVersion:")).unwrap();
    assert_eq!(application.trim().trim_matches('"'), version);
}
