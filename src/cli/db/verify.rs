//! `timed db verify`: everything in a data directory checked against everything else, and repaired if asked.

use super::{Opened, grouped, open, progress_bar};
use crate::cli::{CliError, Global};
use crate::storage::verify::{Directory, Findings, Part, Problem, Remedy};
use crate::types::number::Height;
use std::path::Path;
use std::time::{Duration, Instant};

/// How to look.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Repair what can be repaired without losing anything: db/ is made anew from blocks/, damaged blocks that journal/ has
    /// are cut off. What was damaged is renamed, never deleted.
    #[arg(long)]
    repair: bool,
    /// With --repair: put db/, blocks/ and journal/ away when blocks or journal are damaged beyond repair, so that the next
    /// start fetches the chain from other nodes. Payments acknowledged in this epoch that are in no block yet are forgotten
    /// here.
    #[arg(long, requires = "repair")]
    from_peers: bool,
}

/// Looks, repairs if asked, and says how it is.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    let begin = Instant::now();
    let Opened { folder, directory, .. } = open(global)?;
    let findings = look(&directory)?;
    print(&findings, begin.elapsed());
    if findings.problems.is_empty() {
        return Ok(());
    }
    if !arguments.repair {
        return Err(CliError::Failure(damage(&folder, &findings.problems)));
    }
    let needs = |remedy| findings.problems.iter().any(|problem| problem.remedy == remedy);
    if needs(Remedy::Peers) {
        if !arguments.from_peers {
            let text = damage(&folder, &findings.problems);
            return Err(CliError::Failure(format!("nothing was repaired. {text}")));
        }
        let away = directory.leave_to_peers().map_err(CliError::failure)?;
        say!("put away   {}", away.join(", "));
        say!("the next start fetches the chain from other nodes; keep masternode.key and votes.log where they are");
        return rest(&folder, &findings.problems, &[Remedy::AcceptLostVotes, Remedy::Elsewhere]);
    }
    if !needs(Remedy::Repair) {
        return Err(CliError::Failure(damage(&folder, &findings.problems)));
    }
    repair(directory, &findings)?;
    rest(&folder, &findings.problems, &[Remedy::AcceptLostVotes, Remedy::Elsewhere])
}

fn look(directory: &Directory) -> Result<Findings, CliError> {
    let bar = progress_bar(0, "{bar:30} {percent:>3} %  block {msg}  {elapsed} of about {duration}");
    let findings = directory.verify(&mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
        bar.set_message(progress.height.to_string());
    });
    bar.finish_and_clear();
    findings.map_err(CliError::failure)
}

/// Repairs, and looks again: what is called repaired was checked like anything else.
fn repair(directory: Directory, findings: &Findings) -> Result<(), CliError> {
    let begin = Instant::now();
    let bar = progress_bar(findings.height.get(), "{bar:30} {percent:>3} %  making db/ anew, block {pos}");
    let repaired = directory.repair(findings, &mut |height: Height| bar.set_position(height.get()));
    bar.finish_and_clear();
    let (directory, away) = repaired.map_err(CliError::failure)?;
    say!("put away   {}", away.join(", "));
    let findings = look(&directory)?;
    print(&findings, begin.elapsed());
    match findings.problems.iter().find(|problem| [Part::Index, Part::Blocks].contains(&problem.part)) {
        None => Ok(()),
        Some(problem) => Err(CliError::Failure(format!("{} is damaged still: {}", problem.part, problem.what))),
    }
}

/// What a repair does not touch is still damaged.
fn rest(folder: &Path, problems: &[Problem], remedies: &[Remedy]) -> Result<(), CliError> {
    let rest: Vec<Problem> = problems.iter().filter(|problem| remedies.contains(&problem.remedy)).cloned().collect();
    if rest.is_empty() { Ok(()) } else { Err(CliError::Failure(damage(folder, &rest))) }
}

fn print(findings: &Findings, took: Duration) {
    let chain = findings.chain;
    say!(
        "blocks     {} from {} to height {}, {} transactions",
        grouped(chain.blocks),
        findings
            .base
            .map_or_else(|| "genesis".to_owned(), |base| format!("the snapshot of height {}", grouped(base.get()))),
        grouped(findings.height.get()),
        grouped(chain.transactions)
    );
    say!("tip        {}", findings.hash);
    say!("supply     {} units, at every height as issued and as unspent", findings.supply);
    say!("signatures {} checked", grouped(chain.signatures));
    if let Some(index) = findings.index {
        let (outputs, locks) = (grouped(index.outputs), grouped(index.locks));
        say!(
            "index      as the blocks say up to height {}: {outputs} unspent outputs, {locks} addresses",
            index.height
        );
    }
    if let Some(journal) = findings.journal {
        say!("journal    {} records, {} of them blocks", grouped(journal.records), grouped(journal.blocks));
    }
    if let Some(votes) = findings.votes {
        let (records, (height, epoch)) = (grouped(votes.records), votes.reach);
        say!("votes.log  {records} records, signed up to height {height} and epoch {epoch}");
    }
    findings.notes.iter().for_each(|note| say!("note       {note}"));
    let verdict = match findings.problems.len() {
        0 => "all is well".to_owned(),
        1 => "1 part is damaged".to_owned(),
        parts => format!("{parts} parts are damaged"),
    };
    say!("{verdict} ({}.{:03} s)", took.as_secs(), took.subsec_millis());
}

/// What is damaged, and what to do about each.
fn damage(folder: &Path, problems: &[Problem]) -> String {
    let of_problem = |problem: &Problem| {
        let remedy = match problem.remedy {
            Remedy::Repair => {
                format!("`timed db verify --repair --data-dir {}` repairs it and loses nothing", folder.display())
            }
            Remedy::Peers => format!(
                "nothing here has a second copy of it: restore it from a backup made after the node last ran, or let \
                 `timed db verify --repair --from-peers --data-dir {}` put the chain away and fetch it from other nodes",
                folder.display()
            ),
            Remedy::AcceptLostVotes => {
                "`timed --accept-lost-votes` puts the file away and signs from where nothing can have been signed"
                    .to_owned()
            }
            Remedy::Elsewhere => "nothing was changed".to_owned(),
        };
        format!("{} is damaged: {}; {remedy}", problem.part, problem.what)
    };
    problems.iter().map(of_problem).collect::<Vec<_>>().join("\n")
}
