//! Dials configured addresses and those of the address book, and dials them again when their links end.

use super::conversation::Conversation;
use super::ended::Ended;
use super::error::LinkError;
use super::explore::{Explorer, Visit, note};
use super::hello::HelloError;
use super::message::CloseReason;
use super::session::{self, Socket};
use super::shared::Shared;
use super::targets::{Targets, Wish};
use crate::types::link::{NodeId, Role};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::debug;

/// What the dialer is told.
#[derive(Debug)]
pub(super) enum DialCommand {
    /// To keep up a link to this address.
    Want(String, Wish),
    /// That a wish is taken back.
    Forget(String, Wish),
    /// A dial failed, or the link that came of it ended.
    Ended(String, Ended),
    /// The same of an address of the book.
    Visited(SocketAddr, Ended),
}

/// The dialer's state.
struct Dialer {
    shared: Arc<Shared>,
    commands: mpsc::Sender<DialCommand>,
    targets: Targets,
    explorer: Explorer,
}

/// Runs until the node stops. `commands` is for the tasks that it starts.
pub(super) async fn run(
    shared: Arc<Shared>,
    commands: mpsc::Sender<DialCommand>,
    mut mail: mpsc::Receiver<DialCommand>,
) {
    let timings = shared.settings.timings;
    let (targets, explorer) = (Targets::new(timings), Explorer::new(timings, Instant::now()));
    let mut dialer = Dialer { shared, commands, targets, explorer };
    let shared = dialer.shared.clone();
    shared.settings.seeds.iter().for_each(|seed| dialer.targets.want(seed.clone(), Wish::Seed, Instant::now()));
    let mut save = interval(timings.save);
    save.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        dialer.dial_what_is_due();
        let next = dialer.explorer.next_due();
        let next = dialer.targets.next_due().map_or(next, |due| due.min(next));
        // Receiving, ticks and notices are cancel-safe.
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            Some(command) = mail.recv() => dialer.take(command),
            () = shared.learnt.notified() => {}
            _ = save.tick() => shared.save_book().await,
            () = sleep_until(next) => {}
        }
    }
}

impl Dialer {
    fn take(&mut self, command: DialCommand) {
        match command {
            DialCommand::Want(address, wish) => self.targets.want(address, wish, Instant::now()),
            DialCommand::Forget(address, wish) => self.targets.forget(&address, wish),
            DialCommand::Ended(address, ended) => {
                let draw = |most| rand::random_range(0..=most);
                self.targets.ended(&address, &ended, Instant::now(), draw);
            }
            DialCommand::Visited(address, ended) => {
                self.explorer.ended(address);
                let settings = &self.shared.settings;
                let is_online = !self.shared.table.links().is_empty();
                let book = &mut self.shared.book();
                note(book, address, &ended, &settings.timings, settings.clock.now(), is_online);
            }
        }
    }

    fn dial_what_is_due(&mut self) {
        let table = &self.shared.table;
        let is_linked = |address: &str, node: Option<NodeId>| table.is_linked(node, address.parse().ok());
        for address in self.targets.due(Instant::now(), is_linked) {
            self.spawn(|shared| async move {
                let ended = dial(&shared, &address).await;
                DialCommand::Ended(address, ended)
            });
        }
        let (guard, is_full) = (&self.shared.guard, table.is_full());
        let may_be =
            |address: &SocketAddr| !is_full && !guard.keeps_out(address.ip()) && !table.is_linked(None, Some(*address));
        let clock = self.shared.settings.clock.now();
        let due = self.explorer.due(Instant::now(), clock, &mut self.shared.book(), may_be);
        for (address, visit) in due {
            self.spawn(move |shared| async move {
                let ended = match visit {
                    Visit::Link => dial(&shared, address).await,
                    Visit::Feeler => feel(&shared, address).await,
                };
                DialCommand::Visited(address, ended)
            });
        }
    }

    /// Runs a dial to its end and tells the dialer.
    fn spawn<F: Future<Output = DialCommand> + Send + 'static>(&self, dial: impl FnOnce(Arc<Shared>) -> F) {
        let (dial, commands) = (dial(self.shared.clone()), self.commands.clone());
        self.shared.tracker.spawn(async move {
            if commands.send(dial.await).await.is_err() {
                debug!("the dialer has stopped");
            }
        });
    }
}

/// Connects to an address and keeps the link that comes of it until it ends.
pub(super) async fn dial(shared: &Shared, address: impl ToSocketAddrs) -> Ended {
    match connect(shared, address).await {
        Ok(socket) => session::run(shared, socket, None).await,
        Err(reason) => Ended { node: None, held: None, reason },
    }
}

/// Looks whether a node of this chain is at an address. It ends before `Hello`, so neither end knows of a link, and one
/// that they may have otherwise stays.
pub(super) async fn feel(shared: &Shared, address: SocketAddr) -> Ended {
    let Socket { reader, writer, role, .. } = match connect(shared, address).await {
        Ok(socket) => socket,
        Err(reason) => return Ended { node: None, held: None, reason },
    };
    let deadline = Instant::now() + shared.settings.timings.handshake;
    match session::until(shared, deadline, Conversation::open(shared, reader, writer, role)).await {
        Ok(conversation) if conversation.node_id == shared.identity.node_id() => {
            Ended { node: None, held: None, reason: HelloError::SelfConnection.into() }
        }
        Ok(conversation) => {
            let steady = shared.settings.timings.steady;
            let reason = LinkError::Closed(CloseReason::Requested);
            Ended { node: Some(conversation.node_id), held: Some(steady), reason }
        }
        Err(reason) => Ended { node: None, held: None, reason },
    }
}

async fn connect(shared: &Shared, address: impl ToSocketAddrs) -> Result<TcpSocket, LinkError> {
    let connected = tokio::select! {
        () = shared.cancel.cancelled() => return Err(LinkError::Closed(CloseReason::Stopping)),
        connected = timeout(shared.settings.timings.dial, TcpStream::connect(address)) => connected,
    };
    let socket = match connected {
        Ok(Ok(stream)) => socket(stream, Role::Initiator),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    socket.map_err(|error| {
        debug!(%error, "cannot connect");
        LinkError::Unreachable(error.to_string())
    })
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
