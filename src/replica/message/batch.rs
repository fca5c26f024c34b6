//! Many messages verified together: the signatures of all their transactions in one go, those of all votes in another.

use super::{Message, MessageFault, VerifiedMessage, bounded, verify};
use crate::ledger::VerifiedTx;
use crate::ledger::rules::TxError;
use crate::ledger::verify::Verifier;
use crate::limits::MAX_REQUEST_TXIDS;
use crate::types::hash::Txid;
use crate::types::transaction::HashedTx;
use crate::types::vote::VoteBatch;
use std::sync::Arc;

type Verdict = Result<VerifiedMessage, MessageFault>;

/// [`verify`] of each, in their order, for a fraction of its cost. One bad message spoils no other.
pub fn verify_all(verifier: &Verifier, messages: Vec<Message>) -> Vec<Verdict> {
    let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(messages.len());
    let (mut lists, mut txs): (Vec<Part>, Vec<HashedTx>) = (Vec::new(), Vec::new());
    let (mut voted, mut batches): (Vec<usize>, Vec<VoteBatch>) = (Vec::new(), Vec::new());
    for (at, message) in messages.into_iter().enumerate() {
        verdicts.push(match message {
            Message::Txs(list) => match bounded("transactions", &list, MAX_REQUEST_TXIDS) {
                Ok(()) => {
                    let hashed: Vec<HashedTx> = list.into_iter().map(HashedTx::new).collect();
                    lists.push(Part { at, txids: hashed.iter().map(HashedTx::txid).collect() });
                    txs.extend(hashed);
                    None
                }
                Err(fault) => Some(Err(fault)),
            },
            Message::Votes(batch) => {
                voted.push(at);
                batches.push(batch);
                None
            }
            other => Some(verify(verifier, other)),
        });
    }
    let mut checked = verifier.transactions(txs).into_iter();
    for part in lists {
        let results = checked.by_ref().take(part.txids.len()).collect();
        verdicts[part.at] = Some(all_good(part.txids, results));
    }
    for (at, result) in voted.into_iter().zip(verifier.vote_batches(batches)) {
        verdicts[at] = Some(result.map(|batch| VerifiedMessage::Votes(Arc::new(batch))).map_err(MessageFault::from));
    }
    // Each place has got its verdict above.
    verdicts.into_iter().flatten().collect()
}

/// The transactions of one message.
struct Part {
    /// Which message.
    at: usize,
    txids: Vec<Txid>,
}

fn all_good(txids: Vec<Txid>, results: Vec<Result<VerifiedTx, TxError>>) -> Verdict {
    let fault = |txid, error: TxError| MessageFault::Transaction { txid, reason: error };
    let checked = results.into_iter().zip(txids).map(|(result, txid)| result.map_err(|error| fault(txid, error)));
    Ok(VerifiedMessage::Txs(checked.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{World, consensus, witness};
    use crate::types::bft_vote::{BftKind, BftVote};
    use crate::types::hash::Hash;
    use crate::types::keys::Signature;
    use crate::types::number::{Epoch, Height, View};
    use crate::types::transaction::{Payload, Transaction};
    use crate::types::vote::FinalityKind;

    fn votes(world: &World, n: u8) -> VoteBatch {
        let key = consensus(n.into());
        let (epoch, kind, voter) = (Epoch::ZERO, FinalityKind::Vote, key.public_key());
        let mut batch = VoteBatch { epoch, kind, voter, txids: vec![Txid([n; 32])], signature: Signature([0; 64]) };
        batch.signature = key.sign(&batch.digest(&world.chain.id()));
        batch
    }

    fn bft_vote(world: &World) -> BftVote {
        let key = consensus(1);
        let (height, view, kind) = (Height::new(1), View::ZERO, BftKind::Prepare);
        let voter = key.public_key();
        let mut vote = BftVote { height, view, kind, block_hash: None, voter, signature: Signature([0; 64]) };
        vote.signature = key.sign(&vote.digest(&world.chain.id()));
        vote
    }

    fn payment(world: &World, i: u32) -> Transaction {
        world.draft(&[world.coin(i)], &[1], Payload::Transfer, 0).hashed(&world.chain).tx().clone()
    }

    #[test]
    fn messages_together_are_judged_as_each_by_itself() {
        let world = World::default();
        let bad_payment = Transaction { witnesses: vec![witness(0, &Hash::ZERO)], ..payment(&world, 5) };
        let forged = VoteBatch { voter: consensus(2).public_key(), ..votes(&world, 1) };
        let messages = vec![
            Message::Votes(votes(&world, 1)),
            Message::Txs(vec![payment(&world, 0), payment(&world, 1)]),
            Message::Txs(vec![payment(&world, 2), bad_payment.clone(), payment(&world, 3)]),
            Message::BftVote(bft_vote(&world)),
            Message::Votes(forged),
            Message::Txs(Vec::new()),
            Message::Votes(votes(&world, 2)),
            Message::BftVote(BftVote { view: View::new(1), ..bft_vote(&world) }),
            Message::Txs(vec![payment(&world, 3)]),
            Message::TxAnnounce(vec![Txid([1; 32])]),
            Message::Txs(vec![bad_payment; 2]),
        ];
        let fresh = Verifier::new(world.chain.clone());
        let alone: Vec<Verdict> = messages.iter().map(|message| verify(&fresh, message.clone())).collect();
        let together = verify_all(&world.verifier, messages);
        let text = |verdicts: &[Verdict]| verdicts.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>();
        assert_eq!(text(&together), text(&alone));
        let bad: Vec<usize> = (0..together.len()).filter(|at| together[*at].is_err()).collect();
        assert_eq!(bad, [2, 4, 5, 7, 10]);
    }

    #[test]
    fn nothing_to_verify_is_nothing_verified() {
        assert!(verify_all(&World::default().verifier, Vec::new()).is_empty());
    }
}
