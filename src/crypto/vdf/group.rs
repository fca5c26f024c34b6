//! Residues modulo the RSA-2048 challenge number, `v` and `N - v` standing for one element.

use crate::types::hash::{Domain, Hash};
use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{NonZero, U256, U2048, Uint, const_monty_params};

const_monty_params!(
    Rsa2048,
    U2048,
    "c7970ceedcc3b0754490201a7aa613cd73911081c790f5f1a8726f463550bb5b7ff0db8e1ea1189ec72f93d1650011bd\
     721aeeacc2acde32a04107f0648c2813a31f5b0b7765ff8b44b4b6ffc93384b646eb09c7cf5e8592d40ea33c80039f35\
     b4f14a04b51f7bfd781be4d1673164ba8eb991c2c4d730bbbe35f592bdef524af7e8daefd26c66fc02c479af89d64d37\
     3f442709439de66ceb955f3ea37d5159f6135809f85334b5cb1813addc80cd05609f10ac6a95ad65872c909525bdad32\
     bc729592642920f24c61dc5b3c3b7923e56b16a4d9d373d8721f24a3fc0f1b3131f55615172866bccc30f95054c824e7\
     33a5eb6817f7bc16399d48c6361cc7e5",
    "The RSA-2048 number of the RSA Factoring Challenge (1991)."
);

type Residue = ConstMontyForm<Rsa2048, { U2048::LIMBS }>;

/// Limbs of the 272 bytes that are reduced to a challenge.
const CHALLENGE_LIMBS: usize = U2048::LIMBS + 2;
/// The challenge is drawn from 128 bits more than `N` has, so that every residue is as likely.
const CHALLENGE_BYTES: usize = 272;

const N: &U2048 = Residue::MODULUS.as_ref();

/// A residue. Two of them stand for one element of the group if [`Element::canonical`] is the same.
#[derive(Clone, Copy)]
pub(super) struct Element(Residue);

impl Element {
    pub(super) const ONE: Self = Self(Residue::ONE);

    /// The square of the 272 bytes that `seed` expands to, read big-endian.
    pub(super) fn challenge(seed: &Hash) -> Self {
        let mut bytes = [0; CHALLENGE_BYTES];
        Domain::VDF_INPUT.fill(seed.as_bytes(), &mut bytes);
        let wide = Uint::<CHALLENGE_LIMBS>::from_be_slice(&bytes);
        let reduced = wide.rem_vartime::<{ U2048::LIMBS }>(Residue::MODULUS.as_nz_ref());
        Self(Residue::new(&reduced)).square()
    }

    /// The element whose canonical representative `bytes` are, or `None` if they are zero or the larger of the two.
    pub(super) fn from_canonical(bytes: &[u8; 256]) -> Option<Self> {
        let value = Option::<NonZero<U2048>>::from(NonZero::new(U2048::from_be_slice(bytes)))?.get();
        let is_smaller = value < *N && value < N.wrapping_sub(&value);
        is_smaller.then(|| Self(Residue::new(&value)))
    }

    /// The residue that `bytes` are, big-endian, or `None` if they are `N` or more.
    pub(super) fn from_bytes(bytes: &[u8; 256]) -> Option<Self> {
        let value = U2048::from_be_slice(bytes);
        (value < *N).then(|| Self(Residue::new(&value)))
    }

    /// The smaller of `v` and `N - v`, big-endian.
    pub(super) fn canonical(&self) -> [u8; 256] {
        let value = self.0.retrieve();
        to_bytes(&value.min(N.wrapping_sub(&value)))
    }

    /// The residue itself, big-endian.
    pub(super) fn to_bytes(self) -> [u8; 256] {
        to_bytes(&self.0.retrieve())
    }

    pub(super) fn square(&self) -> Self {
        Self(self.0.square())
    }

    /// The element squared `count` times.
    pub(super) fn square_times(&self, count: u32) -> Self {
        Self(self.0.square_repeat_vartime(count))
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        Self(self.0.mul(&other.0))
    }

    pub(super) fn pow(&self, exponent: &U256) -> Self {
        Self(self.0.pow_vartime(exponent))
    }
}

fn to_bytes(value: &U2048) -> [u8; 256] {
    value.to_be_bytes().into()
}
