use super::*;
use crate::types::address::from_address;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const CHEAP: Cost = Cost { memory_kib: 8, iterations: 1, lanes: 1 };
const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("timed-keystore-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("wallet.json")
    }

    fn wallet(&self) -> Unlocked {
        let words = Words::parse(PHRASE).unwrap();
        Unlocked::create(&self.file(), words, "correct horse", "rtime", 1, CHEAP).unwrap()
    }

    /// Changes the file's text.
    fn change(&self, change: impl FnOnce(String) -> String) {
        let text = change(fs::read_to_string(self.file()).unwrap());
        fs::write(self.file(), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn what_was_locked_away_comes_back() {
    let folder = Folder::new("again");
    let made = folder.wallet();
    let read = Keystore::open(&folder.file()).unwrap();
    assert_eq!(read.addresses(), made.keystore().addresses());
    assert_eq!(read.address_hrp(), "rtime");
    let unlocked = read.unlock("correct horse").unwrap();
    assert_eq!(unlocked.phrase().as_str(), PHRASE);
    let locks: Vec<Lock> = unlocked.keys().map(|(lock, _)| lock).collect();
    assert_eq!(locks, [from_address(&made.keystore().addresses()[0], "rtime").unwrap()]);
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let folder = Folder::new("wrong");
    folder.wallet();
    for passphrase in ["", "correct", "correct horse ", "Correct horse"] {
        let refused = Keystore::open(&folder.file()).unwrap().unlock(passphrase).err().unwrap();
        assert!(matches!(refused, KeystoreError::WrongPassphrase { .. }), "{passphrase}: {refused}");
    }
}

#[test]
fn the_file_says_nothing_of_the_secret() {
    let folder = Folder::new("secret");
    let wallet = folder.wallet();
    let text = fs::read_to_string(folder.file()).unwrap();
    let (_, key) = wallet.keys().next().unwrap();
    for secret in
        [wallet.words.entropy().as_slice(), wallet.words.seed().as_ref(), key.to_bytes().as_ref(), wallet.key.as_ref()]
    {
        assert!(!text.contains(&crate::types::hex::encode(secret)));
    }
    assert!(PHRASE.split(' ').all(|word| word.len() < 5 || !text.contains(word)));
}

#[test]
fn a_changed_file_is_found_out_wherever_it_was_changed() {
    let folder = Folder::new("changed");
    let wallet = folder.wallet();
    let original = fs::read_to_string(folder.file()).unwrap();
    let own = wallet.keystore().addresses()[0].clone();
    let stranger = to_address(&Lock::KeyHash([9; 32]), "rtime").unwrap();
    let value: serde_json::Value = serde_json::from_str(&original).unwrap();
    let flipped = |pointer: &str| {
        let text = value.pointer(pointer).unwrap().as_str().unwrap();
        let other = if text.starts_with('0') { "1" } else { "0" };
        (text.to_owned(), format!("{other}{}", &text[1..]))
    };
    let addresses = format!("\"{own}\"");
    let mut changes = vec![
        (own.clone(), stranger.clone()),
        (addresses.clone(), format!("{addresses}, \"{stranger}\"")),
        ("\"iterations\": 1".to_owned(), "\"iterations\": 2".to_owned()),
        ("\"memory_kib\": 8".to_owned(), "\"memory_kib\": 16".to_owned()),
        flipped("/header/kdf/salt"),
        flipped("/header/nonce"),
        flipped("/sealed_entropy"),
    ];
    let sealed = value["sealed_entropy"].as_str().unwrap();
    changes.push((sealed.to_owned(), sealed[..sealed.len() - 2].to_owned()));
    changes.push((sealed.to_owned(), String::new()));
    for (from, to) in changes {
        fs::write(folder.file(), original.replace(&from, &to)).unwrap();
        let refused = Keystore::open(&folder.file()).unwrap().unlock("correct horse").err();
        assert!(matches!(refused, Some(KeystoreError::WrongPassphrase { .. })), "{from} -> {to}: {refused:?}");
    }
    fs::write(folder.file(), original).unwrap();
    assert!(Keystore::open(&folder.file()).unwrap().unlock("correct horse").is_ok());
}

#[test]
fn what_is_no_wallet_is_said_to_be_none() {
    let folder = Folder::new("malformed");
    folder.wallet();
    let original = fs::read_to_string(folder.file()).unwrap();
    for (from, to) in [
        ("timed wallet", "other wallet"),
        ("\"version\": 1,", "\"version\": 2,"),
        ("chacha20poly1305", "rot13"),
        ("m/44'/1'", "m/44'/0'"),
        ("\"header\"", "\"headers\""),
        ("\"addresses\": [", "\"extra\": 1, \"addresses\": ["),
        ("{", ""),
    ] {
        folder.change(|_| original.replacen(from, to, 1));
        let refused = Keystore::open(&folder.file()).unwrap_err();
        assert!(matches!(refused, KeystoreError::Malformed { .. }), "{from}: {refused}");
    }
}

#[test]
fn a_file_cannot_ask_for_all_memory_of_the_machine() {
    let folder = Folder::new("memory");
    folder.wallet();
    folder.change(|text| text.replace("\"memory_kib\": 8", "\"memory_kib\": 4294967295"));
    let refused = Keystore::open(&folder.file()).unwrap().unlock("correct horse").err().unwrap();
    assert!(matches!(refused, KeystoreError::Malformed { .. }), "{refused}");
}

#[test]
fn a_wallet_is_never_overwritten() {
    let folder = Folder::new("twice");
    folder.wallet();
    let before = fs::read(folder.file()).unwrap();
    let second = Unlocked::create(&folder.file(), Words::generate(), "other", "rtime", 1, CHEAP).err().unwrap();
    assert!(matches!(second, KeystoreError::Exists { .. }), "{second}");
    assert_eq!(fs::read(folder.file()).unwrap(), before);
}

#[test]
fn only_the_owner_can_read_the_file_before_and_after_a_change() {
    let folder = Folder::new("mode");
    let mut wallet = folder.wallet();
    let mode = || fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    wallet.add_address().unwrap();
    assert_eq!(mode(), 0o600);
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o640)).unwrap();
    let refused = Keystore::open(&folder.file()).unwrap_err();
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
}

#[test]
fn a_new_address_is_kept_and_leaves_nothing_beside_the_file() {
    let folder = Folder::new("more");
    let mut wallet = folder.wallet();
    let first = wallet.keystore().addresses()[0].clone();
    let second = wallet.add_address().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(second, wallet.address(1).unwrap());
    let read = Keystore::open(&folder.file()).unwrap();
    assert_eq!(read.addresses(), [first, second]);
    assert_eq!(read.unlock("correct horse").unwrap().keys().count(), 2);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_change_that_fails_leaves_the_wallet_as_it_was() {
    let folder = Folder::new("fails");
    let mut wallet = folder.wallet();
    let before = fs::read(folder.file()).unwrap();
    // Where the new file is to be written there is one that is not ours.
    let beside = folder.0.join(format!("wallet.json.{}.new", std::process::id()));
    fs::create_dir(&beside).unwrap();
    assert!(matches!(wallet.add_address().unwrap_err(), KeystoreError::Io { action: "rewrite", .. }));
    assert_eq!(fs::read(folder.file()).unwrap(), before);
    assert_eq!(wallet.keystore().addresses().len(), 1);
}

#[test]
fn the_same_words_give_the_same_addresses() {
    let (one, two) = (Folder::new("one"), Folder::new("two"));
    let words = Words::parse(PHRASE).unwrap();
    let wallet = Unlocked::create(&two.file(), words, "another passphrase", "rtime", 3, CHEAP).unwrap();
    assert_eq!(one.wallet().keystore().addresses()[0], wallet.keystore().addresses()[0]);
    assert_eq!(wallet.keystore().addresses().len(), 3);
}

#[test]
fn a_wallet_that_is_not_there_says_how_to_make_one() {
    let folder = Folder::new("missing");
    let error = Keystore::open(&folder.file()).unwrap_err();
    assert!(error.to_string().contains("timed wallet new"), "{error}");
}
