//! How far a node is that catches up: a bar on a terminal, a line now and then elsewhere.

use super::logging::BARS;
use crate::node::NodeHandle;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};
use tracing::info;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Pause between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);
/// A node that lacks fewer blocks shows nothing: it will have them before anybody has read it.
const WORTH_SHOWING: u64 = 32;

/// Shows it until the node stops.
pub async fn follow(node: NodeHandle) {
    let is_terminal = std::io::stderr().is_terminal();
    let mut shown: Option<Shown> = None;
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = node.stopping().cancelled() => break,
            // Cancel-safe.
            _ = tick.tick() => {}
        }
        let gauges = node.view().gauges();
        let (tip, target) = (node.view().tip().height().get(), gauges.sync_target.get());
        match &mut shown {
            None if target.saturating_sub(tip) >= WORTH_SHOWING => shown = Some(Shown::new(is_terminal, tip, target)),
            None => {}
            Some(running) if gauges.is_behind => running.update(tip, target),
            Some(_) => {
                shown.take().into_iter().for_each(|running| running.finish(tip));
            }
        }
    }
}

/// A node that catches up, as it is shown.
struct Shown {
    bar: Option<ProgressBar>,
    from: u64,
    begin: Instant,
    last_line: Instant,
    /// Height at the last line.
    last: u64,
}

impl Shown {
    fn new(is_terminal: bool, tip: u64, target: u64) -> Self {
        let begin = Instant::now();
        info!(height = tip, of = target, "catching up");
        let bar = is_terminal.then(|| {
            let bar = BARS.add(ProgressBar::new(target));
            let template = "{bar:30} {percent:>3} %  block {pos} of {len}  {per_sec}  about {eta} left";
            // A template that cannot be read leaves the bar in its usual look.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.reset_eta();
            bar
        });
        Self { bar, from: tip, begin, last_line: begin, last: tip }
    }

    fn update(&mut self, tip: u64, target: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(target);
            bar.set_position(tip);
            return;
        }
        let passed = self.last_line.elapsed();
        if passed >= LINE {
            let rate = per_second(tip.saturating_sub(self.last), passed);
            info!(height = tip, of = target, blocks_per_second = rate, "catching up");
            (self.last, self.last_line) = (tip, Instant::now());
        }
    }

    fn finish(self, tip: u64) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        let (blocks, passed) = (tip.saturating_sub(self.from), self.begin.elapsed());
        info!(height = tip, blocks, seconds = passed.as_secs(), "caught up");
    }
}

fn per_second(count: u64, passed: Duration) -> u128 {
    u128::from(count) * 1_000 / passed.as_millis().max(1)
}
