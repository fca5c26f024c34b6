//! Who signed the newest blocks, and what that brought: counted from the chain, so that a restart forgets nothing.
//!
//! A block holds its parent's commit, and its coinbase pays who signed that (`protocol.md` 8), so both are counted with
//! the block. Each block is read once, and those of two epochs are remembered, at most `MAX_COUNTED_BLOCKS`.

use super::types::{EpochParticipation, ParticipationInfo, Text};
use crate::chain::registry::Masternode;
use crate::chain::rewards::shares;
use crate::limits::{MAX_COUNTED_BLOCKS, RECENT_COMMITS};
use crate::types::keys::PublicKey;
use crate::types::number::{Amount, Epoch, Height};
use crate::types::validators::ValidatorSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What one block says of who signed its parent.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Height of the block.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// Who built it.
    pub proposer: PublicKey,
    /// What its coinbase shares out; zero for an overflow block.
    pub reward: Amount,
    /// The set that signs it.
    pub own_set: Arc<ValidatorSet>,
    /// The set that signed its parent.
    pub parent_set: Arc<ValidatorSet>,
    /// Whether each of them did.
    pub signed: Vec<bool>,
}

impl Counted {
    /// Where the masternode stands in the parent's set. A key may come again with another registration.
    fn position(&self, record: &Masternode) -> Option<usize> {
        let position = self.parent_set.position(&record.consensus_key)?;
        self.parent_set.members().get(position).filter(|member| member.id == record.id).map(|_| position)
    }

    /// Whether it signed; `None` if it could not.
    fn has_signed(&self, record: &Masternode) -> Option<bool> {
        self.signed.get(self.position(record)?).copied()
    }

    fn is_by(&self, record: &Masternode) -> bool {
        let own = self.own_set.get(&record.consensus_key);
        self.proposer == record.consensus_key && own.is_some_and(|member| member.id == record.id)
    }

    /// What the coinbase pays the masternode, or would pay if those of `signed` had signed.
    fn pays(&self, record: &Masternode, signed: &[bool], proposer_bps: u64) -> Amount {
        let all = shares(self.reward, proposer_bps, &self.parent_set, signed, &self.own_set, &self.proposer);
        let own = all.iter().find(|share| share.key == record.consensus_key);
        own.map_or(Amount::ZERO, |share| share.out.value)
    }

    fn add_to(&self, sum: &mut EpochParticipation, record: &Masternode, proposer_bps: u64) {
        let position = self.position(record);
        if position.is_none() && !self.is_by(record) {
            return;
        }
        match self.has_signed(record) {
            Some(true) => sum.cast += 1,
            Some(false) => sum.missed += 1,
            None => {}
        }
        sum.proposed += u64::from(self.is_by(record));
        let mut as_expected = self.signed.clone();
        if let Some(entry) = position.and_then(|position| as_expected.get_mut(position)) {
            *entry = true;
        }
        let add = |sum: Amount, more: Amount| sum.checked_add(more).unwrap_or(Amount::MAX);
        sum.received = Text(add(sum.received.0, self.pays(record, &self.signed, proposer_bps)));
        sum.expected = Text(add(sum.expected.0, self.pays(record, &as_expected, proposer_bps)));
    }
}

/// What the newest blocks say, the newest first. Cheap to clone.
#[derive(Clone, Default, Debug)]
pub struct Commits(Arc<Vec<Arc<Counted>>>);

impl Commits {
    /// How many of all commits that could hold the masternode's signature lack it.
    pub fn missed_by(&self, record: &Masternode) -> u64 {
        let missed = self.0.iter().filter(|block| block.has_signed(record) == Some(false)).count();
        u64::try_from(missed).unwrap_or(u64::MAX)
    }

    /// All of one masternode's part.
    pub fn of(&self, record: &Masternode, proposer_bps: u64) -> ParticipationInfo {
        let recent: Vec<bool> =
            self.0.iter().filter_map(|block| block.has_signed(record)).take(RECENT_COMMITS).collect();
        let mut epochs: Vec<EpochParticipation> = Vec::new();
        for block in self.0.iter() {
            if epochs.last().is_none_or(|last| last.epoch != block.epoch.get()) {
                let nothing = Text(Amount::ZERO);
                let epoch = block.epoch.get();
                epochs.push(EpochParticipation {
                    epoch,
                    cast: 0,
                    missed: 0,
                    proposed: 0,
                    received: nothing,
                    expected: nothing,
                });
            }
            if let Some(sum) = epochs.last_mut() {
                block.add_to(sum, record, proposer_bps);
            }
        }
        ParticipationInfo {
            from_height: self.0.last().map(|block| block.height.get()),
            to_height: self.0.first().map(|block| block.height.get()),
            recent_commits: recent.len(),
            recent_missed: recent.iter().filter(|signed| !**signed).count(),
            epochs,
        }
    }
}

/// Remembers what was read.
#[derive(Default, Debug)]
pub struct Participation(Mutex<Commits>);

impl Participation {
    /// What the blocks from `first` on say, up to the one at `tip`. `read` says it of one block: nothing if that holds no
    /// commit or is not kept, and then no older one is looked at. Who comes while another reads waits for it.
    ///
    /// # Errors
    /// What `read` says.
    pub fn up_to<E>(
        &self,
        tip: Height,
        first: Epoch,
        mut read: impl FnMut(Height) -> Result<Option<Counted>, E>,
    ) -> Result<Commits, E> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = known.0.first().map(|block| block.height);
        if newest.is_some_and(|newest| newest >= tip) {
            return Ok(known.clone());
        }
        let mut blocks = Vec::new();
        let mut next = Some(tip);
        while let Some(height) = next.filter(|height| Some(*height) != newest && blocks.len() < MAX_COUNTED_BLOCKS) {
            let Some(block) = read(height)?.filter(|block| block.epoch >= first) else { break };
            blocks.push(Arc::new(block));
            next = height.previous();
        }
        // There are no forks: what was read below the newest known block stays.
        if next == newest {
            blocks.extend(known.0.iter().filter(|block| block.epoch >= first).cloned());
            blocks.truncate(MAX_COUNTED_BLOCKS);
        }
        *known = Commits(Arc::new(blocks));
        Ok(known.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::registry::MasternodeState;
    use crate::types::hash::{MasternodeId, Txid};
    use crate::types::lock::Lock;
    use crate::types::number::Weight;
    use crate::types::transaction::OutPoint;
    use crate::types::validators::Validator;
    use std::convert::Infallible;

    fn record(n: u8) -> Masternode {
        Masternode {
            id: MasternodeId([n; 32]),
            consensus_key: PublicKey([n; 32]),
            owner: Lock::KeyHash([n; 32]),
            payout: Lock::KeyHash([n; 32]),
            endpoint: String::new(),
            collateral: OutPoint { txid: Txid([n; 32]), index: 0 },
            value: Amount::new(1),
            weight: Weight::new(10),
            queued_at: Height::ZERO,
            state: MasternodeState::Active,
            slashed: false,
        }
    }

    fn set(members: &[u8]) -> Arc<ValidatorSet> {
        let member = |n: &u8| {
            let Masternode { id, consensus_key, weight, payout, .. } = record(*n);
            Validator { id, consensus_key, weight, payout }
        };
        Arc::new(ValidatorSet::new(members.iter().map(member).collect()).unwrap())
    }

    /// Block `height` by 1, of epochs of four, whose parent everybody of 1, 2, 3, 4 signed but `missing`.
    fn block(height: u64, missing: u8) -> Counted {
        Counted {
            height: Height::new(height),
            epoch: Epoch::new(height / 4),
            proposer: PublicKey([1; 32]),
            reward: Amount::new(4_000),
            own_set: set(&[1, 2, 3, 4]),
            parent_set: set(&[1, 2, 3, 4]),
            signed: (1..=4).map(|n| n != missing).collect(),
        }
    }

    fn read(missing: impl Fn(u64) -> u8) -> impl FnMut(Height) -> Result<Option<Counted>, Infallible> {
        move |height| Ok((height.get() >= 2).then(|| block(height.get(), missing(height.get()))))
    }

    #[test]
    fn what_was_signed_and_paid_is_counted_by_epochs() {
        let commits =
            Participation::default().up_to(Height::new(10), Epoch::new(1), read(|height| u8::from(height > 8) * 2));
        let commits = commits.unwrap();
        let info = commits.of(&record(2), 1_000);
        assert_eq!((info.from_height, info.to_height), (Some(4), Some(10)));
        assert_eq!((info.recent_commits, info.recent_missed, commits.missed_by(&record(2))), (7, 2, 2));
        // A quarter of the nine tenths for each that signs.
        let epoch = |epoch, cast, missed, received: u64| EpochParticipation {
            epoch,
            cast,
            missed,
            proposed: 0,
            received: Text(Amount::new(received)),
            expected: Text(Amount::new(900 * (cast + missed))),
        };
        assert_eq!(info.epochs, [epoch(2, 1, 2, 900), epoch(1, 4, 0, 3_600)]);
        // The proposer's tenth follows what was signed.
        let of_proposer = commits.of(&record(1), 1_000);
        assert_eq!(of_proposer.epochs[0].received, Text(Amount::new(3 * 900 + 400 + 300 + 300)));
        assert_eq!((of_proposer.epochs[0].proposed, of_proposer.epochs[0].missed), (3, 0));
        // The same key under another registration.
        let again = Masternode { id: MasternodeId([9; 32]), ..record(2) };
        assert_eq!((commits.missed_by(&again), commits.of(&again, 1_000).recent_commits), (0, 0));
    }

    #[test]
    fn no_block_is_read_twice_and_old_epochs_are_forgotten() {
        let (participation, reads) = (Participation::default(), std::cell::RefCell::new(Vec::new()));
        let look = |tip: u64, first: u64| {
            let mut source = read(|_| 0);
            let noted = |height: Height| {
                reads.borrow_mut().push(height.get());
                source(height)
            };
            let commits = participation.up_to(Height::new(tip), Epoch::new(first), noted).unwrap();
            (commits.0.iter().map(|block| block.height.get()).collect::<Vec<_>>(), reads.take())
        };
        assert_eq!(look(3, 0), (vec![3, 2], vec![3, 2, 1]));
        assert_eq!(look(3, 0), (vec![3, 2], vec![]));
        assert_eq!(look(5, 0), (vec![5, 4, 3, 2], vec![5, 4]));
        assert_eq!(look(9, 1), (vec![9, 8, 7, 6, 5, 4], vec![9, 8, 7, 6]));
        assert_eq!(look(7, 0), (vec![9, 8, 7, 6, 5, 4], vec![]), "who comes late hears what is newer");
        assert_eq!(look(30, 7), (vec![30, 29, 28], vec![30, 29, 28, 27]));
    }

    #[test]
    fn a_failed_read_changes_nothing() {
        let participation = Participation::default();
        participation.up_to(Height::new(3), Epoch::ZERO, read(|_| 0)).unwrap();
        let failed = participation.up_to(Height::new(6), Epoch::ZERO, |height| {
            if height.get() == 5 { Err("unreadable") } else { Ok(Some(block(height.get(), 0))) }
        });
        assert_eq!(failed.map(|_| ()), Err("unreadable"));
        let commits = participation.up_to(Height::new(3), Epoch::ZERO, read(|_| 0)).unwrap();
        assert_eq!(commits.0.len(), 2);
    }

    #[test]
    fn blocks_are_counted_up_to_a_bound() {
        let source =
            |height: Height| Ok::<_, Infallible>(Some(Counted { epoch: Epoch::ZERO, ..block(height.get(), 0) }));
        let commits = Participation::default().up_to(Height::new(5_000), Epoch::ZERO, source).unwrap();
        assert_eq!(commits.0.len(), MAX_COUNTED_BLOCKS);
    }
}
