//! The results as Markdown.

use crate::hunt::{Row, Verdict};

const HEAD: &str = "| bug | what is wrong | what breaks | caught by | seed | seconds |\n|---|---|---|---|---|---|";

/// One bug.
pub fn line(row: &Row) -> String {
    let (by, seed) = match &row.verdict {
        Verdict::Caught { seed, by } => (short(by), seed.to_string()),
        Verdict::Missed { seeds } => ("**missed**".to_owned(), format!("1 to {seeds} pass")),
        Verdict::DoesNotBuild(reason) => (format!("**does not build**: {}", short(reason)), "-".to_owned()),
    };
    let (build, run) = (row.build.as_secs(), row.run.as_secs());
    let bug = row.bug;
    format!("| `{}` | {} | {} | {by} | {seed} | {build} + {run} |", bug.name, bug.what, bug.breaks)
}

/// All bugs.
pub fn whole(rows: &[Row]) -> String {
    let lines: Vec<String> = rows.iter().map(line).collect();
    let caught = rows.iter().filter(|row| matches!(row.verdict, Verdict::Caught { .. })).count();
    let seconds: u64 = rows.iter().map(|row| (row.build + row.run).as_secs()).sum();
    format!("{HEAD}\n{}\n\n{caught} of {} caught, {} minutes", lines.join("\n"), rows.len(), seconds / 60)
}

/// The invariant and the beginning of what it says, without the time, fit for a cell.
fn short(text: &str) -> String {
    let text = match (text.split_once(" at "), text.split_once(": ")) {
        (Some((invariant, _)), Some((place, said))) if place.starts_with(&format!("{invariant} at ")) => {
            format!("{invariant}: {said}")
        }
        _ => text.to_owned(),
    };
    let text = text.replace('|', "/");
    match text.chars().count() {
        0..=60 => text,
        _ => text.chars().take(57).chain("...".chars()).collect(),
    }
}
