//! What a slot-opening block may pay (`protocol.md` 8), by a table of logarithms.
//!
//! `ln(n + 1) = ln n + 2 (q + q^3/3 + q^5/5 + ..)` with `q = 1/(2n + 1)`, in fixed point with 112 bits behind the
//! point. Every division rounds down, so an entry is too small by at most `ERROR` units a step.

use timed::chain::spec::{RewardSchedule, RewardSpec};

const POINT: u32 = 112;
/// A step sums at most 36 terms, each two roundings short, doubled, and drops a tail below one unit.
const ERROR: u128 = 150;

/// Natural logarithms of 1, 2, 3, .. as far as they were asked for.
pub struct Logarithms(Vec<u128>);

impl Logarithms {
    /// Knows `ln 1 = 0`.
    pub fn new() -> Self {
        Self(vec![0])
    }

    /// `ln n` in units of `2^-112`, too small by at most `n * ERROR`; `n >= 1`.
    fn ln(&mut self, n: usize) -> u128 {
        while self.0.len() < n {
            let odd = 2 * self.0.len() as u128 + 1;
            let (mut power, mut sum, mut i) = ((1u128 << POINT) / odd, 0u128, 1u128);
            while power > 0 {
                sum += power / i;
                power /= odd * odd;
                i += 2;
            }
            let last = self.0.last().copied().unwrap_or(0);
            self.0.push(last + 2 * sum);
        }
        self.0[n - 1]
    }

    /// The least and the greatest subsidy that the error of the table allows; one value in practice.
    pub fn subsidy(&mut self, reward: &RewardSpec, opened: u64, members: usize) -> (u64, u64) {
        let base = reward.base.get();
        let (value, error) = match reward.schedule {
            RewardSchedule::Constant => return (base, base),
            RewardSchedule::LogHeight => {
                let n = usize::try_from(opened.max(1)).unwrap_or(usize::MAX);
                ((1u128 << POINT) + self.ln(n), n as u128 * ERROR)
            }
            RewardSchedule::LogMasternodes => {
                let n = members + 50;
                // The table's error at 50 makes the difference too large, its error at n too small.
                let error = n as u128 * ERROR;
                ((self.ln(n) - self.ln(50)).saturating_sub(50 * ERROR), error + 50 * ERROR)
            }
        };
        (multiply(base, value), multiply(base, value + error))
    }
}

/// `floor(base * value / 2^112)`, in two halves so that no product passes `u128`.
fn multiply(base: u64, value: u128) -> u64 {
    let (half, base) = (POINT / 2, u128::from(base));
    let (high, low) = (value >> half, value & ((1 << half) - 1));
    u64::try_from((base * high + ((base * low) >> half)) >> half).unwrap_or(u64::MAX)
}
