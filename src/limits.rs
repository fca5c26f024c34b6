//! Every bound of the node, in one place. What the chain spec sets is not here: these hold on any chain.

use std::time::Duration;

/// Most keys of a multisig lock.
pub const MAX_MULTISIG_KEYS: usize = 16;
/// Most inputs of a transaction.
pub const MAX_INPUTS: usize = 1_024;
/// Most outputs of a transaction that is not a coinbase.
pub const MAX_OUTPUTS: usize = 1_024;
/// Most bytes of a memo.
pub const MAX_MEMO_BYTES: usize = 80;
/// Most bytes of a masternode's endpoint.
pub const MAX_ENDPOINT_BYTES: usize = 255;

/// Most bytes of any transaction on the wire, whatever the chain spec says; a chain's `max_tx_bytes` is at most this.
pub const MAX_TX_WIRE_BYTES: usize = 400_000;
/// Most bytes of a block on the wire; a chain's `max_block_bytes` and its coinbase, commit and proof fit in it.
pub const MAX_BLOCK_WIRE_BYTES: usize = 4_000_000;
/// Most bytes of a proposal on the wire: as a frame's, which it has to fit in.
pub const MAX_PROPOSAL_WIRE_BYTES: usize = 4_000_000;
/// Most members of a validator set.
pub const MAX_VALIDATORS: usize = 4_096;
/// Most epochs that are looked ahead for when a masternode enters or leaves.
pub const MAX_FORECAST_EPOCHS: u64 = 256;
/// Most transactions under one signature of votes or receipts.
pub const MAX_BATCH_TXIDS: usize = 1_024;

// replica: what nodes ask of each other.

/// Most transactions one poll message asks about.
pub const MAX_QUERY_TXIDS: usize = 1_024;
/// Most transactions asked for, announced or sent in one message.
pub const MAX_REQUEST_TXIDS: usize = 1_024;
/// Most blocks in one message.
pub const MAX_BLOCKS_PER_MESSAGE: usize = 64;
/// Most headers in one message.
pub const MAX_HEADERS_PER_MESSAGE: usize = 512;
/// Most bytes of headers in one answer, unless a single one has more.
pub const MAX_HEADERS_BYTES: usize = 1_000_000;
/// Requests for history of one peer that wait to be answered; further ones are dropped.
pub const MAX_WAITING_HISTORY_REQUESTS: usize = 4;
/// The same of all peers together.
pub const MAX_WAITING_HISTORY_REQUESTS_IN_ALL: usize = 512;
/// A peer that leaves more bytes unread than this gets no history until it has read them.
pub const MAX_UNREAD_HISTORY_BYTES: usize = 8_388_608;
/// Most answers with blocks or headers of one peer that are not charged for, because they were asked for.
pub const MAX_AWAITED_HISTORY: u32 = 16;
/// Most bytes of a message: a frame's body.
pub const MAX_MESSAGE_BYTES: usize = 4_194_304;
/// A heartbeat goes to every peer this often, in milliseconds.
pub const HEARTBEAT_MS: u64 = 1_000;
/// How often a node that was started asks whether another run holds its key before it signs.
pub const LISTEN_QUESTIONS: u32 = 4;
/// Pause behind each of these questions, in milliseconds.
pub const LISTEN_QUESTION_MS: u64 = 500;
/// A run that signs asks so often, in milliseconds: two that could not hear each other may by then.
pub const SIGNING_QUESTION_MS: u64 = 60_000;
/// Claims of one run that are passed on in [`CLAIMS_WINDOW_MS`]: its questions, and an answer to each of another's.
pub const MAX_CLAIMS_OF_A_RUN: usize = 12;
/// Runs of one key of which claims are passed on in that time.
pub const MAX_RUNS_OF_A_KEY: usize = 4;
/// Over so long they are counted, and a claim older than that is nobody's any more, in milliseconds; clocks may differ by half
/// as much again.
pub const CLAIMS_WINDOW_MS: u64 = 10_000;
/// Runs whose questions are remembered as answered.
pub const MAX_ANSWERED_RUNS: usize = 16;
/// Peers, besides those that hold the key, to which such a claim is passed on.
pub const PRESENCE_FANOUT: usize = 8;
/// Votes on blocks of a height that are kept for when the node may sign.
pub const MAX_UNASKED_VOTES: usize = 64;
/// A masternode silent for longer than three heartbeats is not sampled.
pub const LIVE_AFTER_MS: u64 = 3 * HEARTBEAT_MS;
/// Most transactions waited for from peers.
pub const MAX_WANTED_TXS: usize = 20_000;
/// Milliseconds before another peer is asked for the same transaction.
pub const FETCH_RETRY_MS: u64 = 400;
/// How often a transaction is asked for before it is given up.
pub const MAX_FETCH_TRIES: u32 = 20;
/// First pause before an own batch of votes is sent again, in milliseconds; it doubles each time.
pub const REPEAT_VOTES_FIRST_MS: u64 = 1_000;
/// Longest pause between repetitions of an own batch, in milliseconds.
pub const REPEAT_VOTES_MAX_MS: u64 = 16_000;
/// Pause between repetitions of the current height's messages, in milliseconds.
pub const REPEAT_HEIGHT_MS: u64 = 500;
/// Most signers against whom evidence is held.
pub const MAX_EVIDENCE: usize = 256;
/// What a piece of evidence takes besides two bodies of transactions, at most, in bytes.
pub const EVIDENCE_BYTES_BESIDE_BODIES: u64 = 4_096;
/// Bytes of evidence that a peer is told in a turn of [`REPEAT_HEIGHT_MS`], on average: a larger piece takes several turns.
pub const MAX_EVIDENCE_TOLD_BYTES: u64 = 64_000;
/// Longest pause before a piece of evidence is told again, in milliseconds; the first is [`REPEAT_HEIGHT_MS`], each is twice
/// the one before.
pub const EVIDENCE_AGAIN_MAX_MS: u64 = 60_000;
/// Most bodies of rival transactions kept for evidence.
pub const MAX_EVIDENCE_BODIES: usize = 4_096;
/// Most proposals of one height held.
pub const MAX_PROPOSALS: usize = 32;
/// Milliseconds between two looks at a proposal that could not be prepared yet.
pub const REJUDGE_MS: u64 = 20;
/// Milliseconds before headers, or the blocks next to the tip of a node that lacks few, are asked of another peer.
pub const SYNC_RETRY_MS: u64 = 1_000;
/// A node that lacks no more blocks than this asks for them without asking for their headers first.
pub const MAX_DIRECT_BLOCKS: u32 = 16;
/// Most headers known above the tip, about 100 bytes each.
pub const MAX_KNOWN_HEADERS: usize = 65_536;
/// Milliseconds before the block that all others wait for is asked of another peer.
pub const HEAD_RETRY_MS: u64 = 2_000;
/// Milliseconds before blocks further up are.
pub const RANGE_RETRY_MS: u64 = 8_000;
/// Most requests for blocks that wait for one peer's answer.
pub const MAX_REQUESTS_A_PEER: usize = 2;
/// Most requests given up of one peer whose answer is still taken.
pub const MAX_GIVEN_UP_REQUESTS: usize = 4;
/// A peer that let so many requests in a row wait too long is asked only if all others did.
pub const MAX_STALLS: u32 = 3;
/// Most blocks above the tip that are asked for or here.
pub const MAX_BLOCKS_AHEAD: usize = 1_024;
/// Most bytes of them, as far as their headers say; two longest blocks may come on top.
pub const MAX_BYTES_AHEAD: usize = 16_777_216;
/// About so many bytes of blocks are asked for at a time.
pub const MAX_RANGE_BYTES: usize = 1_000_000;
/// What is expected of a block on the wire apart from its transactions.
pub const ASKED_BLOCK_BYTES: usize = 1_500;
/// What is expected of a transaction on the wire.
pub const BLOCK_BYTES_A_TRANSACTION: usize = 200;
/// Most blocks from peers that wait for the store: no more are executed until it has caught up.
pub const MAX_UNSTORED_BLOCKS: usize = 512;
/// Most transactions in them.
pub const MAX_UNSTORED_TXS: usize = 65_536;
/// Most transactions of blocks from peers executed in one step, unless a single block has more.
pub const MAX_EXECUTED_TXS_A_STEP: usize = 10_000;
/// Most such blocks executed in one step.
pub const MAX_EXECUTED_BLOCKS_A_STEP: usize = 64;
/// Most bytes of blocks in one answer.
pub const MAX_BLOCKS_BYTES: usize = 2_000_000;
/// How many peers a transaction from a peer is announced to.
pub const RELAY_FANOUT: usize = 8;
/// Most batches sent in answer to one question for votes.
pub const MAX_VOTES_ANSWER: usize = 512;
/// A payment accepted or certified for longer than this without the next step asks for votes, in milliseconds.
pub const STALLED_MS: u64 = 2_000;
/// Most different blocks of one view held: a leader that offers more is Byzantine.
pub const MAX_PROPOSALS_A_VIEW: usize = 3;

// crypto

/// Most signatures verified by one equation: one bad signature among them makes each be checked by itself.
pub const MAX_SIGNATURE_BATCH: usize = 512;
/// Most intermediate values that an evaluation of the delay function keeps for its proof, 256 bytes each.
pub const MAX_VDF_CHECKPOINTS: u64 = 16_384;
/// Most bits of a digit of a proof's exponent: `2^n` values of 256 bytes are kept while proving.
pub const MAX_VDF_DIGIT_BITS: u32 = 12;

// finality: votes and receipts of an epoch.

/// Most txids of one voter, in one epoch, for which nobody showed a transaction or votes of a third of the weight.
/// What it signs beyond them counts once the transaction is known and the vote is repeated.
pub const MAX_UNKNOWN_TXIDS_PER_VOTER: usize = 4_096;
/// Most txids in the batches of one voter that are held at a time, 8 MiB; further ones are not counted.
pub const MAX_HELD_TXIDS_PER_VOTER: usize = 262_144;
/// Most transactions known with their inputs and not archived; further ones are tallied like unknown ones.
pub const MAX_LEARNED_TXIDS: usize = 262_144;
/// Most archived transactions whose votes and receipts are kept; the oldest go first.
pub const MAX_ARCHIVED_TALLIES: usize = 16_384;
/// Most txids in the batches of the next epoch kept for one member of this epoch's set.
pub const MAX_BUFFERED_TXIDS_PER_VOTER: usize = 16_384;
/// Most txids in the batches of the next epoch kept for all keys outside this epoch's set together.
pub const MAX_BUFFERED_TXIDS_OF_STRANGERS: usize = 65_536;

// chain

/// Most bytes of a chain's name, of a tier's name, and of an address prefix.
pub const MAX_CHAIN_NAME_BYTES: usize = 32;
/// Longest time a chain spec may name, in milliseconds: 49 days, so that a timeout grown over all views fits `u64`.
pub const MAX_SPEC_MS: u64 = u32::MAX as u64;
/// Most draws of a Snowball poll on any chain.
pub const MAX_SNOWBALL_K: u32 = 1_000;
/// Most polls of one transaction that overlap, on any chain.
pub const MAX_CONCURRENT_POLLS: u32 = 64;
/// Most kinds of masternodes of a chain.
pub const MAX_TIERS: usize = 64;
/// Most unbonding epochs of a chain.
pub const MAX_UNBONDING_EPOCHS: u64 = u32::MAX as u64;
/// Most outputs of a genesis block: its one transaction stays within [`MAX_TX_WIRE_BYTES`].
pub const MAX_GENESIS_OUTPUTS: usize = 9_000;

// wallet

/// Most addresses of a wallet.
pub const MAX_WALLET_ADDRESSES: usize = 1_000;
/// Most bytes of a wallet's file: that many addresses take a tenth of it.
pub const MAX_KEYSTORE_BYTES: u64 = 1_000_000;
/// Most outputs that a wallet looks at for one payment.
pub const MAX_WALLET_COINS: usize = 1_000_000;
/// Most payments of one load: each is signed and held in memory before the clock runs, about half a kilobyte.
pub const MAX_LOAD_PAYMENTS: u64 = 2_000_000;
/// Most connections of a load of reads.
pub const MAX_READ_CONNECTIONS: u16 = 1_024;
/// Longest run of reads, in seconds: every latency is kept.
pub const MAX_READ_SECONDS: u32 = 60;
/// How long the answer to a read may take before it counts as none, in milliseconds.
pub const READ_ANSWER_MS: u64 = 10_000;

// snowball: sampling of payments.

/// Most transactions held by Snowball; the ledger's pool is smaller.
pub const MAX_SAMPLED_TXIDS: usize = 1_048_576;
/// Most transactions polled at a time; the others wait in the order in which they came.
pub const MAX_POLLED_TXIDS: usize = 16_384;
/// Most transactions that spend one outpoint polled at a time (`protocol.md` 5).
pub const MAX_POLLED_RIVALS: usize = 2;
/// Most rivals named in the status of a transaction.
pub const MAX_NAMED_RIVALS: usize = 64;

// ledger: what is kept of transactions that no block holds yet.

/// Most transactions that spend one output and are kept side by side before one is certified; certified ones are
/// always kept.
pub const MAX_RIVALS: usize = 8;
/// Most transactions kept whose parents are not final here.
pub const MAX_ORPHANS: usize = 5_000;
/// Most bytes of them together.
pub const MAX_ORPHAN_BYTES: u64 = 50_000_000;
/// Most of them that wait for the same output.
pub const MAX_ORPHANS_OF_AN_OUTPUT: usize = 8;
/// How long one is kept, in milliseconds.
pub const ORPHAN_EXPIRY_MS: u64 = 600_000;
/// Most unspent outputs of the newest blocks that the ledger has at hand although the store has them; about 100 bytes each.
pub const MAX_RECENT_OUTPUTS: usize = 65_536;
/// Most verdicts "invalid in state" remembered.
pub const MAX_REJECTED: usize = 20_000;
/// How long one is remembered, in milliseconds.
pub const REJECTED_EXPIRY_MS: u64 = 600_000;
/// Verified transactions remembered by their wtxid.
pub const VERIFIED_TRANSACTIONS: usize = 65_536;
/// Verified signatures of votes and proposals, evidence, commits and delay proofs remembered.
pub const VERIFIED_SIGNATURES: usize = 131_072;

// --- signer ---

/// Most outpoints one masternode votes for in one epoch. Past it it votes no more until the epoch closes: forgetting
/// one would allow a double vote.
pub const MAX_EPOCH_OUTPOINTS: usize = 8_388_608;
/// Most archived txids the signer remembers of one epoch. Past it a receipt for one that is archived may be signed
/// needlessly, which harms nobody.
pub const MAX_EPOCH_ARCHIVED: usize = 8_388_608;
/// Most outpoints behind one record of `votes.log`.
pub const MAX_RECORD_OUTPOINTS: usize = 32_768;
/// Most bytes of the payload of one record of `votes.log`.
pub const MAX_SIGNER_RECORD_BYTES: usize = 256 + 32 * MAX_BATCH_TXIDS + 40 * MAX_RECORD_OUTPOINTS;
/// Most proposals and votes on blocks of one height that the signer can repeat; of older ones it only knows that it
/// must not sign there.
pub const MAX_REMEMBERED_BLOCK_MESSAGES: usize = 4_096;
/// Most signed statements that wait for the disk.
pub const MAX_UNSYNCED_STATEMENTS: usize = 4_096;
/// Most txids in a refusal that names what a closing block leaves out.
pub const MAX_REPORTED_RECEIPTS: usize = 1_024;
/// `votes.log` is not rewritten while it is smaller than this.
pub const MIN_COMPACTED_LOG_BYTES: u64 = 1_048_576;
/// Whole slots between the start of a masternode whose votes.log is lost and a block that says how far it can have signed.
pub const LOST_VOTES_SLOTS: u64 = 1;

// tsdc: agreement on one height.

/// Most views beyond the current one in which one voter's votes are kept; its highest ones are.
pub const TSDC_FUTURE_VIEWS: usize = 8;
/// Views before the current one whose votes are kept, besides those of the locked and the valid value.
pub const TSDC_PAST_VIEWS: u32 = 8;
/// Most proofs of prepares kept whole; the oldest go first, never that of the valid value.
pub const TSDC_PROOFS: usize = 16;
/// Views beyond the current one whose proposals are kept.
pub const TSDC_PROPOSAL_VIEWS_AHEAD: u32 = 2;
/// Most different proposals of one view that are kept; one more if a quorum prepared it.
pub const TSDC_PROPOSALS_PER_VIEW: usize = 2;

// replica: blocks that come garbled.

/// How often a block may come with content that is not its own before it is taken from its leader alone.
pub const MAX_GARBLED_PROPOSALS: u32 = 4;
/// Most encodings of transactions remembered at a height as not opening what they spend.
pub const MAX_BAD_ENCODINGS: usize = 1_024;

// replica: passing on what masternodes signed.

/// Most votes of one voter on blocks of one height that are passed on to others: those of 512 views.
pub const MAX_RELAYED_VOTES_PER_VOTER: u32 = 1_024;
/// Most votes, batches and proposals remembered for passing them on.
pub const MAX_GOSSIP_ITEMS: usize = 65_536;
/// Most bytes of them together.
pub const MAX_GOSSIP_BYTES: usize = 33_554_432;
/// Most of one signer, of payments and of blocks each.
pub const MAX_GOSSIP_ITEMS_PER_SIGNER: usize = 256;
/// What is longer is offered, and sent to who asks for it; in bytes.
pub const MAX_PUSHED_BYTES: usize = 4_096;
/// How many copies of something short a peer is sent unasked, on average, by all that can pass it on.
pub const PUSHED_COPIES: usize = 2;
/// How many offers of something a peer gets on average: about one in 3,000 things passes it by until it is offered again.
pub const OFFERED_COPIES: usize = 8;
/// How long offers gather before they go to a peer together, in milliseconds.
pub const OFFER_DELAY_MS: u64 = 50;
/// First pause before what comes again is offered again, in milliseconds; it doubles each time.
pub const OFFER_AGAIN_FIRST_MS: u64 = 500;
/// Longest pause before that, in milliseconds.
pub const OFFER_AGAIN_MAX_MS: u64 = 16_000;
/// Most signatures in one offer, and in one question for what was offered.
pub const MAX_OFFERS_PER_MESSAGE: usize = 1_024;
/// Most bytes of the answer to such a question, unless it is one proposal.
pub const MAX_IWANT_BYTES: usize = MAX_MESSAGE_BYTES;
/// Most votes, batches and proposals that were offered and are waited for.
pub const MAX_WANTED_ITEMS: usize = 65_536;
/// Most of them that one peer was the first to offer.
pub const MAX_WANTED_PER_PEER: usize = 2_048;
/// Most peers remembered that offered one thing.
pub const MAX_OFFER_SOURCES: usize = 4;
/// Most masternodes that a node says it is linked to.
pub const MAX_TOLD_LINKS: usize = 512;

// --- node ---

/// Most payments and votes that the replica takes in one step.
pub const MAX_STEP_INPUTS: usize = 512;
/// A step that took in so much from outside is followed by a pause..
pub const BUSY_STEP_INPUTS: usize = 16;
/// ..so that no two such steps begin within this time.
pub const BUSY_STEP_INTERVAL: Duration = Duration::from_millis(4);
/// What peers without a masternode's key ask of the replica gets one in so many parts of its time..
pub const STRANGERS_SHARE: u32 = 4;
/// ..in steps of this weight, about as many microseconds times 16..
pub const STRANGERS_STEP_WEIGHT: usize = 64;
/// ..where this many looked-up transactions weigh one.
pub const LOOKUPS_PER_WEIGHT: usize = 16;
/// Most of their messages verified together.
pub const MAX_STRANGERS_VERIFIED_TOGETHER: usize = 64;
/// How much less their signatures matter to the system's scheduler than everything else.
pub const STRANGERS_NICENESS: i32 = 10;
/// Most messages verified together.
pub const MAX_VERIFIED_TOGETHER: usize = 512;
/// Most transactions that users have under verification or on the way into the pool at a time; who comes then waits.
pub const MAX_SUBMITTING: usize = 4_096;
/// Most questions about the replica's inner state that wait at a time; who comes then waits.
pub const MAX_QUESTIONS: usize = 256;
/// Refused transactions whose reason users can ask for.
pub const SHOWN_REJECTIONS: usize = 20_000;
/// Events kept for listeners that resume.
pub const EVENTS_KEPT: usize = 65_536;
/// Events that a listener may be behind before it is cut off.
pub const EVENTS_QUEUED: usize = 16_384;
/// A masternode keeps up links to all others up to this many.
pub const MAX_FULL_MESH: usize = 100;
/// Beyond that to this many, drawn by weight.
pub const DRAWN_MASTERNODE_LINKS: usize = 32;
/// Writes that wait for the disk; the replica waits for room beyond that.
pub const MAX_DISK_JOBS: usize = 16_384;
/// Most blocks applied to the store in one step.
pub const MAX_STORED_TOGETHER: usize = 64;

// network: links between nodes.

/// Most bytes of a Noise message of the handshake, and of a frame's body, until both ends have said `Hello`.
pub const MAX_HANDSHAKE_BYTES: usize = 1_024;
/// Most bytes of plaintext in one Noise message: 65,535 without the tag.
pub const MAX_NOISE_PLAINTEXT_BYTES: usize = 65_519;
/// Frames with a longer body are compressed where that makes them smaller.
pub const COMPRESSED_FROM_BYTES: usize = 1_024;
/// Frames with a longer body are unpacked and decoded apart from the tasks that move bytes.
pub const DECODED_APART_FROM_BYTES: usize = 65_536;
/// Most bytes encrypted and handed to the socket at a time.
pub const WRITE_BATCH_BYTES: usize = 2 * MAX_NOISE_PLAINTEXT_BYTES;
/// Most bytes that wait in the kernel to be sent: what is urgent overtakes what is still in the node's own queue only.
pub const MAX_UNSENT_SOCKET_BYTES: u32 = 131_072;
/// Most bytes of the name that a node's software gives itself.
pub const MAX_AGENT_BYTES: usize = 128;
/// Time for a TCP connection to come about, in milliseconds.
pub const DIAL_TIMEOUT_MS: u64 = 5_000;
/// Time from the connection until both ends have said `Hello`, in milliseconds.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;
/// Pause between two pings, in milliseconds.
pub const PING_INTERVAL_MS: u64 = 5_000;
/// A link on which nothing comes for this long is dropped, in milliseconds.
pub const SILENCE_TIMEOUT_MS: u64 = 3 * PING_INTERVAL_MS;
/// Time to tell the other end why a link is closed, in milliseconds.
pub const CLOSE_TIMEOUT_MS: u64 = 500;
/// Most links by default.
pub const MAX_LINKS: usize = 125;
/// Most inbound links from one IP address (or one IPv6 /64 network) by default.
pub const MAX_INBOUND_PER_IP: usize = 2;
/// One in this many links is kept for those that this node dials.
pub const OUTBOUND_SHARE: usize = 8;
/// Most inbound connections that have not said `Hello` yet.
pub const MAX_PENDING_HANDSHAKES: usize = 128;
/// Most links to addresses of the address book that this node keeps up by dialing.
pub const MAX_LEARNT_LINKS: usize = 16;
/// Most of them to addresses of one network group.
pub const MAX_LEARNT_LINKS_PER_GROUP: usize = 2;
/// Most orders to the dialer that wait for it.
pub const MAX_DIAL_COMMANDS: usize = 1_024;
/// Most addresses in the address book at which this node has met a node.
pub const MAX_TRIED_ADDRESSES: usize = 1_024;
/// Most of them of one network group.
pub const MAX_TRIED_PER_GROUP: usize = 16;
/// Most addresses in the address book that were only told.
pub const MAX_NEW_ADDRESSES: usize = 4_096;
/// Most of them of one network group.
pub const MAX_NEW_PER_GROUP: usize = 64;
/// Most of them told from one network group.
pub const MAX_NEW_PER_SOURCE: usize = 256;
/// Most addresses of this node itself that are remembered, so as not to dial them again.
pub const MAX_OWN_ADDRESSES: usize = 16;
/// Most bytes of `peers.json`: a full address book takes a third of it.
pub const MAX_PEERS_FILE_BYTES: u64 = 4_194_304;
/// Pause between two looks for somebody in the address book to dial, in milliseconds.
pub const EXPLORE_MS: u64 = 1_000;
/// Pause between two tests of addresses that were only told, in milliseconds.
pub const FEELER_MS: u64 = 120_000;
/// Pause between two savings of the address book, in milliseconds.
pub const SAVE_PEERS_MS: u64 = 300_000;
/// Longest pause before an address of the book is dialed again, in milliseconds.
pub const BOOK_BACKOFF_MAX_MS: u64 = 3_600_000;
/// How long an address at which a node was met is kept although nobody answers there, in milliseconds.
pub const KEEP_MET_MS: u64 = 7 * 24 * 3_600_000;
/// Most addresses in one message.
pub const MAX_ADDRESSES_PER_MESSAGE: usize = 64;
/// Pause between two questions for addresses to one peer, in milliseconds.
pub const PEER_EXCHANGE_MS: u64 = 60_000;
/// Least time between two answers with addresses to one peer, in milliseconds.
pub const PEER_ANSWER_MS: u64 = 10_000;
/// First pause before an address is dialed again, in milliseconds; it doubles each time.
pub const DIAL_BACKOFF_FIRST_MS: u64 = 500;
/// Longest pause before an address is dialed again, in milliseconds.
pub const DIAL_BACKOFF_MAX_MS: u64 = 60_000;
/// A link that held for this long counts as a success: the pauses start anew. In milliseconds.
pub const STEADY_LINK_MS: u64 = 30_000;
/// Failures in a row after which an address of the book is forgotten, if no node was met there of late.
pub const MAX_DIAL_FAILURES: u32 = 6;
/// Messages a second that a peer may send for long, and at once after a pause.
pub const PEER_MESSAGES: [u64; 2] = [10_000, 50_000];
/// Bytes a second that a peer may send for long, and at once after a pause.
pub const PEER_BYTES: [u64; 2] = [33_554_432, 134_217_728];
/// Signature checks a second that a peer may ask for for long, about what one core does, and at once after a pause.
pub const PEER_CHECKS: [u64; 2] = [50_000, 200_000];
/// The score of a peer that keeps to its rates. Each second beyond them costs one; at zero the link ends.
pub const MAX_SCORE: u32 = 100;
/// How long a peer keeps to its rates until its score is one more, in milliseconds.
pub const SCORE_RECOVERY_MS: u64 = 10_000;
/// How long a peer whose score is used up is kept out, in milliseconds.
pub const RATE_BAN_MS: u64 = 600_000;
/// Most bans; of the node's own the one that ends first makes room.
pub const MAX_BANS: usize = 4_096;
/// Longest ban, in seconds: ten years.
pub const MAX_BAN_SECONDS: u64 = 315_360_000;
/// Most bytes of the reason of a ban.
pub const MAX_BAN_REASON_BYTES: usize = 200;
/// Most bytes of `bans.json`: all bans take half of it.
pub const MAX_BANS_FILE_BYTES: u64 = 4_194_304;
/// Least time between two savings of the bans, in milliseconds.
pub const SAVE_BANS_MS: u64 = 1_000;
/// Links that ended and whose node can still be banned for what it said before.
pub const REMEMBERED_LINKS: usize = 1_024;
/// Most nodes that the operator may have dialed besides those of the configuration.
pub const MAX_ADDED_NODES: usize = 64;
/// A clock that is off by more than this is plainly wrong, in milliseconds.
pub const MAX_CLOCK_ERROR_MS: u64 = 30_000;
/// So many voices it takes to say so: network groups of peers.
pub const MIN_CLOCK_VOICES: usize = 3;
/// Most frames that wait for one peer.
pub const MAX_QUEUED_FRAMES: usize = 8_192;
/// Most bytes that wait for one peer: more than the longest answer ([`MAX_VOTES_ANSWER`] full batches).
pub const MAX_QUEUED_BYTES: usize = 33_554_432;
/// Most bytes that wait for all peers together, a frame for several counted for each.
pub const MAX_QUEUED_BYTES_IN_ALL: usize = 268_435_456;
/// What a peer may have waiting for it even when [`MAX_QUEUED_BYTES_IN_ALL`] is used up.
pub const FAIR_QUEUED_BYTES: usize = 1_048_576;
/// Most bytes of messages of one peer that the node has not dealt with: a longest message fits.
pub const INBOUND_ALLOWANCE_BYTES: usize = MAX_MESSAGE_BYTES;
/// What a message costs of that at least.
pub const MIN_INBOUND_CHARGE_BYTES: usize = 4_096;

// storage

/// A segment of the journal takes no further record once it has this many bytes.
pub const JOURNAL_SEGMENT_BYTES: u64 = 67_108_864;
/// A file of blocks takes no further block once it has this many bytes.
pub const BLOCK_FILE_BYTES: u64 = 134_217_728;
/// Most bytes of a block as it is kept: with the outputs that its transactions spend.
pub const MAX_STORED_BLOCK_BYTES: usize = 4 * MAX_BLOCK_WIRE_BYTES;
/// Most bytes of blocks that are taken into memory at once while the store catches up with its block files.
pub const CATCH_UP_BYTES: usize = 2 * MAX_STORED_BLOCK_BYTES;
/// Most blocks applied at once while the store catches up with its block files.
pub const CATCH_UP_BLOCKS: usize = 256;
/// A joiner looks at its watch this often.
pub const JOIN_TICK: Duration = Duration::from_millis(50);
/// What peers said that waits for a joiner.
pub const MAX_JOIN_INPUTS: usize = 1_024;
/// Ends of epochs that a joiner remembers: a snapshot of an older block does not count. 30 years of mainnet.
pub const JOIN_ENDS_KEPT: usize = 65_536;
/// Different snapshots that a joiner considers at once.
pub const JOIN_OFFERS: usize = 8;
/// Snapshots a joiner remembers to have been wrong.
pub const JOIN_REFUSED_KEPT: usize = 1_024;
/// A joiner gives further peers this long to come before it chooses an offer, in milliseconds.
pub const JOIN_SETTLE_MS: u64 = 500;
/// A joiner waits this long for offers, in milliseconds.
pub const JOIN_OFFERS_WAIT_MS: u64 = 3_000;
/// What a joiner asks of a peer is asked of another after this long, in milliseconds.
pub const JOIN_RETRY_MS: u64 = 5_000;
/// Chunks that a joiner asks for ahead of those it has on disk.
pub const JOIN_CHUNKS_AHEAD: usize = 32;
/// Chunks that a joiner asks of one peer at once.
pub const JOIN_CHUNKS_PER_PEER: usize = 2;
/// Most bytes of a chunk of a snapshot.
pub const MAX_SNAPSHOT_CHUNK_BYTES: usize = 1_048_576;
/// Most chunks of a snapshot: what a message has room for with the manifest's other parts.
pub const MAX_SNAPSHOT_CHUNKS: usize = 65_536;
/// Most bytes of a snapshot's manifest: a message with nothing else in it.
pub const MAX_SNAPSHOT_MANIFEST_BYTES: usize = MAX_MESSAGE_BYTES - 64;
/// Unspent outputs of a snapshot that are sorted by address at once while it is taken into the store.
pub const SNAPSHOT_OUTPUTS_TOGETHER: usize = 262_144;
/// Newest snapshots kept: whoever fetches one has the time in which another is made.
pub const SNAPSHOTS_KEPT: usize = 2;
/// Least memory the store is given, in bytes.
pub const MIN_STORE_CACHE_BYTES: u64 = 33_554_432;
/// Most entries on one page of a list that the store answers with.
pub const MAX_PAGE: usize = 1_000;
// --- rpc ---

/// Most reads of the store for callers at a time; who comes then waits.
pub const MAX_RPC_READS: usize = 32;
/// Most bytes of the head of a request.
pub const MAX_RPC_HEAD_BYTES: usize = 65_536;
/// Most bytes of the ends of epochs in one answer, unless a single one has more; as JSON they have up to three times that.
pub const MAX_RPC_EPOCHS_BYTES: usize = 2_000_000;
/// Most bytes of an answer.
pub const MAX_RPC_RESPONSE_BYTES: usize = 16_777_216;
/// Most bytes of answers that wait for their clients, over all connections: beyond it those that hold most for longest
/// are cut.
pub const MAX_UNSENT_ANSWER_BYTES: usize = 134_217_728;
/// How long the head of a request may take, and how long a connection may do nothing, in milliseconds.
pub const RPC_HEAD_TIMEOUT_MS: u64 = 30_000;
/// How long the body of a request may take, in milliseconds.
pub const RPC_BODY_TIMEOUT_MS: u64 = 30_000;
/// How long a client may take nothing of an answer, in milliseconds.
pub const RPC_STALL_MS: u64 = 30_000;
/// How long calls under way may go on once the server stops, in milliseconds.
pub const RPC_STOP_MS: u64 = 2_000;
/// Most calls of one WebSocket at a time.
pub const MAX_SOCKET_CALLS: usize = 64;
/// Most answers and items that wait for the client of a WebSocket.
pub const SOCKET_QUEUE: usize = 1_024;
/// Most subscriptions of one WebSocket.
pub const MAX_SUBSCRIPTIONS: u32 = 64;
/// Most subscriptions of all WebSockets together.
pub const MAX_SUBSCRIPTIONS_IN_ALL: u32 = 1_024;
/// A ping goes to the client of a WebSocket this often, in milliseconds.
pub const SOCKET_PING_MS: u64 = 30_000;
/// How long the client of a WebSocket may be silent, pongs included, in milliseconds.
pub const SOCKET_SILENCE_MS: u64 = 90_000;
/// How long an item may wait for room in the queue of a WebSocket, in milliseconds.
pub const LAGGED_AFTER_MS: u64 = 5_000;
/// Most headers read at a time for a subscriber to blocks.
pub const SUBSCRIPTION_CHUNK: usize = 256;
/// Most transactions of an address in no block that a subscription remembers.
pub const MAX_WATCHED_TXIDS: usize = 4_096;
/// Longest time a caller may wait for a transaction, in milliseconds.
pub const MAX_WAIT_MS: u64 = 600_000;
/// Pause between looks for a transaction that may wait for a parent, of which nobody is told, in milliseconds.
pub const SEEN_POLL_MS: u64 = 100;
/// Most addresses whose rate of calls is remembered.
pub const MAX_RATED_ADDRESSES: usize = 65_536;
/// How long a node may take to answer before it counts as stuck, in milliseconds.
pub const HEALTH_ANSWER_MS: u64 = 2_000;
/// With less room on the disk than this the node does not count as healthy, in bytes.
pub const LOW_DISK_BYTES: u64 = 1_073_741_824;
/// Most views that the leader schedule is asked for.
pub const MAX_SCHEDULED_VIEWS: u64 = 1_000;
/// Newest blocks at most whose commits are looked at for who signed: those of two epochs, unless overflow blocks make
/// them more.
pub const MAX_COUNTED_BLOCKS: usize = 512;
/// A chain without a block for more slots than this stands still: leaders that are down cost a few views, not slots.
pub const IDLE_SLOTS: u64 = 3;
/// So many of the newest commits that could hold a masternode's signature are its recent ones.
pub const RECENT_COMMITS: usize = 10;
/// A masternode that so many of its recent commits lack misses votes.
pub const MISSING_VOTES: usize = 3;
