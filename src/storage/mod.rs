//! Where what must survive a crash goes: journal, `votes.log`, blocks, and the index of the blocks.
//!
//! A promise (a payment called final, a committed block) counts from the moment its record in the [`journal`] is
//! synced ([`write_ahead`]). Blocks then go into files of their own ([`block_files`]), which are the chain as this node
//! keeps it, and sled indexes them ([`sled_store`]): it lags behind, and can be made anew from the files. [`recovery`]
//! opens all of it. Nothing here decides a rule of the protocol, and nothing here is asynchronous: a thread owns it.

pub mod beacon_file;
pub mod block_files;
pub mod block_record;
pub mod epochs_file;
pub mod files;
pub mod journal;
pub mod journal_files;
pub mod lock;
pub mod memory;
pub mod mempool_file;
pub mod moved;
pub mod recovery;
pub mod replay;
pub mod sled_store;
pub mod snapshots;
pub mod store;
pub mod untouched;
pub mod verify;
pub mod votes_file;
pub mod whole_file;
pub mod write_ahead;

#[cfg(test)]
mod tests;
