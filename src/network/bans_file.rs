//! Bans as they are kept over restarts: `bans.json`.

use super::bans::{Ban, Banned, Bans};
use super::kept;
use crate::limits::MAX_BANS_FILE_BYTES;
use crate::storage::files::Files;
use crate::types::keys::PublicKey;
use crate::types::link::NodeId;
use crate::types::number::TimeMs;
use serde::{Deserialize, Serialize};
use tracing::warn;

/// The file's name.
pub(super) const BANS_FILE: &str = "bans.json";

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedBans {
    bans: Vec<SavedBan>,
}

/// Times are unix milliseconds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedBan {
    /// A node's key, 64 hex digits, or an IP address.
    who: String,
    since: u64,
    until: u64,
    reason: String,
    by_operator: bool,
}

/// A node's key or an IP address, as people write them.
pub fn read_banned(text: &str) -> Option<Banned> {
    let node = PublicKey::from_hex(text).map(|key| Banned::Node(NodeId(key)));
    node.or_else(|| text.parse().ok().map(Banned::place))
}

impl SavedBans {
    /// The bans that hold now.
    pub(super) fn of(bans: &Bans, now: TimeMs) -> Self {
        let saved = |(who, ban): (Banned, Ban)| SavedBan {
            who: who.to_string(),
            since: ban.since.0,
            until: ban.until.0,
            reason: ban.reason,
            by_operator: ban.by_operator,
        };
        Self { bans: bans.held(now).into_iter().map(saved).collect() }
    }

    /// Writes them. Whether that was done.
    pub(super) fn save(&self, files: &dyn Files) -> bool {
        kept::save(files, BANS_FILE, self)
    }
}

/// The bans that were saved and hold still.
pub(super) fn load(files: &dyn Files, now: TimeMs) -> Bans {
    let mut bans = Bans::default();
    let Some(saved) = kept::load::<SavedBans>(files, BANS_FILE, MAX_BANS_FILE_BYTES) else { return bans };
    for SavedBan { who, since, until, reason, by_operator } in saved.bans {
        let Some(banned) = read_banned(&who) else {
            warn!(who, "in {BANS_FILE}: neither a node's key nor an IP address; left out");
            continue;
        };
        let ban = Ban { since: TimeMs(since), until: TimeMs(until), reason, by_operator };
        if let Err(error) = bans.ban(banned, ban, now) {
            warn!(who, %error, "in {BANS_FILE}: left out");
        }
    }
    bans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::testing::node_id;
    use crate::storage::files::DiskFiles;

    #[test]
    fn bans_come_back_as_they_were_saved_as_long_as_they_hold() {
        let directory = tempfile::tempdir().unwrap();
        let files = DiskFiles::new(directory.path());
        let now = TimeMs(1_000);
        let mut bans = Bans::default();
        let ban =
            |until| Ban { since: now, until: TimeMs(until), reason: "bad".to_owned(), by_operator: until == 3_000 };
        bans.ban(Banned::Node(node_id(1)), ban(2_000), now).unwrap();
        for ip in ["192.0.2.1", "2001:db8::1"] {
            bans.ban(read_banned(ip).unwrap(), ban(3_000), now).unwrap();
        }
        assert!(SavedBans::of(&bans, now).save(&files));
        assert_eq!(load(&files, now).held(now), bans.held(now));
        assert_eq!(load(&files, TimeMs(2_000)).held(TimeMs(2_000)).len(), 2);
        crate::storage::whole_file::replace(&files, BANS_FILE, &[b"{]"]).unwrap();
        assert!(load(&files, now).held(now).is_empty());
        assert_eq!(files.read("bans.json.damaged-0").unwrap(), b"{]");
    }

    #[test]
    fn only_a_key_or_an_address_can_be_banned() {
        assert_eq!(read_banned(&node_id(1).to_string()), Some(Banned::Node(node_id(1))));
        assert_eq!(read_banned("::ffff:192.0.2.1"), read_banned("192.0.2.1"));
        for wrong in ["", "node.example", "192.0.2.0/24", "192.0.2.1:24000", "00"] {
            assert_eq!(read_banned(wrong), None, "{wrong}");
        }
    }
}
