//! `timed rpc METHOD [ARG...]`: calls a method and prints the JSON.

use super::client::block_on;
use super::{CliError, Global};

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
    let client = global.client()?;
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
