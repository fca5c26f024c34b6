//! Machines of their own for nodes: network namespaces that reach each other over a [`Wire`] only.
//!
//! Each has a line to this process (for JSON-RPC, and the wire's other end) and a VXLAN device over it, on which it has the
//! address that other machines know. Needs the right to make namespaces, and iproute2. Names hold the id of the process
//! that made them, so what a run that was killed left behind is found and removed by the next one.

use crate::wire::{self, Wire};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Before the process id in the names of namespaces.
const PREFIX: &str = "timed-";
/// The device in a machine that leads to this process.
const CONTROL: &str = "control";
/// The one that leads to other machines.
const OVERLAY: &str = "wire";
/// Ethernet's 1,500 without VXLAN's 50 and some more.
const OVERLAY_MTU: &str = "1400";

/// One network of machines at a time: their addresses are the process's.
static TURN: Mutex<()> = Mutex::new(());

/// See the module. Everything is removed when it is dropped; processes on the machines have to have ended.
pub struct Machines {
    wire: Option<Wire>,
    count: usize,
    _turn: MutexGuard<'static, ()>,
}

impl Machines {
    /// That many. The reason if this user may not, or the system cannot.
    pub fn new(count: usize) -> Result<Self, String> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        remove_what_was_left()?;
        try_what_is_needed()?;
        let mut machines = Self { wire: None, count, _turn: turn };
        // What peers tell of each other reaches this process too, and is not to be looked for outside.
        ip(&format!("route replace unreachable {}", machines.overlay_network())).unwrap();
        (0..count).try_for_each(|machine| machines.make(machine)).unwrap();
        let ends: Vec<_> = (0..count).map(|machine| machines.control(machine)).collect();
        machines.wire = Some(Wire::new(&ends).unwrap());
        Ok(machines)
    }

    fn make(&self, machine: usize) -> Result<(), String> {
        let name = self.name(machine);
        let line = line(machine);
        let ((here, there), overlay) = (self.control(machine), self.address(machine));
        let hardware = wire::hardware_address(u8::try_from(machine).unwrap());
        let port = wire::PORT;
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {line} type veth peer name {CONTROL} netns {name}"))?;
        ip(&format!("address add {here}/30 dev {line}"))?;
        ip(&format!("link set {line} up"))?;
        let inside = |command: String| ip(&format!("-n {name} {command}"));
        inside("link set lo up".to_owned())?;
        inside(format!("address add {there}/30 dev {CONTROL}"))?;
        inside(format!("link set {CONTROL} up"))?;
        inside(format!(
            "link add {OVERLAY} address {hardware} type vxlan id 1 remote {here} dstport {port} dev {CONTROL}"
        ))?;
        // The wire carries frames as they are on a real one, not the larger ones of one kernel.
        inside(format!("link set {OVERLAY} mtu {OVERLAY_MTU} gso_max_segs 1 up"))?;
        inside(format!("address add {overlay}/24 dev {OVERLAY}")).map(drop)
    }

    fn name(&self, machine: usize) -> String {
        format!("{PREFIX}{}-{machine}", std::process::id())
    }

    /// The two ends of the line to a machine: this process's, and the machine's. Of RFC 2544's networks for tests.
    fn control(&self, machine: usize) -> (Ipv4Addr, Ipv4Addr) {
        let end = |number: usize| Ipv4Addr::new(198, 19, network(), u8::try_from(4 * machine + number).unwrap());
        (end(1), end(2))
    }

    /// Where this process reaches a machine, whatever happens on the wire.
    pub fn control_address(&self, machine: usize) -> Ipv4Addr {
        self.control(machine).1
    }

    /// Where other machines reach it.
    pub fn address(&self, machine: usize) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, network(), u8::try_from(machine + 1).unwrap())
    }

    fn overlay_network(&self) -> String {
        format!("198.18.{}.0/24", network())
    }

    /// Begins a command that runs on a machine.
    pub fn command(&self, machine: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(machine), program]);
        command
    }

    pub fn wire(&self) -> &Wire {
        self.wire.as_ref().unwrap()
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.wire = None;
        for machine in 0..self.count {
            // Those that were not made yet are no loss. The system takes its time with what is left in a namespace, but
            // the names of lines are wanted again.
            ip(&format!("link delete {}", line(machine))).ok();
            ip(&format!("netns delete {}", self.name(machine))).ok();
        }
        ip(&format!("route delete unreachable {}", self.overlay_network())).ok();
    }
}

/// This process's end of the line to a machine.
fn line(machine: usize) -> String {
    format!("td{}n{machine}", std::process::id())
}

/// Makes one of each thing that machines are made of, so that only what is missing here counts as a reason to do without.
fn try_what_is_needed() -> Result<(), String> {
    let name = format!("{PREFIX}{}-trial", std::process::id());
    ip(&format!("netns add {name}"))?;
    let vxlan = format!("type vxlan id 1 remote 127.0.0.1 dstport {} dev lo", wire::PORT);
    let made = ip(&format!("-n {name} link add {CONTROL} type veth peer name peer"))
        .and_then(|_| ip(&format!("-n {name} link add {OVERLAY} {vxlan}")));
    ip(&format!("netns delete {name}"))?;
    made.map(drop)
}

/// Tells the networks of this process from those of others.
fn network() -> u8 {
    network_of(std::process::id())
}

fn network_of(process: u32) -> u8 {
    u8::try_from(process % 256).unwrap()
}

/// Removes the machines of processes that are no more, with what still runs on them.
fn remove_what_was_left() -> Result<(), String> {
    for line in ip("netns list")?.lines() {
        let Some(name) = line.split(' ').next().filter(|name| name.starts_with(PREFIX)) else { continue };
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).map(|(owner, _)| owner);
        let Some(owner) = owner.and_then(|owner| owner.parse::<u32>().ok()) else { continue };
        if Path::new("/proc").join(owner.to_string()).exists() {
            continue;
        }
        for process in ip(&format!("netns pids {name}"))?.split_whitespace() {
            // It may have ended in the meantime.
            Command::new("kill").args(["-9", process]).status().ok();
        }
        ip(&format!("netns delete {name}"))?;
        // Gone with the first of its machines.
        ip(&format!("route delete unreachable 198.18.{}.0/24", network_of(owner))).ok();
    }
    Ok(())
}

/// Runs iproute2; what it printed, or why it did not do it.
fn ip(arguments: &str) -> Result<String, String> {
    let done = Command::new("ip").args(arguments.split(' ')).output().map_err(|e| format!("ip (iproute2): {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(format!("ip {arguments}: {}", text(&done.stderr))) }
}
