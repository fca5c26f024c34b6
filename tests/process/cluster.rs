//! A devnet of real processes, made and run as a user does it.

use crate::machines::Machines;
use crate::rpc::{self, Failure};
use crate::wire::Wire;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use timed::chain::spec::{Chain, ChainSpec};
use timed::types::keys::SecretKey;

/// How long anything that has to happen may take, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A network of nodes on this machine. Its processes end with it.
pub struct Cluster {
    dir: tempfile::TempDir,
    base_port: u16,
    nodes: Vec<Option<Child>>,
    /// Where the nodes run, if each has a machine of its own.
    machines: Option<Machines>,
    /// Nodes that run another program than the one under test.
    programs: BTreeMap<usize, PathBuf>,
}

/// Ports of a node that has a machine for itself.
const OWN_P2P_PORT: u16 = 24_200;
const OWN_RPC_PORT: u16 = 24_201;

/// Waits until `look` gives something.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_longer(PATIENCE, what, look)
}

/// The same for what may take longer than most things.
pub fn wait_longer<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain for {what}");
        std::thread::sleep(LOOK);
    }
}

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_timed");

/// Begins a command that runs it.
pub fn timed() -> Command {
    without_settings(Command::new(PROGRAM))
}

fn without_settings(mut command: Command) -> Command {
    // What the one who runs the tests has set is not for these nodes.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

impl Cluster {
    /// Makes the folder of a network and starts nothing. Ports begin at `base_port`, ten a node.
    pub fn new(nodes: u16, base_port: u16, slot_ms: u64) -> Self {
        let dev = ChainSpec::builtin("dev").unwrap();
        Self::with_rules(nodes, base_port, &ChainSpec { slot_ms, ..dev })
    }

    /// The same with the rules of a chain of one's own.
    pub fn with_rules(nodes: u16, base_port: u16, rules: &ChainSpec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rules_file = dir.path().join("rules.toml");
        std::fs::write(&rules_file, rules.to_toml().unwrap()).unwrap();
        let made = timed()
            .arg("--chain")
            .arg(&rules_file)
            .args(["devnet", "init", "--dir"])
            .arg(dir.path().join("net"))
            .args(["--nodes", &nodes.to_string(), "--base-port", &base_port.to_string()])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { dir, base_port, nodes: (0..nodes).map(|_| None).collect(), machines: None, programs: BTreeMap::new() }
    }

    /// The same, with all nodes started and answering.
    pub fn running(nodes: u16, base_port: u16, slot_ms: u64) -> Self {
        let mut cluster = Self::new(nodes, base_port, slot_ms);
        cluster.start_all();
        cluster
    }

    /// The folder of a network whose nodes each get a machine of their own, with `spare` machines for more nodes; nothing
    /// is started. The reason if that cannot be here.
    pub fn on_machines(nodes: u16, spare: u16, slot_ms: u64) -> Result<Self, String> {
        let machines = Machines::new(usize::from(nodes + spare))?;
        let mut cluster = Self::new(nodes, OWN_P2P_PORT, slot_ms);
        cluster.machines = Some(machines);
        for node in 0..cluster.len() {
            let others: Vec<usize> = (0..cluster.len()).filter(|other| *other != node).collect();
            cluster.write_config(node, &others, true);
        }
        Ok(cluster)
    }

    /// The wire between the machines.
    pub fn wire(&self) -> &Wire {
        self.machines.as_ref().unwrap().wire()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn net(&self) -> PathBuf {
        self.dir.path().join("net")
    }

    /// The data directory of a node.
    pub fn folder(&self, node: usize) -> PathBuf {
        self.net().join(format!("node{node}"))
    }

    pub fn chain(&self) -> Chain {
        let text = std::fs::read_to_string(self.net().join("chain.toml")).unwrap();
        Chain::new(ChainSpec::from_toml(&text).unwrap()).unwrap()
    }

    pub fn faucet(&self) -> SecretKey {
        timed::keyfile::read(&self.net().join("faucet.key")).unwrap()
    }

    pub fn p2p_port(&self, node: usize) -> u16 {
        match &self.machines {
            Some(_) => OWN_P2P_PORT,
            None => self.base_port + 10 * u16::try_from(node).unwrap(),
        }
    }

    pub fn rpc_port(&self, node: usize) -> u16 {
        if self.machines.is_some() { OWN_RPC_PORT } else { self.p2p_port(node) + 1 }
    }

    /// The IP address at which this process reaches a node.
    fn host(&self, node: usize) -> Ipv4Addr {
        self.machines.as_ref().map_or(Ipv4Addr::LOCALHOST, |machines| machines.control_address(node))
    }

    pub fn rpc_address(&self, node: usize) -> SocketAddr {
        (self.host(node), self.rpc_port(node)).into()
    }

    /// Where this process reaches a node as its peer.
    pub fn p2p_address(&self, node: usize) -> SocketAddr {
        (self.host(node), self.p2p_port(node)).into()
    }

    /// Of all nodes there are.
    pub fn p2p_addresses(&self) -> Vec<SocketAddr> {
        (0..self.len()).map(|node| self.p2p_address(node)).collect()
    }

    /// Makes the folder of one more node that holds no masternode's key and knows `seeds` only; its number.
    pub fn add_observer(&mut self, seeds: &[usize]) -> usize {
        let node = self.add_node_folder();
        self.write_config(node, seeds, false);
        node
    }

    /// Makes the folder of one more node that holds the key of `masternode` and its `votes.log` as it is now; its number.
    pub fn add_copy(&mut self, masternode: usize) -> usize {
        let node = self.add_node_folder();
        for file in ["masternode.key", "votes.log"] {
            std::fs::copy(self.folder(masternode).join(file), self.folder(node).join(file)).unwrap();
        }
        let seeds: Vec<usize> = (0..node).filter(|seed| *seed != masternode).collect();
        self.write_config(node, &seeds, true);
        node
    }

    /// From now on this node runs another program.
    pub fn set_program(&mut self, node: usize, program: PathBuf) {
        self.programs.insert(node, program);
    }

    /// Makes the empty folder of one more node; its number.
    pub fn add_node_folder(&mut self) -> usize {
        let node = self.nodes.len();
        self.nodes.push(None);
        std::fs::create_dir(self.folder(node)).unwrap();
        node
    }

    /// Writes the configuration of a node that knows `seeds`, over any that is there.
    pub fn write_config(&self, node: usize, seeds: &[usize], is_masternode: bool) {
        let folder = self.folder(node);
        let (mut listen, mut seed_host) = (Ipv4Addr::LOCALHOST, vec![Ipv4Addr::LOCALHOST; self.len()]);
        if let Some(machines) = &self.machines {
            listen = Ipv4Addr::UNSPECIFIED;
            seed_host = (0..self.len()).map(|node| machines.address(node)).collect();
        }
        let seeds: Vec<String> =
            seeds.iter().map(|seed| format!("{}:{}", seed_host[*seed], self.p2p_port(*seed))).collect();
        let mut config = format!(
            "chain = {:?}\ndata_dir = {folder:?}\n\n[p2p]\nlisten = \"{listen}:{}\"\nseeds = {seeds:?}\n\n\
             [rpc]\nlisten = \"{}\"\npublic = true\n",
            self.net().join("chain.toml"),
            self.p2p_port(node),
            self.rpc_address(node),
        );
        if is_masternode {
            config += &format!("\n[masternode]\nkey_file = {:?}\n", folder.join("masternode.key"));
        }
        std::fs::write(folder.join("config.toml"), config).unwrap();
    }

    /// Starts a node; returns at once.
    pub fn spawn(&mut self, node: usize) {
        self.spawn_with(node, &[]);
    }

    /// Starts a node with further arguments; returns at once.
    pub fn spawn_with(&mut self, node: usize, arguments: &[&str]) {
        assert!(self.nodes[node].is_none(), "node {node} runs");
        let log = OpenOptions::new().create(true).append(true).open(self.folder(node).join("node.log")).unwrap();
        let mut command = match &self.machines {
            Some(machines) => without_settings(machines.command(node, PROGRAM)),
            None => match self.programs.get(&node) {
                Some(program) => without_settings(Command::new(program)),
                None => timed(),
            },
        };
        let child = command
            .arg("--config")
            .arg(self.folder(node).join("config.toml"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.nodes[node] = Some(child);
    }

    /// Starts a node and waits until it answers.
    pub fn start(&mut self, node: usize) {
        self.spawn(node);
        self.wait_until_up(node);
    }

    pub fn start_all(&mut self) {
        (0..self.len()).for_each(|node| self.spawn(node));
        (0..self.len()).for_each(|node| self.wait_until_up(node));
    }

    pub fn wait_until_up(&mut self, node: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answers = self.call(node, "get_block_count", json!([])).is_ok();
            // Looked at after the call: what answers may be a stranger's node, at whose port this one could not listen.
            let ended = self.nodes[node].as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "node {node} ended: {ended:?}\n{}", self.log(node));
            if answers {
                return;
            }
            assert!(Instant::now() < deadline, "node {node} does not answer\n{}", self.log(node));
            std::thread::sleep(LOOK);
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; waits for the end.
    pub fn stop(&mut self, node: usize) -> ExitStatus {
        let mut child = self.nodes[node].take().unwrap();
        let stopped = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(stopped.success());
        child.wait().unwrap()
    }

    /// How a node ended that nobody stopped; `None` while it runs.
    pub fn ended(&mut self, node: usize) -> Option<ExitStatus> {
        let status = self.nodes[node].as_mut()?.try_wait().unwrap()?;
        self.nodes[node] = None;
        Some(status)
    }

    pub fn is_running(&self, node: usize) -> bool {
        self.nodes[node].is_some()
    }

    /// Most memory that a running node has had resident.
    pub fn memory_kib(&self, node: usize) -> u64 {
        let id = self.nodes[node].as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
    }

    /// What a node logged.
    pub fn log(&self, node: usize) -> String {
        std::fs::read_to_string(self.folder(node).join("node.log")).unwrap_or_default()
    }

    pub fn call(&self, node: usize, method: &str, parameters: Value) -> Result<Value, Failure> {
        rpc::call(self.rpc_address(node), method, parameters)
    }

    /// Height of a node's tip.
    pub fn height(&self, node: usize) -> u64 {
        self.call(node, "get_block_count", json!([])).ok().and_then(|count| count.as_u64()).unwrap_or(0)
    }

    /// What a node says of a transaction.
    pub fn status(&self, node: usize, txid: &str) -> Option<String> {
        let found = self.call(node, "get_transaction", json!([txid])).ok()?;
        found["status"].as_str().map(str::to_owned)
    }

    /// Waits until the node's tip is at least at this height.
    pub fn wait_height(&self, node: usize, height: u64) {
        wait_for(&format!("node {node} at height {height}"), || (self.height(node) >= height).then_some(()));
    }

    /// Waits until every running node says this of a transaction, or that it is further.
    pub fn wait_status(&self, txid: &str, status: &str) {
        let order = ["seen", "sampling", "accepted", "certified", "finalized", "archived"];
        let rank = |status: &str| order.iter().position(|known| *known == status);
        for node in (0..self.len()).filter(|node| self.is_running(*node)) {
            wait_for(&format!("{txid} {status} at node {node}"), || {
                let found = self.status(node, txid)?;
                (rank(&found) >= rank(status)).then_some(())
            });
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.len()).for_each(|node| self.kill(node));
        if std::thread::panicking() {
            for node in 0..self.len() {
                let log = self.log(node);
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("---- node {node}");
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

/// Opens a file for changing it, as a disk that goes bad does.
pub fn open_for_damage(path: PathBuf) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}
