//! One valid value of each kind: what the fuzzer begins with.

use std::net::SocketAddr;
use std::sync::Arc;
use timed::chain::spec::{Allocation, Chain, ChainSpec};
use timed::config::Config;
use timed::crypto::vdf::beacon;
use timed::network::{CloseReason, Frame, Hello, PeerAddress, Wire};
use timed::replica::{Message, SealedBlock};
use timed::rpc::methods::METHODS;
use timed::snowball::Answer;
use timed::types::address::to_address;
use timed::types::block::{BftKind, BftVote, Block, Commit, Header, PrepareProof, Proposal, VdfProof, bft_digest};
use timed::types::block::{commit_root, evidence_root, tx_root};
use timed::types::codec::encode;
use timed::types::evidence::{BftPart, Evidence};
use timed::types::hash::{BlockHash, ChainId, Hash, Txid};
use timed::types::keys::{PublicKey, SecretKey, Signature};
use timed::types::link::NodeId;
use timed::types::lock::{Lock, Witness};
use timed::types::merkle;
use timed::types::number::{Amount, Epoch, Height, Slot, TimeMs, View};
use timed::types::presence::{Claim, Presence, Run};
use timed::types::transaction::{OutPoint, Payload, Register, Transaction, TxBody, TxOut, Update, sighash};
use timed::types::vote::{FinalityKind, FinalityProof, Receipt, VoteBatch, VotePart, finality_digest};

/// Name and bytes of a file.
type Seed = (String, Vec<u8>);

fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32])
}

fn chain() -> &'static Chain {
    &super::fuzz::chain::CHAIN
}

/// Every target's seeds.
pub fn all() -> Vec<(&'static str, Vec<Seed>)> {
    vec![
        ("address", addresses()),
        ("block", blocks()),
        ("config", configs()),
        ("frame", frames()),
        ("handshake", handshakes()),
        ("message", messages()),
        ("rpc", calls()),
        ("transaction", transactions()),
    ]
}

/// Numbered files.
fn numbered(all: Vec<Vec<u8>>) -> Vec<Seed> {
    all.into_iter().enumerate().map(|(n, bytes)| (format!("seed-{n:02}"), bytes)).collect()
}

fn with(choice: u8, bytes: &[u8]) -> Vec<u8> {
    [&[choice], bytes].concat()
}

fn addresses() -> Vec<Seed> {
    let locks = [Lock::of_key(&key(1).public_key()), Lock::Multisig([7; 32])];
    let texts = locks.map(|lock| to_address(&lock, &chain().address_hrp).unwrap());
    let mut all: Vec<Vec<u8>> =
        texts.iter().flat_map(|text| [text.clone(), text.to_uppercase()]).map(Into::into).collect();
    all.push(to_address(&locks[0], "time").unwrap().into());
    all.push([&[1; 33][..], &[20, 3]].concat());
    numbered(all)
}

fn body(payload: Payload) -> TxBody {
    let outpoint = |n: u8| OutPoint { txid: Txid([n; 32]), index: u32::from(n) };
    let value = Amount::new(chain().tiers[0].collateral.get());
    let output = |lock| TxOut { value, lock };
    let outputs = vec![output(Lock::of_key(&key(1).public_key())), output(Lock::Multisig([3; 32]))];
    TxBody { version: 1, inputs: vec![outpoint(1), outpoint(2)], outputs, payload, memo: b"memo".to_vec() }
}

fn sign(body: TxBody) -> Transaction {
    let digest = sighash(&chain().id(), &body.txid());
    let one = Witness::Key { pubkey: key(1).public_key(), signature: key(1).sign(&digest) };
    let mut keys = [key(2), key(3), key(4)];
    keys.sort_by_key(SecretKey::public_key);
    let signatures = vec![Some(keys[0].sign(&digest)), None, Some(keys[2].sign(&digest))];
    let many = Witness::Multi { threshold: 2, keys: keys.iter().map(SecretKey::public_key).collect(), signatures };
    Transaction { body, witnesses: vec![one, many] }
}

fn register() -> Transaction {
    let mut body = body(Payload::Transfer);
    let mut register = Register {
        consensus_key: key(9).public_key(),
        payout: Lock::KeyHash([4; 32]),
        endpoint: "192.0.2.1:24000".into(),
        collateral_index: 0,
        proof: Signature([0; 64]),
    };
    register.proof = key(9).sign(&register.proof_digest(&chain().id(), &body.inputs[0], &body.outputs[0]));
    body.payload = Payload::Register(register);
    sign(body)
}

fn all_transactions() -> Vec<Transaction> {
    let masternode = Hash([5; 32]).into();
    let update = Update { masternode, payout: Some(Lock::KeyHash([6; 32])), endpoint: Some("h:1".into()) };
    let coinbase = TxBody { inputs: vec![], memo: vec![], ..body(Payload::Coinbase { height: Height::new(300) }) };
    vec![
        sign(body(Payload::Transfer)),
        register(),
        sign(body(Payload::Update(update))),
        sign(body(Payload::Unregister { masternode })),
        Transaction { body: coinbase, witnesses: vec![] },
    ]
}

fn transactions() -> Vec<Seed> {
    let mut all: Vec<Vec<u8>> = all_transactions().iter().map(encode).collect();
    all.push(encode(&body(Payload::Transfer)));
    numbered(all)
}

fn bft_vote(hash: Option<BlockHash>) -> BftVote {
    let (height, view, kind, voter) = (Height::new(3), View::new(1), BftKind::Prepare, key(1));
    let signature = voter.sign(&bft_digest(&chain().id(), height, view, kind, hash));
    BftVote { height, view, kind, block_hash: hash, voter: voter.public_key(), signature }
}

fn vote_batch(kind: FinalityKind) -> VoteBatch {
    let txids: Vec<Txid> = (0..4).map(|n| Txid([n; 32])).collect();
    let (epoch, voter) = (Epoch::new(2), key(1).public_key());
    let mut batch = VoteBatch { epoch, kind, voter, txids, signature: Signature([0; 64]) };
    batch.signature = key(1).sign(&batch.digest(&chain().id()));
    batch
}

fn evidence() -> [Evidence; 2] {
    let part = |n: u8| {
        let BftVote { height, view, kind, block_hash, signature, .. } = bft_vote(Some(BlockHash([n; 32])));
        BftPart { height, view, kind, block_hash, signature }
    };
    let (epoch, voter) = (Epoch::new(2), key(1).public_key());
    let vote = |memo: u8| {
        let body = TxBody { memo: vec![memo], ..body(Payload::Transfer) };
        let txids = [body.txid(), Txid([9; 32])];
        let root = merkle::root(txids.iter().map(Txid::as_bytes));
        let digest = finality_digest(&chain().id(), epoch, FinalityKind::Vote, &voter, &root);
        let path = merkle::path(txids.iter().map(Txid::as_bytes), 0).unwrap();
        VotePart { body, index: 0, count: 2, path, signature: key(1).sign(&digest) }
    };
    [Evidence::of_bft(voter, part(1), part(2)), Evidence::of_votes(voter, epoch, vote(1), vote(2))]
}

fn commit() -> Commit {
    let signatures = vec![Some(Signature([1; 64])), None, Some(Signature([2; 64]))];
    Commit { height: Height::new(2), view: View::ZERO, block_hash: BlockHash([8; 32]), signatures }
}

fn block() -> Block {
    let mut txs = all_transactions();
    let coinbase = txs.pop().unwrap();
    txs.sort_by_key(|tx| tx.body.txid());
    txs.insert(0, coinbase);
    let [evidence, _] = evidence();
    let (last_commit, evidence) = (Some(commit()), vec![evidence]);
    let vdf = VdfProof { y: [6; 256], proof: [7; 256] };
    let txids: Vec<Txid> = txs.iter().map(|tx| tx.body.txid()).collect();
    let header = Header {
        version: 1,
        chain_id: chain().id(),
        height: Height::new(3),
        slot: Slot::new(70_000),
        opened: 3,
        prev: BlockHash([8; 32]),
        tx_root: tx_root(&txids),
        tx_count: 5,
        state_root: Hash([2; 32]),
        last_commit_root: commit_root(last_commit.as_ref()),
        evidence_root: evidence_root(&evidence),
        validators_hash: Hash([3; 32]),
        next_validators_hash: Hash([4; 32]),
        beacon: beacon(&vdf),
        proposer: key(1).public_key(),
        reward: Amount::new(5_000_000_000),
    };
    Block { header, txs, last_commit, evidence, vdf: Some(vdf) }
}

fn proposal() -> Proposal {
    let Block { header, txs, last_commit, evidence, vdf } = block();
    let txids = txs[1..].iter().map(|tx| tx.body.txid()).collect();
    let proof = Some(PrepareProof { view: View::ZERO, signatures: commit().signatures });
    let (view, leader, signature) = (View::new(2), key(1).public_key(), Signature([0; 64]));
    let mut proposal = Proposal { view, proof, header, txids, last_commit, evidence, vdf, leader, signature };
    proposal.signature = key(1).sign(&proposal.digest(&chain().id()));
    proposal
}

fn sealed() -> SealedBlock {
    SealedBlock { block: block(), commit: commit() }
}

fn finality_proof() -> FinalityProof {
    let receipt = |n: u8| Receipt {
        voter: key(n).public_key(),
        index: 1,
        count: 3,
        path: vec![Hash([n; 32]); 2],
        signature: Signature([n; 64]),
    };
    FinalityProof { txid: Txid([1; 32]), epoch: Epoch::new(2), receipts: vec![receipt(1), receipt(2)] }
}

fn blocks() -> Vec<Seed> {
    let bare = Block { txs: vec![], evidence: vec![], vdf: None, ..block() };
    let [bft, votes] = evidence();
    numbered(vec![
        with(0, &encode(&sealed())),
        with(0, &encode(&SealedBlock { block: bare.clone(), commit: commit() })),
        with(1, &encode(&bare)),
        with(2, &encode(&bare.header)),
        with(3, &encode(&commit())),
        with(4, &encode(&proposal())),
        with(5, &encode(&bft_vote(None))),
        with(6, &encode(&vote_batch(FinalityKind::Receipt))),
        with(7, &encode(&bft)),
        with(7, &encode(&votes)),
        with(8, &encode(&finality_proof())),
    ])
}

fn all_messages() -> Vec<Wire> {
    let txids = || (0..3).map(|n| Txid([n; 32])).collect::<Vec<_>>();
    let [bft, votes] = evidence();
    let claim =
        Claim { run: Run([6; 16]), answers: Some(Run([7; 16])), is_signing: true, number: 300, time: TimeMs(9) };
    let replica = [
        Message::Status { height: Height::new(9), hash: BlockHash([1; 32]), lowest: Height::new(1) },
        Message::TxAnnounce(txids()),
        Message::GetTxs(txids()),
        Message::Txs(all_transactions()[..4].to_vec()),
        Message::SampleQuery { query: 7, txids: txids() },
        Message::SampleResponse { query: 7, answers: vec![Answer::Unknown; 3] },
        Message::Votes(vote_batch(FinalityKind::Vote)),
        Message::GetVotes { epoch: Epoch::new(2), txids: txids() },
        Message::Proposal(Box::new(proposal())),
        Message::BftVote(bft_vote(Some(BlockHash([1; 32])))),
        Message::Commit(commit()),
        Message::GetBlocks { from: Height::new(300), count: 7 },
        Message::GetHeaders { from: Height::new(300) },
        Message::GetEpochs { from: Epoch::new(3) },
        Message::Epochs(Vec::new()),
        Message::GetSnapshot { height: Some(Height::new(300)) },
        Message::SnapshotManifest(None),
        Message::GetSnapshotChunk { height: Height::new(300), index: 2 },
        Message::SnapshotChunk { height: Height::new(300), index: 2, bytes: Some(vec![7; 9]) },
        Message::Links(vec![PublicKey([3; 32])]),
        Message::IHave(vec![Signature([4; 64])]),
        Message::IWant(vec![Signature([4; 64])]),
        Message::Blocks(vec![sealed()]),
        Message::Evidence(Box::new(bft)),
        Message::Evidence(Box::new(votes)),
        Message::Presence(Presence { key: key(1).public_key(), claim, signature: Signature([5; 64]) }),
    ];
    let address = |text: &str| PeerAddress::from(text.parse::<SocketAddr>().unwrap());
    let mut all: Vec<Wire> = replica.into_iter().map(|message| Wire::Replica(Arc::new(message))).collect();
    all.extend([
        Wire::Ping { nonce: 300 },
        Wire::Pong { nonce: 300, time: TimeMs(1_700_000_000_000) },
        Wire::GetPeers,
        Wire::Peers(vec![address("192.0.2.1:24000"), address("[2001:db8::1]:24000")]),
        Wire::Close(CloseReason::Fault),
    ]);
    all
}

fn messages() -> Vec<Seed> {
    numbered(all_messages().iter().map(encode).collect())
}

fn frames() -> Vec<Seed> {
    let frame = |body: &[u8]| Frame::new(body).unwrap().bytes().to_vec();
    let small: Vec<u8> = all_messages().iter().take(3).flat_map(|message| frame(&encode(message))).collect();
    numbered(vec![
        with(0, &small),
        with(7, &small),
        with(2, &frame(&[0; 5_000])),
        with(3, &frame(&[0; 5_000])),
        with(4, &[frame(&encode(&sealed())), frame(b"x")].concat()),
        with(9, &[0xff, 0xff, 0xff, 0xff, 0]),
    ])
}

fn hello(node: SecretKey, chain_id: ChainId) -> Vec<u8> {
    let hello = Hello {
        protocol: 1,
        chain_id,
        node_id: NodeId(node.public_key()),
        listen: Some("192.0.2.1:24000".into()),
        tip: Height::new(5),
        time: TimeMs(1_700_000_000_000),
        agent: "timed/0.1.0".into(),
        nonce: 2,
        masternode: None,
    };
    Frame::new(&encode(&hello)).unwrap().bytes().to_vec()
}

fn handshakes() -> Vec<Seed> {
    let payload = encode(&(NodeId(key(3).public_key()), Signature([1; 64])));
    let first = [&[0, 32][..], &[9; 32]].concat();
    let second = [&[0, 192][..], &[9; 192]].concat();
    numbered(vec![
        with(0, &first),
        with(0, &[first.clone(), second.clone()].concat()),
        with(1, &second),
        with(2, &[]),
        with(2, b"x"),
        with(3, &payload),
        with(4, &payload),
        with(5, &[1; 40]),
        with(6, &hello(key(3), chain().id())),
        with(6, &hello(key(2), chain().id())),
        with(6, &hello(key(3), ChainId([1; 32]))),
    ])
}

fn configs() -> Vec<Seed> {
    let mut spec = ChainSpec::clone(chain());
    spec.allocations = vec![Allocation { address: Lock::Multisig([1; 32]), amount: Amount::new(1) }];
    numbered(vec![
        include_bytes!("../../config.example.toml").to_vec(),
        toml::to_string(&Config::default()).unwrap().into(),
        b"[sync]\ncheckpoint = \"1:00\"\n[p2p]\nseeds = [\"h:1\"]\nlisten = \"[::]:1\"\n".to_vec(),
        spec.to_toml().unwrap().into(),
    ])
}

fn calls() -> Vec<Seed> {
    let hash = "ab".repeat(32);
    let address = to_address(&Lock::KeyHash([1; 32]), &chain().address_hrp).unwrap();
    let hex: String = encode(&sign(body(Payload::Transfer))).iter().map(|byte| format!("{byte:02x}")).collect();
    let header: String = encode(&block().header).iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = "cd".repeat(64);
    let receipts = format!(
        r#"[{{"kind":"receipts","txid":"{hash}","epoch":2,"receipts":[{{"voter":"{hash}","index":1,"count":3,"path":["{hash}"],"signature":"{signature}"}}]}}]"#
    );
    let in_block = format!(
        r#"[{{"kind":"block","txid":"{hash}","height":3,"header":"{header}","commit":null,"index":0,"count":1,"path":[]}}]"#
    );
    let unsigned =
        format!(r#"{{"inputs":[{{"txid":"{hash}","index":1}}],"outputs":{{"{address}":"5"}},"memo":"00ff"}}"#);
    let one = |name: &str| match name {
        "verify_finality_proof" => vec![receipts.clone(), in_block.clone()],
        "create_raw_transaction" => vec![unsigned.clone()],
        "send_raw_transaction" | "decode_raw_transaction" => vec![format!("[\"{hex}\"]")],
        "test_mempool_accept" => vec![format!("[[\"{hex}\"]]")],
        "get_block" => vec!["[5, 2]".to_owned(), format!("{{\"block\":\"{hash}\"}}")],
        "get_transaction_status" => vec![format!("[[\"{hash}\"]]")],
        "list_unspent" => vec![format!("[\"{address}\", null, 10]")],
        "get_balance" | "validate_address" => vec![format!("[\"{address}\"]")],
        "set_ban" => vec![r#"["192.0.2.1", "add", "3600", true]"#.to_owned()],
        "add_node" => vec![r#"["192.0.2.1:24000"]"#.to_owned()],
        "wait_for_transaction" => vec![format!(r#"["{hash}", "archived", 5]"#)],
        "get_tx_out" => vec![format!(r#"["{hash}", 1]"#)],
        _ => vec![],
    };
    let all = METHODS.iter().enumerate().flat_map(|(choice, method)| {
        let choice = u8::try_from(choice).unwrap();
        one(method.name).into_iter().map(move |json| with(choice, json.as_bytes()))
    });
    numbered(all.collect())
}
