//! What client commands ask of a node: what its chain allows, what addresses have, handing in and waiting.

use super::client::{CallError, Client};
use super::{CliError, Global};
use crate::limits::MAX_WALLET_COINS;
use crate::types::address::from_address;
use crate::types::codec::encode;
use crate::types::hash::{ChainId, MasternodeId, Txid};
use crate::types::hex;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::{OutPoint, Transaction};
use crate::wallet::build::{Coin, Rules};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Value, json};
use std::fmt::{self, Display};
use std::time::{Duration, Instant};

/// Entries of a page.
const PAGE: u64 = 1_000;
/// Transactions that one call asks the state of.
const STATUS_CHUNK: usize = 100;
/// The longest single wait that is asked of a node.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long an answer may take, such a wait among them.
const PATIENCE: Duration = Duration::from_secs(45);
/// The code of an error that says: not yet.
const TIMEOUT_CODE: i32 = -32_001;

/// How far a transaction is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Status {
    /// The node knows it.
    Sampling,
    /// Two thirds of the weight voted for it.
    Certified,
    /// It stays.
    Finalized,
    /// It is in a block.
    Archived,
}

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sampling => "sampling",
            Self::Certified => "certified",
            Self::Finalized => "finalized",
            Self::Archived => "archived",
        })
    }
}

/// What to wait for, and how long.
#[derive(clap::Args, Debug)]
pub struct Wait {
    /// What to wait for.
    #[arg(long, value_name = "STATUS", default_value_t = Status::Finalized)]
    wait: Status,
    /// How many seconds to wait at most; 60, or for a block three slots more.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

/// A node, and what its chain asks of transactions.
pub struct RemoteNode {
    client: Client,
    /// What every signature covers.
    pub chain_id: ChainId,
    /// Least fee, least output, largest transaction.
    pub rules: Rules,
    /// What addresses start with.
    pub hrp: String,
    slot_ms: u64,
}

/// The part of `get_chain_spec` that clients need.
#[derive(Deserialize)]
struct SpecPart {
    address_hrp: String,
    slot_ms: u64,
    max_tx_bytes: u64,
    min_fee_rate: u64,
    #[serde(deserialize_with = "units")]
    min_output: Amount,
}

#[derive(Deserialize)]
struct ChainPart {
    chain_id: String,
}

/// A page of `list_unspent`.
#[derive(Deserialize)]
struct UnspentPage {
    utxos: Vec<Unspent>,
    next_cursor: Option<String>,
}

/// An unspent output.
#[derive(Clone, Deserialize, Debug)]
pub struct Unspent {
    txid: String,
    index: u32,
    /// Units.
    #[serde(deserialize_with = "units")]
    pub value: Amount,
    /// Height of its block.
    pub height: Option<u64>,
    /// `archived` and `finalized` can be spent, others not now.
    pub status: String,
}

/// `get_balance`.
#[derive(Deserialize)]
pub struct Balance {
    /// Everything final.
    #[serde(deserialize_with = "units")]
    pub balance: Amount,
    /// What comes in and is not final.
    #[serde(deserialize_with = "units")]
    pub incoming: Amount,
    /// What of the balance goes out and is not final.
    #[serde(deserialize_with = "units")]
    pub outgoing: Amount,
    /// What of it is collateral.
    #[serde(deserialize_with = "units")]
    pub bonded: Amount,
    /// What of it can be spent now.
    #[serde(deserialize_with = "units")]
    pub spendable: Amount,
}

/// An entry of `get_address_history`.
#[derive(Clone, Deserialize)]
pub struct Entry {
    /// The transaction.
    pub txid: String,
    /// Height of its block.
    pub height: Option<u64>,
    /// Unix milliseconds.
    pub time: u64,
    /// What it paid to the address.
    #[serde(deserialize_with = "units")]
    pub received: Amount,
    /// What it spent of the address.
    #[serde(deserialize_with = "units")]
    pub sent: Amount,
    /// How far it is.
    pub status: String,
}

#[derive(Deserialize)]
struct History {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct TxOutPart {
    address: String,
    #[serde(deserialize_with = "units")]
    value: Amount,
}

#[derive(Deserialize)]
struct OwnerPart {
    owner: String,
}

#[derive(Deserialize)]
struct StatusPart {
    status: String,
}

/// An entry of `get_transaction_status`.
#[derive(Deserialize)]
pub struct TransactionStatus {
    /// How far it is.
    pub status: String,
    /// Why it was refused.
    pub reason: Option<String>,
}

impl TransactionStatus {
    /// Whether it stays.
    pub fn is_final(&self) -> bool {
        is_final(&self.status)
    }
}

/// Whether a transaction of this status stays.
pub fn is_final(status: &str) -> bool {
    matches!(status, "finalized" | "archived")
}

impl Unspent {
    /// Its name.
    pub fn outpoint(&self) -> Result<OutPoint, CliError> {
        let txid = Txid::from_hex(&self.txid).ok_or_else(|| nonsense("list_unspent", "a txid is no hash"))?;
        Ok(OutPoint { txid, index: self.index })
    }

    /// Whether it can be spent now.
    pub fn is_spendable(&self) -> bool {
        is_final(&self.status)
    }
}

impl RemoteNode {
    /// The node that the command line names, if it is on the chain that the command line names.
    pub async fn of(global: &Global) -> Result<Self, CliError> {
        let client = global.client()?.with_timeout(PATIENCE).map_err(CliError::failure)?;
        let node = Self::at(client).await?;
        if global.chain.is_some() || global.config.is_some() {
            let expected = global.settings()?.chain_spec().map_err(CliError::usage)?;
            let is_launched = !expected.masternodes.is_empty();
            if expected.address_hrp != node.hrp || (is_launched && expected.id() != node.chain_id) {
                let url = node.client.url();
                return Err(CliError::usage(format!("the node at {url} is not on the chain {}", expected.name)));
            }
        }
        Ok(node)
    }

    /// The node that `client` calls.
    pub async fn at(client: Client) -> Result<Self, CliError> {
        let spec: SpecPart = get(&client, "get_chain_spec", vec![]).await?;
        let chain: ChainPart = get(&client, "get_blockchain_info", vec![]).await?;
        let chain_id = ChainId::from_hex(&chain.chain_id);
        let chain_id = chain_id.ok_or_else(|| nonsense("get_blockchain_info", "chain_id is no hash"))?;
        let rules = Rules { fee_rate: spec.min_fee_rate, min_output: spec.min_output, max_tx_bytes: spec.max_tx_bytes };
        Ok(Self { client, chain_id, rules, hrp: spec.address_hrp, slot_ms: spec.slot_ms })
    }

    /// For calls of its own.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Checks that a wallet is of this chain.
    pub fn check_prefix(&self, hrp: &str) -> Result<(), CliError> {
        if self.hrp == hrp {
            return Ok(());
        }
        Err(CliError::usage(format!("addresses of the node's chain start with {}1, not with {hrp}1", self.hrp)))
    }

    /// The lock of an address of this chain.
    pub fn lock_of(&self, address: &str) -> Result<Lock, CliError> {
        let wrong = |error| CliError::usage(format!("\"{address}\": {error}"));
        from_address(address, &self.hrp).map_err(wrong)
    }

    /// Unspent outputs of an address, those that can be spent first.
    pub async fn unspent(&self, address: &str) -> Result<Vec<Unspent>, CliError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page: UnspentPage =
                get(&self.client, "list_unspent", vec![json!(address), json!(cursor), json!(PAGE)]).await?;
            all.extend(page.utxos);
            cursor = page.next_cursor;
            if cursor.is_none() || all.len() >= MAX_WALLET_COINS {
                return Ok(all);
            }
        }
    }

    /// What can be spent now.
    pub async fn coins(&self, addresses: &[(String, Lock)]) -> Result<Vec<Coin>, CliError> {
        let mut coins = Vec::new();
        for (address, lock) in addresses {
            for unspent in self.unspent(address).await?.iter().filter(|unspent| unspent.is_spendable()) {
                coins.push(Coin { outpoint: unspent.outpoint()?, value: unspent.value, lock: *lock });
            }
        }
        Ok(coins)
    }

    /// What an address has.
    pub async fn balance(&self, address: &str) -> Result<Balance, CliError> {
        get(&self.client, "get_balance", vec![json!(address)]).await
    }

    /// What happened to an address, newest first.
    pub async fn history(&self, address: &str, limit: usize) -> Result<Vec<Entry>, CliError> {
        let history: History =
            get(&self.client, "get_address_history", vec![json!(address), Value::Null, json!(limit)]).await?;
        Ok(history.entries)
    }

    /// Whose an output is, and what it holds.
    pub async fn owner(&self, outpoint: &OutPoint) -> Result<(Lock, Amount), CliError> {
        let parameters = vec![json!(outpoint.txid.to_string()), json!(outpoint.index)];
        let out: Option<TxOutPart> = get(&self.client, "get_tx_out", parameters).await?;
        let out = out.ok_or_else(|| CliError::failure(format!("the node knows no final output {outpoint}")))?;
        Ok((self.lock_of(&out.address)?, out.value))
    }

    /// The owner of a masternode.
    pub async fn masternode_owner(&self, masternode: &MasternodeId) -> Result<Lock, CliError> {
        let record: OwnerPart = get(&self.client, "get_masternode", vec![json!(masternode.to_string())]).await?;
        self.lock_of(&record.owner)
    }

    /// How far transactions are, in their order.
    pub async fn statuses(&self, txids: &[Txid]) -> Result<Vec<TransactionStatus>, CliError> {
        let mut all = Vec::with_capacity(txids.len());
        for chunk in txids.chunks(STATUS_CHUNK) {
            let names: Vec<String> = chunk.iter().map(Txid::to_string).collect();
            let part: Vec<TransactionStatus> = get(&self.client, "get_transaction_status", vec![json!(names)]).await?;
            if part.len() != chunk.len() {
                return Err(nonsense("get_transaction_status", "another number of answers than of questions"));
            }
            all.extend(part);
        }
        Ok(all)
    }

    /// Hands in a transaction without waiting for what becomes of it.
    pub async fn hand_in(&self, tx: &Transaction) -> Result<Txid, CliError> {
        let txid = tx.body.txid();
        let answered: String = get(&self.client, "send_raw_transaction", vec![json!(hex::encode(&encode(tx)))]).await?;
        if answered != txid.to_string() {
            return Err(nonsense("send_raw_transaction", "the node names another transaction"));
        }
        Ok(txid)
    }

    /// Hands in a transaction and waits for it; prints what becomes of it.
    pub async fn send(&self, tx: &Transaction, wait: &Wait) -> Result<(), CliError> {
        let begun = Instant::now();
        let txid = self.hand_in(tx).await?;
        // Before the wait: whatever happens then, this is how the payment is found again.
        say!("txid       {txid}");
        let status = self.wait_for(&txid, wait).await?;
        say!("status     {status}\nafter      {} ms", begun.elapsed().as_millis());
        Ok(())
    }

    async fn wait_for(&self, txid: &Txid, wait: &Wait) -> Result<String, CliError> {
        let seconds = wait.timeout.map(u64::from).map(Duration::from_secs);
        let blocks = Duration::from_millis(self.slot_ms.saturating_mul(3));
        let default = Duration::from_secs(60) + if wait.wait == Status::Archived { blocks } else { Duration::ZERO };
        let deadline = Instant::now() + seconds.unwrap_or(default);
        loop {
            let step = deadline.saturating_duration_since(Instant::now()).min(MAX_WAIT);
            let timeout_ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
            let parameters = vec![json!(txid.to_string()), json!(wait.wait.to_string()), json!(timeout_ms)];
            match self.client.call("wait_for_transaction", parameters).await {
                Ok(value) => return Ok(read::<StatusPart>("wait_for_transaction", value)?.status),
                Err(CallError::Refused { code: TIMEOUT_CODE, .. }) if Instant::now() < deadline => {}
                Err(error @ CallError::Refused { code: TIMEOUT_CODE, .. }) => {
                    return Err(CliError::failure(format!(
                        "{error}. It was handed in and may still become final: look with timed rpc get_transaction {txid}"
                    )));
                }
                Err(error) => return Err(CliError::failure(error)),
            }
        }
    }
}

/// Calls a method and reads the answer.
pub async fn get<T: DeserializeOwned>(client: &Client, method: &str, parameters: Vec<Value>) -> Result<T, CliError> {
    let value = client.call(method, parameters).await.map_err(CliError::failure)?;
    read(method, value)
}

fn read<T: DeserializeOwned>(method: &str, value: Value) -> Result<T, CliError> {
    serde_json::from_value(value).map_err(|error| nonsense(method, error))
}

/// An answer that no node of this version gives.
pub fn nonsense(method: &str, problem: impl Display) -> CliError {
    CliError::failure(format!("the node's answer to {method} makes no sense: {problem}"))
}

/// An amount: an integer in units, as a decimal string or a number.
pub fn units<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let units = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    units.map(Amount::new).ok_or_else(|| D::Error::custom(format!("{value} is no amount")))
}
