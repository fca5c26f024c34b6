//! `timed wallet` as a user calls it, as far as that needs no node.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A user's folder, with a passphrase in a file.
struct User {
    folder: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let user = Self { folder: tempfile::tempdir().unwrap() };
        user.write("passphrase", "correct horse\n");
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs `timed --chain dev wallet ...` in a home of its own.
    fn wallet(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_timed"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_")) {
            command.env_remove(name);
        }
        command.args(["--chain", "dev", "wallet", "--passphrase-file"]).arg(self.path("passphrase")).args(arguments);
        command.env("HOME", self.folder.path()).current_dir(self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may not want to hear it.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        child.wait_with_output().unwrap()
    }

    /// The same, where it has to work.
    fn done(&self, arguments: &[&str], input: &str) -> String {
        let output = self.wallet(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is said where it must not work, and the exit code.
    fn refused(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let output = self.wallet(arguments, input);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim()
}

#[test]
fn a_wallet_comes_back_from_its_words() {
    let (user, other) = (User::new(), User::new());
    let made = user.done(&["new"], "");
    let (words, address) = (field(&made, "words"), field(&made, "address"));
    assert_eq!(words.split(' ').count(), 24);
    assert!(address.starts_with("rtime1q"));
    assert!(user.path(".timed/wallet.json").exists(), "where it is kept if nothing else is said");
    assert_eq!(user.done(&["address"], "").trim(), address);
    let second = user.done(&["address", "--new"], "");
    assert_eq!(user.done(&["address"], "").trim(), address, "the first stays the first");
    assert_eq!(user.done(&["address", "--all"], ""), format!("{address}\n{second}"));
    let restored = other.done(&["--wallet", "w.json", "restore", "--addresses", "2"], &format!("{words}\n"));
    assert!(!restored.contains(words), "words are shown once, when they are made");
    assert_eq!(other.done(&["--wallet", "w.json", "address", "--all"], ""), format!("{address}\n{second}"));
}

#[test]
fn a_wallet_is_never_overwritten() {
    let user = User::new();
    user.done(&["--wallet", "w.json", "new"], "");
    let before = std::fs::read(user.path("w.json")).unwrap();
    for arguments in [["--wallet", "w.json", "new"], ["--wallet", "w.json", "restore"]] {
        let (code, said) = user.refused(&arguments, &"abandon ".repeat(23));
        assert_eq!(code, 1);
        assert!(said.contains("never overwritten"), "{said}");
    }
    assert_eq!(std::fs::read(user.path("w.json")).unwrap(), before);
}

#[test]
fn wrong_words_and_wrong_passphrases_make_and_open_nothing() {
    let user = User::new();
    let (_, said) = user.refused(&["restore"], &"abandon ".repeat(24));
    assert!(said.contains("do not belong together"), "{said}");
    assert!(!user.path(".timed/wallet.json").exists());
    user.write("passphrase", "\n");
    let (_, said) = user.refused(&["new"], "");
    assert!(said.contains("empty passphrase"), "{said}");
    user.write("passphrase", "correct horse");
    user.done(&["new"], "");
    user.write("passphrase", "wrong horse");
    let (code, said) = user.refused(&["address", "--new"], "");
    assert_eq!(code, 1);
    assert!(said.contains("the passphrase is wrong"), "{said}");
}

#[test]
fn without_a_terminal_a_passphrase_comes_from_a_file_or_not_at_all() {
    let user = User::new();
    let mut command = Command::new("setsid");
    command.args(["-w", env!("CARGO_BIN_EXE_timed"), "--chain", "dev", "wallet", "new"]);
    command.env("HOME", user.folder.path()).env("TIMED_PASSPHRASE", "x").stdin(Stdio::null());
    let Ok(output) = command.output() else {
        eprintln!("SKIPPED: no setsid here, nothing runs without a terminal");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && !user.path(".timed/wallet.json").exists(), "{said}");
}

#[test]
fn a_key_file_stands_for_a_wallet_but_makes_none() {
    let user = User::new();
    user.write("a.key", &format!("{}\n", "07".repeat(32)));
    let address = user.done(&["--key-file", "a.key", "address"], "");
    assert!(address.starts_with("rtime1q"), "{address}");
    for command in ["new", "restore"] {
        let (code, said) = user.refused(&["--key-file", "a.key", command], "");
        assert_eq!(code, 2);
        assert!(said.contains("--wallet"), "{said}");
    }
    std::fs::set_permissions(user.path("a.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, said) = user.refused(&["--key-file", "a.key", "address"], "");
    assert!(said.contains("chmod 600"), "{said}");
}

#[test]
fn amounts_that_are_none_are_refused_before_anything_else() {
    let user = User::new();
    user.write("a.key", &format!("{}\n", "07".repeat(32)));
    for amount in ["1,5", "1e3", "0.000000001", "-1", "99999999999999999999"] {
        let amount = format!("--amount={amount}");
        let (code, said) = user.refused(&["--key-file", "a.key", "send", "--to", "rtime1q", &amount], "");
        assert_eq!(code, 2, "{said}");
    }
}

#[test]
fn an_address_of_several_keys_is_that_of_its_owners_in_any_order() {
    let user = User::new();
    let mut keys = Vec::new();
    for (n, name) in [(1u8, "a.key"), (2, "b.key")] {
        user.write(name, &format!("{}\n", format!("{n:02x}").repeat(32)));
        let shown = user.done(&["--key-file", name, "address", "--keys"], "");
        let (address, key) = shown.trim().split_once(' ').unwrap();
        assert_eq!(user.done(&["--key-file", name, "address"], "").trim(), address);
        keys.push(key.to_owned());
    }
    let made = user.done(&["new"], "");
    let shown = user.done(&["address", "--keys"], "");
    assert!(shown.starts_with(field(&made, "address")) && shown.trim().len() > 64, "{shown}");
    let (one, two) = (&keys[0], &keys[1]);
    // Nothing has to be here to name it, nor is any wallet asked.
    let poor = User::new();
    let address = poor.done(&["address", "--multisig", &format!("2:{one},{two}")], "");
    assert!(address.starts_with("rtime1p"), "{address}");
    assert_eq!(user.done(&["address", "--multisig", &format!("2:{two},{one}")], ""), address);
    assert_ne!(user.done(&["address", "--multisig", &format!("1:{two},{one}")], ""), address);
    for (arguments, expected) in [
        (vec!["address", "--multisig", "2:ab"], "COUNT:KEY"),
        (vec!["address", "--multisig", &format!("3:{one},{two}")], "at least one and at most all"),
        (vec!["new", "--multisig", &format!("2:{one},{two}")], "leave it away"),
        (vec!["address", "--keys", "--multisig", &format!("2:{one},{two}")], "cannot be used with"),
    ] {
        let (code, said) = poor.refused(&arguments, "");
        assert!(code == 2 && said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let user = User::new();
    user.write("a.key", &format!("{}\n", "07".repeat(32)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_timed"));
    command.args(["--chain", "dev", "wallet", "--key-file", "a.key", "address"]).current_dir(user.folder.path());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
}

/// The settings of a terminal on which a command was interrupted while it asked for a passphrase.
#[test]
fn an_interrupt_at_a_question_for_a_passphrase_leaves_the_terminal_as_it_was() {
    let user = User::new();
    let program = env!("CARGO_BIN_EXE_timed");
    // The command gets the interrupt as from the keyboard, as soon as it has asked.
    let script = format!(
        "before=$(stty -g); {program} --chain dev wallet --wallet x.json new & pid=$!; \
         until stty -a | grep -q -- '-echo '; do sleep 0.05; done; kill -INT $pid; wait $pid; echo code $?; \
         [ \"$before\" = \"$(stty -g)\" ] && echo as it was"
    );
    let script = format!("timeout --foreground 60 bash -c '{}'", script.replace('\'', "'\\''"));
    let mut command = Command::new("script");
    command.args(["-qec", &script, "/dev/null"]).current_dir(user.folder.path());
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        println!("SKIPPED: a command on a terminal needs script, of util-linux");
        return;
    };
    // Open until the end: nothing is typed, and nobody hangs up.
    let keyboard = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(keyboard);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("code 130") && said.contains("as it was"), "{said}");
}
