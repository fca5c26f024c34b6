//! Opening `votes.log`, and what becomes of a masternode that has none: it observes until its owner accepts the loss, and
//! then until a block says how far its key can have signed ([`LostVotes`]). The new log holds the floors, in one step, so
//! that later starts need no word.

use super::clock;
use super::signing::{Signing, SigningState};
use crate::chain::spec::Chain;
use crate::ledger::state::ChainState;
use crate::signer::{
    BftRecovered, Floor, LogContents, LostVotes, Recovered, Refusal, Signer, SignerError, surviving_reach,
};
use crate::storage::files::{DiskFiles, Files};
use crate::storage::recovery::put_away;
use crate::storage::votes_file::{VOTES_FILE, VotesFile};
use crate::storage::write_ahead::{WriteAhead, WriteError};
use crate::types::hash::ChainId;
use crate::types::keys::{PublicKey, SecretKey};
use crate::types::number::{Epoch, Height};
use std::str::FromStr;
use std::sync::Arc;
use tracing::{error, info, warn};

/// The operator's word that what a key signed is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LostVotesWord {
    /// Sign from where the key can have signed nothing, as this node finds out.
    WhenSafe,
    /// Sign blocks from this height on and payments from this epoch on: what operators agreed on. Believed.
    From(Height, Epoch),
}

impl FromStr for LostVotesWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "when-safe" {
            return Ok(Self::WhenSafe);
        }
        let parts = text.split_once(':').and_then(|(height, epoch)| {
            Some(Self::From(Height::new(height.parse().ok()?), Epoch::new(epoch.parse().ok()?)))
        });
        parts.ok_or_else(|| "write it without a value, or as =HEIGHT:EPOCH, as in =1234:51".to_owned())
    }
}

/// Why a node cannot sign, or not as it was told to.
#[derive(Debug, thiserror::Error)]
pub enum VotesError {
    /// `votes.log` cannot be used.
    #[error("votes.log: {0}")]
    Signer(#[from] SignerError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The signer does not begin.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The operators' word on lost votes makes no sense here.
    #[error(
        "--accept-lost-votes={height}:{epoch} is not possible: block {tip} is committed, so blocks can be signed from height \
         {next} on, payments from epoch {current} on"
    )]
    Word {
        /// Height given.
        height: Height,
        /// Epoch given.
        epoch: Epoch,
        /// Height of the tip.
        tip: Height,
        /// Height after it.
        next: Height,
        /// Its epoch.
        current: Epoch,
    },
}

/// Whose `votes.log` it is, and what its owner said.
pub struct VotesOptions<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// The consensus key; `None` for an observer.
    pub key: Option<SecretKey>,
    /// What to do if the log is missing or damaged.
    pub word: Option<LostVotesWord>,
}

/// What of `votes.log` the node goes on with.
pub struct OpenedVotes {
    /// The signer; `None` for a node without a key.
    pub signer: Option<Signer>,
    /// What was signed about blocks.
    pub bft: Option<BftRecovered>,
    /// Whether and when a signer without its log signs.
    pub guard: Guard,
}

/// Opens the signer, in the order of calls that its module demands; everything in `votes.log` is synced then.
///
/// # Errors
/// [`VotesError`]; nothing was signed.
pub fn open(
    options: &VotesOptions<'_>,
    files: &dyn Files,
    state: &ChainState,
    votes: Option<Vec<u8>>,
    log: &mut WriteAhead,
) -> Result<OpenedVotes, VotesError> {
    let Some(secret) = options.key.clone() else {
        return Ok(OpenedVotes { signer: None, bft: None, guard: Guard::new(Signing::NoKey, None) });
    };
    let (key, word) = (secret.public_key(), options.word);
    let (mut signer, recovered, reach) = open_or_put_away(options, files, secret, votes)?;
    if let Some(rewrite) = &recovered.rewrite {
        log.replace_votes(rewrite.bytes.clone());
    }
    log.sync()?;
    signer.flushed(recovered.seq);
    if recovered.truncated > 0 {
        info!(bytes = recovered.truncated, "cut a torn tail off votes.log: what stood there was never sent");
    }
    let guard = if !recovered.is_lost {
        if word.is_some() {
            info!("votes.log is there and whole: --accept-lost-votes changes nothing");
        }
        Guard::new(Signing::From(recovered.floor.0, recovered.floor.1), None)
    } else if let Some(LostVotesWord::From(height, epoch)) = word {
        let floor = check_word(options, state, (height, epoch), reach)?;
        let rewritten = signer.accept_lost_votes(floor.0, floor.1)?;
        log.replace_votes(rewritten.bytes);
        log.sync()?;
        signer.flushed(rewritten.seq);
        Guard::new(Signing::From(floor.0, floor.1), None)
    } else {
        Guard::of_lost(options.chain, key, (word.is_some(), reach), state)
    };
    match guard.state().get() {
        Signing::From(height, epoch) if (height, epoch) == (Height::ZERO, Epoch::ZERO) => {}
        signing @ Signing::VotesLost => warn!(masternode = %key, "{signing}; docs/operating.md, \"A lost votes.log\""),
        signing => info!(masternode = %key, "{signing}"),
    }
    Ok(OpenedVotes { signer: Some(signer), bft: Some(recovered.bft), guard })
}

/// A damaged log counts as a lost one once its owner has said so; what can be read of it still says how far it went.
fn open_or_put_away(
    options: &VotesOptions<'_>,
    files: &dyn Files,
    secret: SecretKey,
    votes: Option<Vec<u8>>,
) -> Result<(Signer, Recovered, (Height, Epoch)), VotesError> {
    let chain = options.chain.id();
    // That the chain here does not know the key proves nothing: it may be behind.
    let missing = LogContents::Missing { fresh: false };
    let Some(bytes) = votes else {
        let (signer, recovered) = Signer::open(chain, secret, missing)?;
        return Ok((signer, recovered, (Height::ZERO, Epoch::ZERO)));
    };
    let reach = options.word.map(|_| surviving_reach(&bytes)).unwrap_or_default();
    match Signer::open(chain, secret.clone(), LogContents::Bytes(bytes)) {
        Err(error @ SignerError::Damaged { .. }) if options.word.is_some() => {
            let away = put_away(files, VOTES_FILE).map_err(WriteError::from)?.unwrap_or_default();
            warn!(%error, away, "put the damaged votes.log away");
            let (signer, recovered) = Signer::open(chain, secret, missing)?;
            Ok((signer, recovered, reach))
        }
        opened => opened.map(|(signer, recovered)| (signer, recovered, reach)).map_err(VotesError::from),
    }
}

/// What operators agreed on lies behind what is decided, and behind what is known to be signed.
fn check_word(
    options: &VotesOptions<'_>,
    state: &ChainState,
    (height, epoch): Floor,
    reach: (Height, Epoch),
) -> Result<Floor, VotesError> {
    let current = state.child_epoch(options.chain);
    let (tip, next) = (state.height(), state.child_height());
    if height < next || epoch < current {
        return Err(VotesError::Word { height, epoch, tip, next, current });
    }
    // A log that is damaged still says what was signed for certain.
    let is_known = reach != (Height::ZERO, Epoch::ZERO);
    let behind = if is_known { (reach.0.next(), reach.1) } else { reach };
    Ok((height.max(behind.0), epoch.max(behind.1)))
}

/// Whether and when a signer without its log signs.
#[derive(Debug)]
pub struct Guard {
    state: Arc<SigningState>,
    lost: Option<Lost>,
}

#[derive(Debug)]
struct Lost {
    watch: LostVotes,
    chain: Chain,
    key: PublicKey,
    is_accepted: bool,
}

impl Guard {
    fn new(signing: Signing, lost: Option<Lost>) -> Self {
        Self { state: Arc::new(SigningState::new(signing)), lost }
    }

    /// Of a key whose log is lost, known to have gone as far as `reach`.
    fn of_lost(chain: &Chain, key: PublicKey, (is_accepted, reach): (bool, Floor), tip: &ChainState) -> Self {
        let lost = Lost { watch: LostVotes::new(chain, clock::now(), reach), chain: chain.clone(), key, is_accepted };
        Self::new(lost.signing(tip), Some(lost))
    }

    /// Another run signs with the key.
    pub fn key_is_elsewhere(&mut self) {
        if self.state.get() != Signing::Elsewhere {
            self.lost = None;
            self.state.set(Signing::Elsewhere);
            error!("{}", self.state.get());
        }
    }

    /// For whoever shows it.
    pub fn state(&self) -> Arc<SigningState> {
        Arc::clone(&self.state)
    }

    /// A message of the key came from a peer.
    pub fn heard(&mut self, reach: (Height, Epoch)) {
        if let Some(lost) = &mut self.lost {
            lost.watch.heard(reach);
        }
    }

    /// The floor, once the block that leads to `state` says where it is, and the loss is accepted. A key that no masternode
    /// has needs nobody's word: nothing that it can have signed counts.
    pub fn floor_behind(&self, state: &ChainState) -> Option<Floor> {
        let lost = self.lost.as_ref()?;
        let signing = lost.signing(state);
        if signing != self.state.get() {
            warn!(masternode = %lost.key, "{signing}");
            self.state.set(signing);
        }
        let header = &state.header;
        let floor = lost.watch.floor_behind(&lost.chain, header.height, header.slot, state.child_epoch(&lost.chain));
        floor.filter(|_| signing != Signing::VotesLost)
    }

    /// The new log is on disk.
    pub fn accepted(&mut self, (height, epoch): Floor) {
        self.lost = None;
        self.state.set(Signing::From(height, epoch));
        info!("{}", self.state.get());
    }
}

impl Lost {
    fn signing(&self, state: &ChainState) -> Signing {
        if self.is_accepted || state.registry.by_key(&self.key).is_none() {
            Signing::Accepting(self.watch.first_slot(&self.chain))
        } else {
            Signing::VotesLost
        }
    }
}

/// Writes the `votes.log` of a key that was made just now and so has never signed, into a data directory without one. A
/// masternode's key without the file counts as one that lost it.
///
/// # Errors
/// [`VotesError`]; a file that is there is not touched.
pub fn fresh_votes_log(folder: &std::path::Path, chain: ChainId, key: SecretKey) -> Result<(), VotesError> {
    let (mut file, found) = VotesFile::open(Arc::new(DiskFiles::new(folder))).map_err(WriteError::from)?;
    if found.is_some() {
        return Ok(());
    }
    let (_, recovered) = Signer::open(chain, key, LogContents::Missing { fresh: true })?;
    if let Some(rewrite) = recovered.rewrite {
        file.replace(rewrite.bytes);
        file.sync().map_err(WriteError::from)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::World;

    #[test]
    fn the_operators_word_is_read_or_explained() {
        assert_eq!("when-safe".parse(), Ok(LostVotesWord::WhenSafe));
        assert_eq!("1234:51".parse(), Ok(LostVotesWord::From(Height::new(1_234), Epoch::new(51))));
        for bad in ["", "soon", "12", "12:", ":3", "-1:3", "1:2:3", "99999999999999999999:1"] {
            assert!(bad.parse::<LostVotesWord>().unwrap_err().contains("HEIGHT:EPOCH"), "{bad}");
        }
    }

    #[test]
    fn a_masternode_that_lost_its_log_waits_for_its_owners_word_and_a_key_of_nobody_does_not() {
        let world = World::default();
        let registered = world.state.registry.iter().next().unwrap().consensus_key;
        let nobody = PublicKey([9; 32]);
        let after = |key, is_accepted| {
            let mut guard =
                Guard::of_lost(&world.chain, key, (is_accepted, (Height::new(3), Epoch::ZERO)), &world.state);
            let before = guard.state().get();
            let mut state = world.state.clone();
            assert_eq!(guard.floor_behind(&state), None, "genesis is too old to say anything");
            // A block of the day after tomorrow.
            state.header.slot = world.chain.slot_at(clock::now().plus(172_800_000));
            guard.heard((Height::new(8), Epoch::ZERO));
            (before, guard.floor_behind(&state))
        };
        let floor = Some((Height::new(9), world.state.child_epoch(&world.chain).next()));
        let (before, found) = after(registered, false);
        assert_eq!((before, found), (Signing::VotesLost, None));
        for (key, is_accepted) in [(registered, true), (nobody, false)] {
            let (before, found) = after(key, is_accepted);
            assert!(matches!(before, Signing::Accepting(_)), "{before}");
            assert_eq!(found, floor, "behind what was heard of the key");
        }
    }
}
