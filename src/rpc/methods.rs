//! Every method: its name, what else it is called, its parameters, who may call it.
//!
//! Invariant: this table is the only place that says so. Registration, the check of parameters and of permissions all
//! read it; a name that is not here cannot be registered.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Who may call a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whoever may use the server.
    Open,
    /// Who has the cookie or a token of an administrator.
    Admin,
}

/// A parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value where the caller gives none, as JSON; `None` if the caller has to.
    pub default: Option<&'static str>,
    /// Whether it may be an array or an object.
    pub is_structured: bool,
}

/// A method or a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Other names: Bitcoin's, where it has one.
    pub aliases: &'static [&'static str],
    /// Its parameters, in the order in which they are given by position.
    pub parameters: &'static [Parameter],
    /// Who may call it.
    pub access: Access,
    /// Name of the method that ends it, if it is a subscription.
    pub unsubscribe: Option<&'static str>,
}

impl Method {
    /// The names of its parameters, for a text.
    pub fn signature(&self) -> String {
        let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name).collect();
        names.join(", ")
    }

    /// Where a parameter of this name stands.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|parameter| parameter.name == name)
    }
}

const fn method(name: &'static str, aliases: &'static [&'static str], parameters: &'static [Parameter]) -> Method {
    Method { name, aliases, parameters, access: Access::Open, unsubscribe: None }
}

const fn admin(name: &'static str, aliases: &'static [&'static str], parameters: &'static [Parameter]) -> Method {
    Method { name, aliases, parameters, access: Access::Admin, unsubscribe: None }
}

const fn subscription(name: &'static str, unsubscribe: &'static str, parameters: &'static [Parameter]) -> Method {
    Method { name, aliases: &[], parameters, access: Access::Open, unsubscribe: Some(unsubscribe) }
}

const fn needs(name: &'static str) -> Parameter {
    Parameter { name, default: None, is_structured: false }
}

const fn needs_structure(name: &'static str) -> Parameter {
    Parameter { name, default: None, is_structured: true }
}

const fn takes(name: &'static str, default: &'static str) -> Parameter {
    Parameter { name, default: Some(default), is_structured: false }
}

const CURSOR: Parameter = takes("cursor", "null");
const LIMIT: Parameter = takes("limit", "100");
const FROM: Parameter = takes("from", "null");

/// All of them.
pub static METHODS: &[Method] = &[
    // chain
    method("get_blockchain_info", &["getblockchaininfo"], &[]),
    method("get_block_count", &["getblockcount"], &[]),
    method("get_best_block_hash", &["getbestblockhash"], &[]),
    method("get_block_hash", &["getblockhash"], &[needs("height")]),
    method("get_block", &["getblock"], &[needs("block"), takes("verbosity", "1")]),
    method("get_block_header", &["getblockheader"], &[needs("block"), takes("verbose", "true")]),
    method("get_commit", &[], &[needs("block")]),
    method("get_chain_spec", &[], &[]),
    // transactions
    method("get_transaction", &["gettransaction", "getrawtransaction"], &[needs("txid"), takes("verbose", "true")]),
    method("get_transaction_status", &[], &[needs_structure("txids")]),
    method("send_raw_transaction", &["sendrawtransaction"], &[needs("hex")]),
    method("test_mempool_accept", &["testmempoolaccept"], &[needs_structure("hexes")]),
    method("decode_raw_transaction", &["decoderawtransaction"], &[needs("hex")]),
    method(
        "create_raw_transaction",
        &["createrawtransaction"],
        &[needs_structure("inputs"), needs_structure("outputs"), takes("memo", "null")],
    ),
    method(
        "wait_for_transaction",
        &[],
        &[needs("txid"), takes("status", "\"finalized\""), takes("timeout_ms", "30000")],
    ),
    // addresses
    method("get_balance", &["getbalance"], &[needs("address")]),
    method("list_unspent", &["listunspent"], &[needs("address"), CURSOR, LIMIT]),
    method("get_address_history", &[], &[needs("address"), CURSOR, LIMIT]),
    method("get_tx_out", &["gettxout"], &[needs("txid"), needs("index")]),
    method("validate_address", &["validateaddress"], &[needs("address")]),
    // mempool
    method("get_mempool_info", &["getmempoolinfo"], &[]),
    method("get_raw_mempool", &["getrawmempool"], &[CURSOR, LIMIT]),
    // finality
    method("get_finality_proof", &[], &[needs("txid")]),
    method("verify_finality_proof", &[], &[needs_structure("proof")]),
    method("get_epochs", &[], &[takes("from_epoch", "0"), LIMIT]),
    method("get_validators", &[], &[takes("epoch", "null")]),
    // masternodes and consensus
    method("list_masternodes", &[], &[CURSOR, LIMIT]),
    method("get_masternode", &[], &[needs("id")]),
    method("masternode_status", &[], &[]),
    method("get_leader_schedule", &[], &[takes("views", "5")]),
    method("get_consensus_info", &[], &[]),
    // network
    method("get_network_info", &["getnetworkinfo"], &[]),
    method("get_peer_info", &["getpeerinfo"], &[]),
    admin("add_node", &["addnode"], &[needs("node"), takes("command", "\"add\"")]),
    admin("disconnect_node", &["disconnectnode"], &[needs("node")]),
    method("list_banned", &["listbanned"], &[]),
    admin(
        "set_ban",
        &["setban"],
        &[needs("who"), takes("command", "\"add\""), takes("bantime", "0"), takes("absolute", "false")],
    ),
    admin("clear_banned", &["clearbanned"], &[]),
    // the node
    method("get_node_info", &[], &[]),
    method("get_health", &[], &[]),
    method("uptime", &[], &[]),
    admin("stop", &[], &[]),
    // subscriptions
    subscription("subscribe_blocks", "unsubscribe_blocks", &[FROM]),
    subscription("subscribe_transactions", "unsubscribe_transactions", &[takes("address", "null"), FROM]),
    subscription("subscribe_status", "unsubscribe_status", &[needs("txid"), FROM]),
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Method>> = LazyLock::new(|| {
    let names = |method: &'static Method| {
        let own = std::iter::once(&method.name).chain(method.aliases).chain(&method.unsubscribe);
        own.map(move |name| (*name, method))
    };
    METHODS.iter().flat_map(names).collect()
});

/// The method with this name or alias; for the name that ends a subscription, that subscription.
pub fn find(name: &str) -> Option<&'static Method> {
    BY_NAME.get(name).copied()
}

/// The name that looks most like `name`, if one looks much like it.
pub fn nearest(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let wanted = plain(name);
    let difference = |known: &&str| strsim::damerau_levenshtein(&plain(known), &wanted);
    // A name longer than any is none, and not worth the look.
    let names = METHODS.iter().map(|method| method.name).filter(|_| wanted.len() <= 2 * LONGEST_NAME);
    names.min_by_key(difference).filter(|best| difference(best) <= 1 + wanted.len() / 4)
}

/// About as long as the longest name of a method.
const LONGEST_NAME: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_methods_share_a_name() {
        let names = METHODS.iter().flat_map(|method| {
            std::iter::once(&method.name).chain(method.aliases).chain(&method.unsubscribe).copied().collect::<Vec<_>>()
        });
        let names: Vec<&str> = names.collect();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!((names.len(), BY_NAME.len()), (distinct.len(), distinct.len()));
    }

    #[test]
    fn what_has_a_default_stands_behind_what_has_none() {
        for method in METHODS {
            let defaults: Vec<bool> = method.parameters.iter().map(|parameter| parameter.default.is_some()).collect();
            assert!(defaults.is_sorted(), "{}", method.name);
            for default in method.parameters.iter().filter_map(|parameter| parameter.default) {
                assert!(serde_json::from_str::<serde_json::Value>(default).is_ok(), "{}: {default}", method.name);
            }
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_is_put_right() {
        assert_eq!(nearest("getBlockCounts"), Some("get_block_count"));
        assert_eq!(nearest("get_blok"), Some("get_block"));
        assert_eq!(nearest("xyz"), None);
    }
}
