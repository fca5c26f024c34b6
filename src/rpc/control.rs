//! The node itself: who it is, how it does, and its end.

use super::api::Api;
use super::context::Context;
use super::errors::Failure;
use super::health::health;
use super::network::agent;
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{NodeInfo, SigningInfo, Text};
use crate::node::clock;
use crate::replica::Alarm;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.quick("get_node_info", get_node_info)?;
    api.waiting("get_health", |context, _| async move { Ok(health(&context).await) })?;
    api.quick("uptime", |context, _| Ok(uptime(context)))?;
    api.quick("stop", |context, _| {
        tracing::info!("stopping: asked to over RPC");
        context.node.stop();
        Ok("the node is stopping")
    })
}

/// Seconds since the node started.
fn uptime(context: &Context) -> u64 {
    clock::now().since(context.node.started()) / 1_000
}

fn get_node_info(context: &Context, _: &Arguments) -> Result<NodeInfo, Failure> {
    let (chain, tip, key) = (context.chain(), context.view().tip(), context.node.masternode());
    Ok(NodeInfo {
        version: env!("CARGO_PKG_VERSION"),
        agent: agent(),
        chain: chain.name.clone(),
        chain_id: Text(chain.id()),
        node_id: Text(context.node.network().node_id()),
        role: if key.is_some() { "masternode" } else { "observer" },
        consensus_key: key.map(Text),
        masternode: key.and_then(|key| tip.registry.by_key(&key)).map(|record| context.masternode(record)),
        signing: context.signing(),
        height: tip.height().get(),
        started: context.node.started().0,
        uptime: uptime(context),
    })
}

impl Context {
    /// Whether this node signs.
    pub fn signing(&self) -> SigningInfo {
        let signing = self.node.signing();
        let floor = signing.floor();
        SigningInfo {
            state: signing.name(),
            from_height: floor.map(|(height, _)| height.get()),
            from_epoch: floor.map(|(_, epoch)| epoch.get()),
            detail: signing.to_string(),
        }
    }

    /// Why this node signs nothing any more, for people.
    pub fn alarm(&self) -> Option<String> {
        let alarm = self.view().alarm()?;
        Some(match &*alarm {
            Alarm::RivalCertificates { one, other } => {
                format!("{one} and {other} spend one output and are both certified: a third of the weight signs twice")
            }
            Alarm::FinalNotArchived(txid) => format!("{txid} was final and is not in the chain of its epoch"),
            Alarm::InvalidCommit { height, reason } => format!("the committed block {height} breaks a rule: {reason}"),
        })
    }
}
