//! What two nodes of one chain must agree on before the first block, and the arithmetic that follows from it:
//! slots and epochs, masternodes, leaders, rewards, genesis (`protocol.md` 2, 4, 7, 8, 9, 11).

pub mod epoch;
pub mod genesis;
pub mod leader;
pub mod registry;
pub mod rewards;
pub mod spec;
pub mod subsidy;

#[cfg(test)]
mod vectors;
