//! A small file system in memory for one data directory. Needs the right to mount.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What mounts of these tests are called in `/proc/mounts`, before the id of the process that made them.
const SOURCE: &str = "timed-test-";

/// A mounted file system; unmounted when dropped.
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one over a directory, which has to exist; what is in the directory is copied onto it. The reason if this
    /// user may not.
    pub fn over(path: &Path, size_kib: u64) -> Result<Self, String> {
        unmount_what_was_left();
        let kept = tempfile::tempdir().unwrap();
        copy(path, kept.path());
        let source = format!("{SOURCE}{}", std::process::id());
        let size = format!("size={size_kib}k,mode=0700");
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, &source]).arg(path))?;
        if !mounted.status.success() {
            return Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned());
        }
        let mount = Self { path: path.to_owned() };
        copy(kept.path(), path);
        Ok(mount)
    }

    /// Gives it another size; what is on it stays.
    pub fn resize(&self, size_kib: u64) {
        let options = format!("remount,size={size_kib}k");
        let done = run(Command::new("mount").args(["-o", &options]).arg(&self.path)).unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// Bytes that are still free.
    pub fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// Also where a process still has files open there: the last one to close them frees the memory.
fn unmount(path: &Path) {
    let done = run(Command::new("umount").arg("--lazy").arg(path));
    if !done.as_ref().is_ok_and(|done| done.status.success()) {
        eprintln!("{} stays mounted: {done:?}", path.display());
    }
}

/// A run that was killed unmounts nothing: the next one does.
fn unmount_what_was_left() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(source), Some(path)) = (fields.next(), fields.next()) else { continue };
        let Some(owner) = source.strip_prefix(SOURCE) else { continue };
        if !Path::new("/proc").join(owner).exists() {
            unmount(Path::new(path));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = run(Command::new("cp").arg("--archive").arg(from.join(".")).arg(to)).unwrap();
    assert!(copied.status.success(), "{copied:?}");
}

fn run(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|e| format!("{command:?}: {e}"))
}
