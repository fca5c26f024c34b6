//! A wallet: keys on the user's machine, and payments built and signed with them. A node only ever sees what is signed.
//!
//! Nothing here talks to a node; the command line fetches outputs and hands in transactions.

pub mod amounts;
pub mod build;
pub mod derive;
pub mod endpoint;
pub mod keystore;
pub mod multisig;
pub mod words;
