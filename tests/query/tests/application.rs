//! The application is built for the stories on a node, and says what it lacks.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the application, which must fail, says with bindings in this folder.
fn said(arguments: &[&str], bindings: Option<&Path>) -> std::io::Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_application"));
    command.args(arguments).env_clear();
    command.envs(bindings.map(|folder| ("SERVICE_BINDING_ROOT", folder)));
    let output = command.output()?;
    assert!(!output.status.success());
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_source_that_is_not_there_is_named() {
    assert!(said(&[], None).unwrap().contains("usage: application SQL SOURCE..."));
    for source in ["DATABASE", "/nonexistent/uri"] {
        assert!(said(&["select 1", source], None).unwrap().contains(source));
    }
    assert!(said(&["select 1", "binding:orders"], None).unwrap().contains("SERVICE_BINDING_ROOT"));
}

#[test]
fn a_binding_that_is_none_of_a_database_over_tls_is_refused() {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bindings");
    let binding = root.join("orders");
    std::fs::create_dir_all(&binding).unwrap();
    let said = || said(&["select 1", "binding:orders"], Some(&root)).unwrap();
    for (kind, mode) in [("mysql", "require"), ("postgresql", "disable")] {
        std::fs::write(binding.join("type"), kind).unwrap();
        std::fs::write(binding.join("sslmode"), mode).unwrap();
        let said = said();
        assert!(said.contains(kind) && said.contains(mode), "{said}");
    }
    std::fs::write(binding.join("sslmode"), "require").unwrap();
    let said = said();
    assert!(said.contains("orders/host"), "{said}");
}
