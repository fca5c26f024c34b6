//! The command line (`timed --help`): what was asked for, and the configuration it is asked of. One file a command.

#[macro_use]
mod output;

mod check;
mod client;
mod data_dir;
mod db;
mod dev;
mod devnet;
mod init;
mod key;
mod load;
mod logging;
mod masternode;
mod progress;
mod remote;
mod rpc;
mod run;
mod wallet;

use crate::config::{Config, LogFormat, SyncMode, ports};
use crate::node::LostVotesWord;
use clap::{Parser, Subcommand};
use client::Client;
use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code for a failure.
const FAILURE: u8 = 1;
/// The exit code for wrong usage or configuration.
const USAGE: u8 = 2;

/// The full node of TIME Coin. Without a command it runs the node until it is told to stop.
#[derive(Parser, Debug)]
#[command(name = "timed", version, about, max_term_width = 110)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    /// Runs a chain of one masternode on this machine, with a funded key, for trying things out.
    #[arg(long)]
    dev: bool,
    /// Runs a masternode whose votes.log is lost or damaged: it observes until a block shows how far its key can have signed,
    /// then signs blocks from two heights above, payments from the next epoch on. No other node may have the key. Operators
    /// who agreed on it say =HEIGHT:EPOCH (docs/operating.md).
    #[arg(long, value_name = "HEIGHT:EPOCH", num_args = 0..=1, require_equals = true, default_missing_value = "when-safe")]
    accept_lost_votes: Option<LostVotesWord>,
    /// How a node without a chain begins: full (every block from genesis on) or snapshot (the state as of a late block, proved
    /// by the commits of the epochs before it, and the blocks after it). Stands for sync.mode of the configuration.
    #[arg(long, value_name = "HOW")]
    sync: Option<SyncMode>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that every command takes.
#[derive(clap::Args, Debug, Clone, Default)]
struct Global {
    /// Configuration file.
    #[arg(long, global = true, env = "TIMED_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// mainnet, testnet, dev, or a chain spec file.
    #[arg(long, global = true, env = "TIMED_CHAIN", value_name = "CHAIN")]
    chain: Option<String>,
    /// Where the node keeps everything.
    #[arg(long, global = true, env = "TIMED_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How lines of the log look.
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// error, warn, info, debug, trace, or directives.
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// The node that client commands talk to, http://HOST:PORT. `load` takes several: comma between, or given again.
    #[arg(long, global = true, env = "TIMED_RPC_URL", value_name = "URL", value_delimiter = ',')]
    rpc_url: Vec<String>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Makes a data directory: keys and a commented configuration. Overwrites nothing.
    Init(init::Arguments),
    /// Checks configuration, keys, chain spec, ports and free disk without starting.
    Check,
    /// Networks of several nodes on this machine.
    #[command(subcommand)]
    Devnet(devnet::Command),
    /// Key files.
    #[command(subcommand)]
    Key(key::Command),
    /// Keys, addresses and payments of a user. Keys stay on this machine.
    Wallet(wallet::Arguments),
    /// Masternodes: registering, changing and leaving from a wallet, and how they stand.
    Masternode(masternode::Arguments),
    /// Calls a JSON-RPC method and prints the result.
    Rpc(rpc::Arguments),
    /// Looks at a data directory whose node is stopped, and repairs it.
    #[command(subcommand)]
    Db(db::Command),
    /// Sends payments at a given rate to running nodes and measures finality.
    Load(load::Arguments),
}

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// What was asked for makes no sense, or the configuration does not.
    #[error("{0}")]
    Usage(String),
    /// It could not be done.
    #[error("{0}")]
    Failure(String),
}

impl CliError {
    fn usage(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    fn failure(error: impl Display) -> Self {
        Self::Failure(error.to_string())
    }
}

/// Says something on standard output for as long as somebody reads it: what runs does not stop because nobody does.
fn announce(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let Arguments { global, dev, accept_lost_votes, sync, command } = Arguments::parse();
    let done = match command {
        _ if dev && command.is_some() => Err(CliError::usage("--dev runs a node; it takes no command")),
        _ if accept_lost_votes.is_some() && (dev || command.is_some()) => {
            Err(CliError::usage("--accept-lost-votes starts a masternode; it goes with no command and not with --dev"))
        }
        _ if sync.is_some() && (dev || command.is_some()) => {
            Err(CliError::usage("--sync starts a node; it goes with no command and not with --dev"))
        }
        None if dev => dev::run(&global),
        None => run::run(&global, accept_lost_votes, sync),
        Some(Command::Init(arguments)) => init::run(&global, &arguments),
        Some(Command::Check) => check::run(&global),
        Some(Command::Devnet(command)) => devnet::run(&global, &command),
        Some(Command::Key(command)) => key::run(&global, &command),
        Some(Command::Wallet(arguments)) => wallet::run(&global, &arguments),
        Some(Command::Masternode(arguments)) => masternode::run(&global, &arguments),
        Some(Command::Rpc(arguments)) => rpc::run(&global, &arguments),
        Some(Command::Db(command)) => db::run(&global, &command),
        Some(Command::Load(arguments)) => load::run(&global, &arguments),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("timed: {error}");
    match error {
        CliError::Usage(_) => ExitCode::from(USAGE),
        CliError::Failure(_) => ExitCode::from(FAILURE),
    }
}

impl Global {
    /// The configuration with what the command line says on top.
    fn settings(&self) -> Result<Config, CliError> {
        let mut config = Config::load(self.config.as_deref()).map_err(CliError::usage)?;
        if let Some(chain) = &self.chain {
            config.chain.clone_from(chain);
        }
        if let Some(data_dir) = &self.data_dir {
            config.data_dir = Some(data_dir.clone());
        }
        if let Some(format) = self.log_format {
            config.log.format = format;
        }
        if let Some(level) = &self.log_level {
            config.log.level.clone_from(level);
        }
        Ok(config)
    }

    /// A client of the node that client commands talk to: the one at `--rpc-url`, or the configured one. With the cookie,
    /// if the node's data directory is known to be here.
    fn client(&self) -> Result<Client, CliError> {
        let config = self.settings()?;
        let default = || match config.rpc.listen {
            Some(address) => format!("http://{address}"),
            None => format!("http://127.0.0.1:{}", ports(&config.chain)[1]),
        };
        let url = match self.rpc_url.as_slice() {
            [] => default(),
            [url] => url.clone(),
            _ => return Err(CliError::usage("this command talks to one node: say one --rpc-url")),
        };
        // A configuration says where its own node is, and another one does not take that one's cookie.
        let is_here = self.data_dir.is_some() || url == default();
        let folder = data_dir::path_of(&config).ok().filter(|_| is_here);
        let cookie = folder.map(|folder| folder.join(".cookie")).filter(|cookie| cookie.exists());
        Client::new(&url, cookie.as_deref()).map_err(CliError::usage)
    }

    /// A client of every node at `--rpc-url`, or of the configured one.
    fn clients(&self) -> Result<Vec<Client>, CliError> {
        match self.rpc_url.as_slice() {
            [] | [_] => Ok(vec![self.client()?]),
            several => several.iter().map(|url| Client::new(url, None).map_err(CliError::usage)).collect(),
        }
    }
}
