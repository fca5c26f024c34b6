//! One function that builds a block and validates one: it computes the header that follows from a parent and a
//! content, or says which rule the content breaks (`protocol.md` 7.1, 7.3 "Always", 8, 9). A validator executes the
//! content of a proposal and compares headers; so a header field has one rule, not two.
//!
//! Nothing here looks at the clock, at certificates or at who leads: a block once agreed on stays valid.

mod effects;
mod error;
mod moves;

pub use error::BlockError;

use super::VerifiedTx;
use super::state::ChainState;
use super::utxo::{StateRead, Utxo};
use super::verify::Verifier;
use crate::chain::genesis::{state_entry, state_root};
use crate::chain::leader::vdf_seed;
use crate::chain::registry::Registry;
use crate::chain::rewards::coinbase_outputs;
use crate::chain::spec::{Chain, ChainSpec};
use crate::chain::subsidy::subsidy;
use crate::crypto::vdf;
use crate::types::block::{Commit, Header, VdfProof, commit_root, tx_root};
use crate::types::codec::encoded_size;
use crate::types::evidence::Evidence;
use crate::types::hash::{BlockHash, Hash, Txid};
use crate::types::keys::PublicKey;
use crate::types::merkle;
use crate::types::number::{Amount, Epoch, Height, Slot};
use crate::types::transaction::{HashedTx, OutPoint, Payload, Transaction, TxBody, TxOut};
use crate::types::validators::ValidatorSet;
use crate::types::verified::Verified;
use bincode::{Decode, Encode};
use std::sync::Arc;

/// What a proposer chooses; everything else of a block follows from it.
#[derive(Clone, Copy, Debug)]
pub struct BlockBody<'a> {
    /// The parent's slot for an overflow block, a later one for a block that opens it.
    pub slot: Slot,
    /// Consensus key of who builds the block.
    pub proposer: PublicKey,
    /// The transactions without the coinbase, strictly ascending by txid.
    pub txs: &'a [VerifiedTx],
    /// Precommits for the parent; `None` only on genesis.
    pub last_commit: Option<&'a Verified<Commit>>,
    /// Strictly ascending by hash, one piece a signer.
    pub evidence: &'a [Verified<Evidence>],
    /// The beacon's proof, if the block opens a slot.
    pub vdf: Option<&'a VdfProof>,
}

/// A content with the header that follows from it.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The header.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
    /// The first transaction of a block that opens a slot.
    pub coinbase: Option<Transaction>,
    /// What the block changes.
    pub changes: Arc<BlockChanges>,
}

/// What a block changes.
#[derive(Clone, Debug)]
pub struct BlockChanges {
    /// Height of the block.
    pub height: Height,
    /// Outputs of earlier blocks that it spends, or takes for punishment.
    pub spent: Vec<(OutPoint, Utxo)>,
    /// Outputs that it adds; those created and spent within it are in neither list.
    pub created: Vec<(OutPoint, Utxo)>,
    /// Its transactions in their order, coinbase included.
    pub txids: Vec<Txid>,
    /// The same without the coinbase.
    pub txs: Vec<VerifiedTx>,
    /// What each of `txs` spends, in the order of its inputs.
    pub inputs: Vec<Vec<TxOut>>,
    /// What the transactions pay.
    pub fees: Amount,
    /// What punishments took out of the supply.
    pub slashed: Amount,
    /// The punishments, ascending by what they took. Their outputs are in `spent` and `created` too, as far as those say.
    pub punished: Vec<Punishment>,
    /// The state after it.
    pub state: ChainState,
    /// The epoch it closes, if it closes one.
    pub closed_epoch: Option<Epoch>,
}

/// A collateral that gave way to a smaller output, without a transaction (`protocol.md` 11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Punishment {
    /// The output that went.
    pub taken: OutPoint,
    /// What it was.
    pub before: TxOut,
    /// The output that came, which no transaction made.
    pub left: OutPoint,
    /// What it is.
    pub after: TxOut,
}

impl Executed {
    /// Compares the header of a proposal or a block with the one that follows from its content.
    ///
    /// # Errors
    /// [`BlockError::HeaderDiffers`] with the first field that differs.
    pub fn check(&self, header: &Header) -> Result<(), BlockError> {
        macro_rules! first_difference {
            ($($field:ident)*) => {{
                // Names every field: one that is added to the header cannot be forgotten here.
                let Header { $($field),* } = header;
                $(if *$field != self.header.$field {
                    return Err(BlockError::HeaderDiffers { field: stringify!($field) });
                })*
            }};
        }
        first_difference! {
            version chain_id height slot opened prev tx_root tx_count state_root last_commit_root evidence_root
            validators_hash next_validators_hash beacon proposer reward
        }
        Ok(())
    }
}

/// Where a block stands.
struct Place {
    height: Height,
    opened: u64,
    opens_slot: bool,
    epoch: Epoch,
    closes: bool,
}

impl Place {
    fn of(spec: &ChainSpec, parent: &ChainState, slot: Slot) -> Result<Self, BlockError> {
        let parent_slot = parent.header.slot;
        if slot < parent_slot {
            return Err(BlockError::SlotBeforeParent { slot, parent: parent_slot });
        }
        let opens_slot = slot > parent_slot;
        if !opens_slot && parent.height() == Height::ZERO {
            return Err(BlockError::OverflowOnGenesis);
        }
        let last = BlockError::LastHeight(parent.height());
        let height = parent.height().checked_add(Height::new(1)).ok_or(last.clone())?;
        let opened = parent.header.opened.checked_add(u64::from(opens_slot)).ok_or(last)?;
        let closes = opens_slot && spec.opening_closes_epoch(opened);
        Ok(Self { height, opened, opens_slot, epoch: parent.child_epoch(spec), closes })
    }
}

/// The block with this `body` on `parent`, whose unspent outputs `utxos` answers for.
///
/// # Errors
/// [`BlockError`]: the first rule that the content breaks.
pub fn execute(
    chain: &Chain,
    parent: &ChainState,
    utxos: &dyn StateRead,
    verifier: &Verifier,
    body: &BlockBody,
) -> Result<Executed, BlockError> {
    let place = Place::of(chain, parent, body.slot)?;
    if parent.validators.get(&body.proposer).is_none() {
        return Err(BlockError::ForeignProposer { proposer: body.proposer });
    }
    check_transactions(chain, &place, body)?;
    check_last_commit(parent, verifier, body.last_commit)?;
    let beacon = beacon(chain, parent, &place, verifier, body.vdf)?;
    let mut registry = parent.registry.clone();
    let slashed = effects::punish(chain, &mut registry, body.evidence)?;
    let authorities = effects::apply_payloads(chain, &mut registry, place.height, place.epoch, body.txs);
    let mut moves = moves::apply(chain, utxos, place.height, &slashed, body.txs, &authorities)?;

    let (reward, accrued_fees) = reward_and_accrued(chain, parent, &place, moves.fees)?;
    let last_commit = body.last_commit.map(|commit| &**commit);
    let coinbase = place.opens_slot.then(|| coinbase(chain, parent, &body.proposer, last_commit, reward));
    let minted = add_coinbase(&mut moves, coinbase.as_ref(), place.height)?;
    let validators = next_set(chain, parent, &place, &mut registry)?;
    let supply = parent.supply.checked_add(minted).and_then(|sum| sum.checked_sub(moves.fees));
    let supply = supply.and_then(|sum| sum.checked_sub(moves.slashed)).ok_or(BlockError::AmountOverflow)?;
    let mut utxo_hash = parent.utxo_hash.clone();
    moves.spent.iter().for_each(|(at, utxo)| utxo_hash.remove(&state_entry(at, &utxo.out, utxo.created)));
    moves.created.iter().for_each(|(at, utxo)| utxo_hash.add(&state_entry(at, &utxo.out, utxo.created)));

    let txids: Vec<Txid> = coinbase.iter().map(HashedTx::txid).chain(body.txs.iter().map(|tx| tx.txid())).collect();
    let evidence_hashes: Vec<Hash> = body.evidence.iter().map(|piece| piece.hash()).collect();
    let header = Header {
        version: 1,
        chain_id: chain.id(),
        height: place.height,
        slot: body.slot,
        opened: place.opened,
        prev: parent.hash,
        tx_root: tx_root(&txids),
        tx_count: u32::try_from(txids.len()).map_err(|_| BlockError::TooManyTransactions)?,
        state_root: state_root(&utxo_hash, &registry, supply, accrued_fees),
        last_commit_root: commit_root(body.last_commit.map(|commit| &**commit)),
        evidence_root: merkle::root(evidence_hashes.iter().map(Hash::as_bytes)),
        validators_hash: parent.validators.hash(),
        next_validators_hash: validators.hash(),
        beacon,
        proposer: body.proposer,
        reward,
    };
    let hash = header.hash();
    let state = ChainState {
        header: header.clone(),
        hash,
        last_opening: if place.opens_slot { hash } else { parent.last_opening },
        signers: Arc::clone(&parent.validators),
        validators,
        registry,
        utxo_hash,
        supply,
        accrued_fees,
    };
    let changes = Arc::new(BlockChanges {
        height: place.height,
        spent: moves.spent,
        created: moves.created,
        txids,
        txs: body.txs.to_vec(),
        inputs: moves.inputs,
        fees: moves.fees,
        slashed: moves.slashed,
        punished: moves.punished,
        state,
        closed_epoch: place.closes.then_some(place.epoch),
    });
    Ok(Executed { header, hash, coinbase: coinbase.map(|tx| tx.tx().clone()), changes })
}

/// Order, uniqueness and sizes. That each is valid on its own is in its type.
fn check_transactions(spec: &ChainSpec, place: &Place, body: &BlockBody) -> Result<(), BlockError> {
    if let Some(pair) = body.txs.windows(2).find(|pair| pair[0].txid() >= pair[1].txid()) {
        return Err(BlockError::TxOutOfOrder { txid: pair[1].txid() });
    }
    let tx_bytes: u64 = body.txs.iter().map(|tx| u64::from(tx.size_bytes())).sum();
    let bytes = tx_bytes.saturating_add(evidence_bytes(body.evidence));
    if bytes > spec.max_block_bytes {
        return Err(BlockError::TooLarge { bytes, limit: spec.max_block_bytes });
    }
    if !place.opens_slot && tx_bytes < spec.overflow_min_bytes {
        return Err(BlockError::OverflowTooSmall { bytes: tx_bytes, least: spec.overflow_min_bytes });
    }
    Ok(())
}

/// What `evidence` takes of a block's `max_block_bytes`.
pub fn evidence_bytes<'a>(evidence: impl IntoIterator<Item = &'a Verified<Evidence>>) -> u64 {
    evidence.into_iter().map(|piece| encoded_size(&**piece) as u64).fold(0, u64::saturating_add)
}

/// The commit names the parent and a quorum of its set signed it. It is checked here whatever set it was checked
/// against before; signatures seen before cost nothing.
fn check_last_commit(
    parent: &ChainState,
    verifier: &Verifier,
    commit: Option<&Verified<Commit>>,
) -> Result<(), BlockError> {
    let commit = match (commit, parent.height() == Height::ZERO) {
        (None, true) => return Ok(()),
        (Some(_), true) => return Err(BlockError::UnexpectedCommit),
        (None, false) => return Err(BlockError::MissingCommit),
        (Some(commit), false) => commit,
    };
    if commit.height != parent.height() || commit.block_hash != parent.hash {
        return Err(BlockError::OtherCommit { height: commit.height, found: commit.block_hash });
    }
    verifier.check_commit(commit, &parent.signers).map_err(BlockError::BadCommit)
}

fn beacon(
    chain: &Chain,
    parent: &ChainState,
    place: &Place,
    verifier: &Verifier,
    proof: Option<&VdfProof>,
) -> Result<Hash, BlockError> {
    match (place.opens_slot, proof) {
        (false, None) => Ok(parent.header.beacon),
        (false, Some(_)) => Err(BlockError::UnexpectedVdf),
        (true, None) => Err(BlockError::MissingVdf),
        (true, Some(proof)) => {
            let seed = vdf_seed(&parent.header.beacon, &parent.last_opening, place.opened);
            let good = verifier.vdf(&seed, chain.vdf_iterations, proof);
            good.then(|| vdf::beacon(proof)).ok_or(BlockError::BadVdf)
        }
    }
}

/// The header's reward, and the fees that wait for the next block that opens a slot.
fn reward_and_accrued(
    spec: &ChainSpec,
    parent: &ChainState,
    place: &Place,
    fees: Amount,
) -> Result<(Amount, Amount), BlockError> {
    let waiting = parent.accrued_fees.checked_add(fees).ok_or(BlockError::AmountOverflow)?;
    if !place.opens_slot {
        return Ok((Amount::ZERO, waiting));
    }
    let subsidy = subsidy(&spec.reward, place.opened, parent.validators.len());
    let reward = subsidy.checked_add(waiting).ok_or(BlockError::AmountOverflow)?;
    Ok((reward, Amount::ZERO))
}

/// The coinbase of a block on `parent` that opens a slot and mints `reward`.
pub fn coinbase(
    spec: &ChainSpec,
    parent: &ChainState,
    proposer: &PublicKey,
    last_commit: Option<&Commit>,
    reward: Amount,
) -> HashedTx {
    let (signers, validators) = (&parent.signers, &parent.validators);
    let outputs = coinbase_outputs(reward, spec.reward.proposer_bps, signers, last_commit, validators, proposer);
    let payload = Payload::Coinbase { height: parent.child_height() };
    let body = TxBody { version: 1, inputs: Vec::new(), outputs, payload, memo: Vec::new() };
    HashedTx::new(Transaction { body, witnesses: Vec::new() })
}

/// Adds the coinbase's outputs to what the block creates. Nothing in the block can spend them: the txid depends on
/// the fees of all of it.
fn add_coinbase(moves: &mut moves::Moves, coinbase: Option<&HashedTx>, height: Height) -> Result<Amount, BlockError> {
    let Some(coinbase) = coinbase else { return Ok(Amount::ZERO) };
    moves.created.extend(coinbase.outputs().map(|(at, out)| (at, Utxo { out: *out, created: height })));
    let paid = coinbase.body().outputs.iter().map(|out| out.value);
    Amount::checked_sum(paid).ok_or(BlockError::AmountOverflow)
}

fn next_set(
    spec: &ChainSpec,
    parent: &ChainState,
    place: &Place,
    registry: &mut Registry,
) -> Result<Arc<ValidatorSet>, BlockError> {
    if !place.closes {
        return Ok(Arc::clone(&parent.validators));
    }
    registry.boundary(spec, place.epoch, parent.validators.total());
    registry.validators().map(Arc::new).map_err(BlockError::NextSet)
}

#[cfg(test)]
mod membership;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
