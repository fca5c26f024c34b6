//! Whether this node signs, and if not, why and what to do: written by the thread that holds the signer, read by RPC.

use crate::types::number::{Epoch, Height, Slot};
use arc_swap::ArcSwap;
use std::fmt;

/// What a node may sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signing {
    /// No key: the node observes.
    NoKey,
    /// Blocks from this height on, payments from this epoch on; zero unless votes were lost.
    From(Height, Epoch),
    /// What the key signed is unknown, and its owner did not say that this is accepted.
    VotesLost,
    /// Another run signs with the key, or signed what `votes.log` here does not know.
    Elsewhere,
    /// It is accepted, or the key is no masternode's: signing begins behind the first block of this slot or a later one.
    Accepting(Slot),
}

impl Signing {
    /// A word for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoKey => "observer",
            Self::From(..) => "signs",
            Self::VotesLost => "votes_lost",
            Self::Elsewhere => "key_elsewhere",
            Self::Accepting(_) => "accepting",
        }
    }

    /// Whether it signs, or will without anybody doing anything.
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::From(..) | Self::Accepting(_))
    }

    /// First height and first epoch that are signed, where that is known.
    pub fn floor(&self) -> Option<(Height, Epoch)> {
        match self {
            Self::From(height, epoch) => Some((*height, *epoch)),
            Self::NoKey | Self::VotesLost | Self::Elsewhere | Self::Accepting(_) => None,
        }
    }
}

impl fmt::Display for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("no masternode key: the node observes"),
            Self::From(height, epoch) if (*height, *epoch) == (Height::ZERO, Epoch::ZERO) => f.write_str("signs"),
            Self::From(height, epoch) => {
                write!(f, "votes.log was lost: signs blocks from height {height} on, payments from epoch {epoch} on")
            }
            Self::VotesLost => f.write_str(
                "there is no votes.log that says what this masternode's key signed, so the node observes: put the file back, \
                 or, if it is lost and no other node has the key, start once with --accept-lost-votes",
            ),
            Self::Elsewhere => f.write_str(
                "another node signs with this masternode's key, or its votes.log is an old copy, so this node signs nothing: \
                 let one node have the key; once no other has it, restart this one, or, if its votes.log is an old copy, put that \
                 aside and start once with --accept-lost-votes",
            ),
            Self::Accepting(slot) => write!(
                f,
                "no votes.log yet: the node observes until a block of slot {slot} or a later one is committed, and then \
                 signs from where the key can have signed nothing"
            ),
        }
    }
}

/// The state as it is now.
#[derive(Debug)]
pub struct SigningState(ArcSwap<Signing>);

impl SigningState {
    /// Begins with this.
    pub fn new(signing: Signing) -> Self {
        Self(ArcSwap::from_pointee(signing))
    }

    /// What it is.
    pub fn get(&self) -> Signing {
        **self.0.load()
    }

    /// It is something else now.
    pub fn set(&self, signing: Signing) {
        self.0.store(std::sync::Arc::new(signing));
    }
}
