//! What a slot-opening block may create: logarithms floored exactly, with integers only (`protocol.md` 8).
//!
//! A logarithm is computed as an interval that holds its true value: fixed-point sums of floored terms, with the
//! number of floors as the error. Where both ends of `base * interval` have one floor, that is the floor of the
//! true value; where not, a wider integer is taken. This ends: a logarithm of a rational number other than 1 is
//! irrational (Lindemann 1882), so a product with it is no integer that the interval could close in on.

use super::spec::{RewardSchedule, RewardSpec};
use crate::types::number::Amount;
use crypto_bigint::{NonZero, U64, U256, Uint};

/// Bits above the fixed point: 64 of a base, 6 of `1 + ln n < 46`, 26 for the error's.
const INTEGER_BITS: u32 = 96;
/// The divisor of the number of members in [`RewardSchedule::LogMasternodes`].
const MEMBERS_SCALE: u64 = 50;

/// What the block that opens the `opened`-th slot may create besides fees, signed by a set of `members`.
///
/// Genesis, with `opened` 0, creates nothing this way.
pub fn subsidy(reward: &RewardSpec, opened: u64, members: usize) -> Amount {
    if opened == 0 {
        return Amount::ZERO;
    }
    let base = reward.base.get();
    let members = u64::try_from(members).unwrap_or(u64::MAX);
    Amount::new(match reward.schedule {
        RewardSchedule::Constant => base,
        RewardSchedule::LogHeight => floor_of_log(&WIDTHS, base, 1, opened, 1),
        RewardSchedule::LogMasternodes => {
            floor_of_log(&WIDTHS, base, 0, members.saturating_add(MEMBERS_SCALE), MEMBERS_SCALE)
        }
    })
}

/// Floors of both ends of an interval for `base * (whole + ln(p / q))`, from base, whole, p and q.
type Floors = fn(u64, u64, u64, u64) -> (u64, u64);

/// Ever closer intervals. Arguments of 64 bits come some 2^-130 close to an integer, not 2^-1900 as the last one.
const WIDTHS: [Floors; 4] = [
    floors::<{ U256::LIMBS }>,
    floors::<{ 2 * U256::LIMBS }>,
    floors::<{ 4 * U256::LIMBS }>,
    floors::<{ 8 * U256::LIMBS }>,
];

/// `floor(base * (whole + ln(p / q)))` for `p >= q >= 1`, by the first of `widths` that is certain. Past `u64`, its
/// largest value, which the base of a checked spec excludes.
fn floor_of_log(widths: &[Floors], base: u64, whole: u64, p: u64, q: u64) -> u64 {
    let mut floor = 0;
    for floors in widths {
        let (low, high) = floors(base, whole, p, q);
        floor = low;
        if low == high {
            break;
        }
    }
    floor
}

/// A [`Floors`] in integers of `LIMBS` limbs.
fn floors<const LIMBS: usize>(base: u64, whole: u64, p: u64, q: u64) -> (u64, u64) {
    let fraction_bits = Uint::<LIMBS>::BITS - INTEGER_BITS;
    let log = Interval::<LIMBS>::ln(p, q);
    let base = Uint::<LIMBS>::from_u64(base);
    // Both ends are below 2^(64 + 6) ones: no overflow.
    let low = Uint::from_u64(whole).shl_vartime(fraction_bits).wrapping_add(&log.low).wrapping_mul(&base);
    let high = low.wrapping_add(&Uint::from_u64(log.error).wrapping_mul(&base));
    (to_u64(&low.shr_vartime(fraction_bits)), to_u64(&high.shr_vartime(fraction_bits)))
}

fn to_u64<const LIMBS: usize>(value: &Uint<LIMBS>) -> u64 {
    if *value > Uint::from_u64(u64::MAX) { u64::MAX } else { u64::from(value.resize::<{ U64::LIMBS }>()) }
}

/// A number of at least `low` and at most `low + error`, in units of the last fraction bit.
struct Interval<const LIMBS: usize> {
    low: Uint<LIMBS>,
    error: u64,
}

impl<const LIMBS: usize> Interval<LIMBS> {
    /// `ln(p / q)` for `p >= q >= 1`: with `p / q = m * 2^k` and `1 <= m < 2`, it is `k * 2 atanh(1/3)`, as
    /// `ln 2 = 2 atanh(1/3)`, plus `2 atanh((m - 1) / (m + 1))`.
    fn ln(p: u64, q: u64) -> Self {
        let (p, q) = (u128::from(p), u128::from(q.max(1)));
        let mut doublings = 0u64;
        let mut scaled = q;
        while scaled * 2 <= p {
            scaled *= 2;
            doublings += 1;
        }
        let two = Self::twice_atanh(1, 3);
        let rest = Self::twice_atanh(p.saturating_sub(scaled), p + scaled);
        // `doublings` is below 64, and each logarithm below 1.
        let low = two.low.wrapping_mul(&Uint::<LIMBS>::from_u64(doublings)).wrapping_add(&rest.low);
        Self { low, error: doublings * two.error + rest.error }
    }

    /// `2 atanh(a / b) = 2 (z + z^3/3 + z^5/5 + ..)` for `z = a / b <= 1/3`, with `b < 2^66`.
    fn twice_atanh(a: u128, b: u128) -> Self {
        let fraction_bits = Uint::<LIMBS>::BITS - INTEGER_BITS;
        let (a, b) = (Uint::<LIMBS>::from_u128(a), NonZero::new(Uint::<LIMBS>::from_u128(b)));
        let Some(b) = b.into_option() else { return Self { low: Uint::ZERO, error: 0 } };
        // Below 2^(fraction_bits + 66) before each division: no overflow.
        let times_z = |value: &Uint<LIMBS>| value.wrapping_mul(&a).wrapping_div_vartime(&b);
        let mut power = times_z(&Uint::ONE.shl_vartime(fraction_bits));
        let (mut sum, mut terms) = (Uint::<LIMBS>::ZERO, 0u64);
        while power != Uint::ZERO {
            let odd = NonZero::new(Uint::<LIMBS>::from_u64(2 * terms + 1));
            let Some(odd) = odd.into_option() else { break };
            sum = sum.wrapping_add(&power.wrapping_div_vartime(&odd));
            terms += 1;
            power = times_z(&times_z(&power));
        }
        // A power is too small by less than 3/2: one for the last floor, a third for the one before, a ninth of what
        // it was made from. A term divides that and is floored: less than 5/2 too small. The powers left out are
        // below 3/2, each at most a ninth of the one before: together below 3.
        Self { low: sum.shl_vartime(1), error: 2 * (3 * terms + 3) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::vectors;
    use crypto_bigint::U128;
    use proptest::prelude::*;

    fn reward(schedule: RewardSchedule) -> RewardSpec {
        RewardSpec { schedule, base: Amount::new(10_000_000_000), proposer_bps: 1_000 }
    }

    #[test]
    fn the_subsidy_by_height_is_the_exact_floor() {
        let vectors = vectors::table("subsidy_log_height");
        assert!(vectors.len() > 100);
        for (opened, expected) in vectors {
            assert_eq!(subsidy(&reward(RewardSchedule::LogHeight), opened, 3).get(), expected, "opened {opened}");
        }
    }

    #[test]
    fn the_subsidy_by_masternodes_is_the_exact_floor() {
        let vectors = vectors::table("subsidy_log_masternodes");
        assert!(vectors.len() > 5);
        for (members, expected) in vectors {
            let members = usize::try_from(members).unwrap();
            assert_eq!(subsidy(&reward(RewardSchedule::LogMasternodes), 7, members).get(), expected);
        }
    }

    #[test]
    fn a_constant_subsidy_is_its_base_and_genesis_has_none() {
        assert_eq!(subsidy(&reward(RewardSchedule::Constant), 1, 0).get(), 10_000_000_000);
        for schedule in [RewardSchedule::Constant, RewardSchedule::LogHeight, RewardSchedule::LogMasternodes] {
            assert_eq!(subsidy(&reward(schedule), 0, 9), Amount::ZERO);
        }
        assert_eq!(subsidy(&reward(RewardSchedule::LogMasternodes), 1, 0), Amount::ZERO);
    }

    #[test]
    fn where_one_width_cannot_tell_a_wider_one_decides() {
        // 32 bits behind the point cannot tell the floor of a multiple of 2^58; 160 can.
        let (base, n) = (u64::MAX / 46, 1_000_003);
        let (low, high) = floors::<{ U128::LIMBS }>(base, 1, n, 1);
        let exact = floor_of_log(&[floors::<{ U128::LIMBS }>, WIDTHS[0]], base, 1, n, 1);
        assert!(low < exact && exact < high);
        assert_eq!(floors::<{ 8 * U256::LIMBS }>(base, 1, n, 1), (exact, exact));
    }

    #[test]
    fn the_largest_arguments_stay_within_the_integer_bits() {
        for (base, p, q) in [(u64::MAX / 46, u64::MAX, 1), (u64::MAX / 46, u64::MAX, 50), (0, 3, 1), (7, 5, 5)] {
            let narrow = floors::<{ U256::LIMBS }>(base, 1, p, q);
            assert_eq!(narrow, floors::<{ 4 * U256::LIMBS }>(base, 1, p, q));
            assert_eq!(narrow.0, narrow.1);
        }
    }

    proptest! {
        #[test]
        fn a_wider_interval_lies_inside_a_narrower_one(p in 1u64.., q in 1u64..) {
            let (p, q) = (p.max(q), p.min(q));
            let narrow = Interval::<{ U256::LIMBS }>::ln(p, q);
            let wide = Interval::<{ 2 * U256::LIMBS }>::ln(p, q);
            let low = narrow.low.resize::<{ 2 * U256::LIMBS }>().shl_vartime(256);
            let high = low.wrapping_add(&Uint::from_u64(narrow.error).shl_vartime(256));
            prop_assert!(low <= wide.low);
            prop_assert!(wide.low.wrapping_add(&Uint::from_u64(wide.error)) <= high);
        }

        #[test]
        fn the_subsidy_by_height_grows_within_the_factor_a_spec_is_checked_for(opened in 1u64..u64::MAX) {
            let reward = RewardSpec { base: Amount::new(u64::MAX / 46), ..reward(RewardSchedule::LogHeight) };
            let (this, next) = (subsidy(&reward, opened, 1), subsidy(&reward, opened + 1, 1));
            prop_assert!(reward.base <= this && this <= next && next < Amount::MAX);
        }
    }
}
