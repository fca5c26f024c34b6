//! The verify stage: the one way by which what came from outside becomes an input of the replica.
//!
//! Signatures are checked here, many at a time, off the replica's thread. Two threads do it: one for what block
//! agreement waits for, one for payments, so that a flood of payments delays no block. Answers and requests carry no
//! signature and wait for neither; announcements and questions about payments keep their place behind what came before
//! them, or a peer would be asked about a payment that it has and is still verifying, and say that it does not know it.

use super::input::{Held, Inbox, InputKind, NodeInput, SubmitAnswer, SubmitError};
use super::lanes::{Lane, Lanes, Taken};
use crate::ledger::verify::Verifier;
use crate::limits::{MAX_REQUEST_TXIDS, MAX_VERIFIED_TOGETHER};
use crate::replica::message::{self, MessageFault};
use crate::replica::{Input, Message, PeerId, VerifiedMessage};
use crate::types::transaction::Transaction;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Told of every message that proves its sender at fault.
pub type FaultSink = Arc<dyn Fn(PeerId, MessageFault) + Send + Sync>;

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
}

/// To end the stage with.
pub struct VerifyThreads {
    queues: [Arc<Lanes<Unverified>>; 2],
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
        let (blocks, payments) = (Arc::new(Lanes::default()), Arc::new(Lanes::default()));
        let stage =
            Arc::new(Self { verifier, inbox, faults, blocks: Arc::clone(&blocks), payments: Arc::clone(&payments) });
        let start = |name: &str, queue: &Arc<Lanes<Unverified>>, lane| {
            let (stage, queue) = (Arc::clone(&stage), Arc::clone(queue));
            std::thread::Builder::new().name(name.to_owned()).spawn(move || stage.work(&queue, lane))
        };
        let threads =
            vec![start("verify-blocks", &blocks, Lane::Express)?, start("verify-pay", &payments, Lane::Ordinary)?];
        Ok((stage, VerifyThreads { queues: [blocks, payments], threads }))
    }

    /// A peer said something.
    pub fn message(&self, from: PeerId, message: Message, held: Held) {
        let (queue, lane) = match &message {
            Message::Proposal(_) | Message::BftVote(_) | Message::Evidence(_) => (&self.blocks, None),
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
        match lane {
            // No signature in it: only lengths are looked at.
            Some(lane) => self.pass(lane, from, message::verify(&self.verifier, message), held),
            None => queue.push(Lane::Ordinary, Unverified { from, message, held }),
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

    fn work(&self, queue: &Lanes<Unverified>, lane: Lane) {
        while let Taken::Items(items) = queue.take(MAX_VERIFIED_TOGETHER, None) {
            let (mut senders, mut messages) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
            for Unverified { from, message, held } in items {
                senders.push((from, held));
                messages.push(message);
            }
            let checked = message::verify_all(&self.verifier, messages);
            for ((from, held), checked) in senders.into_iter().zip(checked) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{World, spec};
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
            stage.message(peer, Message::Txs(vec![tx.tx().clone()]), held());
            stage.message(peer, Message::SampleQuery { query: 1, txids: vec![txid] }, held());
            stage.message(peer, Message::TxAnnounce(vec![txid]), held());
        }
        threads.stop();
        inbox.close();
        let mut kinds = Vec::new();
        while let Taken::Items(items) = inbox.take(usize::MAX, None) {
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
}
