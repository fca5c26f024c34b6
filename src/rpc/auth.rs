//! Who a caller is: the cookie that each start of the node writes into its data directory, or a token.
//!
//! A token is a long random text that its holder sends as HTTP Basic password or as Bearer token; the node knows only
//! SHA-256 of it. The file of tokens has one a line: name, role (`user` or `admin`), hash; `#` begins a comment.

use crate::types::hex;
use base64ct::{Base64, Encoding as _};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the cookie's file in the data directory.
pub const COOKIE_FILE: &str = ".cookie";
/// The user name that goes with the cookie.
pub const COOKIE_USER: &str = "__cookie__";

/// What a caller may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Nobody knows who it is.
    Anonymous,
    /// Has a token.
    User,
    /// Has the cookie or a token of an administrator.
    Admin,
}

/// Why callers cannot be told apart.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The cookie cannot be written.
    #[error("cannot write the cookie {path}: {reason}")]
    Cookie {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The file of tokens cannot be read.
    #[error("cannot read rpc.tokens_file {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A line of it is none.
    #[error("rpc.tokens_file {path}, line {line}: a name, user or admin, and SHA-256 of the token as 64 hex digits")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Number of the line.
        line: usize,
    },
}

/// A hash of a secret; comparing it tells nothing about the secret through the time that takes.
type SecretHash = [u8; 32];

struct Token {
    name: String,
    role: Role,
    hash: SecretHash,
}

/// Tells callers apart.
pub struct Gate {
    cookie: SecretHash,
    tokens: Vec<Token>,
    cookie_file: PathBuf,
}

/// The credentials are nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCredentials;

impl Gate {
    /// Writes a new cookie into `data_dir` and reads the tokens.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn open(data_dir: &Path, tokens_file: Option<&Path>) -> Result<Self, AuthError> {
        let tokens = tokens_file.map(read_tokens).transpose()?.unwrap_or_default();
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        let password = hex::encode(&secret);
        let cookie_file = data_dir.join(COOKIE_FILE);
        let failed = |reason| AuthError::Cookie { path: cookie_file.clone(), reason };
        write_cookie(&cookie_file, &password).map_err(failed)?;
        Ok(Self { cookie: hash(&password), tokens, cookie_file })
    }

    /// Who sends this `Authorization` header.
    ///
    /// # Errors
    /// [`BadCredentials`] if it is there and nobody's.
    pub fn role(&self, authorization: Option<&str>) -> Result<Role, BadCredentials> {
        let Some(header) = authorization else { return Ok(Role::Anonymous) };
        let (scheme, rest) = header.split_once(' ').ok_or(BadCredentials)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            let hash = hash(rest);
            return self.tokens.iter().find(|token| token.hash == hash).map(|token| token.role).ok_or(BadCredentials);
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(BadCredentials);
        }
        let plain = Base64::decode_vec(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let plain = plain.ok_or(BadCredentials)?;
        let (name, password) = plain.split_once(':').ok_or(BadCredentials)?;
        let hash = hash(password);
        if name == COOKIE_USER {
            return if hash == self.cookie { Ok(Role::Admin) } else { Err(BadCredentials) };
        }
        let token = self.tokens.iter().find(|token| token.name == name && token.hash == hash);
        token.map(|token| token.role).ok_or(BadCredentials)
    }

    /// Removes the cookie: it opens nothing any more.
    pub fn close(&self) {
        if let Err(error) = std::fs::remove_file(&self.cookie_file) {
            tracing::debug!(%error, "the cookie cannot be removed");
        }
    }
}

fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Only the owner can ever read it, and whoever reads it finds all of it: it is written under another name.
fn write_cookie(path: &Path, password: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(format!("{COOKIE_USER}:{password}").as_bytes())?;
    drop(file);
    std::fs::rename(&new, path)
}

fn read_tokens(path: &Path) -> Result<Vec<Token>, AuthError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|reason| AuthError::Unreadable { path: path.to_owned(), reason })?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).enumerate();
    let tokens = lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| {
        parse_token(line).ok_or_else(|| AuthError::Malformed { path: path.to_owned(), line: number + 1 })
    });
    tokens.collect()
}

fn parse_token(line: &str) -> Option<Token> {
    let mut words = line.split_whitespace();
    let (name, role, hash) = (words.next()?, words.next()?, words.next()?);
    let role = match role {
        "user" => Role::User,
        "admin" => Role::Admin,
        _ => return None,
    };
    let is_whole = words.next().is_none() && name != COOKIE_USER;
    is_whole.then_some(Token { name: name.to_owned(), role, hash: hex::decode_array(hash)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("timed-auth-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", Base64::encode_string(text.as_bytes()))
    }

    #[test]
    fn the_cookie_is_the_owners_alone_and_another_one_at_each_start() {
        let folder = folder("cookie");
        let path = folder.join(COOKIE_FILE);
        let gate = Gate::open(&folder, None).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(first.len(), COOKIE_USER.len() + 1 + 64);
        assert_eq!(gate.role(Some(&basic(&first))), Ok(Role::Admin));
        let next = Gate::open(&folder, None).unwrap();
        assert_eq!(next.role(Some(&basic(&first))), Err(BadCredentials));
        next.close();
        assert!(!path.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_token_has_the_role_its_line_names() {
        let folder = folder("tokens");
        let file = folder.join("tokens");
        let line = |name: &str, role: &str, token: &str| format!("{name} {role} {}\n", hex::encode(&hash(token)));
        let text = format!("# who may\n\n{}{}", line("shop", "user", "s3cret"), line("boss", "admin", "t0p"));
        std::fs::write(&file, text).unwrap();
        let gate = Gate::open(&folder, Some(&file)).unwrap();
        assert_eq!(gate.role(None), Ok(Role::Anonymous));
        assert_eq!(gate.role(Some(&basic("shop:s3cret"))), Ok(Role::User));
        assert_eq!(gate.role(Some("Bearer t0p")), Ok(Role::Admin));
        for wrong in
            ["Bearer x", "Bearer", "Digest x", "Basic x", &basic("shop:t0p"), &basic("shop"), &basic("x:s3cret")]
        {
            assert_eq!(gate.role(Some(wrong)), Err(BadCredentials), "{wrong}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_line_that_is_no_token_is_named() {
        let folder = folder("bad");
        let file = folder.join("tokens");
        let hash = "00".repeat(32);
        for bad in ["x user", "x root 00", &format!("x user {hash} more"), &format!("{COOKIE_USER} admin {hash}")] {
            std::fs::write(&file, format!("a user {hash}\n{bad}\n")).unwrap();
            let error = Gate::open(&folder, Some(&file)).err().unwrap();
            assert!(matches!(error, AuthError::Malformed { line: 2, .. }), "{bad}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
