//! The wire between machines: every frame passes here, may be late, lost, or stopped by a cut.
//!
//! Machines send their Ethernet frames inside VXLAN (RFC 7348), each to a socket of its own at this end. So delay, loss and
//! cuts need nothing from the kernel but VXLAN; `tc netem` is missing in many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// VXLAN's port.
pub const PORT: u16 = 4_789;
/// Bytes before the frame: flags and the network's number.
const VXLAN_BYTES: usize = 8;
/// Longest datagram.
const MAX_BYTES: usize = 65_536;
/// How often a thread that waits looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// The Ethernet address of a machine's end: the number is what the wire finds it by.
pub fn hardware_address(machine: u8) -> String {
    format!("02:00:00:00:00:{machine:02x}")
}

/// What happens to frames.
#[derive(Clone, Default)]
struct Conduct {
    delay: Duration,
    /// Frames lost of a thousand.
    loss: u32,
    /// Machines on the far side of a cut.
    beyond: Vec<usize>,
}

/// A frame under way: when it is due, in which order it came, to whom, and itself.
type Late = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Shared {
    sockets: Vec<UdpSocket>,
    machines: Vec<SocketAddr>,
    conduct: Mutex<Conduct>,
    late: Mutex<BinaryHeap<Late>>,
    earlier: Condvar,
    carried: AtomicU64,
    lost: AtomicU64,
    over: AtomicBool,
}

/// See the module.
pub struct Wire {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Wire {
    /// A wire between machines, each given by the two ends of the line to it: this one, and the machine's.
    pub fn new(ends: &[(Ipv4Addr, Ipv4Addr)]) -> std::io::Result<Self> {
        let socket = |(here, _): &(Ipv4Addr, Ipv4Addr)| {
            let socket = UdpSocket::bind((*here, PORT))?;
            socket.set_read_timeout(Some(LOOK))?;
            Ok(socket)
        };
        let shared = Arc::new(Shared {
            sockets: ends.iter().map(socket).collect::<std::io::Result<_>>()?,
            machines: ends.iter().map(|(_, there)| (*there, PORT).into()).collect(),
            conduct: Mutex::default(),
            late: Mutex::default(),
            earlier: Condvar::new(),
            carried: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let mut threads = Vec::new();
        for machine in 0..ends.len() {
            let shared = Arc::clone(&shared);
            threads.push(std::thread::spawn(move || shared.take_from(machine)));
        }
        let late = Arc::clone(&shared);
        threads.push(std::thread::spawn(move || late.deliver_late()));
        Ok(Self { shared, threads })
    }

    /// From now on frames take this long, one way, and so many of a thousand are lost.
    pub fn set_line(&self, delay: Duration, loss: u32) {
        let mut conduct = self.shared.conduct.lock().unwrap();
        (conduct.delay, conduct.loss) = (delay, loss);
    }

    /// Nothing passes between these machines and the others any more, in neither direction; nobody is told.
    pub fn cut(&self, beyond: &[usize]) {
        self.shared.conduct.lock().unwrap().beyond = beyond.to_vec();
    }

    pub fn heal(&self) {
        self.cut(&[]);
    }

    /// Frames that arrived, and that were lost or met a cut.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.carried.load(Ordering::Relaxed), self.shared.lost.load(Ordering::Relaxed))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn take_from(&self, from: usize) {
        let mut buffer = vec![0; MAX_BYTES];
        let mut number = 0;
        while !self.is_over() {
            // Time is up, or a machine's kernel said that nobody listens there yet.
            let Ok((length, _)) = self.sockets[from].recv_from(&mut buffer) else { continue };
            let Some(frame) = buffer.get_mut(VXLAN_BYTES..length) else { continue };
            fill_in_checksum(frame);
            let Some(target) = frame.first_chunk::<6>().copied() else { continue };
            let is_for_all = target[0] & 1 == 1;
            for to in (0..self.machines.len()).filter(|to| *to != from) {
                if is_for_all || usize::from(target[5]) == to {
                    number += 1;
                    self.carry(from, to, number, &buffer[..length]);
                }
            }
        }
    }

    fn carry(&self, from: usize, to: usize, number: u64, datagram: &[u8]) {
        let Conduct { delay, loss, beyond } = self.conduct.lock().unwrap().clone();
        if beyond.contains(&from) != beyond.contains(&to) || rand::random_range(0..1_000) < loss {
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else if delay.is_zero() {
            self.hand_over(to, datagram);
        } else {
            self.late.lock().unwrap().push(Reverse((Instant::now() + delay, number, to, datagram.to_vec())));
            self.earlier.notify_one();
        }
    }

    fn hand_over(&self, to: usize, datagram: &[u8]) {
        // Where nobody listens a frame is lost, as on any wire.
        let was_sent = self.sockets[to].send_to(datagram, self.machines[to]).is_ok();
        let counter = if was_sent { &self.carried } else { &self.lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn deliver_late(&self) {
        let mut late = self.late.lock().unwrap();
        while !self.is_over() {
            let due = late.peek().map(|Reverse((due, ..))| *due);
            let wait = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                let Some(Reverse((_, _, to, datagram))) = late.pop() else { continue };
                drop(late);
                self.hand_over(to, &datagram);
                late = self.late.lock().unwrap();
            } else {
                late = self.earlier.wait_timeout(late, wait.min(LOOK)).unwrap().0;
            }
        }
    }
}

/// Fills in the checksum of TCP (RFC 9293): between machines of one kernel it is left to hardware that is not there, and
/// here the frame leaves that kernel's sight.
fn fill_in_checksum(frame: &mut [u8]) {
    const IPV4: [u8; 2] = [8, 0];
    const TCP: u8 = 6;
    const AT: usize = 16;
    if frame.get(12..14) != Some(&IPV4[..]) {
        return;
    }
    let packet = &mut frame[14..];
    let header = usize::from(packet[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    if packet[9] != TCP || total > packet.len() || total < header + AT + 2 {
        return;
    }
    let (ip, segment) = packet[..total].split_at_mut(header);
    segment[AT..AT + 2].fill(0);
    let words = |bytes: &[u8]| -> u32 {
        let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        bytes.chunks(2).map(word).sum()
    };
    // Addresses, protocol and length stand for the IP header.
    let mut sum = words(&ip[12..20]) + u32::from(TCP) + segment.len() as u32 + words(segment);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !(sum as u16);
    segment[AT..AT + 2].copy_from_slice(&checksum.to_be_bytes());
}
