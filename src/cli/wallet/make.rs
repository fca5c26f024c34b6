//! Making wallets and addresses.

use super::keys::Source;
use crate::cli::client::block_on;
use crate::cli::remote::RemoteNode;
use crate::cli::{CliError, Global, data_dir};
use crate::wallet::keystore::{Cost, Keystore, KeystoreError, Unlocked};
use crate::wallet::words::Words;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Most bytes of words.
const MAX_WORDS_BYTES: u64 = 4_096;
/// So many addresses in a row without a history are taken for the end (BIP-44, "address gap limit").
const ADDRESS_GAP: u32 = 20;

/// Makes a wallet of new words, and shows them.
pub fn new(global: &Global, source: &Source) -> Result<(), CliError> {
    let (file, hrp) = (source.wallet_file()?, hrp_of(global)?);
    refuse_to_overwrite(&file)?;
    let passphrase = source.new_passphrase()?;
    let words = Words::generate();
    let wallet = create(&file, words, &passphrase, &hrp, 1)?;
    show(&wallet);
    say!("words     {}", wallet.phrase().as_str());
    say!("\nWrite the words down and keep them safe. They are not shown again, they are all that brings the money");
    say!("back if the file or the passphrase is lost, and whoever has them has the money.");
    Ok(())
}

/// Makes a wallet of words that were written down.
pub fn restore(global: &Global, source: &Source, count: usize, scan: bool) -> Result<(), CliError> {
    let (file, hrp) = (source.wallet_file()?, hrp_of(global)?);
    refuse_to_overwrite(&file)?;
    let words = Words::parse(&read_words()?).map_err(CliError::failure)?;
    let passphrase = source.new_passphrase()?;
    let mut wallet = create(&file, words, &passphrase, &hrp, count)?;
    if scan {
        block_on(find_addresses(global, &mut wallet))?;
    }
    show(&wallet);
    Ok(())
}

/// Adds addresses up to the last that has a history.
async fn find_addresses(global: &Global, wallet: &mut Unlocked) -> Result<(), CliError> {
    let node = RemoteNode::of(global).await?;
    node.check_prefix(wallet.keystore().address_hrp())?;
    let (mut index, mut unused) = (0, 0);
    let mut in_use = 0;
    while unused < ADDRESS_GAP {
        let address = wallet.address(index).map_err(CliError::failure)?;
        let is_used = !node.history(&address, 1).await?.is_empty();
        index += 1;
        (unused, in_use) = if is_used { (0, index) } else { (unused + 1, in_use) };
    }
    let count = |wallet: &Unlocked| u32::try_from(wallet.keystore().addresses().len()).unwrap_or(u32::MAX);
    while count(wallet) < in_use {
        wallet.add_address().map_err(CliError::failure)?;
    }
    Ok(())
}

/// Makes one more address and prints it.
pub fn add_address(source: &Source) -> Result<(), CliError> {
    let keystore = Keystore::open(&source.wallet_file()?).map_err(CliError::failure)?;
    let mut wallet = source.unlock(keystore)?;
    say!("{}", wallet.add_address().map_err(CliError::failure)?);
    Ok(())
}

/// Prints the first address, or all, with their public keys if asked.
pub fn addresses(global: &Global, source: &Source, all: bool, with_keys: bool) -> Result<(), CliError> {
    let locked = source.open()?;
    let hrp = match locked.address_hrp() {
        Some(hrp) => hrp.to_owned(),
        // Nobody said which chain, but where a node of it is.
        None if global.chain.is_none() && global.config.is_none() && !global.rpc_url.is_empty() => {
            block_on(RemoteNode::of(global))?.hrp
        }
        None => hrp_of(global)?,
    };
    let count = if all { usize::MAX } else { 1 };
    if !with_keys {
        locked.addresses(&hrp)?.iter().take(count).for_each(|address| say!("{address}"));
        return Ok(());
    }
    let locks = locked.own_locks(&hrp)?;
    let keys = source.keys(locked)?;
    for (address, lock) in locks.iter().take(count) {
        let key = keys.get(lock).ok_or_else(|| CliError::failure(format!("the wallet has no key of {address}")))?;
        say!("{address} {}", key.public_key());
    }
    Ok(())
}

/// What addresses of the configured chain start with.
fn hrp_of(global: &Global) -> Result<String, CliError> {
    Ok(global.settings()?.chain_spec().map_err(CliError::usage)?.address_hrp)
}

/// Before anybody is asked for anything. The file is made only if it is not there at that time either.
fn refuse_to_overwrite(file: &Path) -> Result<(), CliError> {
    if file.exists() {
        return Err(CliError::failure(KeystoreError::Exists { path: file.to_owned() }));
    }
    Ok(())
}

fn create(file: &Path, words: Words, passphrase: &str, hrp: &str, count: usize) -> Result<Unlocked, CliError> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        data_dir::create(folder)?;
    }
    Unlocked::create(file, words, passphrase, hrp, count, Cost::STANDARD).map_err(CliError::failure)
}

fn show(wallet: &Unlocked) {
    say!("wallet    {}", wallet.keystore().path().display());
    wallet.keystore().addresses().iter().for_each(|address| say!("address   {address}"));
}

/// Words from standard input: a line of a terminal, or everything from elsewhere.
fn read_words() -> Result<Zeroizing<String>, CliError> {
    let failed = |e: std::io::Error| CliError::failure(format!("cannot read standard input: {e}"));
    // Large enough from the start: growing would leave a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * 4_096));
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("Type the words of the wallet, a space between them, then Enter:");
        stdin.read_line(&mut text).map_err(failed)?;
    } else {
        stdin.take(MAX_WORDS_BYTES).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}
