//! Reads over JSON-RPC: the bytes of a request, whether an answer is one, and what a run of them showed.

use super::latency::Percentiles;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How the figures come about; printed with them.
pub const METHOD: &str = "closed loop: each connection (HTTP/1.1, kept alive) has one call under way and makes the next \
    when the answer is here, whole and checked to be a result; one call each before the clock runs; a latency runs from \
    the first byte sent to the last received; the client shares the machine with the node if both run there";

/// One method at one number of connections.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReadReport {
    /// What was called.
    pub method: String,
    /// Connections, each with one call under way.
    pub connections: usize,
    /// Calls that gave a result.
    pub reads: u64,
    /// Those a second, rounded down.
    pub reads_per_second: u64,
    /// From sent to received, in microseconds; `None` if there was no result.
    pub latency_us: Option<Percentiles>,
    /// Calls without a result, by reason. A connection whose call gets no answer makes no further ones.
    pub errors: BTreeMap<String, u64>,
}

/// What one connection saw.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    /// Latencies of calls that gave a result, in microseconds.
    pub latencies_us: Vec<u32>,
    /// Calls that gave none, by reason.
    pub errors: BTreeMap<String, u64>,
}

impl Seen {
    /// A call gave no result.
    pub fn fail(&mut self, reason: String) {
        *self.errors.entry(reason).or_default() += 1;
    }
}

impl ReadReport {
    /// The report of connections that called `method` for `elapsed_us` microseconds.
    pub fn of(method: &str, elapsed_us: u64, connections: Vec<Seen>) -> Self {
        let count = connections.len();
        let (mut latencies, mut errors) = (Vec::new(), BTreeMap::new());
        for seen in connections {
            latencies.extend(seen.latencies_us.into_iter().map(u64::from));
            for (reason, times) in seen.errors {
                *errors.entry(reason).or_default() += times;
            }
        }
        let reads = u64::try_from(latencies.len()).unwrap_or(u64::MAX);
        let per_second = u128::from(reads) * 1_000_000 / u128::from(elapsed_us.max(1));
        Self {
            method: method.to_owned(),
            connections: count,
            reads,
            reads_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
            latency_us: Percentiles::of_us(latencies),
            errors,
        }
    }

    /// Calls without a result.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// One line of a table.
    pub fn table_line(&self) -> String {
        let latency = |read: fn(&Percentiles) -> u64| {
            self.latency_us.as_ref().map_or("-".to_owned(), |latency| read(latency).to_string())
        };
        format!(
            "{:<16} {:>11} {:>9} {:>9} {:>8} {:>8} {:>8} {:>7}",
            self.method,
            self.connections,
            self.reads,
            self.reads_per_second,
            latency(|l| l.p50),
            latency(|l| l.p99),
            latency(|l| l.max),
            self.failed(),
        )
    }
}

/// The head of a table of reads.
pub const TABLE_HEAD: &str = "method           connections     reads   reads/s   p50 us   p99 us   max us  errors";

/// A call as it goes over a connection that is kept alive. `authorization` is the value of that header.
pub fn request(host: &str, authorization: Option<&str>, method: &str, parameters: &[Value]) -> Vec<u8> {
    let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters }).to_string();
    let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{authorization}Content-Length: {}\r\n\r\n",
        call.len()
    );
    [head.into_bytes(), call.into_bytes()].concat()
}

/// Where the body of an answer begins and ends, once its whole head is in `bytes`.
///
/// # Errors
/// A text that says what is wrong, if it is no answer with a result's status and a length.
pub fn body_of(bytes: &[u8]) -> Result<Option<std::ops::Range<usize>>, String> {
    let Some(head_end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = bytes.get(..head_end).and_then(|head| std::str::from_utf8(head).ok()).ok_or("a head that is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)).ok_or("no HTTP/1.1 answer")?;
    if status != "200" {
        return Err(format!("HTTP status {status}"));
    }
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.trim().parse().ok()).ok_or("an answer without a length")?;
    let start = head_end + 4;
    Ok(Some(start..start.saturating_add(length)))
}

/// The parts of an answer that tell whether it is a result.
#[derive(Deserialize)]
struct AnswerPart<'a> {
    id: u64,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ErrorPart>,
}

#[derive(Deserialize)]
struct ErrorPart {
    code: i64,
    data: Option<Value>,
}

/// The result that an answer has.
///
/// # Errors
/// The stable part of its error, or that it is no answer to [`request`].
pub fn result_of(body: &[u8]) -> Result<&RawValue, String> {
    let answer: AnswerPart<'_> = serde_json::from_slice(body).map_err(|_| "no JSON-RPC answer".to_owned())?;
    match (answer.result, answer.error) {
        (Some(result), None) if answer.id == 1 => Ok(result),
        (_, Some(ErrorPart { code, data })) => {
            let reason = data.as_ref().and_then(|data| data.get("reason")?.as_str()).map(str::to_owned);
            Err(reason.unwrap_or_else(|| format!("error {code}")))
        }
        _ => Err("an answer to nothing that was asked".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_has_its_length_and_who_asks() {
        let text = String::from_utf8(request("h:1", Some("Bearer x"), "get_block", &[json!(7), json!(1)])).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST / HTTP/1.1\r\nHost: h:1\r\n"), "{head}");
        assert!(head.contains("\r\nAuthorization: Bearer x\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        let call: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&call["method"], &call["params"]), (&json!("get_block"), &json!([7, 1])));
    }

    #[test]
    fn an_answer_is_read_to_its_length_and_no_further() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\ndate: x\r\n\r\nabcHTTP";
        let start = whole.len() - b"abcHTTP".len();
        assert_eq!(body_of(whole), Ok(Some(start..start + 3)));
        assert_eq!(body_of(&whole[..start - 1]), Ok(None), "the head has no end yet");
        for (bytes, problem) in [
            (&b"HTTP/1.1 503 No\r\n\r\n"[..], "HTTP status 503"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "an answer without a length"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "an answer without a length"),
            (b"220 smtp\r\n\r\n", "no HTTP/1.1 answer"),
            (b"\xff\r\n\r\n", "a head that is no text"),
        ] {
            assert_eq!(body_of(bytes).unwrap_err(), problem);
        }
    }

    #[test]
    fn only_a_result_counts_as_one() {
        let result = result_of(br#"{"jsonrpc":"2.0","id":1,"result":{"error":5}}"#).unwrap();
        assert_eq!(result.get(), r#"{"error":5}"#);
        for (body, problem) in [
            (&b"[]"[..], "no JSON-RPC answer"),
            (br#"{"jsonrpc":"2.0","id":1,"result":5"#, "no JSON-RPC answer"),
            (br#"{"jsonrpc":"2.0","id":2,"result":5}"#, "an answer to nothing that was asked"),
            (br#"{"jsonrpc":"2.0","id":1}"#, "an answer to nothing that was asked"),
            (br#"{"jsonrpc":"2.0","id":1,"error":{"code":-28,"message":"x"}}"#, "error -28"),
            (br#"{"jsonrpc":"2.0","id":1,"error":{"code":-5,"message":"x","data":{"reason":"r"}}}"#, "r"),
        ] {
            assert_eq!(result_of(body).unwrap_err(), problem);
        }
    }

    #[test]
    fn a_report_counts_results_and_names_errors() {
        let mut failing = Seen { latencies_us: vec![4_000], ..Seen::default() };
        failing.fail("no answer".into());
        let all = vec![Seen { latencies_us: vec![100, 300, 200], ..Seen::default() }, failing];
        let report = ReadReport::of("get_block_count", 2_000_000, all);
        assert_eq!((report.connections, report.reads, report.reads_per_second, report.failed()), (2, 4, 2, 1));
        assert_eq!(report.latency_us, Some(Percentiles { p50: 200, p90: 4_000, p99: 4_000, max: 4_000 }));
        assert_eq!(report.errors, BTreeMap::from([("no answer".to_owned(), 1)]));
        assert_eq!(report.table_line().len(), TABLE_HEAD.len());
    }
}
