//! The load generator against nodes that behave as each test wants: what its report says is what happened.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "load/stub.rs"]
mod stub;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use stub::{Behaviour, Running, Seen, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

/// What a load ended with.
struct Ended {
    code: Option<i32>,
    text: String,
    complaint: String,
}

impl Ended {
    fn report(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {} {}", self.text, self.complaint))
    }
}

/// Runs `timed load` with these arguments, the key of somebody who has coins among them.
async fn load(urls: &[&str], arguments: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("faucet.key");
    std::fs::write(&key, format!("{}\n", "07".repeat(32))).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let arguments: Vec<&str> = arguments.split(' ').collect();
    timed(urls, &[&["--key-file", key.to_str().unwrap()], arguments.as_slice()].concat()).await
}

async fn timed(urls: &[&str], arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timed"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_")) {
        command.env_remove(name);
    }
    let folder = tempfile::tempdir().unwrap();
    command.args(["--rpc-url", &urls.join(","), "load"]).args(arguments).stdin(Stdio::null());
    let output = command.current_dir(folder.path()).env("HOME", folder.path()).output().await.unwrap();
    Ended {
        code: output.status.code(),
        text: String::from_utf8(output.stdout).unwrap(),
        complaint: String::from_utf8(output.stderr).unwrap(),
    }
}

fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("{field} in {report}"))
}

fn sum(reasons: &Value) -> u64 {
    reasons.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// Every payment is in one place of the report.
fn assert_adds_up(report: &Value) {
    let places = number(report, "finalized") + number(report, "not_final");
    let all = places + sum(&report["errors"]) + sum(&report["rejected"]) + number(&report["conflicts"], "pairs");
    assert_eq!(all, number(report, "count"), "{report}");
}

fn seen<T>(node: &Running, read: impl FnOnce(&Seen) -> T) -> T {
    read(&node.stub.seen.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_reports_the_rate_and_the_latency_that_there_were() {
    let node = start(Behaviour { delay_ms: 300, ..Behaviour::default() }).await;
    let ended = load(&[&node.url], "--rate 200 --count 400 --json").await;
    let report = ended.report();
    assert_eq!(ended.code, Some(0), "{}", ended.complaint);
    assert_eq!((number(&report, "count"), number(&report, "finalized")), (400, 400), "{report}");
    assert_eq!((number(&report, "accepted"), seen(&node, |seen| seen.taken)), (400, 400), "{report}");
    assert_eq!((&report["errors"], &report["rejected"], &report["problems"]), (&json!({}), &json!({}), &json!([])));
    assert_adds_up(&report);
    // The last is due after 1.995 s and final 0.3 s later, so 400 payments a second and more cannot be.
    let per_second = number(&report, "finalized_per_second");
    assert!((1..=174).contains(&per_second), "{report}");
    let latency = ["p50", "p90", "p99", "max"].map(|name| number(&report["latency_ms"], name));
    assert!(latency[0] >= 300 && latency.is_sorted(), "{report}");
    assert!(number(&report["answer_ms"], "p50") <= latency[0], "{report}");
    // The same for people.
    let node = start(Behaviour { refuses_every: Some(10), ..Behaviour::default() }).await;
    let ended = load(&[&node.url], "--rate 500 --count 50").await;
    assert_eq!(ended.code, Some(0), "{}", ended.complaint);
    for line in [
        "payments        50",
        "finalized       45",
        "errors          5",
        "          5 fee_too_low",
        "not final       0",
    ] {
        assert!(ended.text.lines().any(|found| found == line), "{line} in {}", ended.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_dropped_is_counted_under_its_reason() {
    let node = start(Behaviour { refuses_every: Some(4), drops_every: Some(5), ..Behaviour::default() }).await;
    let ended = load(&[&node.url], "--rate 1000 --count 400 --json").await;
    let report = ended.report();
    let (refused, dropped) = seen(&node, |seen| (seen.refused, seen.dropped));
    assert_eq!((refused, dropped), (100, 60));
    assert_eq!(report["errors"], json!({ "fee_too_low": 100 }), "{report}");
    assert_eq!(report["rejected"], json!({ "evicted": 60 }), "{report}");
    assert_eq!((number(&report, "finalized"), number(&report, "accepted")), (240, 300), "{report}");
    assert_adds_up(&report);
    // Refusals are what was measured, no failure of the measurement.
    assert_eq!(ended.code, Some(0), "{}", ended.complaint);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_winner_of_each_pair_is_no_alarm() {
    let node = start(Behaviour::default()).await;
    let ended = load(&[&node.url], "--rate 1000 --count 200 --conflicts 10 --json").await;
    let report = ended.report();
    let expected = json!({ "pairs": 20, "one_final": 20, "none_final": 0, "both_final": 0 });
    assert_eq!((ended.code, &report["conflicts"]), (Some(0), &expected), "{}", ended.complaint);
    assert_eq!((number(&report, "finalized"), &report["errors"]), (180, &json!({})), "{report}");
    assert_adds_up(&report);
}

fn assert_alarm(ended: &Ended) {
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(ended.complaint.contains("ALARM: 20 double spends have both rivals final"), "{}", ended.complaint);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_winners_raise_the_alarm_on_one_node_and_on_two() {
    let careless = start(Behaviour { likes_rivals: true, ..Behaviour::default() }).await;
    let arguments = "--rate 1000 --count 200 --conflicts 10";
    let ended = load(&[&careless.url], arguments).await;
    assert_alarm(&ended);
    assert!(ended.text.contains("\nALARM           20 double spends"), "{}", ended.text);
    // Each node by itself is right: it knows one of the two.
    let (one, other) = (start(Behaviour::default()).await, start(Behaviour::default()).await);
    let ended = load(&[&one.url, &other.url], &format!("{arguments} --settle 1 --json")).await;
    assert_alarm(&ended);
    let expected = json!({ "pairs": 20, "one_final": 0, "none_final": 0, "both_final": 20 });
    assert_eq!(ended.report()["conflicts"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_answering_is_said_to() {
    let node = start(Behaviour { silent_after: Some(100), ..Behaviour::default() }).await;
    let ended = load(&[&node.url], "--rate 1000 --count 400 --settle 1 --answer-timeout 2 --json").await;
    let report = ended.report();
    assert_eq!(report["errors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["no answer"], "{report}");
    assert_eq!(number(&report, "finalized"), 100, "{report}");
    assert_adds_up(&report);
    assert_eq!(ended.code, Some(1));
    assert!(ended.complaint.contains("300 transactions is not known") && ended.complaint.contains(&node.url));
    assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_leaves_a_report_of_what_was() {
    // What it took is not final when it dies: so there is something left to listen for.
    let node = start(Behaviour { dies_after: Some(100), delay_ms: 60_000, ..Behaviour::default() }).await;
    let ended = load(&[&node.url], "--rate 1000 --count 400 --settle 3 --answer-timeout 2 --json").await;
    let report = ended.report();
    assert!(number(&report["errors"], "no answer") >= 250, "{report}");
    assert_eq!(number(&report, "finalized"), 0, "{report}");
    assert_adds_up(&report);
    assert_eq!(ended.code, Some(1));
    assert!(ended.complaint.contains("cannot subscribe at ws://"), "{}", ended.complaint);
    assert!(ended.complaint.contains("400 transactions is not known"), "{}", ended.complaint);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_is_no_payment_taken_and_no_knowledge() {
    let node = start(Behaviour { names_another: true, ..Behaviour::default() }).await;
    let ended = load(&[&node.url], "--rate 1000 --count 200 --settle 1 --json").await;
    let report = ended.report();
    assert_eq!((&report["errors"], number(&report, "accepted")), (&json!({ "wrong answer": 200 }), 0), "{report}");
    let node = start(Behaviour { tells_less: true, ..Behaviour::default() }).await;
    let ended = load(&[&node.url], "--rate 1000 --count 200 --conflicts 10 --json").await;
    assert_eq!(ended.code, Some(1), "who does not know what became of rivals does not say that all is well");
    assert!(ended.complaint.contains("another number of answers than of questions"), "{}", ended.complaint);
    assert_eq!(number(&ended.report(), "finalized"), 180);
}

#[tokio::test(flavor = "multi_thread")]
async fn something_that_is_no_node_is_said_to_make_no_sense() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 64];
            stream.read_exact(&mut request).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
            stream.write_all(answer).await.unwrap();
            // Until the client has read it.
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        }
    });
    let ended = load(&[&url], "--rate 10 --count 10").await;
    assert_eq!((ended.code, ended.text.as_str()), (Some(1), ""));
    assert!(ended.complaint.contains("makes no sense"), "{}", ended.complaint);
    let ended = timed(&[&url], &["reads", "--seconds", "1"]).await;
    assert_eq!((ended.code, ended.text.as_str()), (Some(1), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_counted_as_the_node_counts_them() {
    let node = start(Behaviour::default()).await;
    let ended = timed(&[&node.url], &["reads", "--connections", "1,3", "--seconds", "1", "--json"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.complaint);
    let report = ended.report();
    let mut reads: BTreeMap<String, u64> = BTreeMap::new();
    for run in report["runs"].as_array().unwrap() {
        let (count, per_second) = (number(run, "reads"), number(run, "reads_per_second"));
        assert!(count > 0 && per_second <= count && run["errors"] == json!({}), "{run}");
        let latency = ["p50", "p90", "p99", "max"].map(|name| number(&run["latency_us"], name));
        assert!(latency[0] > 0 && latency.is_sorted(), "{run}");
        *reads.entry(run["method"].as_str().unwrap().to_owned()).or_default() += count;
    }
    assert_eq!(report["runs"].as_array().unwrap().len(), 8);
    // One call of each connection before the clock runs, and those that find out what to ask for.
    let before = BTreeMap::from([("get_block_count", 5), ("get_block", 5), ("get_transaction", 5), ("get_balance", 4)]);
    for (method, before) in before {
        let counted = seen(&node, |seen| seen.calls[method]);
        assert_eq!(reads[method] + before, counted, "{method}");
    }
    assert_eq!(report["subject"]["txid"], "bb");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_of_reads_says_what_is_wrong_with_what_was_asked() {
    let node = start(Behaviour::default()).await;
    let ended = timed(&[&node.url], &["--rate", "5", "reads"]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.complaint);
    let ended = timed(&[&node.url], &["reads", "--connections", "0"]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.complaint);
    let ended = timed(&["http://127.0.0.1:1"], &["reads"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.complaint.contains("Is the node running?"), "{}", ended.complaint);
}
