use super::*;
use crate::chain::spec::{ChainSpec, SnowballSpec};
use crate::limits::{MAX_POLLED_TXIDS, MAX_QUERY_TXIDS};
use crate::types::hash::{MasternodeId, Txid};
use crate::types::keys::PublicKey;
use crate::types::lock::Lock;
use crate::types::number::{TimeMs, Weight};
use crate::types::transaction::OutPoint;
use crate::types::validators::{Validator, ValidatorSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod agreement;
mod model;

pub(super) fn key(position: usize) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(position as u64).to_be_bytes());
    PublicKey(bytes)
}

/// A set with these weights; the member at position `i` has `key(i)`.
pub(super) fn set_of(weights: &[u64]) -> Arc<ValidatorSet> {
    let member = |(position, weight): (usize, &u64)| Validator {
        id: MasternodeId(key(position).0),
        consensus_key: key(position),
        weight: Weight::new(*weight),
        payout: Lock::KeyHash([0; 32]),
    };
    Arc::new(ValidatorSet::new(weights.iter().enumerate().map(member).collect()).unwrap())
}

fn txid(number: usize) -> Txid {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Txid(bytes)
}

fn outpoint(number: usize) -> OutPoint {
    OutPoint { txid: txid(1_000_000 + number), index: 0 }
}

fn outpoints(numbers: &[usize]) -> Vec<OutPoint> {
    numbers.iter().map(|number| outpoint(*number)).collect()
}

fn spec() -> SnowballSpec {
    ChainSpec::builtin("mainnet").unwrap().snowball
}

/// The member at position 0 of a set with these weights, everyone live, at time 0.
fn engine_in(set: &Arc<ValidatorSet>) -> Snowball {
    let mut engine = Snowball::new(spec(), Some(key(0)), [1; 32]);
    engine.start_epoch(set.clone());
    for member in set.members() {
        engine.set_live(member.consensus_key, true);
    }
    engine
}

/// Among ten, the others so heavy that this node's own answer decides nothing.
fn engine() -> Snowball {
    let mut weights = [1_000_000; 10];
    weights[0] = 1;
    engine_in(&set_of(&weights))
}

type Question = (PublicKey, u64, Vec<Txid>);

/// What the engine asks and accepts now.
fn step(engine: &mut Snowball, now: u64) -> (Vec<Question>, Vec<Txid>) {
    engine.tick(TimeMs(now));
    let (mut questions, mut accepted) = (Vec::new(), Vec::new());
    for output in engine.drain() {
        match output {
            SnowballOutput::Query { to, query, txids } => questions.push((to, query, txids)),
            SnowballOutput::Accepted(txid) => accepted.push(txid),
        }
    }
    (questions, accepted)
}

fn reply(engine: &mut Snowball, now: u64, question: &Question, answer: impl Fn(&Txid) -> Answer) {
    let (to, query, txids) = question;
    let answers: Vec<Answer> = txids.iter().map(answer).collect();
    engine.respond(TimeMs(now), to, *query, &answers);
}

/// Lets everybody answer like this, at one instant, until the engine has nothing more to ask. What it accepted.
fn converse(engine: &mut Snowball, now: u64, answer: impl Fn(&Txid) -> Answer) -> Vec<Txid> {
    let mut all_accepted = Vec::new();
    loop {
        let (questions, accepted) = step(engine, now);
        all_accepted.extend(accepted);
        if questions.is_empty() {
            return all_accepted;
        }
        for question in questions {
            reply(engine, now, &question, &answer);
        }
    }
}

/// One round: asks once, everybody answers like this, nothing new is asked.
fn round(engine: &mut Snowball, now: u64, answer: impl Fn(&Txid) -> Answer) {
    for question in step(engine, now).0 {
        reply(engine, now, &question, &answer);
    }
}

fn prefer(rival: Txid) -> Answer {
    Answer::Prefer(vec![rival])
}

fn won(engine: &Snowball, number: usize) -> u64 {
    engine.status(&txid(number)).unwrap().polls_won
}

fn in_a_row(engine: &Snowball, number: usize) -> u64 {
    engine.status(&txid(number)).unwrap().polls_in_a_row
}

fn is_preferred(engine: &Snowball, number: usize) -> bool {
    engine.status(&txid(number)).unwrap().preferred
}

#[test]
fn without_a_known_rival_beta_virtuous_polls_in_a_row_accept() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    assert_eq!(converse(&mut engine, 0, |_| Answer::Accept), [txid(1)]);
    assert_eq!(won(&engine, 1), u64::from(spec().beta_virtuous));
    assert_eq!(converse(&mut engine, 5_000, |_| Answer::Accept), [], "said once, and not polled any more");
}

#[test]
fn with_a_known_rival_it_takes_beta_polls_in_a_row() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1), outpoint(2)]);
    engine.add(TimeMs(0), txid(2), &[outpoint(2), outpoint(3)]);
    let answer = |asked: &Txid| if *asked == txid(1) { Answer::Accept } else { prefer(txid(1)) };
    assert_eq!(converse(&mut engine, 0, answer), [txid(1)]);
    assert_eq!(won(&engine, 1), u64::from(spec().beta));
}

#[test]
fn a_masternode_alone_agrees_with_itself() {
    let mut engine = engine_in(&set_of(&[7]));
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    assert_eq!(step(&mut engine, 0), (vec![], vec![txid(1)]));
    engine.add(TimeMs(0), txid(2), &[outpoint(2)]);
    engine.add(TimeMs(0), txid(3), &[outpoint(2)]);
    assert_eq!(step(&mut engine, 0), (vec![], vec![txid(2)]));
}

#[test]
fn a_distinct_member_is_asked_once_a_round_and_its_answer_counts_as_often_as_it_was_drawn() {
    let mut engine = engine_in(&set_of(&[1, 1_000_000, 1]));
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    let (questions, _) = step(&mut engine, 0);
    assert_eq!(questions.len(), 1, "four polls of twenty draws, one question");
    assert_eq!(questions[0].2, [txid(1)]);
    reply(&mut engine, 0, &questions[0], |_| Answer::Accept);
    assert_eq!(won(&engine, 1), u64::from(spec().concurrent_polls), "one answer is worth all its draws");
}

#[test]
fn only_live_members_are_asked_and_oneself_answers_at_once() {
    let set = set_of(&[1, 1_000_000, 1_000_000, 1_000_000]);
    let mut engine = engine_in(&set);
    engine.set_live(key(1), false);
    engine.set_live(key(3), false);
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    let asked = |questions: &[Question]| questions.iter().map(|(to, ..)| *to).collect::<BTreeSet<_>>();
    assert_eq!(asked(&step(&mut engine, 0).0), BTreeSet::from([key(2)]));
    engine.set_live(key(2), false);
    engine.set_live(key(0), false);
    assert_eq!(step(&mut engine, 500), (vec![], vec![txid(1)]), "left alone, it asks itself");
}

#[test]
fn who_is_not_in_the_set_does_not_poll() {
    let set = set_of(&[1, 1]);
    let mut engine = Snowball::new(spec(), Some(key(9)), [1; 32]);
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    assert_eq!(step(&mut engine, 0), (vec![], vec![]), "no epoch yet");
    engine.start_epoch(set);
    engine.set_live(key(1), true);
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    assert_eq!(step(&mut engine, 10_000), (vec![], vec![]));
    assert_eq!(engine.answer(&txid(1)), Some(Answer::Accept));
}

#[test]
fn at_most_concurrent_polls_overlap() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    for now in [0, 10, 499] {
        step(&mut engine, now);
        assert_eq!(engine.polls.len(), spec().concurrent_polls as usize);
    }
}

#[test]
fn no_more_polls_start_than_are_still_to_be_won() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    round(&mut engine, 0, |_| Answer::Accept);
    assert_eq!(in_a_row(&engine, 1), 4);
    let to_win = spec().beta_virtuous as usize - 4;
    step(&mut engine, 1);
    assert_eq!((engine.polls.len(), to_win), (to_win, 1));
    // With a rival there is more to win.
    engine.add(TimeMs(2), txid(2), &[outpoint(1)]);
    engine.schedule(txid(1));
    step(&mut engine, 2);
    assert_eq!(engine.sampling[&txid(1)].polls.len(), spec().concurrent_polls as usize);
}

#[test]
fn a_poll_ends_without_its_slowest_members_once_a_side_has_alpha() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    let (questions, _) = step(&mut engine, 0);
    for question in &questions[1..] {
        reply(&mut engine, 5, question, |_| Answer::Accept);
    }
    assert_eq!(won(&engine, 1), 4, "nobody waited for {:?}", questions[0].0);
}

#[test]
fn a_poll_whose_time_is_up_is_lost() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    round(&mut engine, 0, |_| Answer::Accept);
    assert_eq!(in_a_row(&engine, 1), 4);
    let (questions, _) = step(&mut engine, 100);
    assert!(!questions.is_empty());
    assert_eq!(engine.next_wake(), Some(TimeMs(600)));
    step(&mut engine, 599);
    assert_eq!(in_a_row(&engine, 1), 4);
    let (again, _) = step(&mut engine, 600);
    assert_eq!((won(&engine, 1), in_a_row(&engine, 1)), (4, 0));
    assert!(!again.is_empty(), "the next polls start at once");
}

#[test]
fn a_poll_that_nobody_can_win_is_lost_before_its_time() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    round(&mut engine, 0, |_| Answer::Accept);
    round(&mut engine, 0, |_| Answer::Invalid);
    assert_eq!((won(&engine, 1), in_a_row(&engine, 1)), (4, 0));
    assert!(engine.polls.is_empty());
}

#[test]
fn after_losses_polls_come_one_by_one_and_ever_later_until_one_is_won() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    let mut waits = Vec::new();
    let mut now = 0;
    for _ in 0..11 {
        round(&mut engine, now, |_| Answer::Unknown);
        assert_eq!(step(&mut engine, now).0, []);
        let next = engine.due.first().unwrap().0.0;
        waits.push(next - now);
        now = next;
    }
    assert_eq!(waits, [7, 14, 28, 56, 112, 224, 448, 896, 1_792, 1_792, 1_792]);
    let (questions, _) = step(&mut engine, now);
    assert_eq!(engine.polls.len(), 1);
    for question in &questions {
        reply(&mut engine, now, question, |_| Answer::Accept);
    }
    // The fallback is long over: the one poll won is enough.
    assert_eq!(step(&mut engine, now).1, [txid(1)]);
}

#[test]
fn a_loss_while_the_next_poll_is_due_only_delays_it() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    step(&mut engine, 0);
    let numbers: Vec<u64> = engine.sampling[&txid(1)].polls.clone();
    for (number, answer) in numbers.iter().zip([Answer::Accept, Answer::Unknown, Answer::Unknown, Answer::Unknown]) {
        engine.count(*number, spec().k, &answer);
    }
    assert_eq!(step(&mut engine, 0).0, []);
    assert_eq!(engine.due.first(), Some(&(TimeMs(7), txid(1))));
    assert_ne!(step(&mut engine, 7).0, []);
}

#[test]
fn the_first_valid_transaction_is_preferred_until_a_rival_has_won_strictly_more_polls() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    let (first, _) = step(&mut engine, 0);
    engine.add(TimeMs(0), txid(2), &[outpoint(1)]);
    assert_eq!(engine.answer(&txid(1)), Some(Answer::Accept));
    assert_eq!(engine.answer(&txid(2)), Some(prefer(txid(1))));
    first.iter().for_each(|question| reply(&mut engine, 0, question, |_| Answer::Accept));
    let only_the_second = |asked: &Txid| if *asked == txid(2) { Answer::Accept } else { Answer::Unknown };
    round(&mut engine, 1, only_the_second);
    assert_eq!((won(&engine, 1), won(&engine, 2)), (4, 4));
    assert!(is_preferred(&engine, 1), "a tie changes nothing");
    round(&mut engine, 2, only_the_second);
    assert!(is_preferred(&engine, 2) && !is_preferred(&engine, 1));
    assert_eq!(engine.answer(&txid(1)), Some(prefer(txid(2))));
}

#[test]
fn a_poll_about_one_transaction_can_be_won_by_its_rival() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    round(&mut engine, 0, |_| Answer::Accept);
    engine.add(TimeMs(1), txid(2), &[outpoint(1)]);
    let (questions, _) = step(&mut engine, 1);
    for question in &questions {
        reply(&mut engine, 1, question, |asked| if *asked == txid(1) { prefer(txid(2)) } else { Answer::Unknown });
    }
    // Polls that overlapped each count; those about the rival itself were lost.
    assert_eq!((won(&engine, 1), in_a_row(&engine, 1)), (4, 0));
    assert_eq!(won(&engine, 2), 4);
    assert!(is_preferred(&engine, 1));
}

#[test]
fn a_preference_for_an_unknown_transaction_counts_for_nobody() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    engine.add(TimeMs(0), txid(3), &[outpoint(3)]);
    round(&mut engine, 0, |asked| if *asked == txid(1) { prefer(txid(3)) } else { prefer(txid(9)) });
    assert_eq!((won(&engine, 1), won(&engine, 3)), (0, 0));
}

#[test]
fn an_answer_names_the_preferred_rival_of_each_input_once() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &outpoints(&[1, 2]));
    engine.add(TimeMs(0), txid(2), &outpoints(&[3]));
    engine.add(TimeMs(0), txid(3), &outpoints(&[1, 2, 3, 4]));
    assert_eq!(engine.answer(&txid(3)), Some(Answer::Prefer(vec![txid(1), txid(2)])));
    assert_eq!(engine.answer(&txid(1)), Some(Answer::Accept));
    assert_eq!(engine.answer(&txid(9)), None);
    assert_eq!(engine.status(&txid(3)).unwrap().rivals, [txid(1), txid(2)]);
}

#[test]
fn of_two_rivals_that_reach_alpha_in_one_poll_one_wins() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &outpoints(&[1, 3]));
    engine.add(TimeMs(0), txid(2), &outpoints(&[2, 3]));
    engine.add(TimeMs(0), txid(3), &outpoints(&[1, 2]));
    let both = Answer::Prefer(vec![txid(2), txid(1)]);
    round(&mut engine, 0, |asked| if *asked == txid(3) { both.clone() } else { Answer::Unknown });
    assert_eq!((won(&engine, 1), won(&engine, 2), won(&engine, 3)), (4, 0, 0));
}

#[test]
fn a_transaction_is_accepted_only_if_it_is_preferred_on_all_its_inputs() {
    let mut engine = engine();
    let accept = |engine: &mut Snowball, now, number| {
        round(engine, now, |asked| if *asked == txid(number) { Answer::Accept } else { Answer::Unknown });
    };
    engine.add(TimeMs(0), txid(1), &outpoints(&[1]));
    accept(&mut engine, 0, 1);
    engine.add(TimeMs(0), txid(2), &outpoints(&[1, 2]));
    engine.params.spec.beta = 4;
    accept(&mut engine, 1, 2);
    assert_eq!((in_a_row(&engine, 2), is_preferred(&engine, 2)), (4, false));
    let (questions, accepted) = step(&mut engine, 2);
    assert_eq!(accepted, [], "preferred on the second input only");
    questions.iter().for_each(|question| reply(&mut engine, 2, question, |_| Answer::Accept));
    assert_eq!(step(&mut engine, 2).1, [txid(2)]);
}

#[test]
fn at_most_two_rivals_an_outpoint_are_polled_and_the_next_takes_a_free_place() {
    let mut engine = engine();
    for number in 1..=4 {
        engine.add(TimeMs(0), txid(number), &outpoints(&[1, 10 + number]));
    }
    let asked = |engine: &mut Snowball, now| -> BTreeSet<Txid> {
        step(engine, now).0.into_iter().flat_map(|(.., txids)| txids).collect()
    };
    assert_eq!(asked(&mut engine, 0), BTreeSet::from([txid(1), txid(2)]));
    engine.remove(&txid(1));
    assert_eq!(asked(&mut engine, 1), BTreeSet::from([txid(3)]));
    assert!(is_preferred(&engine, 2));
    engine.remove(&txid(2));
    assert_eq!(asked(&mut engine, 2), BTreeSet::from([txid(4)]));
}

#[test]
fn the_preferred_transaction_is_followed_by_the_strongest_then_the_first_seen() {
    let mut engine = engine();
    for number in 1..=3 {
        engine.add(TimeMs(0), txid(number), &[outpoint(1)]);
    }
    round(&mut engine, 0, |asked| if *asked == txid(1) { Answer::Accept } else { prefer(txid(3)) });
    engine.remove(&txid(1));
    assert!(is_preferred(&engine, 3));
    engine.remove(&txid(3));
    assert!(is_preferred(&engine, 2));
}

#[test]
fn a_certificate_ends_the_polls_of_a_transaction_and_of_its_rivals_and_settles_the_preference() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &outpoints(&[1]));
    engine.add(TimeMs(0), txid(2), &outpoints(&[1, 2]));
    engine.add(TimeMs(0), txid(3), &outpoints(&[2]));
    let (questions, _) = step(&mut engine, 0);
    engine.certified(&txid(2));
    for question in &questions {
        reply(&mut engine, 0, question, |_| Answer::Accept);
    }
    assert_eq!(converse(&mut engine, 5_000, |_| Answer::Accept), []);
    assert_eq!((won(&engine, 1), won(&engine, 2), won(&engine, 3)), (0, 0, 0));
    assert!(is_preferred(&engine, 2));
    assert_eq!(engine.answer(&txid(1)), Some(prefer(txid(2))));
}

#[test]
fn what_was_accepted_stays_preferred_and_its_rivals_are_not_polled() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    assert_eq!(converse(&mut engine, 0, |_| Answer::Accept), [txid(1)]);
    engine.add(TimeMs(1), txid(2), &[outpoint(1)]);
    assert_eq!(converse(&mut engine, 5_000, |_| Answer::Accept), []);
    assert_eq!(engine.answer(&txid(2)), Some(prefer(txid(1))));
    engine.remove(&txid(1));
    assert_eq!(converse(&mut engine, 6_000, |_| Answer::Accept), [txid(2)], "free again when it is gone");
}

#[test]
fn the_fallback_accepts_a_transaction_without_rival_that_won_a_poll() {
    let mut engine = engine();
    engine.add(TimeMs(100), txid(1), &[outpoint(1)]);
    round(&mut engine, 100, |_| Answer::Accept);
    let silent = |engine: &mut Snowball, now| step(engine, now).1;
    assert_eq!(silent(&mut engine, 1_000), []);
    assert_eq!(silent(&mut engine, 2_099), []);
    assert_eq!(silent(&mut engine, 2_100), [txid(1)]);
}

#[test]
fn the_fallback_waits_for_the_first_poll_won() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    for now in 0..7 {
        assert_eq!(step(&mut engine, now * 500).1, []);
    }
    let (questions, _) = step(&mut engine, 3_500);
    for question in &questions {
        reply(&mut engine, 3_501, question, |_| Answer::Accept);
    }
    assert_eq!(step(&mut engine, 3_501).1, [txid(1)]);
}

#[test]
fn the_fallback_is_for_transactions_without_a_known_rival() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    round(&mut engine, 0, |_| Answer::Accept);
    engine.add(TimeMs(10), txid(2), &[outpoint(1)]);
    for now in 0..10 {
        assert_eq!(step(&mut engine, now * 500).1, []);
    }
    engine.remove(&txid(2));
    assert_eq!(step(&mut engine, 5_000).1, [txid(1)], "it has none any more");
}

#[test]
fn what_is_removed_as_final_does_not_get_its_rivals_accepted_in_passing() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    round(&mut engine, 0, |_| Answer::Accept);
    engine.add(TimeMs(0), txid(2), &[outpoint(1)]);
    step(&mut engine, 5_000);
    engine.certified(&txid(2));
    engine.remove(&txid(2));
    engine.remove(&txid(1));
    assert_eq!(step(&mut engine, 5_000).1, []);
}

#[test]
fn answers_unasked_for_or_late_or_of_the_wrong_length_or_sender_or_repeated_are_ignored() {
    let mut weights = [1_000_000; 10];
    weights[0] = 1;
    weights[1] = 1_000_000_000;
    let mut engine = engine_in(&set_of(&weights));
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    let (questions, _) = step(&mut engine, 0);
    let (to, query, _) = questions[0].clone();
    assert_eq!(to, key(1));
    let accept = [Answer::Accept];
    engine.respond(TimeMs(1), &key(2), query, &accept);
    engine.respond(TimeMs(1), &PublicKey([9; 32]), query, &accept);
    engine.respond(TimeMs(1), &to, query + 1_000, &accept);
    engine.respond(TimeMs(1), &to, query, &[]);
    engine.respond(TimeMs(1), &to, query, &[Answer::Accept, Answer::Accept]);
    assert_eq!(won(&engine, 1), 0);
    engine.respond(TimeMs(1), &to, query, &accept);
    assert_eq!(won(&engine, 1), 4);
    engine.respond(TimeMs(1), &to, query, &accept);
    assert_eq!(won(&engine, 1), 4);
    let (questions, _) = step(&mut engine, 2);
    step(&mut engine, 502);
    reply(&mut engine, 503, &questions[0], |_| Answer::Accept);
    assert_eq!((won(&engine, 1), in_a_row(&engine, 1)), (4, 0));
}

#[test]
fn questions_to_one_member_travel_together_up_to_the_bound() {
    let mut engine = engine_in(&set_of(&[1, 1_000_000_000]));
    let count = MAX_QUERY_TXIDS + 10;
    for number in 0..count {
        engine.add(TimeMs(0), txid(number), &[outpoint(number)]);
    }
    let (questions, _) = step(&mut engine, 0);
    let sizes: Vec<usize> = questions.iter().map(|(.., txids)| txids.len()).collect();
    assert_eq!(sizes, [MAX_QUERY_TXIDS, 10]);
    assert_eq!(questions[0].2.iter().chain(&questions[1].2).collect::<BTreeSet<_>>().len(), count);
}

#[test]
fn more_transactions_than_are_polled_at_a_time_wait_for_their_turn_in_order() {
    let mut engine = engine_in(&set_of(&[1, 1_000_000_000]));
    for number in 0..MAX_POLLED_TXIDS + 3 {
        engine.add(TimeMs(0), txid(number), &[outpoint(number)]);
    }
    step(&mut engine, 0);
    assert_eq!(engine.polls.len(), MAX_POLLED_TXIDS * spec().concurrent_polls as usize);
    engine.remove(&txid(MAX_POLLED_TXIDS));
    engine.remove(&txid(0));
    let asked: BTreeSet<Txid> = step(&mut engine, 1).0.into_iter().flat_map(|(.., txids)| txids).collect();
    assert_eq!(asked, BTreeSet::from([txid(MAX_POLLED_TXIDS + 1)]));
    assert_eq!(converse(&mut engine, 600, |_| Answer::Accept).len(), MAX_POLLED_TXIDS + 1);
}

/// Nothing is left of transactions that are gone, once the last question has expired.
fn assert_empty(engine: &mut Snowball, now: u64) {
    step(engine, now + 10_000);
    assert_eq!(engine.next_wake(), None);
    assert_eq!((engine.conflicts.len(), engine.conflicts.outpoints()), (0, 0));
    assert_eq!((engine.sampling.len(), engine.polls.len(), engine.polled), (0, 0, 0));
    assert_eq!((engine.due.len(), engine.queued.len(), engine.queries.sent()), (0, 0, 0));
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let mut engine = engine();
    for number in 0..20 {
        engine.add(TimeMs(0), txid(number), &outpoints(&[number / 3, 100 + number / 2]));
    }
    round(&mut engine, 0, |_| Answer::Accept);
    engine.certified(&txid(4));
    step(&mut engine, 1);
    for number in 0..20 {
        engine.remove(&txid(number));
        engine.remove(&txid(number));
    }
    assert_empty(&mut engine, 1);
}

#[test]
fn a_new_epoch_starts_from_nothing_and_old_questions_are_void() {
    let set = set_of(&[1, 1_000_000, 1_000_000]);
    let mut engine = engine_in(&set);
    engine.add(TimeMs(0), txid(1), &[outpoint(1)]);
    let (questions, _) = step(&mut engine, 0);
    engine.start_epoch(set);
    assert_eq!(engine.answer(&txid(1)), None);
    assert_eq!(engine.next_wake(), None);
    engine.add(TimeMs(1), txid(1), &[outpoint(1)]);
    let (again, _) = step(&mut engine, 1);
    for question in &questions {
        reply(&mut engine, 2, question, |_| Answer::Accept);
    }
    assert_eq!(won(&engine, 1), 0);
    for question in &again {
        reply(&mut engine, 2, question, |_| Answer::Accept);
    }
    assert_eq!(won(&engine, 1), 4, "who is live is still known");
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let mut engine = engine();
    engine.add(TimeMs(10_000), txid(1), &[outpoint(1)]);
    let (questions, _) = step(&mut engine, 10_000);
    assert_eq!(step(&mut engine, 0).0, []);
    engine.add(TimeMs(5), txid(2), &[outpoint(2)]);
    for question in &questions {
        reply(&mut engine, 5, question, |_| Answer::Accept);
    }
    assert_eq!(won(&engine, 1), 4);
    assert_eq!(engine.next_wake(), Some(TimeMs(10_000)));
}

#[test]
fn the_same_seed_asks_the_same() {
    let run = |seed| {
        let set = set_of(&[5; 30]);
        let mut engine = Snowball::new(spec(), Some(key(0)), [seed; 32]);
        engine.start_epoch(set.clone());
        set.members().iter().for_each(|member| engine.set_live(member.consensus_key, true));
        for number in 0..10 {
            engine.add(TimeMs(0), txid(number), &outpoints(&[number / 2]));
        }
        step(&mut engine, 0).0
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn ten_thousand_rivals_of_one_outpoint_come_and_go_without_looking_at_one_another() {
    let mut engine = engine();
    for number in 0..10_000 {
        engine.add(TimeMs(0), txid(number), &[outpoint(1)]);
    }
    for now in 0..50 {
        round(&mut engine, now, |asked| if *asked == txid(1) { Answer::Accept } else { prefer(txid(7)) });
    }
    for number in 0..10_000 {
        engine.remove(&txid(number));
    }
    assert_empty(&mut engine, 50);
}

#[test]
fn a_transaction_without_inputs_is_not_sampled() {
    let mut engine = engine();
    engine.add(TimeMs(0), txid(1), &[]);
    assert_eq!(engine.status(&txid(1)), None);
}

/// Answers of several engines to each other's questions.
fn ask_all(engines: &mut [Snowball], now: u64, mut lie: impl FnMut(usize, &Txid) -> Option<Answer>) -> Vec<Vec<Txid>> {
    let steps: Vec<_> = engines.iter_mut().map(|engine| step(engine, now)).collect();
    let positions: BTreeMap<PublicKey, usize> = (0..engines.len()).map(|position| (key(position), position)).collect();
    let mut accepted = Vec::new();
    for (asker, (questions, newly_accepted)) in steps.into_iter().enumerate() {
        for (to, query, txids) in questions {
            let position = positions[&to];
            let answer = |txid| engines[position].answer(txid).unwrap_or(Answer::Unknown);
            let answers: Vec<Answer> =
                txids.iter().map(|txid| lie(position, txid).unwrap_or_else(|| answer(txid))).collect();
            engines[asker].respond(TimeMs(now), &to, query, &answers);
        }
        accepted.push(newly_accepted);
    }
    accepted
}
