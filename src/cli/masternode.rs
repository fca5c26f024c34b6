//! `timed masternode`: registering, changing and leaving, from a wallet; and how masternodes stand, from a node.
//!
//! Everything that a user could get wrong is looked at before anything is signed, and what will happen is said before it
//! does: the node would refuse most of it too, but what it takes costs a fee, and a collateral is bound for long.

mod change;
mod forecast;
mod prove;
mod register;
mod show;

use super::client::block_on;
use super::wallet::keys::Source;
use super::{CliError, Global};

/// Whose coins and keys, and what to do with them.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Locks a collateral of the wallet's for a new masternode.
    Register(register::Register),
    /// Prints the proof that a registration from another machine asks the consensus key for.
    Prove(prove::Prove),
    /// Changes where a masternode's rewards go, or where it is reached.
    Update(change::Update),
    /// Asks for a masternode to leave, so that its collateral is free some epochs later.
    Unregister(change::Unregister),
    /// Says how this node's masternode stands, why, and what to do. Exit code 0 if it is active, 1 otherwise.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists all masternodes.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    let source = &arguments.source;
    match &arguments.command {
        Command::Register(register) => block_on(register::run(global, source, register)),
        Command::Prove(prove) => block_on(prove::run(global, prove)),
        Command::Update(update) => block_on(change::update(global, source, update)),
        Command::Unregister(unregister) => block_on(change::unregister(global, source, unregister)),
        Command::Status { json } => block_on(show::status(global, *json)),
        Command::List { json } => block_on(show::list(global, *json)),
    }
}
