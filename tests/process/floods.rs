//! What a peer can do that no rule forbids, as much of it as it can: payments, addresses and questions without end. A node
//! has to bound what that takes from others; it cuts off nobody for it who keeps to the rates.

use crate::intruder::{Intruder, Target, frame};
use crate::payer::{Coin, Payer};
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use timed::limits::{MAX_ADDRESSES_PER_MESSAGE, MAX_QUERY_TXIDS};
use timed::network::{PeerAddress, Wire};
use timed::replica::Message;
use timed::types::codec::encode;
use timed::types::hash::Txid;
use timed::types::keys::SecretKey;
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, Epoch, Height};
use timed::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut, sighash};

/// Payments in one message.
const PAYMENTS: u32 = 100;
/// Least time from one message of payments to the next, of each peer.
const PAYMENTS_EVERY: Duration = Duration::from_millis(40);
/// A link over which this many messages with addresses went is closed and opened anew: a node asks only so often.
const TELLS_PER_LINK: u64 = 50;
/// Coins over which rivals are spread.
pub const RIVAL_COINS: usize = 100;

/// One message, by who sends it and how many it sent before.
type Next = Box<dyn Fn(u64, u64) -> Message + Sync>;
/// Says one message over a link; by whom, and how many it said before. How many units that was.
type Speak = Box<dyn Fn(&mut Intruder, u64, u64) -> io::Result<u64> + Sync>;

/// One way to be a burden.
pub struct Flood {
    pub name: &'static str,
    /// What a message holds several of.
    pub unit: &'static str,
    /// Says one message as the peer of this number, which said so many before; how many units that was.
    speak: Speak,
    /// Least time between two messages of one peer.
    every: Duration,
    /// Messages after which a link is closed and another one opened.
    most_per_link: u64,
}

/// What came of it.
#[derive(Default, Debug)]
pub struct Flooded {
    pub units: AtomicU64,
    pub links: AtomicU64,
    /// Links that the node ended.
    pub cut: AtomicU64,
}

impl Flood {
    fn of(name: &'static str, unit: &'static str, every: Duration, units: u64, next: Next) -> Self {
        let speak: Speak = Box::new(move |intruder, number, count| {
            intruder.say(&frame(&encode(&Wire::Replica(Arc::new(next(number, count))))))?;
            Ok(units)
        });
        Self { name, unit, speak, every, most_per_link: u64::MAX }
    }

    /// Goes on as that peer until `end`; anew where the node ends a link.
    pub fn run(&self, target: &Target, number: u64, end: Instant, flooded: &Flooded) {
        let mut count = 0u64;
        while Instant::now() < end {
            let Ok(mut intruder) = Intruder::introduced(target, number, target.chain) else { continue };
            flooded.links.fetch_add(1, Ordering::Relaxed);
            let mut answers = intruder.stream.try_clone().unwrap();
            // Takes what the node says, as fast as it comes: who does not is dropped.
            let listener = std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 20];
                while matches!(answers.read(&mut buffer), Ok(1..)) {}
            });
            let last = count.saturating_add(self.most_per_link);
            while Instant::now() < end && count < last {
                let begin = Instant::now();
                match (self.speak)(&mut intruder, number, count) {
                    Ok(units) => flooded.units.fetch_add(units, Ordering::Relaxed),
                    Err(_) => {
                        flooded.cut.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                };
                count += 1;
                // The pace of the attack.
                std::thread::sleep(self.every.saturating_sub(begin.elapsed()));
            }
            // It has ended already if the node hung up.
            intruder.stream.shutdown(std::net::Shutdown::Both).ok();
            listener.join().unwrap();
        }
    }
}

/// All of them; `coins` are the attacker's own.
pub fn all(payer: &Payer, coins: Vec<Coin>) -> Vec<Flood> {
    let questions = |name, message: fn(u64, u64) -> Message, units| {
        Flood::of(name, "asked for", Duration::from_millis(2), units, Box::new(message))
    };
    let many = MAX_QUERY_TXIDS as u64;
    vec![
        Flood::of("orphans", "payments", PAYMENTS_EVERY, PAYMENTS.into(), orphans(payer)),
        Flood::of(
            "rivals of a hundred coins",
            "payments",
            PAYMENTS_EVERY,
            PAYMENTS.into(),
            rivals(payer, coins.clone()),
        ),
        Flood::of(
            "rivals of one coin",
            "payments",
            PAYMENTS_EVERY,
            PAYMENTS.into(),
            rivals(payer, coins[..1].to_vec()),
        ),
        addresses(),
        questions("SampleQuery", |n, count| Message::SampleQuery { query: count, txids: unknown(n, count) }, many),
        questions("GetTxs", |n, count| Message::GetTxs(unknown(n, count)), many),
        questions("TxAnnounce", |n, count| Message::TxAnnounce(unknown(n, count)), many),
        questions(
            "GetVotes",
            |n, count| Message::GetVotes { epoch: Epoch::new(count % 64), txids: unknown(n, count) },
            many,
        ),
        questions("GetBlocks", |_, _| Message::GetBlocks { from: Height::new(1), count: 64 }, 1),
    ]
}

/// Txids that nobody has.
fn unknown(number: u64, count: u64) -> Vec<Txid> {
    let txid = |index: usize| {
        let mut bytes = [0xee; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..16].copy_from_slice(&count.to_le_bytes());
        bytes[16..24].copy_from_slice(&(index as u64).to_le_bytes());
        Txid(bytes)
    };
    (0..MAX_QUERY_TXIDS).map(txid).collect()
}

/// Payments with good signatures that spend what nobody knows.
fn orphans(payer: &Payer) -> Next {
    let (key, chain) = (SecretKey::from_bytes(&[0x67; 32]), payer.chain.clone());
    let value = Amount::new(chain.min_output.get() * 10);
    Box::new(move |number, count| {
        let payment = |index: u32| {
            let mut parent = [0x77; 32];
            parent[..8].copy_from_slice(&number.to_le_bytes());
            parent[8..16].copy_from_slice(&count.to_le_bytes());
            let body = TxBody {
                version: 1,
                inputs: vec![OutPoint { txid: Txid(parent), index }],
                outputs: vec![TxOut { value, lock: Lock::of_key(&key.public_key()) }],
                payload: Payload::Transfer,
                memo: Vec::new(),
            };
            let signature = key.sign(&sighash(&chain.id(), &body.txid()));
            Transaction { witnesses: vec![Witness::Key { pubkey: key.public_key(), signature }], body }
        };
        Message::Txs((0..PAYMENTS).map(payment).collect())
    })
}

/// Good payments that each spend one of `coins`, over and over.
fn rivals(payer: &Payer, coins: Vec<Coin>) -> Next {
    let payer = payer.like();
    Box::new(move |number, count| {
        let payment = |index: u32| {
            let coin = coins[index as usize % coins.len()];
            let memo = [number, count, index.into()].map(u64::to_le_bytes).concat();
            payer.pay_with(coin, crate::payer::stranger(61), 10_000, memo)
        };
        Message::Txs((0..PAYMENTS).map(payment).collect())
    })
}

/// Addresses of this machine at which nobody listens, as many as a message holds. A node takes as many as it asked for.
fn addresses() -> Flood {
    let speak: Speak = Box::new(|intruder, number, count| {
        let address = |index: usize| {
            let [.., a, b] = (number * 7_919 + count * 64 + index as u64).to_be_bytes();
            let ip = Ipv4Addr::new(127, u8::try_from(number % 200).unwrap() + 1, a, b);
            PeerAddress::from(SocketAddr::from((ip, 9)))
        };
        let told = (0..MAX_ADDRESSES_PER_MESSAGE).map(address).collect();
        intruder.say(&frame(&encode(&Wire::Peers(told))))?;
        Ok(MAX_ADDRESSES_PER_MESSAGE as u64)
    });
    let every = Duration::from_millis(2);
    Flood { name: "addresses", unit: "told", speak, every, most_per_link: TELLS_PER_LINK }
}
