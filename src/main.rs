//! The binary `timed`.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use timed::chain::genesis::genesis;
use timed::chain::spec::{Chain, ChainSpec};

/// The full node of TIME Coin.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks a chain spec and says what it fixes: its id, its genesis block, its masternodes.
    Check {
        /// A built-in chain (mainnet, testnet, dev) or a TOML file.
        #[arg(long, default_value = "mainnet")]
        chain: String,
    },
}

/// The exit code for wrong usage or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let Command::Check { chain } = Arguments::parse().command;
    match check(&chain) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("timed: {reason}");
            ExitCode::from(USAGE)
        }
    }
}

fn check(name: &str) -> Result<String, String> {
    let spec = match ChainSpec::builtin(name) {
        Some(spec) => spec,
        None => {
            let text = std::fs::read_to_string(name).map_err(|e| {
                format!("{name} is no built-in chain (mainnet, testnet, dev), and reading it as a file failed: {e}")
            })?;
            ChainSpec::from_toml(&text).map_err(|e| format!("{name}: {e}"))?
        }
    };
    spec.check().map_err(|e| format!("{name}: {e}"))?;
    let head = format!(
        "chain           {} (addresses start with {}1)\nslots           {} ms, {} to an epoch\nblocks          {} bytes at most",
        spec.name, spec.address_hrp, spec.slot_ms, spec.epoch_slots, spec.max_block_bytes
    );
    if spec.masternodes.is_empty() {
        return Ok(format!("{head}\nnot launched    it names no masternodes yet, so it has no genesis block"));
    }
    let chain = Chain::new(spec).map_err(|e| format!("{name}: {e}"))?;
    let genesis = genesis(&chain).map_err(|e| format!("{name}: {e}"))?;
    Ok(format!(
        "{head}\nchain id        {}\ngenesis block   {}\nmasternodes     {} of weight {}\nsupply          {} units",
        chain.id(),
        genesis.block.header.hash(),
        genesis.validators.len(),
        genesis.validators.total(),
        genesis.supply
    ))
}
