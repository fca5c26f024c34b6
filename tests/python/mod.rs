//! Python for the tests of what `docs/examples` holds. A machine without it skips them, and says so.

#![allow(dead_code)] // Not every test needs all of it.

use std::path::PathBuf;
use std::process::Command;

/// A file of the project.
pub fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// `python3` where the examples can be imported; `None`, and a line that says what was `not_tried`, if there is no such
/// program.
pub fn python(not_tried: &str) -> Option<Command> {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: no python3 here, {not_tried} was not tried");
        return None;
    }
    let mut command = Command::new("python3");
    let examples = project("docs/examples");
    command.current_dir(&examples).env("PYTHONPATH", examples).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

/// What a script prints, line by line; the test fails if the script does.
pub fn printed(mut python: Command, script: &str) -> Vec<String> {
    let output = python.arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
