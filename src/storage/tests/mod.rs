//! The disk half as a whole: what survives, and what is refused.

pub mod recording;
pub mod scene;

mod answers;
mod blocks;
mod damage;
mod join;
mod journal;
mod node;
mod power_cut;
mod snapshots;
mod verify;
