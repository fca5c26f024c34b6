//! A listener on the wire: a node of its own that hears every vote and says whether a key signed two things.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use timed::chain::spec::Chain;
use timed::network::{Event, Network, Settings};
use timed::replica::Message;
use timed::types::block::BftKind;
use timed::types::hash::{BlockHash, Txid};
use timed::types::keys::{PublicKey, SecretKey};
use timed::types::transaction::OutPoint;
use timed::types::vote::FinalityKind;

/// Everything heard.
#[derive(Default)]
struct Heard {
    blocks: BTreeMap<(PublicKey, u64, u32, bool), BTreeSet<Option<BlockHash>>>,
    votes: BTreeSet<(PublicKey, u64, Txid)>,
}

/// See the module.
pub struct Watch {
    heard: Arc<Mutex<Heard>>,
    runtime: tokio::runtime::Runtime,
    network: Option<Network>,
}

impl Watch {
    /// Listens to the nodes at these addresses.
    pub fn start(chain: &Chain, nodes: &[SocketAddr]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut settings = Settings::new(chain.id(), SecretKey::from_bytes(&[0x77; 32]));
        settings.seeds = nodes.iter().map(ToString::to_string).collect();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (network, mut events) = runtime.block_on(Network::start(settings)).unwrap();
        let notes = Arc::clone(&heard);
        runtime.spawn(async move {
            while let Some(event) = events.recv().await {
                if let Event::Message { message, allowance, .. } = event {
                    note(&mut notes.lock().unwrap(), message);
                    drop(allowance);
                }
            }
        });
        Self { heard, runtime, network: Some(network) }
    }

    /// How many messages of agreement and votes were heard, and how often a key signed two things that exclude each other:
    /// two blocks at one height, view and kind, or two payments of one epoch that spend one output.
    pub fn verdict(mut self, spends: &BTreeMap<Txid, Vec<OutPoint>>) -> (usize, usize) {
        if let Some(network) = self.network.take() {
            self.runtime.block_on(network.stop());
        }
        let heard = self.heard.lock().unwrap();
        let mut voted: BTreeMap<(PublicKey, u64, OutPoint), BTreeSet<Txid>> = BTreeMap::new();
        for (voter, epoch, txid) in &heard.votes {
            for outpoint in spends.get(txid).into_iter().flatten() {
                voted.entry((*voter, *epoch, *outpoint)).or_default().insert(*txid);
            }
        }
        let twice = heard.blocks.values().filter(|values| values.len() > 1).count();
        (heard.blocks.len() + heard.votes.len(), twice + voted.values().filter(|txids| txids.len() > 1).count())
    }
}

fn note(heard: &mut Heard, message: Message) {
    match message {
        Message::BftVote(vote) => {
            let key = (vote.voter, vote.height.get(), vote.view.get(), vote.kind == BftKind::Precommit);
            heard.blocks.entry(key).or_default().insert(vote.block_hash);
        }
        Message::Votes(batch) if batch.kind == FinalityKind::Vote => {
            heard.votes.extend(batch.txids.iter().map(|txid| (batch.voter, batch.epoch.get(), *txid)));
        }
        _ => {}
    }
}
