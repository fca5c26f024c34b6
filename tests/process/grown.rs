//! A chain grown by production code without nodes, for tests of who fetches it: its blocks are signed by the keys of a
//! devnet and put into the directories of nodes that serve it.

use crate::cluster::Cluster;
use std::path::Path;
use std::sync::Arc;
use timed::chain::leader::vdf_seed;
use timed::chain::spec::Chain;
use timed::crypto::vdf;
use timed::keyfile;
use timed::ledger::execute::{BlockBody, execute};
use timed::ledger::state::ChainState;
use timed::ledger::verify::Verifier;
use timed::replica::command::{CommittedBlock, JournalRecord};
use timed::replica::message::SealedBlock;
use timed::storage::files::DiskFiles;
use timed::storage::recovery::{self, DataDirectory};
use timed::storage::sled_store::{SledStore, StoreOptions};
use timed::storage::store::{Archive as _, StoreError};
use timed::storage::write_ahead::WriteAhead;
use timed::types::block::{BftKind, Block, Commit, bft_digest};
use timed::types::keys::SecretKey;
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, View};
use timed::types::transaction::{HashedTx, OutPoint, Payload, Transaction, TxBody, TxOut, sighash};
use timed::types::verified::Verified;

/// What a payment pays for its place in a block.
const FEE: u64 = 100_000;
/// Addresses that are paid.
const RECEIVERS: u64 = 20_000;
const CACHE_BYTES: u64 = 256 << 20;

/// An output, its value, and which of the payers owns it. Each payment of a block is another payer's: signatures of one key
/// would be verified together for a fraction of what they cost.
type Coin = (OutPoint, u64, usize);

fn payer(number: usize) -> SecretKey {
    let mut bytes = [3; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
    SecretKey::from_bytes(&bytes)
}

struct Grower<'a> {
    chain: Chain,
    verifier: Arc<Verifier>,
    keys: Vec<SecretKey>,
    owner: SecretKey,
    store: &'a SledStore,
    log: &'a mut WriteAhead,
    state: ChainState,
    last_commit: Option<Verified<Commit>>,
}

fn on_failure(error: &StoreError) -> ! {
    panic!("{error}");
}

fn open(chain: &Chain, verifier: &Arc<Verifier>, folder: &Path) -> DataDirectory {
    let options = StoreOptions::new(chain.clone(), verifier.clone(), CACHE_BYTES, on_failure);
    recovery::open(Arc::new(DiskFiles::new(folder)), options, &mut |_| {}).unwrap()
}

/// Puts a chain of so many blocks with so many payments each into the directories of these nodes, none of which runs;
/// returns the payments.
pub fn grow(cluster: &Cluster, nodes: &[usize], blocks: usize, payments: usize) -> Vec<HashedTx> {
    let chain = cluster.chain();
    let verifier = Arc::new(Verifier::new(chain.clone()));
    let DataDirectory { store, mut log, lock, .. } = open(&chain, &verifier, &cluster.folder(nodes[0]));
    let keys = (0..4).map(|node| keyfile::read(&cluster.folder(node).join("masternode.key")).unwrap()).collect();
    let (state, _) = ChainState::genesis(&chain).unwrap();
    let (owner, last_commit) = (cluster.faucet(), None);
    let all = Grower { chain, verifier, keys, owner, store: &store, log: &mut log, state, last_commit }
        .blocks(blocks, payments);
    store.flush(log.synced_sequence()).unwrap();
    drop((store, log, lock));
    for node in &nodes[1..] {
        for part in ["blocks", "db", "journal"] {
            copy(&cluster.folder(nodes[0]).join(part), &cluster.folder(*node).join(part));
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What is left of a payment, which comes first.
fn change(tx: &HashedTx, owner: usize) -> Coin {
    let left = &tx.body().outputs[0];
    (OutPoint { txid: tx.txid(), index: 0 }, left.value.get(), owner)
}

impl Grower<'_> {
    fn mine(&self) -> Lock {
        Lock::of_key(&self.owner.public_key())
    }

    fn blocks(&mut self, blocks: usize, payments: usize) -> Vec<HashedTx> {
        let keys: Vec<SecretKey> = (0..payments).map(payer).collect();
        let (first, mut coins) = self.fan_out(&keys);
        self.push(first);
        let mut all = Vec::new();
        for block in 1..blocks {
            let receiver = |n: usize| {
                let mut hash = [9; 32];
                hash[..8].copy_from_slice(&((block * payments + n) as u64 % RECEIVERS).to_le_bytes());
                TxOut { value: Amount::new(1_000_000), lock: Lock::KeyHash(hash) }
            };
            let pay = |(n, coin): (usize, &Coin)| {
                let key = &keys[coin.2];
                self.pay(coin, key, vec![receiver(n)], Lock::of_key(&key.public_key()))
            };
            let txs: Vec<HashedTx> = coins.iter().enumerate().map(pay).collect();
            coins = txs.iter().zip(&coins).map(|(tx, coin)| change(tx, coin.2)).collect();
            all.extend(txs.iter().map(|tx| HashedTx::new(tx.tx().clone())));
            self.push(txs);
        }
        all
    }

    /// Splits coins of genesis into as many as a block spends, which its own payments then spend again and again.
    fn fan_out(&self, keys: &[SecretKey]) -> (Vec<HashedTx>, Vec<Coin>) {
        let coins = self.store.unspent_of(&self.mine(), None, 1_000).unwrap();
        let coins = coins.into_iter().filter(|(at, _)| !self.state.registry.is_collateral(at)).take(50);
        let coins: Vec<Coin> = coins.map(|(at, utxo)| (at, utxo.out.value.get(), 0)).collect();
        let parts = keys.len().div_ceil(coins.len());
        let (mut txs, mut made): (Vec<HashedTx>, Vec<Coin>) = (Vec::new(), Vec::new());
        for (coin, owners) in coins.iter().zip(keys.chunks(parts)) {
            let value = Amount::new(coin.1 / (parts as u64 + 2));
            let outputs = owners.iter().map(|key| TxOut { value, lock: Lock::of_key(&key.public_key()) }).collect();
            let tx = self.pay(coin, &self.owner, outputs, self.mine());
            // What is left comes first.
            let parts: Vec<_> = tx.outputs().skip(1).map(|(outpoint, out)| (outpoint, out.value.get())).collect();
            let owners = made.len()..;
            made.extend(parts.into_iter().zip(owners).map(|((at, value), owner)| (at, value, owner)));
            txs.push(tx);
        }
        (txs, made)
    }

    fn pay(&self, (outpoint, value, _): &Coin, key: &SecretKey, mut outputs: Vec<TxOut>, rest_to: Lock) -> HashedTx {
        let size = 200 + 40 * outputs.len() as u64;
        let rest = value - FEE.max(size * 200) - outputs.iter().map(|out| out.value.get()).sum::<u64>();
        outputs.insert(0, TxOut { value: Amount::new(rest), lock: rest_to });
        let body =
            TxBody { version: 1, inputs: vec![*outpoint], outputs, payload: Payload::Transfer, memo: Vec::new() };
        let signature = key.sign(&sighash(&self.chain.id(), &body.txid()));
        let witnesses = vec![Witness::Key { pubkey: key.public_key(), signature }];
        HashedTx::new(Transaction { body, witnesses })
    }

    fn push(&mut self, txs: Vec<HashedTx>) {
        let mut txs: Vec<_> = self.verifier.transactions(txs).into_iter().map(Result::unwrap).collect();
        txs.sort_by_key(|tx| tx.txid());
        let header = &self.state.header;
        let seed = vdf_seed(&header.beacon, &self.state.last_opening, header.opened + 1);
        let proof = vdf::evaluate(&seed, self.chain.vdf_iterations);
        let body = BlockBody {
            slot: header.slot.next(),
            proposer: self.keys[0].public_key(),
            txs: &txs,
            last_commit: self.last_commit.as_ref(),
            evidence: &[],
            vdf: Some(&proof),
        };
        let executed = execute(&self.chain, &self.state, self.store, &self.verifier, &body).unwrap();
        let last_commit = self.last_commit.as_ref().map(|commit| (**commit).clone());
        self.state = executed.changes.state.clone();
        let (height, hash) = (self.state.height(), self.state.hash);
        let digest = bft_digest(&self.chain.id(), height, View::ZERO, BftKind::Precommit, Some(hash));
        let signer = |key| self.keys.iter().find(|secret| secret.public_key() == key).unwrap();
        let members = self.state.signers.members().iter();
        let signatures = members.map(|member| Some(signer(member.consensus_key).sign(&digest))).collect();
        let commit = Commit { height, view: View::ZERO, block_hash: hash, signatures };
        self.last_commit = Some(self.verifier.commit(commit.clone(), &self.state.signers).unwrap());
        let txs = executed.coinbase.into_iter().chain(txs.iter().map(|tx| tx.tx().clone())).collect();
        let block = Block { header: executed.header, txs, last_commit, evidence: Vec::new(), vdf: Some(proof) };
        let block = CommittedBlock { block, commit, changes: executed.changes };
        // As a node does: the journal first.
        let sealed = SealedBlock { block: block.block.clone(), commit: block.commit.clone() };
        self.log.append(&JournalRecord::Block(sealed)).unwrap();
        self.log.sync().unwrap();
        self.store.apply(&[Arc::new(block)]).unwrap();
    }
}
