//! The bugs. They were chosen before any was run, and none was exchanged for an easier one.
//!
//! Each breaks a rule of the protocol and nothing else. Where two layers hold the same rule, so that either alone
//! would hide a bug in the other, the bug is in both: whoever misunderstands a rule gets it wrong twice.

use crate::tree::Edit;

/// A bug.
pub struct Bug {
    /// Its name in the table.
    pub name: &'static str,
    /// What the code does.
    pub what: &'static str,
    /// Which rule that breaks.
    pub breaks: &'static str,
    /// How to make it.
    pub edits: &'static [Edit],
}

/// All of them.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "skip-the-lock-check",
        what: "a fresh block is prepared against the lock, by the engine and by the signer's guard",
        breaks: "Tendermint lines 23 and 29: locks, behind S1",
        edits: &[
            Edit {
                file: "src/tsdc/state.rs",
                find: "OfferKind::Fresh => (self.locked.is_none() || is_locked_value, offer",
                replace: "OfferKind::Fresh => (true, offer",
            },
            Edit {
                file: "src/signer/policy/blocks.rs",
                find: "if vote.proof_view.is_some_and(is_newer) {",
                replace: "if vote.proof_view.is_none_or(is_newer) {",
            },
        ],
    },
    Bug {
        name: "count-a-vote-twice",
        what: "a voter whose votes come again in another batch or message adds its weight again",
        breaks: "a quorum behind every certificate: S2",
        edits: &[Edit {
            file: "src/finality/support.rs",
            find: "        if self.has(position) {\n            return false;\n        }\n",
            replace: "",
        }],
    },
    Bug {
        name: "vote-before-flush",
        what: "a sync that ends releases every signature that waits, whether its record was part of it or not",
        breaks: "no vote leaves before it is on disk: S6, S7",
        edits: &[Edit {
            file: "src/signer/durable.rs",
            find: "self.waiting.iter().take_while(|(ticket, _)| ticket.sequence() <= self.synced).count()",
            replace: "self.waiting.len()",
        }],
    },
    Bug {
        name: "forget-votes-at-restart",
        what: "opening votes.log skips the records of votes on payments",
        breaks: "one vote an outpoint an epoch, restarts included: S7",
        edits: &[Edit {
            file: "src/signer/signer.rs",
            find: "|ticket, record| policy.apply(ticket, record))?;",
            replace: "|ticket, record| match record {
                    Record::Batch { kind: crate::types::vote::FinalityKind::Vote, .. } => {}
                    record => policy.apply(ticket, record),
                })?;",
        }],
    },
    Bug {
        name: "accept-sixty-percent",
        what: "60 % of the weight are a quorum",
        breaks: "two quorums share an honest masternode: S2",
        edits: &[Edit {
            file: "src/types/number.rs",
            find: "u128::from(self.0) * 3 >= u128::from(total.0) * 2",
            replace: "u128::from(self.0) * 5 >= u128::from(total.0) * 3",
        }],
    },
    Bug {
        name: "receipt-without-certificate",
        what: "a receipt is asked for together with the vote",
        breaks: "a receipt says that its signer holds a certificate: S2, L1",
        edits: &[Edit {
            file: "src/replica/payments.rs",
            find: "self.own.queue(FinalityKind::Vote, txid);",
            replace: "self.own.queue(FinalityKind::Vote, txid);
                    self.own.queue(FinalityKind::Receipt, txid);",
        }],
    },
    Bug {
        name: "two-votes-an-outpoint",
        what: "the signer looks for rivals in the batch it is asked for only",
        breaks: "one vote an outpoint an epoch: S7",
        edits: &[Edit {
            file: "src/signer/policy/payments.rs",
            find: ".find(|o| self.spent.contains(o) || spent_here.contains(*o))",
            replace: ".find(|o| spent_here.contains(*o))",
        }],
    },
    Bug {
        name: "closing-rule-dropped",
        what: "the signer prepares a closing block that leaves out what it receipted",
        breaks: "everything final in an epoch is archived by its closing block: S7",
        edits: &[Edit {
            file: "src/signer/policy/payments.rs",
            find: "if missing.is_empty() { Ok(()) } else { Err(Refusal::ReceiptsLeftOut { missing }) }",
            replace: "Ok(())",
        }],
    },
    Bug {
        name: "votes-after-a-closing-prepare",
        what: "the signer signs votes and receipts of an epoch after it prepared the block that closes it",
        breaks: "nothing of an epoch is signed after that: S7",
        edits: &[Edit {
            file: "src/signer/policy/payments.rs",
            find: "if self.closing { Err(Refusal::EpochClosing(epoch)) } else { Ok(()) }",
            replace: "Ok(())",
        }],
    },
    Bug {
        name: "lock-dropped-on-view-change",
        what: "a new view begins without the lock of the one before",
        breaks: "a lock is replaced by a newer one, never dropped: S1, L1",
        edits: &[Edit {
            file: "src/tsdc/state.rs",
            find: "Self { locked: self.locked, valid: self.valid, view, ..Self::default() }",
            replace: "Self { valid: self.valid, view, ..Self::default() }",
        }],
    },
    Bug {
        name: "block-votes-never-repeated",
        what: "prepares and precommits are sent once",
        breaks: "the height's votes are repeated until it commits: L1",
        edits: &[Edit {
            file: "src/replica/repeat.rs",
            find: "self.tsdc.votes().into_iter().chain(self.tsdc.entry_votes()).map(Message::BftVote)",
            replace: "self.tsdc.entry_votes().into_iter().map(Message::BftVote)",
        }],
    },
    Bug {
        name: "old-epoch-votes-count",
        what: "votes and receipts of past epochs are counted in the current one",
        breaks: "what an epoch leaves unarchived is void: S2",
        edits: &[Edit {
            file: "src/finality/mod.rs",
            find: "if batch.epoch == self.current.epoch() {",
            replace: "if batch.epoch <= self.current.epoch() {",
        }],
    },
    Bug {
        name: "receipts-not-replayed",
        what: "replaying the journal skips receipts",
        breaks: "what was told final is final after a restart: S9, S12",
        edits: &[Edit {
            file: "src/replica/recovery.rs",
            find: "JournalRecord::Votes(batch) => self.replay_votes(now, batch, txs),",
            replace: "JournalRecord::Votes(batch) if batch.kind == crate::types::vote::FinalityKind::Vote => {
                self.replay_votes(now, batch, txs)
            }
            JournalRecord::Votes(_) => Ok(()),",
        }],
    },
    Bug {
        name: "torn-tail-accepted",
        what: "reading the journal does not compare checksums",
        breaks: "a torn tail is cut off: S12, or the node refuses to start",
        edits: &[Edit {
            file: "src/storage/journal.rs",
            find: "(checksum(covered, payload) == stored).then_some(Self {",
            replace: "Some(Self {",
        }],
    },
    Bug {
        name: "told-before-flush",
        what: "the test whether an event has to wait for the disk is the wrong way round",
        breaks: "nothing is told as final before it is on disk: S9",
        edits: &[Edit {
            file: "src/replica/outbox.rs",
            find: "if self.flushed >= self.last_seq {",
            replace: "if self.flushed <= self.last_seq {",
        }],
    },
    Bug {
        name: "proposer-paid-in-full",
        what: "the proposer's part is not reduced by the weight that did not sign",
        breaks: "the coinbase: S4",
        edits: &[Edit {
            file: "src/chain/rewards.rs",
            find: "let as_proposer = share(for_proposing, signed_weight, total.get().into());",
            replace: "let as_proposer = for_proposing;",
        }],
    },
    Bug {
        name: "overflow-fees-dropped",
        what: "fees of an overflow block do not wait for the next block that opens a slot",
        breaks: "rewards and state root: S4, S5",
        edits: &[Edit {
            file: "src/ledger/execute.rs",
            find: "return Ok((Amount::ZERO, waiting));",
            replace: "return Ok((Amount::ZERO, parent.accrued_fees));",
        }],
    },
    Bug {
        name: "churn-budget-ignored",
        what: "all who wait to enter or to leave do so at the next boundary",
        breaks: "the set of an epoch: S5",
        edits: &[Edit {
            file: "src/chain/registry/boundary.rs",
            find: "            if moved > 0 && moved + weight > budget {\n                break;\n            }\n",
            replace: "",
        }],
    },
    Bug {
        name: "verdict-without-signature",
        what: "a verdict on a signature is remembered by key and message alone",
        breaks: "no bad signature passes",
        edits: &[Edit {
            file: "src/ledger/verify.rs",
            find: "memo_key(Kind::Signature, &[&c.key.0, &c.digest.0, &c.signature.0])",
            replace: "memo_key(Kind::Signature, &[&c.key.0, &c.digest.0])",
        }],
    },
    Bug {
        name: "not-sampled-anew",
        what: "what a closing block leaves unarchived is not sampled in the next epoch",
        breaks: "a valid payment without a rival becomes final: L2",
        edits: &[Edit {
            file: "src/replica/commit.rs",
            find: "        for tx in committed.resample {\n            self.admitted(now, &tx);\n        }\n",
            replace: "",
        }],
    },
];
