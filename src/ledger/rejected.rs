//! Verdicts "invalid in state", remembered so that asking again costs nothing and users learn why.
//!
//! A verdict is about one encoding: another one of the same txid is judged by itself. What may change with the tip
//! is forgotten with it. Bounded in number and time.

use super::rejection::Rejection;
use crate::limits::{MAX_REJECTED, REJECTED_EXPIRY_MS};
use crate::types::hash::{Txid, Wtxid};
use crate::types::number::TimeMs;
use std::collections::BTreeMap;

struct Verdict {
    wtxid: Wtxid,
    rejection: Rejection,
    since: TimeMs,
    number: u64,
}

/// The last verdict for each txid.
#[derive(Default)]
pub(super) struct Rejected {
    by_txid: BTreeMap<Txid, Verdict>,
    by_age: BTreeMap<u64, Txid>,
    next_number: u64,
}

impl Rejected {
    pub(super) fn insert(&mut self, now: TimeMs, txid: Txid, wtxid: Wtxid, rejection: Rejection) {
        self.remove(&txid);
        let number = self.next_number;
        self.next_number += 1;
        self.by_age.insert(number, txid);
        self.by_txid.insert(txid, Verdict { wtxid, rejection, since: now, number });
        while self.by_txid.len() > MAX_REJECTED {
            let Some((_, oldest)) = self.by_age.first_key_value() else { break };
            self.remove(&oldest.clone());
        }
    }

    /// The verdict on this encoding.
    pub(super) fn of_encoding(&self, txid: &Txid, wtxid: &Wtxid) -> Option<&Rejection> {
        self.by_txid.get(txid).filter(|verdict| verdict.wtxid == *wtxid).map(|verdict| &verdict.rejection)
    }

    /// The last verdict on any encoding.
    pub(super) fn get(&self, txid: &Txid) -> Option<&Rejection> {
        self.by_txid.get(txid).map(|verdict| &verdict.rejection)
    }

    pub(super) fn remove(&mut self, txid: &Txid) {
        if let Some(verdict) = self.by_txid.remove(txid) {
            self.by_age.remove(&verdict.number);
        }
    }

    /// The tip changed: forgets what it may have changed.
    pub(super) fn forget_changeable(&mut self) {
        let by_age = &mut self.by_age;
        self.by_txid.retain(|_, verdict| {
            let stays = !verdict.rejection.may_change();
            if !stays {
                by_age.remove(&verdict.number);
            }
            stays
        });
    }

    pub(super) fn expire(&mut self, now: TimeMs) {
        while let Some((_, txid)) = self.by_age.first_key_value() {
            let txid = *txid;
            if self.by_txid.get(&txid).is_none_or(|verdict| now.since(verdict.since) <= REJECTED_EXPIRY_MS) {
                break;
            }
            self.remove(&txid);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_txid.len()
    }
}
