//! Dials configured addresses and those that peers told, and dials them again when their links end.

use super::error::LinkError;
use super::message::CloseReason;
use super::session::{self, Ended, Socket};
use super::shared::Shared;
use super::targets::Targets;
use crate::types::link::{NodeId, Role};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

/// What the dialer is told.
#[derive(Debug)]
pub(super) enum DialCommand {
    /// To keep up a link to this address.
    Want(String),
    /// To dial it no more.
    Forget(String),
    /// A dial failed, or the link that came of it ended.
    Ended(String, Ended),
}

/// The dialer's mailboxes.
#[derive(Debug)]
pub(super) struct Mail {
    pub commands: mpsc::Receiver<DialCommand>,
    pub learnt: mpsc::Receiver<Vec<SocketAddr>>,
}

/// Runs until the node stops. `commands` is for the tasks that it starts.
pub(super) async fn run(shared: Arc<Shared>, commands: mpsc::Sender<DialCommand>, mut mail: Mail) {
    let mut targets = Targets::new(shared.settings.timings);
    shared.settings.seeds.iter().for_each(|seed| targets.want(seed.clone(), Instant::now()));
    loop {
        let is_linked = |address: &str, node: Option<NodeId>| shared.table.is_linked(node, address.parse().ok());
        for address in targets.due(Instant::now(), is_linked) {
            let (shared, commands) = (shared.clone(), commands.clone());
            shared.tracker.clone().spawn(async move {
                let ended = dial(&shared, &address).await;
                if commands.send(DialCommand::Ended(address, ended)).await.is_err() {
                    debug!("the dialer has stopped");
                }
            });
        }
        let next = targets.next_due();
        let wake = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        // Receiving is cancel-safe.
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            Some(command) = mail.commands.recv() => match command {
                DialCommand::Want(address) => targets.want(address, Instant::now()),
                DialCommand::Forget(address) => targets.forget(&address),
                DialCommand::Ended(address, ended) => {
                    let draw = |most| rand::random_range(0..=most);
                    targets.ended(&address, &ended, Instant::now(), draw);
                }
            },
            Some(addresses) = mail.learnt.recv() => {
                addresses.into_iter().for_each(|address| targets.learn(address, Instant::now()));
            }
            () = wake => {}
        }
    }
}

/// Connects to an address and keeps the link that comes of it until it ends.
pub(super) async fn dial(shared: &Shared, address: &str) -> Ended {
    let failed = |reason| Ended { node: None, held: None, reason };
    let limit = shared.settings.timings.dial;
    let connected = tokio::select! {
        () = shared.cancel.cancelled() => return failed(LinkError::Closed(CloseReason::Stopping)),
        connected = timeout(limit, TcpStream::connect(address)) => connected,
    };
    let socket = match connected {
        Ok(Ok(stream)) => socket(stream, Role::Initiator),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match socket {
        Ok(socket) => session::run(shared, socket, None).await,
        Err(error) => {
            debug!(address, %error, "cannot connect");
            failed(LinkError::Unreachable(error.to_string()))
        }
    }
}

/// Halves of a TCP connection.
pub(super) type TcpSocket = Socket<tokio::net::tcp::OwnedReadHalf, tokio::net::tcp::OwnedWriteHalf>;

/// Makes a connection ready: small messages leave at once, and little waits in the kernel, where nothing overtakes.
pub(super) fn socket(stream: TcpStream, role: Role) -> io::Result<TcpSocket> {
    let address = stream.peer_addr()?;
    stream.set_nodelay(true)?;
    if let Err(error) = limit_unsent(&stream) {
        debug!(%error, "urgent messages may wait in the kernel behind others");
    }
    let (reader, writer) = stream.into_split();
    Ok(Socket { reader, writer, address, role })
}

#[cfg(target_os = "linux")]
fn limit_unsent(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(crate::limits::MAX_UNSENT_SOCKET_BYTES)
}

/// Other systems have no such limit.
#[cfg(not(target_os = "linux"))]
fn limit_unsent(_: &TcpStream) -> io::Result<()> {
    Ok(())
}
