//! Latencies and their percentiles, by nearest rank: every figure is one that was measured.

use serde::Serialize;

/// Percentiles, in the unit that the name of their field has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Percentiles {
    /// Half of all were at most this.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// All.
    pub max: u64,
}

impl Percentiles {
    /// Those of latencies in microseconds, in milliseconds, rounded to the nearest; `None` of none.
    pub fn of(latencies_us: Vec<u64>) -> Option<Self> {
        let ms = |us: u64| us.saturating_add(500) / 1_000;
        let Self { p50, p90, p99, max } = Self::of_us(latencies_us)?;
        Some(Self { p50: ms(p50), p90: ms(p90), p99: ms(p99), max: ms(max) })
    }

    /// Those of latencies in microseconds, as they are; `None` of none.
    pub fn of_us(mut latencies_us: Vec<u64>) -> Option<Self> {
        latencies_us.sort_unstable();
        let at = |percent: usize| {
            // The smallest rank that at least this many percent have, from 1.
            let rank = (latencies_us.len() * percent).div_ceil(100);
            latencies_us.get(rank.checked_sub(1)?).copied()
        };
        Some(Self { p50: at(50)?, p90: at(90)?, p99: at(99)?, max: at(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ms(ms: impl IntoIterator<Item = u64>) -> Option<Percentiles> {
        Percentiles::of(ms.into_iter().map(|ms| ms * 1_000).collect())
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let of_a_hundred = Percentiles { p50: 50, p90: 90, p99: 99, max: 100 };
        assert_eq!(of_ms(1..=100), Some(of_a_hundred));
        assert_eq!(of_ms((1..=100).rev()), Some(of_a_hundred), "the order does not matter");
        assert_eq!(of_ms([7]), Some(Percentiles { p50: 7, p90: 7, p99: 7, max: 7 }));
        assert_eq!(of_ms([1, 2]), Some(Percentiles { p50: 1, p90: 2, p99: 2, max: 2 }));
        assert_eq!(of_ms([]), None);
    }

    #[test]
    fn one_slow_payment_of_a_thousand_is_the_maximum_and_no_percentile() {
        let figures = of_ms((0..999).map(|_| 5).chain([9_000])).unwrap();
        assert_eq!(figures, Percentiles { p50: 5, p90: 5, p99: 5, max: 9_000 });
    }

    #[test]
    fn microseconds_are_rounded_to_the_nearest_millisecond() {
        assert_eq!(Percentiles::of(vec![1_499]).unwrap().max, 1);
        assert_eq!(Percentiles::of(vec![1_500]).unwrap().max, 2);
    }
}
