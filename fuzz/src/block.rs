//! Blocks and what they are made of.

use super::chain::VERIFIER;
use super::codec::accepted;
use timed::replica::SealedBlock;
use timed::replica::message::verify_block;
use timed::types::block::{BftVote, Block, Commit, Header, Proposal};
use timed::types::evidence::Evidence;
use timed::types::vote::{FinalityProof, VoteBatch, VotePart};

/// The first byte chooses the type, the rest is its encoding.
pub fn check(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    match choice {
        0 => {
            let Some(sealed) = accepted::<SealedBlock>(bytes) else { return };
            let verdict = verify_block(&VERIFIER, sealed.clone());
            if let Ok(block) = &verdict {
                let coinbases = usize::from(block.coinbase.is_some());
                assert_eq!(block.txs.len() + coinbases, sealed.block.txs.len());
                assert!(block.txs.iter().all(|tx| !tx.tx().body.is_coinbase()));
                assert_eq!(block.header, sealed.block.header);
            }
            let again = verify_block(&VERIFIER, sealed);
            assert_eq!(format!("{verdict:?}"), format!("{again:?}"));
        }
        1 => drop(accepted::<Block>(bytes)),
        2 => drop(accepted::<Header>(bytes)),
        3 => drop(accepted::<Commit>(bytes)),
        4 => drop(accepted::<Proposal>(bytes).map(|proposal| VERIFIER.proposal(proposal))),
        5 => drop(accepted::<BftVote>(bytes).map(|vote| VERIFIER.bft_vote(vote))),
        6 => drop(accepted::<VoteBatch>(bytes).map(|batch| VERIFIER.vote_batch(batch))),
        7 => drop(accepted::<Evidence>(bytes).map(|evidence| VERIFIER.evidence(evidence))),
        8 => drop(accepted::<FinalityProof>(bytes)),
        9 => drop(accepted::<VotePart>(bytes)),
        _ => {}
    }
}
