//! What a peer costs: token buckets for messages, bytes and signature checks, and the score that goes down when they are
//! empty.
//!
//! A bucket may go below zero by one message; the peer is not read from until it is back at zero. So a rate is kept
//! whatever the peer does, and a breach costs this node nothing. Why there is a score all the same: who fills its rates
//! for long is no node that does its part. Time is an argument, so tests need not wait.

use crate::limits::{MAX_SCORE, PEER_BYTES, PEER_CHECKS, PEER_MESSAGES, SCORE_RECOVERY_MS};
use crate::replica::Message;
use crate::types::block::{Commit, PrepareProof};
use crate::types::lock::Witness;
use crate::types::transaction::Transaction;
use std::time::Duration;
use tokio::time::Instant;

const MICROS: i128 = 1_000_000;

/// Tokens, counted in millionths.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_second: i128,
    most: i128,
    level: i128,
    filled: Instant,
}

impl Bucket {
    /// A full bucket of this rate and this size.
    fn new([per_second, most]: [u64; 2], now: Instant) -> Self {
        let most = i128::from(most) * MICROS;
        Self { per_second: i128::from(per_second), most, level: most, filled: now }
    }

    /// Takes tokens; returns for how long nothing more may be taken.
    fn take(&mut self, tokens: u64, now: Instant) -> Duration {
        let micros = now.saturating_duration_since(self.filled).as_micros();
        let gained = i128::try_from(micros).unwrap_or(i128::MAX).saturating_mul(self.per_second);
        self.filled = self.filled.max(now);
        self.level = self.level.saturating_add(gained).min(self.most) - i128::from(tokens) * MICROS;
        let missing = u64::try_from(-self.level).unwrap_or(0);
        let per_second = u64::try_from(self.per_second).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(missing.div_ceil(per_second))
    }
}

/// What a message costs besides being one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Cost {
    pub bytes: u64,
    /// Signatures to be checked.
    pub checks: u64,
}

/// What follows from a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    /// For how long the peer is not read from.
    pub pause: Duration,
    /// Its score now, 0 to [`MAX_SCORE`].
    pub score: u32,
}

/// The buckets and the score of one peer.
#[derive(Debug)]
pub(super) struct Meter {
    messages: Bucket,
    bytes: Bucket,
    checks: Bucket,
    score: u32,
    /// When the score last changed, or could have.
    scored: Instant,
}

impl Meter {
    /// For a peer that just came.
    pub(super) fn new(now: Instant) -> Self {
        let [messages, bytes, checks] = [PEER_MESSAGES, PEER_BYTES, PEER_CHECKS].map(|rate| Bucket::new(rate, now));
        Self { messages, bytes, checks, score: MAX_SCORE, scored: now }
    }

    /// A message came.
    pub(super) fn charge(&mut self, cost: Cost, now: Instant) -> Verdict {
        let pauses = [self.messages.take(1, now), self.bytes.take(cost.bytes, now), self.checks.take(cost.checks, now)];
        let pause = pauses.into_iter().max().unwrap_or_default();
        let since = now.saturating_duration_since(self.scored);
        if pause > Duration::ZERO {
            if since >= Duration::from_secs(1) || self.score == MAX_SCORE {
                self.score = self.score.saturating_sub(1);
                self.scored = now;
            }
        } else {
            let recovery = Duration::from_millis(SCORE_RECOVERY_MS);
            let gained = u32::try_from(since.as_millis() / recovery.as_millis()).unwrap_or(MAX_SCORE);
            self.score = self.score.saturating_add(gained).min(MAX_SCORE);
            self.scored += recovery * gained;
        }
        Verdict { pause, score: self.score }
    }
}

/// Signatures that a replica's message asks to be checked, whether or not they turn out to be known. Of offers each counts
/// for one, as does each link told: they are looked up where nothing else can go on meanwhile.
pub(super) fn signature_checks(message: &Message) -> u64 {
    let checks = match message {
        Message::Txs(txs) => txs.iter().map(witnesses).sum(),
        Message::Votes(_) | Message::BftVote(_) | Message::Presence(_) => 1,
        Message::Proposal(proposal) => {
            let commit = proposal.last_commit.as_ref().map_or(0, commit_signatures);
            let proof = proposal.proof.as_ref().map_or(0, |PrepareProof { signatures, .. }| present(signatures));
            1 + commit + proof + 2 * proposal.evidence.len()
        }
        Message::Commit(commit) => commit_signatures(commit),
        Message::Blocks(blocks) => {
            let of_block = |sealed: &crate::replica::SealedBlock| {
                let txs: usize = sealed.block.txs.iter().map(witnesses).sum();
                let parents = sealed.block.last_commit.as_ref().map_or(0, commit_signatures);
                txs + parents + commit_signatures(&sealed.commit) + 2 * sealed.block.evidence.len()
            };
            blocks.iter().map(of_block).sum()
        }
        Message::Evidence(_) => 2,
        Message::SnapshotManifest(manifest) => manifest.iter().map(|m| commit_signatures(&m.commit)).sum(),
        Message::Headers(headers) | Message::Epochs(headers) => {
            headers.iter().map(|sealed| commit_signatures(&sealed.commit)).sum()
        }
        Message::IHave(offered) | Message::IWant(offered) => offered.len(),
        Message::Links(keys) => keys.len(),
        Message::Status { .. }
        | Message::TxAnnounce(_)
        | Message::GetTxs(_)
        | Message::SampleQuery { .. }
        | Message::SampleResponse { .. }
        | Message::GetVotes { .. }
        | Message::GetBlocks { .. }
        | Message::GetHeaders { .. }
        | Message::GetEpochs { .. }
        | Message::GetSnapshot { .. }
        | Message::GetSnapshotChunk { .. }
        | Message::SnapshotChunk { .. } => 0,
    };
    u64::try_from(checks).unwrap_or(u64::MAX)
}

fn present<T>(signatures: &[Option<T>]) -> usize {
    signatures.iter().flatten().count()
}

fn commit_signatures(commit: &Commit) -> usize {
    present(&commit.signatures)
}

fn witnesses(tx: &Transaction) -> usize {
    let signatures = |witness: &Witness| match witness {
        Witness::Key { .. } => 1,
        Witness::Multi { signatures, .. } => present(signatures),
    };
    tx.witnesses.iter().map(signatures).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::World;
    use crate::types::hash::Txid;
    use crate::types::keys::Signature;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_bucket_gives_what_it_holds_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new([10, 100], start);
        assert_eq!(bucket.take(100, start), Duration::ZERO);
        assert_eq!(bucket.take(5, start), Duration::from_millis(500));
        assert_eq!(bucket.take(0, start + Duration::from_millis(500)), Duration::ZERO);
        assert_eq!(bucket.take(1, start + Duration::from_millis(500)), Duration::from_millis(100));
        let later = start + seconds(1_000);
        assert_eq!(bucket.take(101, later), Duration::from_millis(100), "it holds no more than its size");
        assert_eq!(bucket.take(0, start), Duration::from_millis(100), "time does not run backwards");
    }

    #[test]
    fn each_rate_is_kept_by_itself() {
        let start = Instant::now();
        let pause = |cost: Cost, messages: u64| {
            let mut meter = Meter::new(start);
            (0..messages).map(|_| meter.charge(cost, start).pause).max().unwrap()
        };
        assert_eq!(pause(Cost::default(), PEER_MESSAGES[1]), Duration::ZERO);
        assert!(pause(Cost::default(), PEER_MESSAGES[1] + 1) > Duration::ZERO);
        let checks = Cost { checks: PEER_CHECKS[1], bytes: 1 };
        assert_eq!((pause(checks, 1), pause(checks, 2)), (Duration::ZERO, seconds(PEER_CHECKS[1] / PEER_CHECKS[0])));
        let bytes = Cost { bytes: PEER_BYTES[1], checks: 0 };
        assert_eq!((pause(bytes, 1), pause(bytes, 2)), (Duration::ZERO, seconds(PEER_BYTES[1] / PEER_BYTES[0])));
    }

    #[test]
    fn a_breach_costs_one_a_second_and_keeping_to_the_rates_brings_it_back() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let much = Cost { bytes: PEER_BYTES[1], checks: 0 };
        let score = |meter: &mut Meter, cost, at| meter.charge(cost, at).score;
        assert_eq!(score(&mut meter, much, start), MAX_SCORE);
        assert_eq!(score(&mut meter, much, start), MAX_SCORE - 1);
        assert_eq!(score(&mut meter, much, start + Duration::from_millis(999)), MAX_SCORE - 1, "however often");
        assert_eq!(score(&mut meter, much, start + seconds(1)), MAX_SCORE - 2);
        let quiet = start + seconds(3_600);
        assert_eq!(score(&mut meter, Cost::default(), quiet), MAX_SCORE);
        // Recovery is by whole steps, and none is lost by looking in between.
        let mut meter = Meter::new(quiet);
        score(&mut meter, much, quiet);
        score(&mut meter, much, quiet);
        score(&mut meter, much, quiet + seconds(1));
        let scores = [9, 10, 11, 15, 20, 21].map(|after| score(&mut meter, Cost::default(), quiet + seconds(after)));
        assert_eq!(scores, [98, 98, 99, 99, 99, 100]);
    }

    #[test]
    fn a_peer_that_breaks_its_rates_for_long_uses_up_its_score() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let much = Cost { checks: 2 * PEER_CHECKS[0], bytes: 0 };
        let lasted = (0..1_000).find(|second| meter.charge(much, start + seconds(*second)).score == 0);
        let lasted = lasted.unwrap();
        assert!((u64::from(MAX_SCORE)..=u64::from(MAX_SCORE) + 10).contains(&lasted), "{lasted} seconds");
    }

    #[test]
    fn signatures_are_counted_where_they_are() {
        let world = World::default();
        let txs: Vec<Transaction> = vec![
            world.pay(&[world.coin(0), world.coin(1)], &[1]).tx().clone(),
            world.pay(&[world.coin(2)], &[1]).tx().clone(),
        ];
        assert_eq!(signature_checks(&Message::Txs(txs)), 3);
        assert_eq!(signature_checks(&Message::TxAnnounce(vec![Txid::ZERO; 9])), 0);
        assert_eq!(signature_checks(&Message::IHave(vec![Signature([0; 64]); 9])), 9);
        let signature = crate::network::testing::key(1).sign(&Default::default());
        let signatures = vec![Some(signature), None, Some(signature)];
        let commit =
            Commit { height: Default::default(), view: Default::default(), block_hash: Default::default(), signatures };
        assert_eq!(signature_checks(&Message::Commit(commit)), 2);
    }
}
