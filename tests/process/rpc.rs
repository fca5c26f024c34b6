//! JSON-RPC over plain HTTP, one request at a time.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Why a call gave no result.
#[derive(Clone, PartialEq, Debug)]
pub enum Failure {
    /// Nobody answers, or what answers is no HTTP.
    NoAnswer(String),
    /// The node says no: the error object.
    Refused(Value),
}

/// Calls `method` of the node at this address.
pub fn call(address: SocketAddr, method: &str, parameters: Value) -> Result<Value, Failure> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters }).to_string();
    let answer = post(address, &request).map_err(|e| Failure::NoAnswer(e.to_string()))?;
    let mut answer: Value = serde_json::from_str(&answer).map_err(|e| Failure::NoAnswer(format!("{e}: {answer}")))?;
    match answer.get("error") {
        Some(error) => Err(Failure::Refused(error.clone())),
        None => Ok(answer["result"].take()),
    }
}

fn post(address: SocketAddr, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut reader = BufReader::new(stream);
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let mut text = String::new();
    match length {
        Some(length) => reader.take(length as u64).read_to_string(&mut text)?,
        None => reader.read_to_string(&mut text)?,
    };
    Ok(text)
}
