//! An evaluation that can be paused, and the proof made from the intermediate values it kept.
//!
//! `floor(2^T / l)` is written in digits of `digit_bits` bits: digit `d` is `floor(2^digit_bits * (2^(T -
//! digit_bits * (d + 1)) mod l) / l)`, so each can be had by itself. Every `stride` digits the squaring keeps a
//! checkpoint `x^(2^(digit_bits * stride * i))`. A *column* takes the digits `i * stride + column` for all `i`: the
//! checkpoints are sorted into one bucket a digit value and multiplied together, which gives each its digit as
//! exponent for two multiplications a bucket. Horner's rule joins the columns.
//! Source: B. Wesolowski, "Efficient verifiable delay functions" (2019), section 4.1.

use super::POWER_BYTES;
use super::group::Element;
use super::prime::{challenge_prime, power_of_two};
use crate::limits::{MAX_VDF_CHECKPOINTS, MAX_VDF_DIGIT_BITS};
use crate::types::block::VdfProof;
use crate::types::hash::Hash;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U256, U320};

/// How far an evaluation is, in multiplications of the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Multiplications done.
    pub done: u64,
    /// Multiplications of the whole evaluation, its proof included.
    pub total: u64,
}

/// An evaluation of the delay function on its way. Memory: at most [`MAX_VDF_CHECKPOINTS`] intermediate values and
/// `2^MAX_VDF_DIGIT_BITS` buckets of 256 bytes, whatever the number of iterations.
pub struct Evaluation {
    x: Element,
    iterations: u64,
    layout: Layout,
    /// `x^(2^squared)`.
    power: Element,
    squared: u64,
    checkpoints: Vec<Element>,
    /// Starts when the squarings end.
    proving: Option<Proving>,
}

/// The second part of an evaluation: from the highest column to the lowest.
struct Proving {
    prime: Odd<U256>,
    columns_left: u64,
    witness: Element,
}

impl Evaluation {
    /// An evaluation for `seed` with `iterations` squarings, at its beginning.
    pub fn new(seed: &Hash, iterations: u64) -> Self {
        Self::with_layout(seed, iterations, Layout::cheapest(iterations))
    }

    /// The evaluation for `seed` as far as `kept` leads, the first values of [`Evaluation::kept`] of one that was broken off;
    /// from its beginning if they are none. They are believed: whoever does not trust where they were kept verifies the
    /// proof.
    pub fn resume(seed: &Hash, iterations: u64, kept: &[[u8; POWER_BYTES]]) -> Self {
        let mut resumed = Self::new(seed, iterations);
        let most = usize::try_from(resumed.layout.checkpoints()).unwrap_or(usize::MAX);
        let mut powers: Vec<Element> = kept.iter().take(most).map_while(Element::from_bytes).collect();
        if powers.first().is_none_or(|first| first.to_bytes() != resumed.x.to_bytes()) {
            return resumed;
        }
        // Below `checkpoints * interval`, which is at most the iterations.
        let squared = (powers.len() as u64 - 1).saturating_mul(resumed.layout.interval());
        if let Some(last) = powers.pop() {
            (resumed.power, resumed.squared, resumed.checkpoints, resumed.proving) = (last, squared, powers, None);
            resumed.after_squaring();
        }
        resumed
    }

    /// The intermediate values kept so far, from number `from` on; those before never change.
    pub fn kept(&self, from: usize) -> Vec<[u8; POWER_BYTES]> {
        self.checkpoints.iter().skip(from).map(|power| power.to_bytes()).collect()
    }

    fn with_layout(seed: &Hash, iterations: u64, layout: Layout) -> Self {
        let (x, checkpoints) = (Element::challenge(seed), Vec::new());
        let mut new = Self { x, iterations, layout, power: x, squared: 0, checkpoints, proving: None };
        new.after_squaring();
        new
    }

    /// Does about `multiplications` more of the work: exactly as many squarings, or whole columns of the proof,
    /// of which the last may exceed the number (a column takes less than 100 ms).
    pub fn advance(&mut self, multiplications: u64) -> Progress {
        let mut budget = multiplications;
        while budget > 0 && !self.is_done() {
            let spent = if self.proving.is_none() { self.square(budget) } else { self.prove_column() };
            budget = budget.saturating_sub(spent);
        }
        self.progress()
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let column = self.layout.column_cost();
        let left = self.proving.as_ref().map_or(self.layout.stride, |proving| proving.columns_left);
        let total = self.iterations.saturating_add(self.layout.stride.saturating_mul(column));
        let to_do = (self.iterations - self.squared).saturating_add(left.saturating_mul(column));
        Progress { done: total.saturating_sub(to_do), total }
    }

    /// Whether nothing is left to do but [`Evaluation::finish`].
    pub fn is_done(&self) -> bool {
        self.proving.as_ref().is_some_and(|proving| proving.columns_left == 0)
    }

    /// Does what is left, and returns output and proof.
    pub fn finish(mut self) -> VdfProof {
        while !self.is_done() {
            self.advance(u64::MAX);
        }
        let witness = self.proving.as_ref().map_or(Element::ONE, |proving| proving.witness);
        VdfProof { y: self.power.canonical(), proof: witness.canonical() }
    }

    /// Squares up to `budget` times, at most to the next checkpoint.
    fn square(&mut self, budget: u64) -> u64 {
        let interval = self.layout.interval();
        let to_checkpoint = interval - self.squared % interval;
        let count = budget.min(to_checkpoint).min(self.iterations - self.squared);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.power = self.power.square_times(count);
        self.squared += u64::from(count);
        self.after_squaring();
        u64::from(count)
    }

    fn after_squaring(&mut self) {
        let at_checkpoint = self.squared.is_multiple_of(self.layout.interval());
        // The length is at most `MAX_VDF_CHECKPOINTS`.
        if at_checkpoint && (self.checkpoints.len() as u64) < self.layout.checkpoints() {
            self.checkpoints.push(self.power);
        }
        if self.squared == self.iterations {
            let prime = challenge_prime(&self.x.to_bytes(), &self.power.canonical(), self.iterations);
            self.proving = Some(Proving { prime, columns_left: self.layout.stride, witness: Element::ONE });
        }
    }

    /// Multiplies the next column into the proof.
    fn prove_column(&mut self) -> u64 {
        if let Some(proving) = &mut self.proving {
            let column = proving.columns_left.saturating_sub(1);
            let mut buckets = vec![Element::ONE; 1 << self.layout.digit_bits];
            let digits = ColumnDigits::new(self.iterations, &self.layout, column, &proving.prime);
            for (position, digit) in digits.filter(|(_, digit)| *digit != 0) {
                buckets[digit] = buckets[digit].times(&self.checkpoints[position]);
            }
            proving.witness = proving.witness.square_times(self.layout.digit_bits).times(&weighted(&buckets));
            proving.columns_left = column;
        }
        self.layout.column_cost()
    }
}

/// The product of `buckets[b]^b`.
fn weighted(buckets: &[Element]) -> Element {
    let (mut suffix, mut product) = (Element::ONE, Element::ONE);
    for bucket in buckets.iter().skip(1).rev() {
        suffix = suffix.times(bucket);
        product = product.times(&suffix);
    }
    product
}

/// How the exponent of a proof is cut into digits, and which powers are kept for it.
#[derive(Clone, Copy, Debug)]
struct Layout {
    digit_bits: u32,
    /// Digits that are not zero for being beyond the top; 0 if there are fewer iterations than bits in a digit.
    digits: u64,
    /// Digits from one checkpoint to the next, at least 1. Also the number of columns.
    stride: u64,
}

impl Layout {
    /// The layout with the fewest multiplications.
    fn cheapest(iterations: u64) -> Self {
        let mut best = Self::with_digits(1, MAX_VDF_CHECKPOINTS, iterations);
        for digit_bits in 2..=MAX_VDF_DIGIT_BITS {
            let other = Self::with_digits(digit_bits, MAX_VDF_CHECKPOINTS, iterations);
            if other.cost() < best.cost() {
                best = other;
            }
        }
        best
    }

    fn with_digits(digit_bits: u32, most_checkpoints: u64, iterations: u64) -> Self {
        let digits = iterations / u64::from(digit_bits);
        Self { digit_bits, digits, stride: digits.div_ceil(most_checkpoints).max(1) }
    }

    /// Squarings from one checkpoint to the next.
    fn interval(&self) -> u64 {
        // At most the iterations, or `MAX_VDF_DIGIT_BITS`.
        u64::from(self.digit_bits) * self.stride
    }

    fn checkpoints(&self) -> u64 {
        self.digits.div_ceil(self.stride)
    }

    /// Multiplications for one column.
    fn column_cost(&self) -> u64 {
        self.checkpoints() + (2 << self.digit_bits) + u64::from(self.digit_bits)
    }

    fn cost(&self) -> u64 {
        self.stride.saturating_mul(self.column_cost())
    }
}

/// The digits of one column, each with the position of its checkpoint, from the highest down.
struct ColumnDigits {
    digit_bits: u32,
    prime: Odd<U256>,
    /// `2^(T - digit_bits * (d + 1))` for the next digit `d`.
    power: FixedMontyForm<4>,
    /// `2^interval`.
    step: FixedMontyForm<4>,
    positions_left: usize,
}

impl ColumnDigits {
    fn new(iterations: u64, layout: &Layout, column: u64, prime: &Odd<U256>) -> Self {
        let params = FixedMontyParams::new_vartime(*prime);
        let two_to_the = |exponent| FixedMontyForm::new(&power_of_two(exponent, prime), &params);
        let count = layout.digits.saturating_sub(column).div_ceil(layout.stride);
        let highest = column + count.saturating_sub(1) * layout.stride;
        // The digits of a column are below `digits`, so the exponent is not negative, unless there are none.
        let exponent = iterations.saturating_sub(u64::from(layout.digit_bits) * (highest + 1));
        Self {
            digit_bits: layout.digit_bits,
            prime: *prime,
            power: two_to_the(exponent),
            step: two_to_the(layout.interval()),
            // At most `MAX_VDF_CHECKPOINTS`.
            positions_left: count as usize,
        }
    }
}

impl Iterator for ColumnDigits {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        self.positions_left = self.positions_left.checked_sub(1)?;
        let shifted: U320 = self.power.retrieve().resize::<{ U320::LIMBS }>().shl_vartime(self.digit_bits);
        let (digit, _) = shifted.div_rem_vartime(self.prime.as_nz_ref());
        self.power = self.power.mul(&self.step);
        // Below `2^digit_bits`, as the power is below the prime.
        Some((self.positions_left, digit.as_words()[0] as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::vdf::verify;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_proof_does_not_depend_on_how_its_exponent_is_cut(
            iterations in 0u64..3_000,
            digit_bits in 1..=MAX_VDF_DIGIT_BITS,
            most_checkpoints in 1u64..400,
        ) {
            let seed = Hash([9; 32]);
            let layout = Layout::with_digits(digit_bits, most_checkpoints, iterations);
            prop_assert!(layout.checkpoints() <= most_checkpoints);
            let evaluation = Evaluation::with_layout(&seed, iterations, layout);
            prop_assert_eq!(evaluation.finish(), Evaluation::new(&seed, iterations).finish());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn an_evaluation_that_is_broken_off_goes_on_from_what_was_kept(
            iterations in 0u64..5_000,
            done in 0u64..6_000,
            lost in 0usize..4,
            with_first in any::<bool>(),
        ) {
            let seed = Hash([8; 32]);
            let mut evaluation = Evaluation::new(&seed, iterations);
            evaluation.advance(done);
            let mut kept = evaluation.kept(0);
            kept.truncate(kept.len().saturating_sub(lost));
            prop_assert_eq!(evaluation.kept(2), evaluation.kept(0).into_iter().skip(2).collect::<Vec<_>>());
            let from = usize::from(!with_first);
            let resumed = Evaluation::resume(&seed, iterations, kept.get(from..).unwrap_or_default());
            if with_first && kept.len() > 1 {
                let expected = (kept.len() as u64 - 1) * resumed.layout.interval();
                prop_assert_eq!(resumed.squared, expected);
            } else {
                prop_assert_eq!(resumed.squared, 0, "what does not begin with the challenge is another evaluation's");
            }
            prop_assert_eq!(resumed.finish(), Evaluation::new(&seed, iterations).finish());
        }
    }

    #[test]
    fn values_that_are_none_end_what_is_kept() {
        let (seed, iterations) = (Hash([8; 32]), 4_000);
        let mut evaluation = Evaluation::new(&seed, iterations);
        evaluation.advance(3_000);
        let mut kept = evaluation.kept(0);
        kept[2] = [0xff; POWER_BYTES];
        let resumed = Evaluation::resume(&seed, iterations, &kept);
        assert_eq!(resumed.squared, resumed.layout.interval());
        // One that is wrong shows in the proof.
        kept[2] = [7; POWER_BYTES];
        assert!(!verify(&seed, iterations, &Evaluation::resume(&seed, iterations, &kept).finish()));
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_iterations() {
        for iterations in [0, 1, 20_000, 24_000_000, u64::MAX] {
            let layout = Layout::cheapest(iterations);
            assert!(layout.checkpoints() <= MAX_VDF_CHECKPOINTS, "{layout:?}");
            assert!(layout.digit_bits <= MAX_VDF_DIGIT_BITS, "{layout:?}");
            assert!(layout.interval() <= iterations.max(u64::from(MAX_VDF_DIGIT_BITS)), "{layout:?}");
        }
    }

    #[test]
    fn a_proof_costs_less_than_a_sixth_of_the_squarings() {
        for iterations in [20_000, 1_000_000, 24_000_000, 1_000_000_000] {
            assert!(Layout::cheapest(iterations).cost() < iterations / 6, "{iterations}");
        }
    }

    #[test]
    fn no_more_is_kept_than_the_proof_needs() {
        let mut evaluation = Evaluation::new(&Hash([1; 32]), 5_000);
        while !evaluation.is_done() {
            evaluation.advance(1);
            assert!(evaluation.checkpoints.len() as u64 <= evaluation.layout.checkpoints());
        }
        assert_eq!(evaluation.checkpoints.len() as u64, evaluation.layout.checkpoints());
        assert!(verify(&Hash([1; 32]), 5_000, &evaluation.finish()));
    }
}
