//! Files that the network keeps over restarts, as JSON. Conveniences and no promises: one that cannot be read is warned
//! about, put away under another name, and begun anew.

use crate::storage::files::Files;
use crate::storage::recovery::put_away;
use crate::storage::whole_file::{read_at_most, replace};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

/// What the file holds; `None` if there is none of at most `most` bytes that can be read.
pub(super) fn load<T: DeserializeOwned>(files: &dyn Files, name: &'static str, most: u64) -> Option<T> {
    let problem = match read_at_most(files, name, most) {
        Err(error) if error.is_missing() => return None,
        Err(error) => {
            warn!(%error, "begun anew");
            return None;
        }
        Ok(None) => format!("it has more than {most} bytes"),
        Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
            Ok(value) => return Some(value),
            Err(error) => error.to_string(),
        },
    };
    match put_away(files, name) {
        Ok(away) => warn!(file = name, away = away.unwrap_or_default(), problem, "damaged: put away and begun anew"),
        Err(error) => warn!(file = name, %error, problem, "damaged: begun anew"),
    }
    None
}

/// Writes the file. Whether that was done; if not, it is warned about.
pub(super) fn save(files: &dyn Files, name: &'static str, value: &impl Serialize) -> bool {
    let saved = match serde_json::to_vec_pretty(value) {
        Ok(bytes) => replace(files, name, &[&bytes, b"\n"]).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(problem) = &saved {
        warn!(file = name, problem, "not saved");
    }
    saved.is_ok()
}
