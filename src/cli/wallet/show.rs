//! What the addresses of a wallet have, and what happened to them.

use super::keys::Source;
use super::time;
use crate::cli::remote::{Entry, RemoteNode};
use crate::cli::{CliError, Global};
use crate::types::number::Amount;
use crate::wallet::amounts;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Prints what all addresses have together.
pub async fn balance(global: &Global, source: &Source) -> Result<(), CliError> {
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let mut sums = [Amount::ZERO; 5];
    for address in locked.addresses(&node.hrp)? {
        let part = node.balance(&address).await?;
        let parts = [part.balance, part.spendable, part.incoming, part.outgoing, part.bonded];
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum = sum.checked_add(part).ok_or_else(too_much)?;
        }
    }
    let names = ["balance", "spendable", "incoming", "outgoing", "bonded"];
    // The first two always, the others where there is something.
    let shown = names.into_iter().zip(sums).enumerate().filter(|(i, (_, sum))| *i < 2 || *sum > Amount::ZERO);
    shown.for_each(|(_, (name, sum))| say!("{name:<10} {}", time(sum)));
    Ok(())
}

/// Lists unspent outputs.
pub async fn unspent(global: &Global, source: &Source) -> Result<(), CliError> {
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    for address in locked.addresses(&node.hrp)? {
        for out in node.unspent(&address).await? {
            let height = out.height.map_or("-".to_owned(), |height| height.to_string());
            say!("{} {:>20} {:<9} {height:>8} {address}", out.outpoint()?, amounts::format(out.value), out.status);
        }
    }
    Ok(())
}

/// Lists what happened, newest first.
pub async fn history(global: &Global, source: &Source, limit: usize) -> Result<(), CliError> {
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let mut lists = Vec::new();
    for address in locked.addresses(&node.hrp)? {
        lists.push(node.history(&address, limit).await?);
    }
    for entry in merged(lists, limit)? {
        let height = entry.height.map_or("-".to_owned(), |height| height.to_string());
        let moved = match entry.received.checked_sub(entry.sent) {
            Some(gain) => format!("+{}", amounts::format(gain)),
            None => format!("-{}", amounts::format(entry.sent.checked_sub(entry.received).unwrap_or_default())),
        };
        say!("{} {} {:<9} {height:>8} {moved:>20}", utc(entry.time), entry.txid, entry.status);
    }
    Ok(())
}

/// The newest of several lists, what a transaction did to several addresses added up. Each list has the newest of its
/// address, so none of the newest of all is missing from any list it belongs to.
fn merged(lists: Vec<Vec<Entry>>, limit: usize) -> Result<Vec<Entry>, CliError> {
    let mut by_txid: BTreeMap<String, Entry> = BTreeMap::new();
    for entry in lists.into_iter().flatten() {
        match by_txid.get_mut(&entry.txid) {
            None => drop(by_txid.insert(entry.txid.clone(), entry)),
            Some(known) => {
                known.received = known.received.checked_add(entry.received).ok_or_else(too_much)?;
                known.sent = known.sent.checked_add(entry.sent).ok_or_else(too_much)?;
            }
        }
    }
    let mut all: Vec<Entry> = by_txid.into_values().collect();
    // What no block holds is newer than any block.
    all.sort_by_key(|entry| Reverse((entry.height.unwrap_or(u64::MAX), entry.time, entry.txid.clone())));
    all.truncate(limit);
    Ok(all)
}

fn too_much() -> CliError {
    CliError::failure("the node's amounts add up to more than 2^64 units")
}

/// Unix milliseconds as `YYYY-MM-DD HH:MM:SS` (UTC). Days to date: H. Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`.
pub fn utc(time_ms: u64) -> String {
    let (seconds, days) = (time_ms / 1_000 % 86_400, time_ms / 86_400_000);
    // The era begins on 0000-03-01, so that the leap day ends a year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(txid: &str, height: Option<u64>, time: u64, received: u64, sent: u64) -> Entry {
        let (received, sent) = (Amount::new(received), Amount::new(sent));
        Entry { txid: txid.to_owned(), height, time, received, sent, status: "archived".to_owned() }
    }

    #[test]
    fn a_payment_between_own_addresses_is_one_entry() {
        let (one, two) = (entry("aa", Some(3), 30, 100, 500), entry("aa", Some(3), 30, 390, 0));
        let all = merged(vec![vec![one], vec![two]], 10).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].received, all[0].sent), (Amount::new(490), Amount::new(500)));
    }

    #[test]
    fn the_newest_come_first_and_what_no_block_holds_before_all() {
        let one = vec![entry("aa", None, 5, 1, 0), entry("bb", Some(7), 70, 1, 0)];
        let two = vec![entry("cc", Some(9), 60, 1, 0), entry("dd", Some(2), 20, 1, 0)];
        let names: Vec<String> = merged(vec![one, two], 3).unwrap().into_iter().map(|entry| entry.txid).collect();
        assert_eq!(names, ["aa", "cc", "bb"]);
    }

    #[test]
    fn times_are_written_in_utc() {
        for (time_ms, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399_999, "2000-02-28 23:59:59"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (1_709_251_200_000, "2024-03-01 00:00:00"),
            (4_107_542_400_000, "2100-03-01 00:00:00"),
            (1_735_689_599_000, "2024-12-31 23:59:59"),
        ] {
            assert_eq!(utc(time_ms), text);
        }
    }
}
