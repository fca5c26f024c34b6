//! What calls answer, field by field in the order in which it is written.
//!
//! Amounts are decimal strings, because JavaScript rounds numbers beyond 2^53; hashes, keys and raw bytes are lower-case
//! hex; times are Unix milliseconds; weights, heights and counts are numbers.

mod address;
mod chain;
mod epochs;
mod finality;
mod masternode;
mod network;
mod node;
mod transaction;

pub use address::{AddressInfo, Balance, History, HistoryItem, TxOutInfo, Unspent, UnspentPage};
pub use chain::{
    BlockInfo, BlockItem, BlockTransactions, BlockchainInfo, CommitInfo, CommitSignature, CommitSummary, HeaderInfo,
    PunishedOutput, PunishmentInfo, Whole,
};
pub use epochs::{EpochEnd, EpochPage, Member, ValidatorsInfo};
pub use finality::{BlockProof, CommitParts, Proof, ReceiptPart, ReceiptProof, Verdict};
pub use masternode::{
    EpochParticipation, LeaderInfo, LeaderSchedule, MasternodeDetails, MasternodeEntry, MasternodeInfo, MasternodePage,
    ParticipationInfo, Turn,
};
pub use network::{BanInfo, NetworkInfo, PeerDetails};
pub use node::{
    Check, ConsensusInfo, ConsensusParameters, Health, MasternodeStatus, NodeInfo, SigningInfo, SnowballInfo, VotedInfo,
};
pub use transaction::{
    Acceptance, DecodedTransaction, InputInfo, MempoolInfo, OutPointInfo, OutputInfo, PayloadInfo, Progress, Stage,
    TransactionInfo, TransactionStatus, TxidPage,
};

use serde::{Serialize, Serializer};
use std::fmt::Display;

/// A value that is written as a string.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Text<T>(pub T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
