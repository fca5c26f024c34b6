//! Drawing members with probability proportional to their weight, with replacement.

use crate::types::validators::ValidatorSet;
use rand_chacha::rand_core::Rng;

/// The live members of a set, ready to be drawn from.
pub(super) struct Sampler {
    /// Positions in the set.
    positions: Vec<usize>,
    /// Weight of the members up to and including this one; strictly ascending, since no member is without weight.
    cumulative: Vec<u64>,
}

impl Sampler {
    /// Over the members at whose positions `is_live` holds.
    pub(super) fn new(set: &ValidatorSet, is_live: impl Fn(usize) -> bool) -> Self {
        let mut total = 0u64;
        let mut sampler = Self { positions: Vec::new(), cumulative: Vec::new() };
        for (position, member) in set.members().iter().enumerate().filter(|(position, _)| is_live(*position)) {
            // A part of a total that fits.
            total = total.saturating_add(member.weight.get());
            sampler.positions.push(position);
            sampler.cumulative.push(total);
        }
        sampler
    }

    /// Draws `k` times and leaves in `drawn` the position of each distinct member, ascending, with how often it was
    /// drawn. Nothing if nobody is live.
    pub(super) fn draw(&self, k: u32, rng: &mut impl Rng, drawn: &mut Vec<(usize, u32)>) {
        drawn.clear();
        let Some(total) = self.cumulative.last() else { return };
        for _ in 0..k {
            let point = below(*total, rng);
            let index = self.cumulative.partition_point(|up_to| *up_to <= point);
            drawn.push((self.positions[index], 1));
        }
        drawn.sort_unstable();
        drawn.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            kept.1 += if is_same { next.1 } else { 0 };
            is_same
        });
    }
}

/// A number below `bound`, each as likely as any other: numbers of as many bits as it takes, until one fits. `bound`
/// is at least 1. Fewer than two tries on average.
fn below(bound: u64, rng: &mut impl Rng) -> u64 {
    let mask = u64::MAX.checked_shr((bound - 1).leading_zeros()).unwrap_or(0);
    loop {
        let number = rng.next_u64() & mask;
        if number < bound {
            return number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snowball::tests::set_of;
    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    fn counts(weights: &[u64], is_live: impl Fn(usize) -> bool, k: u32) -> Vec<u32> {
        let set = set_of(weights);
        let mut drawn = Vec::new();
        let mut rng = ChaCha12Rng::from_seed([3; 32]);
        Sampler::new(&set, is_live).draw(k, &mut rng, &mut drawn);
        let mut counts = vec![0; weights.len()];
        for (position, times) in drawn {
            counts[position] += times;
        }
        counts
    }

    #[test]
    fn members_are_drawn_in_proportion_to_their_weight() {
        let counts = counts(&[1, 10, 100, 889], |_| true, 100_000);
        for (count, expected) in counts.iter().zip([100i64, 1_000, 10_000, 88_900]) {
            // Six standard deviations of a binomial distribution are below this.
            let tolerance = 6 * expected.isqrt() + 6;
            assert!((i64::from(*count) - expected).abs() < tolerance, "{counts:?}");
        }
    }

    #[test]
    fn every_draw_is_counted_and_only_the_live_are_drawn() {
        let counts = counts(&[5, 5, 5, 5], |position| position != 1, 1_000);
        assert_eq!(counts.iter().sum::<u32>(), 1_000);
        assert_eq!(counts[1], 0);
        assert!(counts[0] > 0 && counts[2] > 0 && counts[3] > 0);
    }

    #[test]
    fn weights_up_to_the_largest_total_are_drawn_evenly() {
        let counts = counts(&[u64::MAX / 2, u64::MAX / 2], |_| true, 10_000);
        assert!(counts.iter().all(|count| (4_700..5_300).contains(count)), "{counts:?}");
        assert_eq!(self::counts(&[1], |_| true, 20), [20]);
    }

    #[test]
    fn nobody_is_drawn_where_nobody_is_live() {
        assert_eq!(counts(&[1, 1], |_| false, 20), [0, 0]);
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut rng = ChaCha12Rng::from_seed([4; 32]);
        let mut counts = [0; 5];
        for _ in 0..50_000 {
            counts[usize::try_from(below(5, &mut rng)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (9_400..10_600).contains(count)), "{counts:?}");
    }
}
