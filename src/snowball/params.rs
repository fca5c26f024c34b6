//! The parameters of a chain's polls and what follows from them.
//!
//! What makes them usable is written down in `SnowballSpec::check`: `k / 2 < alpha <= k`,
//! `1 <= beta_virtuous <= beta`, `1 <= concurrent_polls`, no time is zero.

use crate::chain::spec::SnowballSpec;

/// A loss is waited out for `round_timeout_ms >> LEAST_WAIT_SHIFT` at first..
const LEAST_WAIT_SHIFT: u32 = 6;
/// ..and after this many doublings it does not grow any more.
const MOST_DOUBLINGS: u32 = 8;

/// Checked parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params {
    pub(super) spec: SnowballSpec,
}

/// What a transaction has to show for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// `d`: polls won in all.
    pub(super) polls_won: u64,
    /// `c`: polls won in a row.
    pub(super) polls_in_a_row: u64,
    /// It is preferred on all its inputs.
    pub(super) is_preferred: bool,
    /// A rival is known here.
    pub(super) has_rival: bool,
    /// `fallback_ms` have passed since it became valid here.
    pub(super) is_past_fallback: bool,
}

impl Params {
    /// Whether a transaction is accepted (`protocol.md` 5, "Accepted" and "Fallback").
    pub(super) fn accept(&self, standing: Standing) -> bool {
        let Standing { polls_won, polls_in_a_row, is_preferred, has_rival, is_past_fallback } = standing;
        is_preferred
            && (polls_in_a_row >= u64::from(self.spec.beta)
                || !has_rival
                    && (polls_in_a_row >= u64::from(self.spec.beta_virtuous) || is_past_fallback && polls_won >= 1))
    }

    /// How many polls of a transaction overlap: never more than it still has to win, one at least; and one alone after
    /// it lost in a row before their time was up.
    ///
    /// Such polls were answered, only not in its favor: asking again at once, several times over, would hear the
    /// same. With this and [`Params::wait_ms`] a flood of double spends that nobody can agree on costs little.
    pub(super) fn concurrent_polls(&self, lost_in_a_row: u32, polls_in_a_row: u64, has_rival: bool) -> usize {
        let beta = if has_rival { self.spec.beta } else { self.spec.beta_virtuous };
        let to_win = u64::from(beta).saturating_sub(polls_in_a_row).clamp(1, u64::from(self.spec.concurrent_polls));
        if lost_in_a_row > 0 { 1 } else { usize::try_from(to_win).unwrap_or(1) }
    }

    /// How long to wait after the last of `lost_in_a_row` such polls, in milliseconds: a sixty-fourth of a round's
    /// timeout, doubled with each loss, up to four timeouts. The first waits are short because most polls are lost
    /// where the payment has not arrived yet.
    pub(super) fn wait_ms(&self, lost_in_a_row: u32) -> u64 {
        let doublings = lost_in_a_row.saturating_sub(1).min(MOST_DOUBLINGS);
        let least = (self.spec.round_timeout_ms >> LEAST_WAIT_SHIFT).max(1);
        least.saturating_mul(1 << doublings)
    }
}
