//! The oracle's own ledger: genesis and every committed block, executed one after the other with nothing from the
//! engines. S4 (supply), S5 (state roots), and the rules of a block.

use super::committee::Committee;
use super::digest;
use super::lthash::SetHash;
use super::membership::Members;
use super::registry::{Record, Registry, Standing};
use super::subsidy::Logarithms;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use timed::chain::spec::ChainSpec;
use timed::types::block::{Block, Commit};
use timed::types::codec::encode;
use timed::types::hash::{BlockHash, ChainId, Hash, MasternodeId, Txid};
use timed::types::keys::PublicKey;
use timed::types::number::{Amount, Height};
use timed::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut};

/// An output nobody has spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unspent {
    /// The output.
    pub out: TxOut,
    /// Height of the block that created it.
    pub created: u64,
}

/// What the oracle knows of a block after executing it: what any node's state at that height must equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// Height.
    pub height: u64,
    /// Hash of the header.
    pub hash: BlockHash,
    /// Slot.
    pub slot: u64,
    /// Slot-opening blocks so far.
    pub opened: u64,
    /// Randomness for the child's leaders.
    pub beacon: Hash,
    /// The last block that opened a slot.
    pub last_opening: BlockHash,
    /// Epoch of the block.
    pub epoch: u64,
    /// Whether it closes that epoch.
    pub closes: bool,
    /// State root.
    pub state_root: Hash,
    /// `H("utxos", lthash)`.
    pub utxos: Hash,
    /// Hash of the registry.
    pub registry: Hash,
    /// Supply in units, by the supply equation.
    pub supply: u64,
    /// Fees of overflow blocks not yet paid out.
    pub accrued_fees: u64,
    /// What it archives, coinbase included.
    pub txids: Arc<[Txid]>,
}

/// Supply so far, term by term (`protocol.md` 8).
#[derive(Clone, Copy, Default, Debug)]
pub struct Supply {
    /// Outputs of genesis.
    pub genesis: u128,
    /// Outputs of coinbases.
    pub minted: u128,
    /// Fees.
    pub fees: u128,
    /// Taken from collaterals.
    pub slashed: u128,
}

impl Supply {
    /// The equation.
    pub fn total(&self) -> u128 {
        (self.genesis + self.minted).saturating_sub(self.fees + self.slashed)
    }
}

/// The chain so far and the state after it.
pub struct Replay {
    /// The spec.
    pub spec: ChainSpec,
    /// Its id.
    pub chain_id: ChainId,
    pub(super) honest: BTreeSet<PublicKey>,
    pub(super) unspent: HashMap<OutPoint, Unspent>,
    pub(super) spent_by: HashMap<OutPoint, Txid>,
    pub(super) archived: HashMap<Txid, u64>,
    pub(super) set_hash: SetHash,
    pub(crate) registry: Registry,
    pub(crate) members: Members,
    pub(super) supply: Supply,
    /// Sum of all unspent outputs, kept by adding and taking away.
    pub(super) value: u128,
    pub(super) accrued_fees: u64,
    pub(crate) sealed: Vec<Sealed>,
    /// By epoch.
    pub(super) committees: Vec<Arc<Committee>>,
    /// The blocks as first committed, from height 1 on.
    pub(super) blocks: Vec<Block>,
    pub(super) logarithms: Logarithms,
    /// A block could not be executed: nothing after it can be judged.
    pub(super) broken: bool,
}

impl Replay {
    /// The state of genesis, from the spec alone.
    pub fn new(spec: &ChainSpec, honest: BTreeSet<PublicKey>) -> Self {
        let chain_id = ChainId(digest::h("timecoin v1 chain", &[&encode(spec)]).0);
        let mut replay = Self {
            spec: spec.clone(),
            chain_id,
            honest,
            unspent: HashMap::new(),
            spent_by: HashMap::new(),
            archived: HashMap::new(),
            set_hash: SetHash::empty(),
            registry: Registry::default(),
            members: Members::default(),
            supply: Supply::default(),
            value: 0,
            accrued_fees: 0,
            sealed: Vec::new(),
            committees: Vec::new(),
            blocks: Vec::new(),
            logarithms: Logarithms::new(),
            broken: false,
        };
        replay.make_genesis();
        replay
    }

    fn make_genesis(&mut self) {
        let spec = self.spec.clone();
        let tier = |name: &str| spec.tiers.iter().find(|tier| tier.name == name);
        let collaterals = spec
            .masternodes
            .iter()
            .map(|m| TxOut { value: tier(&m.tier).map_or(Amount::ZERO, |t| t.collateral), lock: m.owner });
        let allocations = spec.allocations.iter().map(|a| TxOut { value: a.amount, lock: a.address });
        let outputs: Vec<TxOut> = collaterals.chain(allocations).collect();
        let payload = Payload::Coinbase { height: Height::ZERO };
        let body = TxBody { version: 1, inputs: Vec::new(), outputs, payload, memo: Vec::new() };
        let coinbase = Transaction { body, witnesses: Vec::new() };
        let txid = super::transactions::txid(&coinbase);

        for (index, m) in (0u32..).zip(&spec.masternodes) {
            let out = coinbase.body.outputs[index as usize];
            let id = digest::h("timecoin v1 genesis masternode", &[&txid.0, &index.to_le_bytes()]);
            self.registry.insert(Record {
                id: MasternodeId(id.0),
                key: m.consensus_key,
                owner: m.owner,
                payout: m.payout,
                endpoint: m.endpoint.clone(),
                collateral: OutPoint { txid, index },
                value: out.value.get(),
                weight: tier(&m.tier).map_or(0, |t| t.weight.get()),
                queued_at: 0,
                standing: Standing::Active,
                slashed: false,
            });
        }
        self.create(txid, &coinbase.body.outputs, 0);
        self.supply.genesis = self.value;
        self.archived.insert(txid, 0);
        self.committees.push(Arc::new(Committee::new(0, self.registry.members(), &self.honest)));
        self.members.begin_epoch(0, &self.registry);
        let sealed = self.genesis_block(txid);
        self.sealed.push(sealed);
    }

    fn genesis_block(&self, coinbase: Txid) -> Sealed {
        let set = self.committees[0].hash;
        let header = timed::types::block::Header {
            version: 1,
            chain_id: self.chain_id,
            height: Height::ZERO,
            slot: timed::types::number::Slot::ZERO,
            opened: 0,
            prev: BlockHash::ZERO,
            tx_root: digest::merkle_root([&coinbase.0]),
            tx_count: 1,
            state_root: self.state_root(),
            last_commit_root: digest::h("timecoin v1 commit", &[&encode(&None::<Commit>)]),
            evidence_root: Hash::ZERO,
            validators_hash: set,
            next_validators_hash: set,
            beacon: digest::h("timecoin v1 genesis beacon", &[&self.chain_id.0]),
            proposer: PublicKey([0; 32]),
            reward: Amount::ZERO,
        };
        let hash = BlockHash(digest::h("timecoin v1 block", &[&encode(&header)]).0);
        Sealed {
            height: 0,
            hash,
            slot: 0,
            opened: 0,
            beacon: header.beacon,
            last_opening: hash,
            epoch: 0,
            closes: false,
            state_root: header.state_root,
            utxos: self.set_hash.hash(),
            registry: self.registry.hash(),
            supply: u64::try_from(self.supply.total()).unwrap_or(u64::MAX),
            accrued_fees: 0,
            txids: Arc::from([coinbase]),
        }
    }

    /// The last block executed.
    pub fn tip(&self) -> &Sealed {
        // Genesis is there from the start.
        &self.sealed[self.sealed.len() - 1]
    }

    /// The block at `height`, if executed.
    pub fn at(&self, height: u64) -> Option<&Sealed> {
        self.sealed.get(usize::try_from(height).ok()?)
    }

    /// The block at `height` as it was first committed; not genesis.
    pub fn block(&self, height: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(height.checked_sub(1)?).ok()?)
    }

    /// Whether a block could not be executed, so that nothing after it is judged.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// How many transactions are archived.
    pub fn archived_count(&self) -> usize {
        self.archived.len()
    }

    /// Epoch of the child of the block at `height`.
    pub fn epoch_after(&self, height: u64) -> Option<u64> {
        self.at(height).map(|block| block.opened / self.spec.epoch_slots)
    }

    /// The set of `epoch`, if its first block can already be signed.
    pub fn committee(&self, epoch: u64) -> Option<&Arc<Committee>> {
        self.committees.get(usize::try_from(epoch).ok()?)
    }

    /// The set that signs the block at `height`, if its parent was executed.
    pub fn signers(&self, height: u64) -> Option<&Arc<Committee>> {
        self.committee(self.epoch_after(height.checked_sub(1)?)?)
    }

    /// Height of the first block of `epoch`; more than the tip's child's if that is still to come.
    pub fn first_height(&self, epoch: u64) -> u64 {
        self.sealed.partition_point(|block| block.opened / self.spec.epoch_slots < epoch) as u64 + 1
    }

    /// Height at which the transaction was archived.
    pub fn archived_at(&self, txid: &Txid) -> Option<u64> {
        self.archived.get(txid).copied()
    }

    /// The archived transaction that spent the output.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spent_by.get(outpoint).copied()
    }

    /// The unspent output, as archived.
    pub fn output(&self, outpoint: &OutPoint) -> Option<&Unspent> {
        self.unspent.get(outpoint)
    }

    /// What happened to members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The registry after the tip.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// `protocol.md` 9, of the state as it is now.
    pub(super) fn state_root(&self) -> Hash {
        let supply = u64::try_from(self.supply.total()).unwrap_or(u64::MAX);
        let parts: [&[u8]; 3] =
            [&self.set_hash.hash().0, &self.registry.hash().0, &encode(&(supply, self.accrued_fees))];
        digest::h("timecoin v1 state root", &parts)
    }

    /// Adds the outputs of a transaction.
    pub(super) fn create(&mut self, txid: Txid, outputs: &[TxOut], height: u64) {
        for (index, out) in (0u32..).zip(outputs) {
            self.add_output(OutPoint { txid, index }, Unspent { out: *out, created: height });
        }
    }

    pub(super) fn add_output(&mut self, outpoint: OutPoint, unspent: Unspent) {
        self.set_hash.add(&outpoint, &unspent.out, unspent.created);
        self.value += u128::from(unspent.out.value.get());
        self.unspent.insert(outpoint, unspent);
    }

    /// Takes an output away; `None` if it is not there.
    pub(super) fn take_output(&mut self, outpoint: &OutPoint) -> Option<Unspent> {
        let unspent = self.unspent.remove(outpoint)?;
        self.set_hash.remove(outpoint, &unspent.out, unspent.created);
        self.value = self.value.saturating_sub(u128::from(unspent.out.value.get()));
        Some(unspent)
    }

    /// The set hash and the sum of all outputs, both computed anew: what the running ones must equal.
    pub fn recount(&self) -> (Hash, u128) {
        let mut set = SetHash::empty();
        let mut value = 0;
        // In any order: both are sums.
        for (outpoint, unspent) in &self.unspent {
            set.add(outpoint, &unspent.out, unspent.created);
            value += u128::from(unspent.out.value.get());
        }
        (set.hash(), value)
    }
}
