//! The verify stage: the one way by which what came from outside becomes an input of the replica.
//!
//! Signatures are checked here, many at a time, off the replica's thread. Three threads do it: one for what block
//! agreement waits for, one for payments, so that a flood of payments delays no block, and one for all that strangers say,
//! so that they delay nobody else. Answers and requests carry no signature and wait for neither; announcements and
//! questions about payments keep their place behind what came before them, or a peer would be asked about a payment that
//! it has and is still verifying, and say that it does not know it.
//!
//! A stranger is a peer that proved no key of a registered masternode: who anybody can be, as many as he wants. Its
//! signatures are checked when the system has nothing better to do, and its messages wait in a lane of their own.

use super::input::{Held, Inbox, InputKind, NodeInput, SubmitAnswer, SubmitError};
use super::lanes::{Lane, Lanes, Taken};
use crate::ledger::verify::Verifier;
use crate::limits::{
    LOOKUPS_PER_WEIGHT, MAX_REQUEST_TXIDS, MAX_STRANGERS_VERIFIED_TOGETHER, MAX_VERIFIED_TOGETHER, REMEMBERED_LINKS,
    STRANGERS_NICENESS, STRANGERS_STEP_WEIGHT,
};
use crate::replica::message::{self, MessageFault};
use crate::replica::{Input, Message, PeerId, VerifiedMessage};
use crate::types::transaction::Transaction;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Told of every message that proves its sender at fault.
pub type FaultSink = Arc<dyn Fn(PeerId, MessageFault) + Send + Sync>;

/// What a peer is to this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It proved the key of a registered masternode.
    Masternode,
    /// It did not.
    Stranger,
}

/// A message whose signatures are to be checked. What a user hands in is a message of one transaction.
struct Unverified {
    from: Origin,
    message: Message,
    held: Option<Held>,
}

enum Origin {
    Peer(PeerId),
    User(SubmitAnswer),
}

/// The stage with its threads.
pub struct VerifyStage {
    verifier: Arc<Verifier>,
    inbox: Arc<Inbox>,
    faults: FaultSink,
    blocks: Arc<Lanes<Unverified>>,
    payments: Arc<Lanes<Unverified>>,
    strangers: Arc<Lanes<Unverified>>,
}

/// To end the stage with.
pub struct VerifyThreads {
    queues: [Arc<Lanes<Unverified>>; 3],
    threads: Vec<JoinHandle<()>>,
}

impl VerifyThreads {
    /// Takes nothing more in, checks what is there, ends.
    pub fn stop(self) {
        self.queues.iter().for_each(|queue| queue.close());
        for thread in self.threads {
            // A thread that panicked has said so on its way out.
            thread.join().ok();
        }
    }
}

impl VerifyStage {
    /// Starts the threads; what passes goes to `inbox`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        verifier: Arc<Verifier>,
        inbox: Arc<Inbox>,
        faults: FaultSink,
    ) -> std::io::Result<(Arc<Self>, VerifyThreads)> {
        let [blocks, payments, strangers]: [Arc<Lanes<Unverified>>; 3] = Default::default();
        let queues = [&blocks, &payments, &strangers].map(Arc::clone);
        let stage = Arc::new(Self { verifier, inbox, faults, blocks, payments, strangers });
        // On a thread of a pool of its own: a batch is spread over the threads of the pool in which it is checked.
        let patient = rayon::ThreadPoolBuilder::new().num_threads(1).start_handler(be_patient).build();
        let patient = patient.map_err(io::Error::other)?;
        let start = |name: &str, work: fn(&Self)| {
            let stage = Arc::clone(&stage);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&stage))
        };
        let threads = vec![
            start("verify-blocks", Self::work_for_blocks)?,
            start("verify-pay", Self::work_for_payments)?,
            std::thread::Builder::new().name("verify-others".to_owned()).spawn({
                let stage = Arc::clone(&stage);
                move || patient.install(|| stage.work_for_strangers())
            })?,
        ];
        Ok((stage, VerifyThreads { queues, threads }))
    }

    /// A peer said something.
    pub fn message(&self, from: PeerId, standing: Standing, message: Message, held: Held) {
        let (queue, lane) = match &message {
            Message::Proposal(_) | Message::BftVote(_) | Message::Evidence(_) | Message::Presence(_) => {
                (&self.blocks, None)
            }
            Message::Txs(_)
            | Message::TxAnnounce(_)
            | Message::SampleQuery { .. }
            | Message::Votes(_)
            | Message::Headers(_)
            | Message::Epochs(_)
            | Message::SnapshotManifest(_)
            | Message::SnapshotChunk { .. } => (&self.payments, None),
            Message::Commit(_) | Message::Status { .. } | Message::Links(_) | Message::IHave(_) | Message::IWant(_) => {
                (&self.blocks, Some(Lane::Express))
            }
            Message::GetTxs(_)
            | Message::SampleResponse { .. }
            | Message::GetVotes { .. }
            | Message::GetBlocks { .. }
            | Message::Blocks(_)
            | Message::GetHeaders { .. }
            | Message::GetEpochs { .. }
            | Message::GetSnapshot { .. }
            | Message::GetSnapshotChunk { .. } => (&self.payments, Some(Lane::Ordinary)),
        };
        let (from, held) = (Origin::Peer(from), Some(held));
        match (lane, standing) {
            // No signature in it: only lengths are looked at.
            (Some(lane), _) => {
                let checked = message::verify(&self.verifier, message);
                let lane = match (standing, &checked) {
                    (Standing::Stranger, Ok(message)) => lane_of_stranger(message),
                    _ => lane,
                };
                self.pass(lane, from, checked, held);
            }
            (None, Standing::Masternode) => queue.push(Lane::Ordinary, Unverified { from, message, held }),
            (None, Standing::Stranger) => self.strangers.push(Lane::Ordinary, Unverified { from, message, held }),
        }
    }

    /// A user hands in a transaction.
    pub fn submit(&self, tx: Transaction, answer: SubmitAnswer, held: Held) {
        let message = Message::Txs(vec![tx]);
        let item = Unverified { from: Origin::User(answer), message, held: Some(held) };
        self.payments.push(Lane::Ordinary, item);
    }

    /// What was under way when the node stopped. The ledger judges it anew, and nobody waits for the answer.
    pub fn restore(&self, txs: Vec<Transaction>) {
        let mut txs = txs.into_iter().peekable();
        while txs.peek().is_some() {
            let message = Message::Txs(txs.by_ref().take(MAX_REQUEST_TXIDS).collect());
            let (answer, _) = oneshot::channel();
            self.payments.push(Lane::Ordinary, Unverified { from: Origin::User(answer), message, held: None });
        }
    }

    fn work_for_blocks(&self) {
        self.work(&self.blocks, MAX_VERIFIED_TOGETHER, |_| Lane::Express);
    }

    fn work_for_payments(&self) {
        self.work(&self.payments, MAX_VERIFIED_TOGETHER, |_| Lane::Ordinary);
    }

    fn work_for_strangers(&self) {
        self.work(&self.strangers, MAX_STRANGERS_VERIFIED_TOGETHER, lane_of_stranger);
    }

    fn work(&self, queue: &Lanes<Unverified>, together: usize, lane_of: impl Fn(&VerifiedMessage) -> Lane) {
        let mut convicted = Convicted::default();
        while let Taken::Items { items, .. } = queue.take(together, 0, None) {
            let (mut senders, mut messages) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
            for Unverified { from, message, held } in items {
                if convicted.contains(&from) {
                    continue;
                }
                senders.push((from, held));
                messages.push(message);
            }
            let checked = message::verify_all(&self.verifier, messages);
            for ((from, held), checked) in senders.into_iter().zip(checked) {
                if checked.is_err() {
                    convicted.insert(&from);
                }
                // A fault goes into no lane.
                let lane = checked.as_ref().map_or(Lane::Ordinary, &lane_of);
                self.pass(lane, from, checked, held);
            }
        }
    }

    fn pass(&self, lane: Lane, from: Origin, checked: Result<VerifiedMessage, MessageFault>, held: Option<Held>) {
        let kind = match (from, checked) {
            (Origin::Peer(from), Ok(message)) => InputKind::Replica(Input::Message { from, message }),
            (Origin::Peer(from), Err(fault)) => return (self.faults)(from, fault),
            (Origin::User(answer), Ok(VerifiedMessage::Txs(txs))) => InputKind::Submit { txs, answer },
            // Who asked may have hung up.
            (Origin::User(answer), Err(fault)) => return drop(answer.send(Err(SubmitError::Invalid(fault)))),
            (Origin::User(answer), Ok(_)) => return drop(answer.send(Err(SubmitError::Stopping))),
        };
        self.inbox.push(lane, NodeInput { kind, held });
    }
}

/// Leaves the processor to the node's other threads. Without the right to it, or on a system without it, this is a thread
/// like the others.
fn be_patient(_: usize) {
    rustix::process::nice(STRANGERS_NICENESS).ok();
}

/// Peers of whom one message proved a fault: what else they said is not worth the look. The latest, because links have
/// names that grow, and what an ended one said is soon dealt with.
#[derive(Default)]
struct Convicted(BTreeSet<PeerId>);

impl Convicted {
    fn contains(&self, from: &Origin) -> bool {
        matches!(from, Origin::Peer(peer) if self.0.contains(peer))
    }

    fn insert(&mut self, from: &Origin) {
        if let Origin::Peer(peer) = from {
            self.0.insert(*peer);
        }
        if self.0.len() > REMEMBERED_LINKS {
            self.0.pop_first();
        }
    }
}

/// Blocks and headers are what this node asked for, or get their sender banned; the rest waits for the strangers' turn.
fn lane_of_stranger(message: &VerifiedMessage) -> Lane {
    let lookups = match message {
        VerifiedMessage::Blocks(_) | VerifiedMessage::Headers(_) => return Lane::Ordinary,
        VerifiedMessage::TxAnnounce(txids)
        | VerifiedMessage::GetTxs(txids)
        | VerifiedMessage::SampleQuery { txids, .. }
        | VerifiedMessage::GetVotes { txids, .. } => txids.len(),
        VerifiedMessage::SampleResponse { answers, .. } => answers.len(),
        VerifiedMessage::Votes(batch) => batch.txids.len(),
        // Taking one in costs several times a look.
        VerifiedMessage::Txs(txs) => txs.len().saturating_mul(4),
        // The newest are read and sent by the replica itself.
        VerifiedMessage::GetBlocks { .. } | VerifiedMessage::GetHeaders { .. } => {
            return Lane::Strangers { weight: STRANGERS_STEP_WEIGHT };
        }
        VerifiedMessage::Links(keys) => keys.len(),
        VerifiedMessage::IHave(signatures) | VerifiedMessage::IWant(signatures) => signatures.len(),
        VerifiedMessage::AboutHistory(_)
        | VerifiedMessage::Status { .. }
        | VerifiedMessage::Proposal(_)
        | VerifiedMessage::BftVote(_)
        | VerifiedMessage::Commit(_)
        | VerifiedMessage::Presence(_)
        | VerifiedMessage::Evidence(_) => 0,
    };
    Lane::Strangers { weight: 1 + lookups / LOOKUPS_PER_WEIGHT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{World, spec};
    use crate::types::hash::Txid;
    use crate::types::number::Height;
    use std::sync::Mutex;
    use tokio::sync::Semaphore;

    fn held() -> Held {
        Held::User(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    #[test]
    fn a_question_about_a_payment_does_not_overtake_it() {
        let world = World::of(spec());
        let inbox: Arc<Inbox> = Arc::default();
        // A verifier that has seen none of them yet.
        let verifier = Arc::new(Verifier::new(world.chain.clone()));
        let faults: FaultSink = Arc::new(|_, fault| panic!("{fault}"));
        let (stage, threads) = VerifyStage::start(verifier, Arc::clone(&inbox), faults).unwrap();
        let txs: Vec<_> = (0..8).map(|coin| world.pay(&[world.coin(coin)], &[1])).collect();
        for tx in &txs {
            let (txid, peer) = (tx.txid(), PeerId(7));
            stage.message(peer, Standing::Masternode, Message::Txs(vec![tx.tx().clone()]), held());
            stage.message(peer, Standing::Masternode, Message::SampleQuery { query: 1, txids: vec![txid] }, held());
            stage.message(peer, Standing::Masternode, Message::TxAnnounce(vec![txid]), held());
        }
        threads.stop();
        inbox.close();
        let mut kinds = Vec::new();
        while let Taken::Items { items, .. } = inbox.take(usize::MAX, 0, None) {
            kinds.extend(items.into_iter().map(|item| match item.kind {
                InputKind::Replica(Input::Message { message: VerifiedMessage::Txs(txs), .. }) => (0, txs[0].txid()),
                InputKind::Replica(Input::Message { message: VerifiedMessage::SampleQuery { txids, .. }, .. }) => {
                    (1, txids[0])
                }
                InputKind::Replica(Input::Message { message: VerifiedMessage::TxAnnounce(txids), .. }) => (2, txids[0]),
                _ => panic!("nobody said anything else"),
            }));
        }
        let said = txs.iter().flat_map(|tx| [0, 1, 2].map(|kind| (kind, tx.txid())));
        assert_eq!(kinds, said.collect::<Vec<_>>());
    }

    #[test]
    fn what_a_stranger_says_waits_for_the_strangers_turn_except_blocks() {
        let txids = |count| vec![Txid([1; 32]); count];
        let weight = |message| match lane_of_stranger(&message) {
            Lane::Strangers { weight } => weight,
            lane => panic!("{lane:?}"),
        };
        assert_eq!(weight(VerifiedMessage::TxAnnounce(txids(1))), 1);
        let many = txids(MAX_REQUEST_TXIDS);
        assert_eq!(weight(VerifiedMessage::GetTxs(many)), 1 + MAX_REQUEST_TXIDS / LOOKUPS_PER_WEIGHT);
        assert_eq!(weight(VerifiedMessage::GetBlocks { from: Height::ZERO, count: 1 }), STRANGERS_STEP_WEIGHT);
        assert_eq!(lane_of_stranger(&VerifiedMessage::Blocks(Vec::new())), Lane::Ordinary);
    }

    #[test]
    fn nothing_more_is_checked_of_a_peer_at_fault_and_strangers_are_checked_apart() {
        let world = World::of(spec());
        let inbox: Arc<Inbox> = Arc::default();
        let verifier = Arc::new(Verifier::new(world.chain.clone()));
        let blamed: Arc<Mutex<Vec<PeerId>>> = Arc::default();
        let told = Arc::clone(&blamed);
        let faults: FaultSink = Arc::new(move |peer, _| told.lock().unwrap().push(peer));
        let (stage, threads) = VerifyStage::start(verifier, Arc::clone(&inbox), faults).unwrap();
        let payment = |coin| Message::Txs(vec![world.pay(&[world.coin(coin)], &[1]).tx().clone()]);
        // More than are verified together, so that what comes last is looked at in another round.
        for _ in 0..=MAX_STRANGERS_VERIFIED_TOGETHER {
            stage.message(PeerId(1), Standing::Stranger, Message::Txs(Vec::new()), held());
        }
        stage.message(PeerId(1), Standing::Stranger, payment(0), held());
        stage.message(PeerId(2), Standing::Stranger, payment(1), held());
        stage.message(PeerId(3), Standing::Masternode, payment(2), held());
        threads.stop();
        inbox.close();
        let Taken::Items { items, of_strangers } = inbox.take(usize::MAX, 0, None) else { panic!("nothing") };
        let from: Vec<PeerId> = items
            .into_iter()
            .map(|item| match item.kind {
                InputKind::Replica(Input::Message { from, .. }) => from,
                _ => panic!("nobody said anything else"),
            })
            .collect();
        assert_eq!((from, of_strangers), (vec![PeerId(3), PeerId(2)], 1));
        assert!(blamed.lock().unwrap().iter().all(|peer| *peer == PeerId(1)));
    }
}
