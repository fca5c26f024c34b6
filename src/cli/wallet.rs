//! `timed wallet`: keys, addresses and payments of a user. Keys stay in this process; the node gets what is signed.

mod cosign;
pub mod keys;
mod make;
pub mod pay;
pub mod show;

use super::client::block_on;
use super::remote::Wait;
use super::{CliError, Global};
use crate::wallet::amounts;
use keys::Source;
use std::path::PathBuf;

/// Which keys, and what to do with them.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Makes a wallet and shows its words, once.
    New,
    /// Makes a wallet of the words on standard input.
    Restore {
        /// How many addresses it begins with.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        addresses: u16,
        /// Ask the node which addresses were in use, until 20 in a row were not.
        #[arg(long)]
        scan: bool,
    },
    /// Prints the first address, or that of several keys.
    Address {
        /// Make a new address and print that.
        #[arg(long)]
        new: bool,
        /// Print every address.
        #[arg(long, conflicts_with = "new")]
        all: bool,
        /// Print the public key beside it, of which addresses of several keys are made.
        #[arg(long, conflicts_with_all = ["new", "multisig"])]
        keys: bool,
    },
    /// Prints what the addresses have together.
    Balance,
    /// Lists unspent outputs.
    Unspent,
    /// Lists what happened to the addresses, newest first.
    History {
        /// Most entries.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
    },
    /// Pays an amount to an address.
    Send(pay::Send),
    /// Brings everything to one address, in as few outputs as can be.
    Sweep(pay::Sweep),
    /// Signs a transaction, or adds signatures to one that others have begun to sign, and prints it. Shows what it is, and on a
    /// terminal asks first.
    Sign {
        /// The transaction as hex, like `create_raw_transaction` returns it.
        hex: String,
        /// Sign without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Hands in a signed transaction and waits for it.
    Broadcast {
        /// The transaction as hex.
        hex: String,
        #[command(flatten)]
        wait: Wait,
    },
}

/// Where a wallet is kept unless `--wallet` says otherwise.
fn default_file() -> Result<PathBuf, CliError> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| CliError::usage("HOME is not set: say --wallet FILE"))?;
    Ok(PathBuf::from(home).join(".timed").join("wallet.json"))
}

/// Does it.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    let source = &arguments.source;
    match &arguments.command {
        Command::New => make::new(global, source),
        Command::Restore { addresses, scan } => make::restore(global, source, usize::from(*addresses), *scan),
        Command::Address { new: true, .. } => make::add_address(source),
        Command::Address { all, keys, .. } => make::addresses(global, source, *all, *keys),
        Command::Balance => block_on(show::balance(global, source)),
        Command::Unspent => block_on(show::unspent(global, source)),
        Command::History { limit } => block_on(show::history(global, source, usize::from(*limit))),
        Command::Send(send) => block_on(pay::send(global, source, send)),
        Command::Sweep(sweep) => block_on(pay::sweep(global, source, sweep)),
        Command::Sign { hex, yes } => block_on(cosign::sign(global, source, hex, *yes)),
        Command::Broadcast { hex, wait } => block_on(pay::broadcast(global, hex, wait)),
    }
}

/// An amount for people.
pub fn time(amount: crate::types::number::Amount) -> String {
    format!("{} TIME", amounts::format(amount))
}
