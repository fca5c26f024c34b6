//! The proven chain above the tip: headers whose commits were checked, far ahead of the blocks.
//!
//! Invariants: heights are consecutive from the tip's child on; each header names the one before it; the last one has a
//! commit of the set that signs it, and so has each one that changes the set. That proves those in between: a quorum
//! precommitted a block only on a parent that was committed (`protocol.md` 7.3, "linked to the tip"). Of a header only
//! what fetching its block needs is kept, so the window can be long.

use crate::chain::leader::vdf_seed;
use crate::chain::spec::ChainSpec;
use crate::ledger::state::ChainState;
use crate::ledger::verify::Verifier;
use crate::limits::MAX_KNOWN_HEADERS;
use crate::replica::message::ReceivedHeader;
use crate::types::block::{Commit, Header};
use crate::types::hash::{BlockHash, Hash};
use crate::types::number::{Height, Slot};
use crate::types::validators::ValidatorSet;
use crate::types::verified::Verified;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is kept of a header.
#[derive(Clone, Debug)]
pub(in crate::replica) struct Known {
    /// Its hash.
    pub(in crate::replica) hash: BlockHash,
    /// The set that signs it.
    pub(in crate::replica) signers: Arc<ValidatorSet>,
    /// Seed of its delay proof, if it opens a slot.
    pub(in crate::replica) seed: Option<Hash>,
    /// Transactions in its block: how large it will be.
    pub(in crate::replica) tx_count: u32,
}

/// The highest header known, as far as the next one is judged by it.
#[derive(Clone, Debug)]
struct Frontier {
    height: Height,
    hash: BlockHash,
    slot: Slot,
    opened: u64,
    beacon: Hash,
    last_opening: BlockHash,
    /// Signs the next one; `None` if only its block says who does.
    next: Option<Arc<ValidatorSet>>,
}

/// Why headers are not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::replica) enum Refused {
    /// Only their sender can have made them wrong.
    Fault(&'static str),
    /// Two blocks of one height were committed: a third of the weight is Byzantine.
    Contradiction {
        /// The height above which they part.
        height: Height,
    },
}

/// A block that is known from elsewhere to be in the chain.
pub(in crate::replica) type Checkpoint = (Height, BlockHash);

/// See the module.
#[derive(Debug)]
pub(in crate::replica) struct Window {
    frontier: Frontier,
    known: VecDeque<Known>,
    /// Proof of the highest header, if there is one above the tip.
    top: Option<Verified<Commit>>,
    checkpoint: Option<Checkpoint>,
}

impl Frontier {
    fn of(tip: &ChainState) -> Self {
        Self {
            height: tip.height(),
            hash: tip.hash,
            slot: tip.header.slot,
            opened: tip.header.opened,
            beacon: tip.header.beacon,
            last_opening: tip.last_opening,
            next: Some(Arc::clone(&tip.validators)),
        }
    }

    /// Whether `header` follows as far as headers can say.
    fn leads_to(&self, header: &Header) -> bool {
        let opens = header.slot > self.slot && Some(header.opened) == self.opened.checked_add(1);
        let overflows = header.slot == self.slot && header.opened == self.opened;
        let is_signed_by = self.next.as_ref().is_some_and(|set| set.hash() == header.validators_hash);
        header.height > self.height
            && header.height == self.height.next()
            && header.prev == self.hash
            && (opens || overflows)
            && is_signed_by
    }

    /// Steps on to `header`, which follows; `None` if nobody knows who signs it.
    fn step(&mut self, header: &Header, hash: BlockHash, next_set: Option<Arc<ValidatorSet>>) -> Option<Known> {
        let signers = self.next.clone()?;
        let opens = header.slot > self.slot;
        let known = Known {
            hash,
            signers: Arc::clone(&signers),
            seed: opens.then(|| vdf_seed(&self.beacon, &self.last_opening, header.opened)),
            tx_count: header.tx_count,
        };
        *self = Self {
            height: header.height,
            hash,
            slot: header.slot,
            opened: header.opened,
            beacon: header.beacon,
            last_opening: if opens { hash } else { self.last_opening },
            next: if header.next_validators_hash == header.validators_hash { Some(signers) } else { next_set },
        };
        Some(known)
    }
}

impl Window {
    /// Nothing is known above `tip`.
    pub(in crate::replica) fn new(tip: &ChainState) -> Self {
        Self { frontier: Frontier::of(tip), known: VecDeque::new(), top: None, checkpoint: None }
    }

    /// A header at the checkpoint's height with another hash is refused from now on.
    pub(in crate::replica) fn trust(&mut self, checkpoint: Checkpoint) {
        self.checkpoint = Some(checkpoint);
    }

    /// Whether the checkpoint says that another block stands at `height`.
    pub(in crate::replica) fn contradicts_checkpoint(&self, height: Height, hash: BlockHash) -> bool {
        self.checkpoint.is_some_and(|(at, expected)| at == height && expected != hash)
    }

    /// The highest header proved; the tip if there is none above it.
    pub(in crate::replica) fn target(&self) -> Height {
        self.frontier.height
    }

    /// How many headers are known above the tip.
    pub(in crate::replica) fn len(&self) -> usize {
        self.known.len()
    }

    /// Commit of the highest header, if there is one above the tip.
    pub(in crate::replica) fn top_commit(&self) -> Option<&Verified<Commit>> {
        self.top.as_ref()
    }

    /// Headers that there is room for; none while nobody knows who signs the next one.
    pub(in crate::replica) fn room(&self) -> usize {
        self.frontier.next.as_ref().map_or(0, |_| MAX_KNOWN_HEADERS.saturating_sub(self.known.len()))
    }

    /// What is known of the header at `height`.
    pub(in crate::replica) fn get(&self, height: Height) -> Option<&Known> {
        let behind = self.frontier.height.get().checked_sub(height.get())?;
        let position = self.known.len().checked_sub(1)?.checked_sub(usize::try_from(behind).ok()?)?;
        self.known.get(position)
    }

    /// The tip moved: what is not above it is forgotten.
    pub(in crate::replica) fn tip_is(&mut self, tip: &ChainState) {
        let Some(above) = self.frontier.height.checked_sub(tip.height()).map(Height::get).filter(|n| *n > 0) else {
            self.known.clear();
            self.top = None;
            self.frontier = Frontier::of(tip);
            return;
        };
        while self.known.len() as u64 > above {
            self.known.pop_front();
        }
    }

    /// Takes headers that are known to follow each other (see `message::sealed`), as far as there is room; those that are
    /// known already are passed over, and such as do not begin where these end are nobody's fault.
    ///
    /// # Errors
    /// [`Refused`]: nothing was taken.
    pub(in crate::replica) fn extend(
        &mut self,
        spec: &ChainSpec,
        verifier: &Verifier,
        headers: Vec<ReceivedHeader>,
    ) -> Result<(), Refused> {
        let height = self.frontier.height;
        let new: Vec<ReceivedHeader> =
            headers.into_iter().skip_while(|header| header.header.height <= height).take(self.room()).collect();
        let Some(last) = new.last().map(|header| header.header.height) else { return Ok(()) };
        if new[0].header.height != height.next() {
            return Ok(());
        }
        let (mut frontier, mut known, mut top) = (self.frontier.clone(), Vec::with_capacity(new.len()), None);
        for ReceivedHeader { header, hash, commit, next_set } in new {
            let set = frontier.next.clone().ok_or(Refused::Fault("headers behind a set that is not theirs"))?;
            let changes_set = header.next_validators_hash != header.validators_hash;
            let follows = frontier.leads_to(&header);
            if !follows || changes_set || header.height == last {
                let proof = verifier.commit(commit, &set);
                top = Some(proof.map_err(|_| Refused::Fault("a header without a commit of its set"))?);
            }
            if !follows {
                return Err(Refused::Contradiction { height: frontier.height });
            }
            let closes = header.slot > frontier.slot && spec.opening_closes_epoch(header.opened);
            if changes_set && !closes {
                return Err(Refused::Fault("another set in the middle of an epoch"));
            }
            if self.contradicts_checkpoint(header.height, hash) {
                return Err(Refused::Fault("its chain does not have the block of sync.checkpoint"));
            }
            known.extend(frontier.step(&header, hash, next_set));
        }
        self.frontier = frontier;
        self.known.extend(known);
        self.top = top;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::World;
    use crate::types::hash::Hash;

    /// The states of a chain whose set changes at the end of an epoch, and its headers.
    struct Told {
        world: World,
        states: Vec<ChainState>,
        headers: Vec<ReceivedHeader>,
    }

    fn told(count: usize) -> Told {
        let mut world = World::default();
        let (mut states, mut headers) = (vec![world.state.clone()], Vec::new());
        for height in 1..=count {
            let entering = (height == 2).then(|| world.verified(world.registration(&[world.coin(0)], 20)));
            world.open(&entering.into_iter().collect::<Vec<_>>());
            let state = world.state.clone();
            let changes = state.signers.hash() != state.validators.hash();
            headers.push(ReceivedHeader {
                header: state.header.clone(),
                hash: state.hash,
                commit: (**world.last_commit.as_ref().unwrap()).clone(),
                next_set: changes.then(|| state.validators.clone()),
            });
            states.push(state);
        }
        assert!(headers.iter().any(|header| header.next_set.is_some()), "the set never changes");
        Told { world, states, headers }
    }

    impl Told {
        fn extend(&self, window: &mut Window, headers: &[ReceivedHeader]) -> Result<(), Refused> {
            window.extend(&self.world.chain, &self.world.verifier, headers.to_vec())
        }

        fn window(&self) -> Window {
            Window::new(&self.states[0])
        }
    }

    fn unsigned(header: &ReceivedHeader) -> ReceivedHeader {
        let mut header = header.clone();
        header.commit.signatures.iter_mut().for_each(|signature| *signature = None);
        header
    }

    #[test]
    fn a_window_reaches_over_epochs_and_says_what_each_block_needs() {
        let told = told(9);
        let mut window = told.window();
        assert_eq!((window.target(), window.len()), (Height::ZERO, 0));
        told.extend(&mut window, &told.headers[..4]).unwrap();
        told.extend(&mut window, &told.headers[2..]).unwrap();
        assert_eq!((window.target(), window.len()), (Height::new(9), 9), "what is known already is passed over");
        for (state, before) in told.states[1..].iter().zip(&told.states) {
            let known = window.get(state.height()).unwrap();
            assert_eq!((known.hash, known.signers.hash()), (state.hash, state.signers.hash()));
            let seed = vdf_seed(&before.header.beacon, &before.last_opening, state.header.opened);
            assert_eq!((known.seed, known.tx_count), (Some(seed), state.header.tx_count));
        }
        assert!(window.get(Height::ZERO).is_none() && window.get(Height::new(10)).is_none());
        assert_eq!(window.top_commit().map(|commit| commit.height), Some(Height::new(9)));
    }

    #[test]
    fn what_the_tip_has_reached_is_forgotten() {
        let told = told(6);
        let mut window = told.window();
        told.extend(&mut window, &told.headers).unwrap();
        window.tip_is(&told.states[4]);
        assert_eq!((window.target(), window.len()), (Height::new(6), 2));
        assert!(window.get(Height::new(4)).is_none());
        assert_eq!(window.get(Height::new(5)).unwrap().hash, told.states[5].hash);
        window.tip_is(&told.states[6]);
        assert_eq!((window.target(), window.len(), window.top_commit()), (Height::new(6), 0, None));
    }

    #[test]
    fn the_last_header_and_every_one_that_changes_the_set_needs_a_commit() {
        let told = told(9);
        let changing = told.headers.iter().position(|header| header.next_set.is_some()).unwrap();
        for at in 0..told.headers.len() {
            let mut headers = told.headers.clone();
            headers[at] = unsigned(&headers[at]);
            let mut window = told.window();
            let outcome = told.extend(&mut window, &headers);
            if at == changing || at == headers.len() - 1 {
                assert!(matches!(outcome, Err(Refused::Fault(_))), "header {at}");
                assert_eq!(window.len(), 0, "nothing of it is taken");
            } else {
                outcome.unwrap();
            }
        }
    }

    #[test]
    fn a_set_that_signs_only_for_itself_is_refused() {
        let told = told(3);
        let mut headers = told.headers[..2].to_vec();
        let mut fewer = told.states[0].validators.members().to_vec();
        fewer.pop();
        let forged = Arc::new(ValidatorSet::new(fewer).unwrap());
        // The middle of an epoch, whoever signs it.
        headers[1].header.next_validators_hash = forged.hash();
        headers[1].hash = headers[1].header.hash();
        headers[1].next_set = Some(forged);
        headers[1].commit = told.world.commit_of(&Height::new(2), headers[1].hash, &[]);
        assert!(matches!(told.extend(&mut told.window(), &headers), Err(Refused::Fault(_))));
    }

    #[test]
    fn what_does_not_begin_where_the_window_ends_is_passed_over_and_a_fork_is_not() {
        let told = told(3);
        let mut window = told.window();
        told.extend(&mut window, &told.headers[2..]).unwrap();
        assert_eq!(window.len(), 0);
        told.extend(&mut window, &told.headers[..2]).unwrap();
        let mut fork = told.headers[2].clone();
        fork.header.prev = BlockHash::default();
        fork.hash = fork.header.hash();
        fork.commit.block_hash = fork.hash;
        assert!(matches!(told.extend(&mut window, &[fork.clone()]), Err(Refused::Fault(_))), "nobody signed it");
        fork.commit = told.world.commit_of(&Height::new(3), fork.hash, &[]);
        let refused = told.extend(&mut window, &[fork]);
        assert_eq!(refused, Err(Refused::Contradiction { height: Height::new(2) }), "a quorum did");
        assert_eq!(window.len(), 2);
    }

    #[test]
    fn a_block_alone_does_not_say_who_signs_behind_the_end_of_its_epoch() {
        let told = told(9);
        let mut window = told.window();
        for header in &told.headers {
            let of_block = ReceivedHeader { next_set: None, ..header.clone() };
            if window.room() > 0 {
                told.extend(&mut window, &[of_block]).unwrap();
            }
        }
        let last = window.target();
        let closing = told.headers.iter().find(|header| header.next_set.is_some()).unwrap();
        assert_eq!(last, closing.header.height);
        window.tip_is(&told.states[usize::try_from(last.get()).unwrap()]);
        assert!(window.room() > 0, "the block itself says it");
    }

    #[test]
    fn another_block_at_the_checkpoint_is_refused() {
        let told = told(5);
        let mut window = told.window();
        window.trust((Height::new(3), BlockHash::from(Hash::ZERO)));
        assert!(matches!(told.extend(&mut window, &told.headers), Err(Refused::Fault(_))));
        window.trust((Height::new(3), told.states[3].hash));
        told.extend(&mut window, &told.headers).unwrap();
        assert_eq!(window.len(), 5);
    }
}
