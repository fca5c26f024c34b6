//! Collects what a step wants done, numbers the writes, and holds back what depends on one.

use super::command::{Command, CommittedBlock, Event, JournalRecord, PeerId, WriteSeq};
use super::message::Message;
use crate::ledger::VerifiedTx;
use crate::limits::{MAX_MESSAGE_BYTES, MAX_REQUEST_TXIDS};
use crate::signer::SignRequest;
use crate::types::hash::Txid;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The commands of one step, and the events that wait for the disk.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    commands: Vec<Command>,
    /// Transactions of users, for every peer.
    published: Vec<VerifiedTx>,
    announced: BTreeMap<PeerId, Vec<Txid>>,
    last_seq: WriteSeq,
    flushed: WriteSeq,
    /// Ascending by sequence number: events wait in the order in which they came about.
    waiting: VecDeque<(WriteSeq, Event)>,
}

impl Outbox {
    /// What to do, in order; leaves nothing. Transactions go first, so that a peer has them before it is asked about
    /// them; they promise nothing and wait for nothing.
    pub(super) fn take(&mut self) -> Vec<Command> {
        let rest = std::mem::take(&mut self.commands);
        let published = std::mem::take(&mut self.published);
        let mut published = published.as_slice();
        while !published.is_empty() {
            let (together, later) = published.split_at(fitting(published));
            self.broadcast(Message::Txs(together.iter().map(|tx| tx.tx().clone()).collect()));
            published = later;
        }
        for (peer, txids) in std::mem::take(&mut self.announced) {
            txids.chunks(MAX_REQUEST_TXIDS).for_each(|txids| self.send(peer, Message::TxAnnounce(txids.to_vec())));
        }
        let mut commands = std::mem::take(&mut self.commands);
        commands.extend(rest);
        commands
    }

    /// Sends a transaction to every peer, together with the others of this step.
    pub(super) fn publish(&mut self, tx: &VerifiedTx) {
        self.published.push(tx.clone());
    }

    /// Tells a peer of a transaction, together with the others of this step.
    pub(super) fn announce(&mut self, to: PeerId, txid: Txid) {
        self.announced.entry(to).or_default().push(txid);
    }

    fn next_seq(&mut self) -> WriteSeq {
        self.last_seq = WriteSeq(self.last_seq.0.saturating_add(1));
        self.last_seq
    }

    pub(super) fn write(&mut self, record: JournalRecord) {
        let seq = self.next_seq();
        self.commands.push(Command::Write { seq, record: Box::new(record) });
    }

    pub(super) fn commit(&mut self, block: Arc<CommittedBlock>) {
        let seq = self.next_seq();
        self.commands.push(Command::Commit { seq, block });
    }

    pub(super) fn sign(&mut self, request: SignRequest) -> WriteSeq {
        let seq = self.next_seq();
        self.commands.push(Command::Sign { seq, request });
        seq
    }

    pub(super) fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    pub(super) fn send(&mut self, to: PeerId, message: Message) {
        self.commands.push(Command::Send { to, message: Arc::new(message) });
    }

    pub(super) fn broadcast(&mut self, message: Message) {
        self.commands.push(Command::Broadcast(Arc::new(message)));
    }

    /// Tells users at once: for what promises nothing.
    pub(super) fn notify(&mut self, event: Event) {
        self.commands.push(Command::Notify(event));
    }

    /// Tells users as soon as every write asked for so far is synced.
    pub(super) fn notify_when_durable(&mut self, event: Event) {
        if self.flushed >= self.last_seq {
            self.notify(event);
        } else {
            self.waiting.push_back((self.last_seq, event));
        }
    }

    /// Every write up to `seq` is synced.
    pub(super) fn flushed(&mut self, seq: WriteSeq) {
        self.flushed = self.flushed.max(seq);
        while let Some((needed, _)) = self.waiting.front() {
            if *needed > self.flushed {
                break;
            }
            if let Some((_, event)) = self.waiting.pop_front() {
                self.notify(event);
            }
        }
    }

    /// Events that wait for the disk.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// How many of these, at least one, fit in one message.
fn fitting(txs: &[VerifiedTx]) -> usize {
    let mut bytes = 0usize;
    let fits = |tx: &&VerifiedTx| {
        bytes = bytes.saturating_add(tx.size_bytes() as usize);
        bytes <= MAX_MESSAGE_BYTES / 2
    };
    txs.iter().take(MAX_REQUEST_TXIDS).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{World, spec};

    fn certified(n: u8) -> Event {
        Event::Certified { txid: Txid([n; 32]), epoch: Default::default() }
    }

    fn notified(outbox: &mut Outbox) -> Vec<Txid> {
        let events = outbox.take().into_iter().filter_map(|c| match c {
            Command::Notify(Event::Certified { txid, .. }) => Some(txid),
            _ => None,
        });
        events.collect()
    }

    #[test]
    fn an_event_waits_for_every_write_before_it_and_none_after() {
        let mut outbox = Outbox::default();
        let record = || JournalRecord::Prepares {
            height: Default::default(),
            block_hash: Default::default(),
            proof: crate::types::block::PrepareProof { view: Default::default(), signatures: Vec::new() },
        };
        outbox.write(record());
        outbox.write(record());
        outbox.notify_when_durable(certified(1));
        outbox.write(record());
        outbox.notify_when_durable(certified(2));
        assert_eq!(notified(&mut outbox), []);
        outbox.flushed(WriteSeq(1));
        assert_eq!(notified(&mut outbox), []);
        outbox.flushed(WriteSeq(2));
        assert_eq!(notified(&mut outbox), [Txid([1; 32])]);
        outbox.flushed(WriteSeq(3));
        assert_eq!(notified(&mut outbox), [Txid([2; 32])]);
        outbox.notify_when_durable(certified(3));
        assert_eq!(notified(&mut outbox), [Txid([3; 32])], "nothing is left to wait for");
    }

    #[test]
    fn what_a_step_has_to_tell_of_transactions_goes_first_and_together() {
        let world = World::of(spec());
        let txs: Vec<_> = (0..3).map(|coin| world.pay(&[world.coin(coin)], &[1])).collect();
        let mut outbox = Outbox::default();
        outbox.notify(certified(9));
        txs.iter().for_each(|tx| outbox.publish(tx));
        let many: Vec<Txid> = (0..=MAX_REQUEST_TXIDS).map(|n| Txid([u8::try_from(n % 251).unwrap(); 32])).collect();
        many.iter().for_each(|txid| outbox.announce(PeerId(2), *txid));
        outbox.announce(PeerId(1), many[5]);
        let commands = outbox.take();
        let [Command::Broadcast(whole), Command::Send { to: PeerId(1), message: one }, rest @ ..] = &commands[..]
        else {
            panic!("{commands:?}");
        };
        assert_eq!(**whole, Message::Txs(txs.iter().map(|tx| tx.tx().clone()).collect()));
        assert_eq!(**one, Message::TxAnnounce(vec![many[5]]));
        let announced = rest.iter().filter_map(|command| match command {
            Command::Send { to: PeerId(2), message } => Some((**message).clone()),
            _ => None,
        });
        let (full, left) = many.split_at(MAX_REQUEST_TXIDS);
        assert_eq!(announced.collect::<Vec<_>>(), [full, left].map(|part| Message::TxAnnounce(part.to_vec())));
        assert!(matches!(commands.last(), Some(Command::Notify(_))), "what else there is comes after");
        assert!(outbox.take().is_empty());
    }

    #[test]
    fn more_than_one_message_holds_is_sent_in_several() {
        let world = World::of(spec());
        let tx = world.pay(&[world.coin(0)], &[1]);
        let mut outbox = Outbox::default();
        (0..MAX_REQUEST_TXIDS + 1).for_each(|_| outbox.publish(&tx));
        let sizes = outbox.take().into_iter().map(|command| match command {
            Command::Broadcast(message) => match &*message {
                Message::Txs(txs) => txs.len(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [MAX_REQUEST_TXIDS, 1]);
    }
}
