//! Why a server does not start.

use super::auth::AuthError;
use std::io;
use std::net::SocketAddr;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened at.
    #[error("cannot serve JSON-RPC at {address}: {reason}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// An address that others can reach, and nothing that says they may.
    #[error("rpc.listen = {address}: others could reach this address; set rpc.public = true or rpc.tokens_file")]
    NotPublic {
        /// Where.
        address: SocketAddr,
    },
    /// Callers cannot be told apart.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A defect.
    #[error("the methods of JSON-RPC do not fit together: {0}")]
    Methods(String),
}
