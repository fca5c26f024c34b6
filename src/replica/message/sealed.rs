//! What is told of the chain: blocks and headers, each with the commit that made it final.

use super::{MessageFault, bounded};
use crate::ledger::VerifiedTx;
use crate::ledger::verify::{Verifier, VerifyError};
use crate::limits::{MAX_BLOCK_WIRE_BYTES, MAX_HEADERS_PER_MESSAGE, MAX_VALIDATORS};
use crate::types::block::{Block, Commit, Header, VdfProof};
use crate::types::evidence::Evidence;
use crate::types::hash::BlockHash;
use crate::types::transaction::Transaction;
use crate::types::validators::{Validator, ValidatorSet};
use crate::types::verified::Verified;
use bincode::{Decode, Encode};
use std::sync::Arc;

/// A block with the commit that made it final.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SealedBlock {
    /// The block.
    pub block: Block,
    /// Precommits of a quorum of the set that signs it.
    pub commit: Commit,
}

crate::wire!(SealedBlock, MAX_BLOCK_WIRE_BYTES, 4 * MAX_BLOCK_WIRE_BYTES);

/// A header with the commit that made its block final, and the set that signs the next blocks where that is another one:
/// enough to follow the chain from epoch to epoch without its blocks.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SealedHeader {
    /// The header.
    pub header: Header,
    /// Precommits of a quorum of the set that signs the block.
    pub commit: Commit,
    /// Given exactly where `next_validators_hash` is not `validators_hash`; ascending by consensus key.
    pub next_set: Option<Vec<Validator>>,
}

crate::wire!(SealedHeader, 1_024 + MAX_VALIDATORS * (65 + 128), 2_048 + MAX_VALIDATORS * (80 + 160));

impl SealedHeader {
    /// The header of a block whose child is signed by `next`.
    pub fn new(header: Header, commit: Commit, next: &ValidatorSet) -> Self {
        let changes = header.next_validators_hash != header.validators_hash;
        Self { header, commit, next_set: changes.then(|| next.members().to_vec()) }
    }
}

/// A header from a peer, with everything checked but what needs the set that signs it.
#[derive(Clone, Debug)]
pub struct ReceivedHeader {
    /// The header.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
    /// The commit; still to be checked against its set.
    pub commit: Commit,
    /// The set that signs the next blocks, where that is another one: it hashes to `next_validators_hash`.
    pub next_set: Option<Arc<ValidatorSet>>,
}

/// A block from a peer whose transactions are verified; its commit is checked against the set of its height when
/// that is known.
#[derive(Clone, Debug)]
pub struct ReceivedBlock {
    /// The header, to be recomputed.
    pub header: Header,
    /// The coinbase, to be recomputed.
    pub coinbase: Option<Transaction>,
    /// The other transactions.
    pub txs: Vec<VerifiedTx>,
    /// The parent's commit.
    pub last_commit: Option<Commit>,
    /// Evidence, verified as far as that needs no state.
    pub evidence: Vec<Verified<Evidence>>,
    /// The beacon's proof.
    pub vdf: Option<VdfProof>,
    /// The block's own commit.
    pub commit: Commit,
}

/// Checks headers as far as that needs no set: they are of this chain, follow each other, each commit is for its header,
/// and a set comes exactly where it changes.
///
/// # Errors
/// [`MessageFault`]: the sender is provably at fault.
pub(super) fn verify_headers(
    verifier: &Verifier,
    headers: Vec<SealedHeader>,
) -> Result<Vec<ReceivedHeader>, MessageFault> {
    bounded("headers", &headers, MAX_HEADERS_PER_MESSAGE)?;
    let mut received: Vec<ReceivedHeader> = Vec::with_capacity(headers.len());
    for SealedHeader { header, commit, next_set } in headers {
        verifier.header(&header)?;
        let (height, hash) = (header.height, header.hash());
        let follows = received.last().is_none_or(|parent| {
            let before = &parent.header;
            let is_next = height > before.height && height == before.height.next() && header.prev == parent.hash;
            let opens = header.slot > before.slot && Some(header.opened) == before.opened.checked_add(1);
            let overflows = header.slot == before.slot && header.opened == before.opened;
            is_next && (opens || overflows) && header.validators_hash == before.next_validators_hash
        });
        if !follows {
            return Err(MessageFault::Header { height, what: "does not follow the one before it" });
        }
        if commit.height != height || commit.block_hash != hash {
            return Err(VerifyError::OtherBlock { height: commit.height, found: commit.block_hash }.into());
        }
        let changes = header.next_validators_hash != header.validators_hash;
        let bad_set = MessageFault::Header { height, what: "comes without the next set, or with another one" };
        let next_set = match next_set {
            None if changes => return Err(bad_set),
            None => None,
            Some(members) => {
                let set = ValidatorSet::new(members.clone()).ok();
                let names = |set: &ValidatorSet| set.hash() == header.next_validators_hash && set.members() == members;
                Some(Arc::new(set.filter(|set| changes && names(set)).ok_or(bad_set)?))
            }
        };
        received.push(ReceivedHeader { header, hash, commit, next_set });
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::World;
    use crate::types::hash::Hash;
    use crate::types::number::Height;

    /// `count` headers that follow each other, signed by nobody.
    fn chain(world: &World, count: u64) -> Vec<SealedHeader> {
        let mut parent = world.state.header.clone();
        let header = |_| {
            let mut header = parent.clone();
            header.height = parent.height.next();
            header.slot = parent.slot.next();
            header.opened = parent.opened + 1;
            header.prev = parent.hash();
            parent = header.clone();
            sealed(header)
        };
        (0..count).map(header).collect()
    }

    fn sealed(header: Header) -> SealedHeader {
        let commit = Commit {
            height: header.height,
            view: Default::default(),
            block_hash: header.hash(),
            signatures: Vec::new(),
        };
        SealedHeader { header, commit, next_set: None }
    }

    fn verdict(world: &World, headers: Vec<SealedHeader>) -> Result<usize, MessageFault> {
        verify_headers(&world.verifier, headers).map(|headers| headers.len())
    }

    #[test]
    fn headers_that_follow_each_other_pass_and_keep_their_order() {
        let world = World::default();
        let headers = chain(&world, 5);
        let received = verify_headers(&world.verifier, headers.clone()).unwrap();
        assert!(received.iter().map(|received| &received.header).eq(headers.iter().map(|sealed| &sealed.header)));
        assert!(received.iter().all(|received| received.hash == received.header.hash() && received.next_set.is_none()));
        assert!(verdict(&world, Vec::new()).is_err());
        assert!(verdict(&world, chain(&world, 1 + MAX_HEADERS_PER_MESSAGE as u64)).is_err());
    }

    #[test]
    fn a_header_out_of_line_is_its_senders_fault() {
        let world = World::default();
        let broken = |change: &dyn Fn(&mut Header)| {
            let mut headers = chain(&world, 3);
            change(&mut headers[1].header);
            headers[1] = sealed(headers[1].header.clone());
            headers[2].header.prev = headers[1].header.hash();
            headers[2] = sealed(headers[2].header.clone());
            verdict(&world, headers)
        };
        assert_eq!(broken(&|_| {}), Ok(3));
        assert!(broken(&|header| header.height = header.height.next()).is_err());
        assert!(broken(&|header| header.prev = Default::default()).is_err());
        assert!(broken(&|header| header.slot = Default::default()).is_err());
        assert!(broken(&|header| header.opened += 1).is_err());
        assert!(broken(&|header| header.validators_hash = Hash::ZERO).is_err());
        assert!(broken(&|header| header.version = 2).is_err());
        assert!(broken(&|header| header.chain_id = Default::default()).is_err());
        let mut headers = chain(&world, 2);
        headers[1].commit.height = Height::ZERO;
        assert!(verdict(&world, headers).is_err(), "a commit of another height");
    }

    #[test]
    fn the_next_set_comes_exactly_where_it_changes_and_is_the_one_named() {
        let world = World::default();
        let members = world.state.validators.members().to_vec();
        let with = |next: Hash, next_set: Option<Vec<Validator>>| {
            let mut header = chain(&world, 1).remove(0).header;
            header.next_validators_hash = next;
            verdict(&world, vec![SealedHeader { next_set, ..sealed(header) }])
        };
        let (here, other) = (world.state.validators.hash(), {
            let mut fewer = members.clone();
            fewer.pop();
            ValidatorSet::new(fewer).unwrap()
        });
        assert_eq!(with(here, None), Ok(1));
        assert_eq!(with(other.hash(), Some(other.members().to_vec())), Ok(1));
        assert!(with(here, Some(members.clone())).is_err(), "it does not change");
        assert!(with(other.hash(), None).is_err(), "it is missing");
        assert!(with(other.hash(), Some(members.clone())).is_err(), "it is another one");
        let mut unsorted = other.members().to_vec();
        unsorted.reverse();
        assert!(with(other.hash(), Some(unsorted)).is_err(), "it has one encoding");
    }
}
