//! The copy of the project into which the bugs are put.
//!
//! Invariant: between two bugs the copy is what the project is, apart from a build profile of its own: quick to build
//! again after an edit, with the dependencies, in which the simulator spends its time, fully optimized.

use std::fs;
use std::path::{Path, PathBuf};

/// What of the project is copied.
pub const PARTS: [&str; 6] = ["Cargo.toml", "Cargo.lock", "config.example.toml", "src", "tests", "benches"];

/// Name of the copy's build profile.
pub const PROFILE: &str = "seeded";

const PROFILE_TEXT: &str = r#"
[profile.seeded]
inherits = "release"
incremental = true
debug = false
opt-level = 1

[profile.seeded.package."*"]
opt-level = 3
"#;

/// A change of one place in one file.
pub struct Edit {
    /// Path in the project.
    pub file: &'static str,
    /// Stands there exactly once.
    pub find: &'static str,
    /// Takes its place.
    pub replace: &'static str,
}

/// The copy.
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Brings the copy at `root` up to date with the project.
    pub fn copy(project: &Path, root: PathBuf) -> Self {
        for part in PARTS {
            mirror(&project.join(part), &root.join(part));
        }
        let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap() + PROFILE_TEXT;
        write_if_new(&root.join("Cargo.toml"), manifest.as_bytes());
        Self { root }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes these edits for as long as `act` takes.
    pub fn with<T>(&self, edits: &[Edit], act: impl FnOnce() -> T) -> T {
        let files: Vec<PathBuf> = edits.iter().map(|edit| self.root.join(edit.file)).collect();
        let before: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        for (file, edit) in files.iter().zip(edits) {
            // Read anew: another edit may have changed the same file.
            let text = fs::read_to_string(file).unwrap();
            assert_eq!(text.matches(edit.find).count(), 1, "{:?} in {}", edit.find, edit.file);
            fs::write(file, text.replace(edit.find, edit.replace)).unwrap();
        }
        let result = act();
        for (file, text) in files.iter().zip(before) {
            fs::write(file, text).unwrap();
        }
        result
    }
}

/// Makes `to` equal `from`, and leaves alone what is equal already, so that it need not be built again.
fn mirror(from: &Path, to: &Path) {
    if from.is_file() {
        return write_if_new(to, &fs::read(from).unwrap());
    }
    fs::create_dir_all(to).unwrap();
    let names = |at: &Path| fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    for gone in names(to).into_iter().filter(|name| !from.join(name).exists()) {
        let path = to.join(gone);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    names(from).iter().for_each(|name| mirror(&from.join(name), &to.join(name)));
}

fn write_if_new(file: &Path, bytes: &[u8]) {
    if fs::read(file).ok().as_deref() != Some(bytes) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
}
