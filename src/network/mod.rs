//! Links to other nodes (`protocol.md` 10): who is there, what they say, what they are told.
//!
//! [`Network::start`] listens and dials; what happens comes as [`Event`]s, what is to be done goes through [`Handle`].
//! Everything that concerns the bytes, the handshake, signs of life, addresses and numbers of links stays inside.
//!
//! # Nobody waits for anybody else
//! - **Outwards** a frame is put into the queue of its peer, urgent before bulk ([`Priority`]); a peer for which too much
//!   waits is dropped. A frame is encoded once for all peers.
//! - **Inwards** a message comes with an [`Allowance`] out of its peer's own share. The node keeps it until the message is
//!   dealt with; a peer that used up its share is not read from, which its TCP connection tells it. The channel of events
//!   has room for the shares of all peers, so no peer fills it for the others.
//! - A link is one task. It ends when its connection does, when a limit is crossed, or when the node says so.
//!
//! # The order of files
//! `noise` (channel), `frame` and `stream` (frames over it), `hello` and `message` (what they hold), `outgoing`, `peer`
//! and `table` (links), `conversation` and `session` (the life of one), `book` with `peers_file` (where nodes may be),
//! `targets`, `explore` and `dial` (whom to dial), `meter` (rates and scores), `bans` with `bans_file` and `guard` (who is
//! kept out), `server` (all together).

mod address;
mod bans;
mod bans_file;
mod book;
mod clock_offset;
mod conversation;
mod dial;
mod ended;
mod error;
mod event;
mod explore;
mod frame;
mod guard;
mod hello;
mod kept;
mod message;
mod meter;
mod noise;
mod outgoing;
mod peer;
mod peers_file;
mod server;
mod session;
mod settings;
mod shared;
mod stream;
mod table;
mod targets;
#[cfg(test)]
mod testing;

pub use bans::{Ban, Banned, TooManyBans};
pub use bans_file::read_banned;
pub use clock_offset::ClockOffset;
pub use error::LinkError;
pub use event::{Allowance, Event};
pub use frame::{Frame, FrameError, FrameParser, ReceivedFrame};
pub use hello::{Expected, Hello, HelloError};
pub use message::{CloseReason, PeerAddress, Priority, Wire, priority, replica_frame};
pub use noise::{Channel, HandshakeError, Identity, NoiseError, Opener, Sealer, handshake};
pub use peer::{PeerInfo, PeerSnapshot};
pub use server::{AddNodeError, Handle, Network, NetworkError};
pub use settings::{Clock, Disk, Settings, SettingsError, Timings};
pub use targets::Wish;
