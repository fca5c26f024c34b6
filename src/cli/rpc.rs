//! `timed rpc METHOD [ARG...]`: calls a method and prints the JSON.

use super::client::block_on;
use super::{CliError, Global};
use std::time::Duration;

/// How long the answer of a method that does not wait for anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to call.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The method, like `get_block`.
    method: String,
    /// Its parameters in order: each as JSON, or as text if it is none.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    parameters: Vec<String>,
}

/// Calls it.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    let client = match arguments.method.starts_with("wait_for") {
        true => global.client()?,
        false => global.client()?.with_timeout(PATIENCE).map_err(CliError::failure)?,
    };
    let parameters = arguments.parameters.iter().map(|text| value_of(text)).collect();
    let result = block_on(async { client.call(&arguments.method, parameters).await.map_err(CliError::failure) })?;
    match result {
        serde_json::Value::String(text) => say!("{text}"),
        other => say!("{}", serde_json::to_string_pretty(&other).map_err(CliError::failure)?),
    }
    Ok(())
}

fn value_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.to_owned()))
}
