//! Keeps out who proved itself faulty: what leads to a ban, what it does to links, and where it is kept.

use super::bans::{Ban, Banned, Bans, TooManyBans};
use super::bans_file::{self, SavedBans};
use super::error::LinkError;
use super::message::CloseReason;
use super::settings::{Clock, Disk, Settings};
use super::table::Table;
use crate::limits::RATE_BAN_MS;
use crate::types::link::NodeId;
use crate::types::number::TimeMs;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::warn;

/// See the module.
#[derive(Debug)]
pub(super) struct Guard {
    bans: Mutex<Bans>,
    /// Told after each change.
    pub changed: Notify,
    clock: Clock,
    disk: Option<Disk>,
    fault_ban: Duration,
}

impl Guard {
    /// With the bans of earlier runs that hold still.
    pub(super) fn new(settings: &Settings) -> Self {
        let (clock, disk) = (settings.clock.clone(), settings.disk.clone());
        let bans = disk.as_ref().map(|disk| bans_file::load(&*disk.0, clock.now())).unwrap_or_default();
        Self { bans: Mutex::new(bans), changed: Notify::new(), clock, disk, fault_ban: settings.fault_ban }
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Bans> {
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody at this address is let in.
    pub(super) fn keeps_out(&self, ip: IpAddr) -> bool {
        self.lock().holds(&Banned::place(ip), self.clock.now())
    }

    /// Whether this node is let in nowhere.
    pub(super) fn keeps_out_node(&self, node: NodeId) -> bool {
        self.lock().holds(&Banned::Node(node), self.clock.now())
    }

    /// Bans whoever ended a link like this, if that proves it at fault. `node` proved who it is.
    pub(super) fn judge(&self, table: &Table, node: NodeId, ip: IpAddr, reason: &LinkError) {
        match reason {
            LinkError::OverRate => {
                self.punish(table, node, ip, Duration::from_millis(RATE_BAN_MS), &reason.to_string());
            }
            reason if reason.is_proved_fault() => self.punish(table, node, ip, self.fault_ban, &reason.to_string()),
            _ => {}
        }
    }

    /// Bans a node that is provably at fault.
    pub(super) fn convict(&self, table: &Table, node: NodeId, ip: IpAddr, fault: &str) {
        self.punish(table, node, ip, self.fault_ban, fault);
    }

    /// The node and its address. One of this machine stands for everybody on it, so there only the node is banned.
    fn punish(&self, table: &Table, node: NodeId, ip: IpAddr, length: Duration, reason: &str) {
        if length.is_zero() {
            return;
        }
        warn!(%node, %ip, reason, seconds = length.as_secs(), "banned");
        let place = Some(Banned::place(ip)).filter(|_| !ip.to_canonical().is_loopback());
        for who in [Some(Banned::Node(node)), place].into_iter().flatten() {
            let until = self.after(length);
            let ban = Ban { since: self.clock.now(), until, reason: reason.to_owned(), by_operator: false };
            if let Err(error) = self.ban(table, who, ban) {
                warn!(%who, %error, "not banned");
            }
        }
    }

    /// Keeps somebody out and ends its links.
    ///
    /// # Errors
    /// [`TooManyBans`]: nothing changed.
    pub(super) fn ban(&self, table: &Table, who: Banned, ban: Ban) -> Result<(), TooManyBans> {
        self.lock().ban(who, ban, self.clock.now())?;
        self.changed.notify_one();
        for link in table.links().values() {
            let is_it = match who {
                Banned::Node(node) => link.info.node_id == node,
                Banned::Place(_) => Banned::place(link.info.address.ip()) == who,
            };
            if is_it {
                link.close(LinkError::Closed(CloseReason::Banned));
            }
        }
        Ok(())
    }

    /// Lets somebody in again. Whether it was kept out.
    pub(super) fn lift(&self, who: &Banned) -> bool {
        let lifted = self.lock().lift(who, self.clock.now());
        self.changed.notify_one();
        lifted
    }

    /// Lets everybody in again; how many bans that ends.
    pub(super) fn clear(&self) -> usize {
        let cleared = self.lock().clear(self.clock.now());
        self.changed.notify_one();
        cleared
    }

    /// Every ban that holds.
    pub(super) fn held(&self) -> Vec<(Banned, Ban)> {
        self.lock().held(self.clock.now())
    }

    fn after(&self, length: Duration) -> TimeMs {
        self.clock.now().plus(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
    }

    /// Writes the bans to disk.
    pub(super) async fn save(&self) {
        let Some(Disk(files)) = self.disk.clone() else { return };
        let saved = SavedBans::of(&self.lock(), self.clock.now());
        // What fails is warned about where it fails, and tried again with the next change.
        tokio::task::spawn_blocking(move || saved.save(&*files)).await.ok();
    }
}
