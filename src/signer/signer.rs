//! The signer: policy, log, outbox and key put together.

use super::durable::{Durable, Outbox};
use super::key::{Key, LinkProver, Statement};
use super::log::Log;
use super::log::recover::{SignerError, Tail, recover};
use super::policy::{BftRecovered, Policy};
use super::record::Record;
use super::request::{Appended, Refusal, Rewritten, Said, SignRequest, SignedMessage};
use crate::limits::MAX_UNSYNCED_STATEMENTS;
use crate::types::hash::{ChainId, Txid};
use crate::types::keys::{PublicKey, SecretKey};
use crate::types::number::{Epoch, Height};
use std::sync::Arc;

/// What the shell found where `votes.log` should be.
#[derive(Clone, PartialEq, Eq)]
pub enum LogContents {
    /// The file's content.
    Bytes(Vec<u8>),
    /// No file.
    Missing {
        /// The key was never in a validator set, so it never signed: start at once. Otherwise nothing is signed before
        /// [`Signer::accept_lost_votes`].
        fresh: bool,
    },
}

impl std::fmt::Debug for LogContents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} of them)", bytes.len()),
            Self::Missing { fresh } => write!(f, "Missing {{ fresh: {fresh} }}"),
        }
    }
}

/// What opening found, and what the shell has to do before anything else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// In which shape the end of the log was.
    pub tail: Tail,
    /// Bytes of the file that are whole records.
    pub valid_length: u64,
    /// Bytes behind them: cut off, or, of a repaired record, written anew.
    pub truncated: u64,
    /// If present, to put in the file's place. If not, the file stays, and is synced: what a killed process wrote may
    /// be nowhere but in memory.
    pub rewrite: Option<Rewritten>,
    /// To report to [`Signer::flushed`] once that is done.
    pub seq: u64,
    /// What was signed about blocks.
    pub bft: BftRecovered,
    /// Epoch of the latest finality votes known.
    pub epoch: Epoch,
    /// First height and first epoch that are signed; zero unless votes were lost.
    pub floor: (Height, Epoch),
    /// Whether nothing is signed before [`Signer::accept_lost_votes`].
    pub is_lost: bool,
}

/// The only holder of the masternode key. See the module's documentation for the order of calls.
#[derive(Debug)]
pub struct Signer {
    key: Arc<Key>,
    log: Log,
    policy: Policy,
    outbox: Outbox<Statement>,
    is_lost: bool,
    is_silent: bool,
    has_failed: bool,
}

impl Signer {
    /// Reads the log.
    ///
    /// # Errors
    /// [`SignerError`] if the log is another key's or chain's, or damaged where that may hide a signature.
    pub fn open(chain: ChainId, secret: SecretKey, contents: LogContents) -> Result<(Self, Recovered), SignerError> {
        let key = Arc::new(Key::new(chain, secret));
        let mut policy = Policy::default();
        let (log, tail, valid_length, file_length) = match &contents {
            LogContents::Missing { .. } => (Log::new(chain, key.public()), Tail::Whole, 0, 0),
            LogContents::Bytes(file) => {
                let read = recover(chain, key.public(), file, |ticket, record| policy.apply(ticket, record))?;
                (read.log, read.tail, read.valid_length, file.len() as u64)
            }
        };
        let is_lost = contents == LogContents::Missing { fresh: false };
        let mut signer = Self { key, log, policy, outbox: Outbox::new(), is_lost, is_silent: false, has_failed: false };
        if tail == Tail::Lost {
            signer.policy.apply(signer.log.last(), signer.policy.floor_behind_reach());
        }
        let has_good_file = matches!(contents, LogContents::Bytes(_)) && tail == Tail::Whole;
        let rewrite = (!has_good_file && !is_lost).then(|| signer.rewrite());
        let recovered = Recovered {
            tail,
            valid_length,
            truncated: file_length.saturating_sub(valid_length),
            rewrite,
            seq: signer.log.last().sequence(),
            bft: signer.policy.bft_recovered(),
            epoch: signer.policy.epoch(),
            floor: signer.policy.floor(),
            is_lost,
        };
        Ok((signer, recovered))
    }

    /// The consensus key.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// What proves to peers that this node holds the key.
    pub fn link_prover(&self) -> LinkProver {
        LinkProver::new(self.key.clone())
    }

    /// The epoch of which votes and receipts are signed.
    pub fn epoch(&self) -> Epoch {
        self.policy.epoch()
    }

    /// Records what `request` would sign. The messages come out of [`Signer::flushed`].
    ///
    /// A request for what was signed before is granted, and gives the same messages again.
    ///
    /// # Errors
    /// [`Refusal`]: the guard forbids it. Nothing changed.
    pub fn request(&mut self, request: SignRequest) -> Result<Appended, Refusal> {
        self.check_writable()?;
        if self.is_lost {
            return Err(Refusal::LogLost);
        }
        if self.is_silent {
            return Err(Refusal::KeyElsewhere);
        }
        if self.outbox.len() >= MAX_UNSYNCED_STATEMENTS {
            return Err(Refusal::Busy(self.outbox.len()));
        }
        let decision = self.policy.decide(request)?;
        let mut bytes = Vec::new();
        for record in decision.records {
            let ticket = self.log.append(&record, &mut bytes);
            self.policy.apply(ticket, record);
        }
        let last = self.log.last();
        for statement in decision.statements {
            self.outbox.push(last, statement);
        }
        Ok(Appended { bytes, seq: last.sequence(), refused: decision.refused })
    }

    /// Every record up to and including `seq` is synced: signs what waited for them.
    pub fn flushed(&mut self, seq: u64) -> Vec<SignedMessage> {
        if self.has_failed {
            return Vec::new();
        }
        self.log.set_synced(seq);
        let free = self.outbox.flushed(seq.min(self.log.last().sequence()));
        self.sign_all(free)
    }

    /// An append, a rewrite or a sync failed. What the disk holds is unknown, so nothing is ever released again; opening
    /// the file anew finds out.
    pub fn flush_failed(&mut self) {
        self.has_failed = true;
        self.outbox.clear();
    }

    /// Somebody said this, and the signature is this key's. If this signer did not sign it, another one has the key, or
    /// signed more than its log here knows: then it signs nothing more, and the answer is true.
    pub fn hears(&mut self, said: Said<'_>) -> bool {
        let is_foreign = !self.is_lost && !self.is_silent && self.policy.is_foreign(said);
        if is_foreign {
            self.fall_silent();
        }
        is_foreign
    }

    /// Another run signs with the key: this one signs nothing more. What waits for the disk is not released.
    pub fn fall_silent(&mut self) {
        self.is_silent = true;
        self.outbox.clear();
    }

    /// Whether it signs nothing because another run has the key, or because what it signed is unknown.
    pub fn is_silent(&self) -> bool {
        self.is_silent || self.is_lost
    }

    /// These are in the chain: their votes and receipts need not be repeated, nor be in a closing block.
    pub fn archived(&mut self, txids: &[Txid]) {
        self.policy.archived(txids);
    }

    /// Every epoch up to `epoch` has closed: its votes and receipts are void, the next one is current. Returns the log
    /// anew if that is worthwhile.
    pub fn epoch_closed(&mut self, epoch: Epoch) -> Option<Rewritten> {
        self.policy.epoch_closed(epoch);
        self.compact()
    }

    /// The log without what is archived or past, if it has grown enough for that to be worthwhile. May be called at any
    /// time; once a block is enough.
    pub fn compact(&mut self) -> Option<Rewritten> {
        (!self.has_failed && !self.is_lost && self.log.is_worth_rewriting()).then(|| self.rewrite())
    }

    /// The operator's word that the log is gone: from now on blocks are signed from `from_height` on, payments from
    /// `from_epoch` on. Whoever gives these must know that nothing was signed there: they are believed, even where they
    /// are lower than what a damaged log led to.
    ///
    /// A fresh block that closes an epoch before `from_epoch` is not prepared: what was receipted in it is unknown.
    ///
    /// # Errors
    /// [`Refusal::FlushFailed`] after a failed write.
    pub fn accept_lost_votes(&mut self, from_height: Height, from_epoch: Epoch) -> Result<Rewritten, Refusal> {
        self.check_writable()?;
        self.policy.apply(self.log.last(), Record::Floor { height: from_height, epoch: from_epoch });
        self.is_lost = false;
        Ok(self.rewrite())
    }

    /// Everything signed at the current height and in the current epoch that is not archived, again, with the same
    /// signatures. Proposals are missing: their content is not in the log, so they are requested anew.
    pub fn repeat(&self) -> Vec<SignedMessage> {
        if self.has_failed {
            return Vec::new();
        }
        let synced = self.policy.to_repeat().filter_map(|(ticket, statement)| self.outbox.again(ticket, statement));
        self.sign_all(synced)
    }

    fn check_writable(&self) -> Result<(), Refusal> {
        if self.has_failed { Err(Refusal::FlushFailed) } else { Ok(()) }
    }

    pub(super) fn rewrite(&mut self) -> Rewritten {
        let bytes = self.log.rewrite(&self.policy.snapshot());
        Rewritten { bytes, seq: self.log.last().sequence() }
    }

    fn sign_all(&self, statements: impl IntoIterator<Item = Durable<Statement>>) -> Vec<SignedMessage> {
        statements.into_iter().map(|statement| self.key.sign(statement)).collect()
    }
}
