//! Which known transactions spend one outpoint, and who voted for two of them.
//!
//! An honest masternode votes once an outpoint an epoch. Votes are written down by outpoint only once a second
//! known transaction spends it, so payments without a rival cost one record and no list.

use crate::types::hash::Txid;
use crate::types::id_map::IdMap;
use crate::types::transaction::OutPoint;
use std::collections::BTreeMap;

struct Spend {
    /// How many known transactions spend the outpoint, at least 1.
    known: u32,
    /// The first of them; of interest until there is a second.
    first: Txid,
    /// The first of them that was certified.
    certified: Option<Txid>,
    /// Once there was a second: for each voter, by position, the first of them it voted for.
    votes: Option<BTreeMap<usize, Txid>>,
}

/// How a transaction stands to the others that spend an outpoint.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// It is the only one.
    Alone,
    /// It is the second: the votes for the first have to be written down now.
    RivalOf(Txid),
    /// Votes are being written down already.
    Contested,
}

/// Outpoints spent by known transactions.
#[derive(Default)]
pub(super) struct Spends {
    // Never iterated.
    outpoints: IdMap<OutPoint, Spend>,
}

impl Spends {
    /// `txid`, not known before, spends `outpoint`.
    pub(super) fn add(&mut self, outpoint: OutPoint, txid: Txid) -> Standing {
        let spend =
            self.outpoints.entry(outpoint).or_insert(Spend { known: 0, first: txid, certified: None, votes: None });
        spend.known += 1;
        if spend.votes.is_some() {
            return Standing::Contested;
        }
        if spend.known == 1 {
            return Standing::Alone;
        }
        spend.votes = Some(BTreeMap::new());
        Standing::RivalOf(spend.first)
    }

    /// `txid`, known before, is of no interest any more.
    pub(super) fn remove(&mut self, outpoint: &OutPoint, txid: &Txid) {
        let Some(spend) = self.outpoints.get_mut(outpoint) else { return };
        spend.known = spend.known.saturating_sub(1);
        if spend.known == 0 {
            self.outpoints.remove(outpoint);
            return;
        }
        spend.certified.take_if(|certified| certified == txid);
        if let Some(votes) = &mut spend.votes {
            votes.retain(|_, voted| voted != txid);
        }
    }

    /// The voter at `position` voted for `txid`, which spends `outpoint`; the rival it voted for before, if any.
    pub(super) fn vote(&mut self, outpoint: &OutPoint, position: usize, txid: Txid) -> Option<Txid> {
        let votes = self.outpoints.get_mut(outpoint)?.votes.as_mut()?;
        let first = *votes.entry(position).or_insert(txid);
        (first != txid).then_some(first)
    }

    /// `txid`, which spends `outpoint`, is certified; the rival that was certified before, if any.
    pub(super) fn certify(&mut self, outpoint: &OutPoint, txid: Txid) -> Option<Txid> {
        let spend = self.outpoints.get_mut(outpoint)?;
        let first = *spend.certified.get_or_insert(txid);
        (first != txid).then_some(first)
    }

    /// How many outpoints are spent.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.outpoints.len()
    }
}
