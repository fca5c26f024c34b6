//! The beginning and the end of what two nodes say to each other: a secure channel, `Hello`, and why it is over.

use super::error::LinkError;
use super::frame::Frame;
use super::hello::{Expected, Hello, HelloError, PROTOCOL};
use super::message::Wire;
use super::noise::handshake;
use super::shared::Shared;
use super::stream::{FrameReader, FrameWriter, Traffic};
use crate::limits::{MAX_HANDSHAKE_BYTES, MAX_MESSAGE_BYTES};
use crate::types::codec::{decode, encode};
use crate::types::link::{NodeId, Role};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::debug;

/// A channel to a node that proved who it is.
#[derive(Debug)]
pub(super) struct Conversation<R, W> {
    pub reader: FrameReader<R>,
    pub writer: FrameWriter<W>,
    pub node_id: NodeId,
    pub handshake_hash: [u8; 32],
    pub traffic: Arc<Traffic>,
    /// This node's role.
    role: Role,
}

/// What both ends said of themselves.
#[derive(Debug)]
pub(super) struct Introduction {
    pub mine: Hello,
    pub theirs: Hello,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Conversation<R, W> {
    /// Runs the handshake. Its caller limits the time.
    ///
    /// # Errors
    /// [`LinkError`]: the connection failed, or the other end is no node of this chain.
    pub(super) async fn open(shared: &Shared, mut reader: R, mut writer: W, role: Role) -> Result<Self, LinkError> {
        let channel = handshake(&mut reader, &mut writer, role, &shared.identity).await?;
        let traffic = Arc::new(Traffic::default());
        let silence = shared.settings.timings.silence;
        Ok(Self {
            reader: FrameReader::new(reader, channel.opener, MAX_HANDSHAKE_BYTES, silence, traffic.clone()),
            writer: FrameWriter::new(writer, channel.sealer, traffic.clone()),
            node_id: channel.node_id,
            handshake_hash: channel.handshake_hash,
            traffic,
            role,
        })
    }

    /// Says `Hello`, hears it and checks it. Its caller limits the time.
    ///
    /// # Errors
    /// [`LinkError`]: the connection failed, or this node refuses the other.
    pub(super) async fn introduce(&mut self, shared: &Shared) -> Result<Introduction, LinkError> {
        let mine = self.hello(shared);
        let mut frame = Some(Frame::new(&encode(&mine))?.bytes().clone());
        self.writer.write_all(|| frame.take()).await?;
        let theirs = self.reader.next_frame().await?.unpack()?;
        let theirs: Hello = decode(&theirs).map_err(HelloError::from)?;
        theirs.check(Expected {
            chain: shared.settings.chain,
            own_id: shared.identity.node_id(),
            own_nonce: shared.nonce,
            proved: self.node_id,
            role: self.role.other(),
            handshake_hash: &self.handshake_hash,
        })?;
        self.reader.set_limit(MAX_MESSAGE_BYTES);
        Ok(Introduction { mine, theirs })
    }

    fn hello(&self, shared: &Shared) -> Hello {
        let settings = &shared.settings;
        Hello {
            protocol: PROTOCOL,
            chain_id: settings.chain,
            node_id: shared.identity.node_id(),
            listen: shared.listen.clone(),
            tip: shared.tip(),
            time: settings.clock.now(),
            agent: settings.agent.clone(),
            nonce: shared.nonce,
            masternode: settings.prover.as_ref().map(|prover| prover.prove(self.role, &self.handshake_hash)),
        }
    }

    /// Tells the other end why this is over, if that is worth the try and done in time.
    pub(super) async fn farewell(&mut self, shared: &Shared, reason: &LinkError) {
        let Some(Ok(frame)) = reason.to_tell().map(|reason| Wire::Close(reason).frame()) else { return };
        let tell = async {
            self.writer.finish(Some(frame.bytes().clone())).await?;
            // What still comes is taken: a socket closed with bytes unread would throw away what is on its way out.
            self.reader.drain().await;
            Ok::<(), LinkError>(())
        };
        if !matches!(timeout(shared.settings.timings.close, tell).await, Ok(Ok(()))) {
            debug!(%reason, "the other end was not told");
        }
    }
}
