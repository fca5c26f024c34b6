//! A node that says what an honest one says, except for the chunks of snapshots: in each a bit is wrong.
//!
//! It has no chain of its own. What it is asked it asks a node behind it, and hands the answer on.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use timed::chain::spec::Chain;
use timed::network::{Event, Network, Settings};
use timed::replica::{Message, PeerId};
use timed::types::keys::SecretKey;
use tokio::runtime::Runtime;

/// See the module. Ends with its runtime.
pub struct Liar {
    _runtime: Runtime,
}

impl Liar {
    /// Listens at `listen`, with `honest` behind it.
    pub fn start(chain: &Chain, listen: SocketAddr, honest: SocketAddr) -> Self {
        let runtime = Runtime::new().unwrap();
        let id = chain.id();
        runtime.spawn(async move {
            let mut front = Settings::new(id, SecretKey::from_bytes(&[0x77; 32]));
            front.listen = Some(listen);
            let mut behind = Settings::new(id, SecretKey::from_bytes(&[0x78; 32]));
            behind.seeds = vec![honest.to_string()];
            let (front, questions) = Network::start(front).await.unwrap();
            let (behind, answers) = Network::start(behind).await.unwrap();
            relay((&front, questions), (&behind, answers)).await;
        });
        Self { _runtime: runtime }
    }
}

type Side<'a> = (&'a Network, tokio::sync::mpsc::Receiver<Event>);

async fn relay((front, mut questions): Side<'_>, (behind, mut answers): Side<'_>) {
    let (mut honest, mut asking): (Option<PeerId>, VecDeque<PeerId>) = (None, VecDeque::new());
    loop {
        tokio::select! {
            Some(event) = questions.recv() => {
                if let (Event::Message { peer, message, .. }, Some(honest)) = (event, honest) && is_about_history(&message) {
                    asking.push_back(peer);
                    behind.handle().send_message(honest, &Arc::new(message)).unwrap();
                }
            }
            Some(event) = answers.recv() => match event {
                Event::Connected { peer, .. } => honest = Some(peer),
                Event::Message { message, .. } => {
                    if let Some((message, asked)) = garbled(message).zip(asking.pop_front()) {
                        front.handle().send_message(asked, &Arc::new(message)).unwrap();
                    }
                }
                Event::Disconnected { .. } => honest = None,
            },
            else => return,
        }
    }
}

fn is_about_history(message: &Message) -> bool {
    matches!(message, Message::GetEpochs { .. } | Message::GetSnapshot { .. } | Message::GetSnapshotChunk { .. })
}

/// The answer as it is handed on; `None` if it is none.
fn garbled(message: Message) -> Option<Message> {
    match message {
        Message::SnapshotChunk { height, index, bytes: Some(mut bytes) } => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            Some(Message::SnapshotChunk { height, index, bytes: Some(bytes) })
        }
        Message::Epochs(_) | Message::SnapshotManifest(_) | Message::SnapshotChunk { .. } => Some(message),
        _ => None,
    }
}
