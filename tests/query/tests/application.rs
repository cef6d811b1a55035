//! The application is built for the stories on a node, and says what it lacks.

use std::process::Command;

#[test]
fn a_source_that_is_not_there_is_named() {
    let application = || Command::new(env!("CARGO_BIN_EXE_application"));
    let said = |mut command: Command| {
        let output = command.env_clear().output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(application()).contains("usage: application SQL SOURCE..."));
    for source in ["DATABASE", "/nonexistent/uri"] {
        let mut command = application();
        command.args(["select 1", source]);
        assert!(said(command).contains(source));
    }
}
