//! A finality proof as a caller gives it: JSON with what `get_finality_proof` wrote, in any order of its fields.

use super::errors::Failure;
use crate::limits::{MAX_BATCH_TXIDS, MAX_VALIDATORS};
use crate::types::block::{Commit, Header};
use crate::types::codec::decode;
use crate::types::hash::{BlockHash, Hash, Txid};
use crate::types::hex;
use crate::types::keys::{PublicKey, Signature};
use crate::types::number::{Epoch, Height, View};
use crate::types::vote::{FinalityProof, Receipt};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// Most levels of a Merkle tree over the transactions of a block.
const MAX_LEVELS: usize = 32;

/// A proof that was read and not checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GivenProof {
    /// Receipts.
    Receipts(FinalityProof),
    /// A place in a block.
    Block(Box<GivenBlock>),
}

/// A transaction's place in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenBlock {
    /// The transaction.
    pub txid: Txid,
    /// The block's header.
    pub header: Header,
    /// Its commit; nothing for genesis.
    pub commit: Option<Commit>,
    /// Position of the transaction.
    pub index: u32,
    /// Number of transactions.
    pub count: u32,
    /// Merkle path.
    pub path: Vec<Hash>,
}

/// Reads a proof.
///
/// # Errors
/// [`Failure::CannotDecode`] if it is none.
pub fn read_proof(value: &Value) -> Result<GivenProof, Failure> {
    let bad = |problem: String| Failure::CannotDecode { name: "proof".to_owned(), problem };
    let text: ProofText = ProofText::deserialize(value).map_err(|e| bad(e.to_string()))?;
    match text {
        ProofText::Receipts { txid, epoch, receipts } => {
            if receipts.len() > MAX_VALIDATORS {
                return Err(bad(format!("{} receipts are more than a set has members", receipts.len())));
            }
            let receipts = receipts.into_iter().map(ReceiptText::read).collect();
            Ok(GivenProof::Receipts(FinalityProof { txid: txid.0, epoch: Epoch::new(epoch), receipts }))
        }
        ProofText::Block { txid, height, header, commit, index, count, path } => {
            let bytes = hex::decode(&header).ok_or_else(|| bad("the header is no hexadecimal".to_owned()))?;
            let header: Header = decode(&bytes).map_err(|e| bad(format!("the header: {e}")))?;
            if header.height != Height::new(height) {
                return Err(bad(format!("the header is that of height {}", header.height)));
            }
            if path.len() > MAX_LEVELS {
                return Err(bad(format!("a path of {} hashes", path.len())));
            }
            let (commit, path) = (commit.map(CommitText::read), path.into_iter().map(|hash| hash.0).collect());
            Ok(GivenProof::Block(Box::new(GivenBlock { txid: txid.0, header, commit, index, count, path })))
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum ProofText {
    Receipts {
        txid: FromHex<Txid>,
        epoch: u64,
        receipts: Vec<ReceiptText>,
    },
    Block {
        txid: FromHex<Txid>,
        height: u64,
        header: String,
        commit: Option<CommitText>,
        index: u32,
        count: u32,
        path: Vec<FromHex<Hash>>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptText {
    voter: FromHex<PublicKey>,
    index: u32,
    count: u32,
    path: Vec<FromHex<Hash>>,
    signature: FromHex<Signature>,
}

impl ReceiptText {
    fn read(self) -> Receipt {
        let Self { voter, index, count, path, signature } = self;
        // A longer path than any batch has proves nothing either.
        let path = path.into_iter().take(MAX_BATCH_TXIDS).map(|hash| hash.0).collect();
        Receipt { voter: voter.0, index, count, path, signature: signature.0 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitText {
    height: u64,
    view: u32,
    block_hash: FromHex<BlockHash>,
    signatures: Vec<Option<FromHex<Signature>>>,
}

impl CommitText {
    fn read(self) -> Commit {
        Commit {
            height: Height::new(self.height),
            view: View::new(self.view),
            block_hash: self.block_hash.0,
            signatures: self.signatures.into_iter().map(|signature| signature.map(|signature| signature.0)).collect(),
        }
    }
}

/// A value whose text is its hex digits.
struct FromHex<T>(T);

trait ReadHex: Sized {
    fn read_hex(text: &str) -> Option<Self>;
}

macro_rules! read_hex {
    ($($type:ident)*) => {
        $(impl ReadHex for $type {
            fn read_hex(text: &str) -> Option<Self> {
                hex::decode_array(text).map($type)
            }
        })*
    };
}

read_hex!(Txid Hash BlockHash PublicKey Signature);

impl<'de, T: ReadHex> Deserialize<'de> for FromHex<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::read_hex(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("no hex digits of the right number: {text}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_proof_is_read_with_its_fields_in_any_order() {
        let voter = "01".repeat(32);
        let proof = json!({
            "receipts": [{
                "signature": "02".repeat(64), "path": ["03".repeat(32)], "count": 2, "index": 1, "voter": voter,
            }],
            "epoch": 7, "txid": "04".repeat(32), "kind": "receipts",
        });
        let GivenProof::Receipts(read) = read_proof(&proof).unwrap() else { panic!("receipts") };
        assert_eq!((read.txid, read.epoch), (Txid([4; 32]), Epoch::new(7)));
        assert_eq!(read.receipts[0].voter, PublicKey([1; 32]));
        assert_eq!(read.receipts[0].path, [Hash([3; 32])]);
    }

    #[test]
    fn what_is_no_proof_cannot_be_decoded() {
        let missing = json!({ "kind": "receipts", "txid": "04".repeat(32), "epoch": 7 });
        let unknown = json!({ "kind": "receipts", "txid": "04".repeat(32), "epoch": 7, "receipts": [], "x": 1 });
        let odd = json!({ "kind": "receipts", "txid": "04", "epoch": 7, "receipts": [] });
        let header = json!({
            "kind": "block", "txid": "04".repeat(32), "height": 1, "header": "00", "commit": null, "index": 0,
            "count": 1, "path": [],
        });
        for proof in [json!(null), json!([]), json!("x"), json!({ "kind": "x" }), missing, unknown, odd, header] {
            let failure = read_proof(&proof).unwrap_err();
            assert_eq!((failure.code(), failure.reason()), (-22, "cannot_decode"), "{proof}");
        }
    }
}
