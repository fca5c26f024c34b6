//! Every group of methods, in one place.

use super::api::Api;
use super::context::Context;
use super::start_error::StartError;
use super::{
    addresses, chain, control, epochs, finality, masternodes, mempool, network, peers, submit, subscribe, transactions,
};
use jsonrpsee::core::server::Methods;
use std::sync::Arc;

/// Every method of a node.
///
/// # Errors
/// [`StartError::Methods`] if the table and the code differ, which is a defect.
pub fn methods(context: Arc<Context>) -> Result<Methods, StartError> {
    let mut api = Api::new(context);
    chain::register(&mut api)?;
    transactions::register(&mut api)?;
    submit::register(&mut api)?;
    addresses::register(&mut api)?;
    mempool::register(&mut api)?;
    finality::register(&mut api)?;
    epochs::register(&mut api)?;
    masternodes::register(&mut api)?;
    network::register(&mut api)?;
    peers::register(&mut api)?;
    control::register(&mut api)?;
    subscribe::register(&mut api)?;
    api.finish()
}
