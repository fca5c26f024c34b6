//! The conflict sets against the protocol's text, word by word: every rival's `c` is set to 0 by hand, every
//! preference is looked up by going through all transactions.

use super::*;
use crate::limits::MAX_POLLED_RIVALS;
use crate::snowball::conflict::Conflicts;
use proptest::prelude::*;

const TXIDS: usize = 8;

#[derive(Clone, Debug)]
enum Change {
    Insert(usize, BTreeSet<usize>),
    Remove(usize),
    Win(usize),
    Lose(usize),
    Decide(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let inputs = prop::collection::btree_set(0..5usize, 1..4);
    let change = prop_oneof![
        4 => (0..TXIDS, inputs).prop_map(|(number, inputs)| Change::Insert(number, inputs)),
        1 => (0..TXIDS).prop_map(Change::Remove),
        6 => (0..TXIDS).prop_map(Change::Win),
        2 => (0..TXIDS).prop_map(Change::Lose),
        1 => (0..TXIDS).prop_map(Change::Decide),
    ];
    prop::collection::vec(change, 0..80)
}

struct Tx {
    inputs: BTreeSet<usize>,
    seen: usize,
    d: u64,
    c: u64,
}

#[derive(Default)]
struct Model {
    txs: BTreeMap<usize, Tx>,
    preferred: BTreeMap<usize, usize>,
    decided: BTreeMap<usize, usize>,
    seen: usize,
}

impl Model {
    fn rivals(&self, number: usize) -> Vec<usize> {
        let inputs = &self.txs[&number].inputs;
        self.txs.iter().filter(|(n, tx)| **n != number && !tx.inputs.is_disjoint(inputs)).map(|(n, _)| *n).collect()
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Insert(number, inputs) => {
                for input in inputs {
                    self.preferred.entry(*input).or_insert(*number);
                }
                self.seen += 1;
                self.txs.insert(*number, Tx { inputs: inputs.clone(), seen: self.seen, d: 0, c: 0 });
            }
            Change::Remove(number) => {
                let tx = self.txs.remove(number).unwrap();
                for input in tx.inputs {
                    if self.decided.get(&input) == Some(number) {
                        self.decided.remove(&input);
                    }
                    if self.preferred[&input] == *number {
                        let spenders = self.txs.iter().filter(|(_, tx)| tx.inputs.contains(&input));
                        match spenders.max_by_key(|(_, tx)| (tx.d, std::cmp::Reverse(tx.seen))) {
                            Some((next, _)) => self.preferred.insert(input, *next),
                            None => self.preferred.remove(&input),
                        };
                    }
                }
            }
            Change::Win(number) => {
                for rival in self.rivals(*number) {
                    self.txs.get_mut(&rival).unwrap().c = 0;
                }
                let tx = self.txs.get_mut(number).unwrap();
                (tx.d, tx.c) = (tx.d + 1, tx.c + 1);
                for input in self.txs[number].inputs.clone() {
                    let is_greater = self.txs[number].d > self.txs[&self.preferred[&input]].d;
                    if is_greater && !self.decided.contains_key(&input) {
                        self.preferred.insert(input, *number);
                    }
                }
            }
            Change::Lose(number) => self.txs.get_mut(number).unwrap().c = 0,
            Change::Decide(number) => {
                for input in &self.txs[number].inputs {
                    self.preferred.insert(*input, *number);
                    self.decided.insert(*input, *number);
                }
            }
        }
    }

    fn names(&self, change: &Change) -> bool {
        match change {
            Change::Insert(number, _) => !self.txs.contains_key(number),
            Change::Remove(number) | Change::Win(number) | Change::Lose(number) | Change::Decide(number) => {
                self.txs.contains_key(number)
            }
        }
    }
}

fn apply(conflicts: &mut Conflicts, change: &Change) {
    match change {
        Change::Insert(number, inputs) => {
            conflicts.insert(txid(*number), &inputs.iter().map(|input| outpoint(*input)).collect::<Vec<_>>());
        }
        Change::Remove(number) => drop(conflicts.remove(&txid(*number))),
        Change::Win(number) => conflicts.win(&txid(*number)),
        Change::Lose(number) => conflicts.lose(&txid(*number)),
        Change::Decide(number) => drop(conflicts.decide(&txid(*number))),
    }
}

proptest! {
    #[test]
    fn conflict_sets_follow_the_text(changes in changes()) {
        let (mut model, mut conflicts) = (Model::default(), Conflicts::default());
        for change in changes {
            if !model.names(&change) {
                continue;
            }
            model.apply(&change);
            apply(&mut conflicts, &change);
            for number in 0..TXIDS {
                let Some(tx) = model.txs.get(&number) else {
                    prop_assert_eq!(conflicts.answer(&txid(number)), None);
                    continue;
                };
                let id = txid(number);
                prop_assert_eq!((conflicts.polls_won(&id), conflicts.polls_in_a_row(&id)), (tx.d, tx.c));
                let is_preferred = tx.inputs.iter().all(|input| model.preferred[input] == number);
                prop_assert_eq!(conflicts.is_preferred(&id), is_preferred);
                prop_assert_eq!(conflicts.answer(&id) == Some(Answer::Accept), is_preferred);
                let rivals = model.rivals(number);
                prop_assert_eq!(conflicts.has_rival(&id), !rivals.is_empty());
                prop_assert_eq!(conflicts.rivals(&id), rivals.iter().map(|n| txid(*n)).collect::<Vec<_>>());
                for other in 0..TXIDS {
                    prop_assert_eq!(conflicts.are_rivals(&id, &txid(other)), rivals.contains(&other));
                }
                let is_decided = tx.inputs.iter().any(|input| model.decided.contains_key(input));
                prop_assert_eq!(conflicts.is_decided(&id), is_decided);
            }
        }
    }

    #[test]
    fn the_engine_keeps_its_bounds_whatever_happens(
        steps in prop::collection::vec((changes(), 0..700u64, any::<u8>()), 1..6),
    ) {
        let mut engine = engine_in(&set_of(&[3, 5, 7, 11]));
        let mut now = 0;
        let mut accepted = BTreeSet::new();
        for (changes, wait, mood) in steps {
            for change in changes {
                match change {
                    Change::Insert(number, inputs) => {
                        let inputs: Vec<OutPoint> = inputs.iter().map(|input| outpoint(*input)).collect();
                        if engine.status(&txid(number)).is_none() {
                            accepted.remove(&txid(number));
                        }
                        engine.add(TimeMs(now), txid(number), &inputs);
                    }
                    Change::Remove(number) => {
                        for output in std::mem::take(&mut engine.outputs) {
                            let SnowballOutput::Accepted(txid) = output else { continue };
                            prop_assert!(accepted.insert(txid), "accepted once");
                        }
                        engine.remove(&txid(number));
                    }
                    Change::Decide(number) => engine.certified(&txid(number)),
                    Change::Win(_) | Change::Lose(_) => {
                        let (questions, newly_accepted) = step(&mut engine, now);
                        for txid in newly_accepted {
                            prop_assert!(accepted.insert(txid), "accepted once");
                        }
                        for question in &questions {
                            reply(&mut engine, now, question, |asked| match (asked.0[7] ^ mood) % 4 {
                                0 | 1 => Answer::Accept,
                                2 => Answer::Prefer((0..2).map(|i| txid(usize::from(mood.wrapping_add(i)) % TXIDS)).collect()),
                                _ => Answer::Unknown,
                            });
                        }
                    }
                }
                check_bounds(&engine)?;
            }
            now += wait;
        }
        for number in 0..TXIDS {
            engine.remove(&txid(number));
        }
        engine.drain();
        assert_empty(&mut engine, now);
    }
}

fn check_bounds(engine: &Snowball) -> Result<(), TestCaseError> {
    let polled: Vec<usize> = (0..TXIDS)
        .filter(|number| engine.sampling.get(&txid(*number)).is_some_and(|sampling| sampling.is_polled))
        .collect();
    prop_assert_eq!(engine.polled, polled.len());
    prop_assert!(engine.polls.len() <= polled.len() * spec().concurrent_polls as usize);
    prop_assert!(engine.due.len() <= polled.len());
    for number in &polled {
        let rivals = polled.iter().filter(|other| engine.conflicts.are_rivals(&txid(*number), &txid(**other))).count();
        let inputs = engine.conflicts.input_count(&txid(*number));
        prop_assert!(rivals <= inputs * (MAX_POLLED_RIVALS - 1), "at most two an outpoint");
        prop_assert!(!engine.conflicts.is_decided(&txid(*number)));
        let sampling = &engine.sampling[&txid(*number)];
        prop_assert!(sampling.due.is_some() || !sampling.polls.is_empty(), "what is polled goes on");
    }
    Ok(())
}
