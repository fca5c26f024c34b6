//! A small chain in memory for tests: valid things in one line.

use super::VerifiedTx;
use super::execute::{BlockBody, BlockChanges, BlockError, Executed, execute};
use super::state::ChainState;
use super::utxo::{StateRead, Utxo};
use super::verify::Verifier;
use crate::chain::leader::vdf_seed;
use crate::chain::spec::{Allocation, Chain, ChainSpec, GenesisMasternode};
use crate::crypto::vdf;
use crate::types::block::{BftKind, Commit, VdfProof, bft_digest};
use crate::types::evidence::{BftPart, Evidence};
use crate::types::hash::{BlockHash, Domain, Hash, Txid};
use crate::types::keys::{PublicKey, SecretKey, Signature};
use crate::types::lock::{Lock, Witness};
use crate::types::number::{Amount, Height, Slot, View};
use crate::types::transaction::{HashedTx, OutPoint, Payload, Register, Transaction, TxBody, TxOut, sighash};
use crate::types::verified::Verified;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Units in each allocation of the test chain.
pub const COIN: u64 = 2_000_000_000_000;

/// The secret key of test person `n`.
pub fn secret(n: u64) -> SecretKey {
    SecretKey::from_bytes(&Domain::ADDRESS.hash(&n.to_le_bytes()).0)
}

/// The lock of test person `n`.
pub fn lock(n: u64) -> Lock {
    Lock::of_key(&secret(n).public_key())
}

/// The consensus key of genesis masternode `n`, whose owner is test person `n`.
pub fn consensus(n: u64) -> SecretKey {
    secret(1_000 + n)
}

/// A store in memory.
#[derive(Default)]
pub struct MemoryState(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    utxos: BTreeMap<OutPoint, Utxo>,
    heights: BTreeMap<Txid, Height>,
    spenders: BTreeMap<OutPoint, Txid>,
    output_counts: BTreeMap<Txid, usize>,
}

impl MemoryState {
    pub fn apply(&self, changes: &BlockChanges) {
        let mut contents = self.0.lock().unwrap();
        for (outpoint, utxo) in &changes.spent {
            assert_eq!(contents.utxos.remove(outpoint), Some(*utxo), "spent outputs were there");
        }
        for (outpoint, utxo) in &changes.created {
            assert_eq!(contents.utxos.insert(*outpoint, *utxo), None, "created outputs are new");
        }
        for tx in &changes.txs {
            contents.output_counts.insert(tx.txid(), tx.body().outputs.len());
            contents.spenders.extend(tx.inputs().iter().map(|outpoint| (*outpoint, tx.txid())));
        }
        contents.heights.extend(changes.txids.iter().map(|txid| (*txid, changes.height)));
    }

    pub fn utxos(&self) -> BTreeMap<OutPoint, Utxo> {
        self.0.lock().unwrap().utxos.clone()
    }
}

impl StateRead for MemoryState {
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        self.0.lock().unwrap().utxos.get(outpoint).copied()
    }

    fn archived_height(&self, txid: &Txid) -> Option<Height> {
        self.0.lock().unwrap().heights.get(txid).copied()
    }

    fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.0.lock().unwrap().spenders.get(outpoint).copied()
    }

    fn output_count(&self, txid: &Txid) -> Option<usize> {
        self.0.lock().unwrap().output_counts.get(txid).copied()
    }
}

/// An output with whoever can spend it.
#[derive(Clone, Copy, Debug)]
pub struct Coin {
    pub outpoint: OutPoint,
    pub value: u64,
    pub owner: u64,
}

/// The test chain's tip, its store and everybody's keys.
pub struct World {
    pub chain: Chain,
    pub verifier: Arc<Verifier>,
    pub store: Arc<MemoryState>,
    pub state: ChainState,
    pub last_commit: Option<Verified<Commit>>,
    genesis: Txid,
}

/// Four masternodes (gold, gold, gold, bronze), 40 coins: coin `i` belongs to person `i % 8`. Epochs of three slots.
pub fn spec() -> ChainSpec {
    let mut spec = ChainSpec::builtin("dev").unwrap();
    spec.genesis_time_ms = 1_000_000;
    spec.vdf_iterations = 1;
    spec.epoch_slots = 3;
    spec.max_block_bytes = 20_000;
    spec.max_tx_bytes = 10_000;
    spec.overflow_min_bytes = 1_000;
    let masternode = |n: u64| GenesisMasternode {
        consensus_key: consensus(n).public_key(),
        owner: lock(n),
        payout: lock(100 + n),
        tier: if n < 3 { "gold" } else { "bronze" }.to_owned(),
        endpoint: format!("mn{n}.example:24200"),
    };
    spec.masternodes = (0..4).map(masternode).collect();
    spec.allocations = (0..40).map(|i| Allocation { address: lock(i % 8), amount: Amount::new(COIN) }).collect();
    spec
}

impl Default for World {
    fn default() -> Self {
        Self::of(spec())
    }
}

impl World {
    pub fn of(spec: ChainSpec) -> Self {
        let chain = Chain::new(spec).unwrap();
        let (state, utxos) = ChainState::genesis(&chain).unwrap();
        let genesis = utxos[0].0.txid;
        let store = MemoryState::default();
        {
            let mut contents = store.0.lock().unwrap();
            contents.heights.insert(genesis, Height::ZERO);
            contents.utxos.extend(utxos);
        }
        let verifier = Arc::new(Verifier::new(chain.clone()));
        Self { chain, verifier, store: Arc::new(store), state, last_commit: None, genesis }
    }

    /// Allocation `i` of genesis.
    pub fn coin(&self, i: u32) -> Coin {
        let collaterals = self.chain.masternodes.len() as u32;
        let outpoint = OutPoint { txid: self.genesis, index: collaterals + i };
        Coin { outpoint, value: COIN, owner: u64::from(i % 8) }
    }

    /// The collateral of genesis masternode `n`.
    pub fn collateral(&self, n: u64) -> Coin {
        let key = consensus(n).public_key();
        let record = self.state.registry.by_key(&key).unwrap();
        Coin { outpoint: record.collateral, value: record.value.get(), owner: n }
    }

    /// A payment of `coins` to the given people in equal parts, at the least fee.
    pub fn pay(&self, coins: &[Coin], to: &[u64]) -> VerifiedTx {
        self.pay_with_fee(coins, to, 0)
    }

    /// The same with `extra` units of fee.
    pub fn pay_with_fee(&self, coins: &[Coin], to: &[u64], extra: u64) -> VerifiedTx {
        self.verified(self.draft(coins, to, Payload::Transfer, extra))
    }

    /// A body that pays at least the least fee and exactly `extra` more.
    pub fn draft(&self, coins: &[Coin], to: &[u64], payload: Payload, extra: u64) -> Draft {
        let inputs = coins.iter().map(|coin| coin.outpoint).collect();
        let outputs = to.iter().map(|n| TxOut { value: Amount::new(u64::MAX / 64), lock: lock(*n) }).collect();
        let body = TxBody { version: 1, inputs, outputs, payload, memo: Vec::new() };
        let mut signers: Vec<u64> = Vec::new();
        coins.iter().for_each(|coin| {
            if !signers.contains(&coin.owner) {
                signers.push(coin.owner)
            }
        });
        let mut draft = Draft { body, signers };
        let total: u64 = coins.iter().map(|coin| coin.value).sum();
        // Values of nine bytes are the longest, so this fee is enough for any.
        let fee = self.chain.min_fee(draft.hashed(&self.chain).size_bytes()).get() + extra;
        let share = (total - fee) / to.len() as u64;
        draft.body.outputs.iter_mut().for_each(|out| out.value = Amount::new(share));
        draft
    }

    /// A registration by the owner of `coins`, with the consensus key of test person `key`.
    pub fn registration(&self, coins: &[Coin], key: u64) -> Draft {
        let owner = coins[0].owner;
        let register = Register {
            consensus_key: consensus(key).public_key(),
            payout: lock(owner),
            endpoint: "new.example:24200".to_owned(),
            collateral_index: 0,
            proof: Signature([0; 64]),
        };
        let mut draft = self.draft(coins, &[owner], Payload::Register(register), 0);
        draft.prove(&self.chain, &consensus(key));
        draft
    }

    pub fn verified(&self, draft: Draft) -> VerifiedTx {
        self.verifier.transaction(draft.hashed(&self.chain)).unwrap()
    }

    /// The proof of the beacon for a block that opens the next slot.
    pub fn vdf(&self) -> VdfProof {
        let seed = vdf_seed(&self.state.header.beacon, &self.state.last_opening, self.state.header.opened + 1);
        vdf::evaluate(&seed, self.chain.vdf_iterations)
    }

    /// Executes a block by masternode 0, if it is a member, in the next slot.
    pub fn opening(&self, txs: &[VerifiedTx], evidence: &[Verified<Evidence>]) -> Result<Executed, BlockError> {
        let vdf = self.vdf();
        self.execute(&BlockBody { slot: self.next_slot(), vdf: Some(&vdf), txs, evidence, ..self.body() })
    }

    /// Executes a block by masternode 0, if it is a member, in the tip's slot.
    pub fn overflow(&self, txs: &[VerifiedTx]) -> Result<Executed, BlockError> {
        self.execute(&BlockBody { slot: self.state.header.slot, txs, ..self.body() })
    }

    pub fn execute(&self, body: &BlockBody) -> Result<Executed, BlockError> {
        execute(&self.chain, &self.state, &*self.store, &self.verifier, body)
    }

    /// An empty body without a slot of its own.
    pub fn body(&self) -> BlockBody<'_> {
        let validators = &self.state.validators;
        let first = consensus(0).public_key();
        let proposer = validators.get(&first).unwrap_or(&validators.members()[0]).consensus_key;
        let last_commit = self.last_commit.as_ref();
        BlockBody { slot: self.state.header.slot, proposer, txs: &[], last_commit, evidence: &[], vdf: None }
    }

    pub fn next_slot(&self) -> Slot {
        self.state.header.slot.next()
    }

    /// Makes the block the tip, signed by every member but those whose consensus keys are named.
    pub fn advance_without(&mut self, executed: &Executed, silent: &[PublicKey]) {
        self.store.apply(&executed.changes);
        self.state = executed.changes.state.clone();
        let commit = self.commit_of(&executed.header.height, executed.hash, silent);
        self.last_commit = Some(self.verifier.commit(commit, &self.state.signers).unwrap());
    }

    pub fn advance(&mut self, executed: &Executed) {
        self.advance_without(executed, &[]);
    }

    /// Precommits of the set that signs the tip, for any block.
    pub fn commit_of(&self, height: &Height, block_hash: BlockHash, silent: &[PublicKey]) -> Commit {
        let digest = bft_digest(&self.chain.id(), *height, View::ZERO, BftKind::Precommit, Some(block_hash));
        let sign = |key: &PublicKey| (0..64).map(consensus).find(|s| s.public_key() == *key).unwrap().sign(&digest);
        let members = self.state.signers.members().iter().map(|m| m.consensus_key);
        let signatures = members.map(|key| (!silent.contains(&key)).then(|| sign(&key))).collect();
        Commit { height: *height, view: View::ZERO, block_hash, signatures }
    }

    /// Opens a slot with `txs` and makes it the tip.
    pub fn open(&mut self, txs: &[VerifiedTx]) -> Executed {
        let executed = self.opening(&sorted(txs), &[]).unwrap();
        self.advance(&executed);
        executed
    }

    /// Evidence that masternode `n` prepared two blocks in one view.
    pub fn double_prepare(&self, n: u64) -> Verified<Evidence> {
        self.verifier.evidence(double_prepare(&self.chain, &consensus(n), 7)).unwrap()
    }
}

/// Two prepares of one view, for different blocks.
pub fn double_prepare(chain: &Chain, key: &SecretKey, height: u64) -> Evidence {
    let part = |block: u8| {
        let block_hash = Some(BlockHash([block; 32]));
        let (height, view, kind) = (Height::new(height), View::ZERO, BftKind::Prepare);
        let signature = key.sign(&bft_digest(&chain.id(), height, view, kind, block_hash));
        BftPart { height, view, kind, block_hash, signature }
    };
    Evidence::of_bft(key.public_key(), part(1), part(2))
}

/// Ascending by txid, as in a block.
pub fn sorted(txs: &[VerifiedTx]) -> Vec<VerifiedTx> {
    let mut txs = txs.to_vec();
    txs.sort_by_key(|tx| tx.txid());
    txs
}

/// Output `index` of `tx`, which belongs to person `owner`.
pub fn output(tx: &HashedTx, index: u32, owner: u64) -> Coin {
    let value = tx.body().outputs[index as usize].value.get();
    Coin { outpoint: OutPoint { txid: tx.txid(), index }, value, owner }
}

/// A body and who signs it, in order.
#[derive(Clone)]
pub struct Draft {
    pub body: TxBody,
    pub signers: Vec<u64>,
}

impl Draft {
    /// Signs a registration's proof anew.
    pub fn prove(&mut self, chain: &Chain, key: &SecretKey) {
        let (first, outputs) = (self.body.inputs[0], self.body.outputs.clone());
        let Payload::Register(register) = &mut self.body.payload else { panic!("not a registration") };
        let collateral = &outputs[register.collateral_index as usize];
        register.proof = key.sign(&register.proof_digest(&chain.id(), &first, collateral));
    }

    /// The signed transaction.
    pub fn hashed(&self, chain: &Chain) -> HashedTx {
        let digest = sighash(&chain.id(), &self.body.txid());
        let witnesses = self.signers.iter().map(|n| witness(*n, &digest)).collect();
        HashedTx::new(Transaction { body: self.body.clone(), witnesses })
    }
}

/// Person `n`'s witness over `digest`.
pub fn witness(n: u64, digest: &Hash) -> Witness {
    Witness::Key { pubkey: secret(n).public_key(), signature: secret(n).sign(digest) }
}
