//! Where JSON-RPC listens, and to whom that opens it.

use super::start_error::StartError;
use crate::config;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Whether callers without a token are served at this address.
pub fn is_open(config: &config::Rpc, address: &SocketAddr) -> bool {
    config.public || config::is_local(&address.ip())
}

/// Listens.
///
/// # Errors
/// [`StartError`]; [`StartError::NotPublic`] if others could call and nothing says that they may.
pub async fn bind(config: &config::Rpc, address: SocketAddr) -> Result<TcpListener, StartError> {
    if !is_open(config, &address) && config.tokens_file.is_none() {
        return Err(StartError::NotPublic { address });
    }
    TcpListener::bind(address).await.map_err(|reason| StartError::Listen { address, reason })
}
