//! Where what must survive a crash goes: the journal, and the stores that follow behind it.
//!
//! A promise (a payment called final, a committed block) counts from the moment its record in the [`journal`] is
//! synced. A store holds the archived state and may lag behind: what it lacks at a restart is replayed from the
//! journal. Nothing here decides a rule of the protocol.

pub mod journal;
pub mod memory;
