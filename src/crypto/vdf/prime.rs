//! The challenge prime of a proof, and powers of two modulo it.

use crate::types::hash::Domain;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Limb, NonZero, Odd, U64, U256};
use crypto_primes::{Flavor, is_prime};

/// The first prime (Baillie-PSW) among `H("vdf prime", x || y || iterations || i)`, `i = 0, 1, ..`, read big-endian
/// with top and lowest bit set. One candidate in about 89 is prime.
pub(super) fn challenge_prime(x: &[u8; 256], y: &[u8; 256], iterations: u64) -> Odd<U256> {
    let mut prefix = Domain::VDF_PRIME.hasher();
    prefix.update(x).update(y).update(&iterations.to_le_bytes());
    let mut attempt = 0u64;
    loop {
        let mut bytes = *prefix.clone().update(&attempt.to_le_bytes()).finalize().as_bytes();
        bytes[0] |= 0x80;
        bytes[31] |= 1;
        let candidate = U256::from_be_slice(&bytes);
        if !has_small_factor(&candidate) && is_prime(Flavor::Any, &candidate) {
            // The lowest bit was set above.
            if let Some(prime) = Odd::new(candidate).into_option() {
                return prime;
            }
        }
        attempt = attempt.wrapping_add(1);
    }
}

/// `2^exponent` modulo `modulus`.
pub(super) fn power_of_two(exponent: u64, modulus: &Odd<U256>) -> U256 {
    let params = FixedMontyParams::new_vartime(*modulus);
    FixedMontyForm::new(&U256::from(2u8), &params).pow_vartime(&U64::from(exponent)).retrieve()
}

/// The odd primes up to 251, multiplied together as far as a word holds them.
const SMALL_PRIME_PRODUCTS: [u64; 7] = {
    let mut products = [1u64; 7];
    let (mut at, mut number) = (0, 3u64);
    while number < 256 {
        let mut divisor = 3;
        while divisor * divisor <= number && number % divisor != 0 {
            divisor += 2;
        }
        if divisor * divisor > number {
            match products[at].checked_mul(number) {
                Some(product) => products[at] = product,
                None => {
                    at += 1;
                    products[at] = number;
                }
            }
        }
        number += 2;
    }
    products
};

/// Whether an odd prime up to 251 divides `candidate`: cheap, and true of three candidates in four.
fn has_small_factor(candidate: &U256) -> bool {
    SMALL_PRIME_PRODUCTS.iter().any(|&product| {
        let nonzero = NonZero::new(Limb::from(product)).into_option();
        nonzero.is_some_and(|modulus| greatest_common_divisor(product, u64::from(candidate.rem_limb(modulus))) > 1)
    })
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trial_division_knows_every_odd_prime_below_256_and_no_other() {
        let small: Vec<u64> = (3..256u64).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
        assert_eq!(small.len(), 53);
        for prime in &small {
            assert!(has_small_factor(&U256::from(*prime)), "{prime}");
        }
        assert!(has_small_factor(&U256::from(251u64 * 257)));
        assert!(!has_small_factor(&U256::from(257u64 * 263)));
        assert!(!has_small_factor(&U256::ONE));
    }
}
