//! How many calls an address may make.
//!
//! A bucket an address: it holds the calls of one second and fills at their rate. IPv6 addresses count by their first 64
//! bits, which one customer has for himself. A bucket that is full again is forgotten.

use crate::limits::MAX_RATED_ADDRESSES;
use dashmap::DashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Parts of a call in which a bucket is filled: it can be filled each millisecond.
const PARTS: u64 = 1_000;

struct Bucket {
    /// Calls that may still be made, in parts.
    left: u64,
    filled: Instant,
}

/// See the module.
pub struct RateLimit {
    per_second: u32,
    buckets: DashMap<IpAddr, Bucket>,
}

impl RateLimit {
    /// A limit of this many calls a second.
    pub fn new(per_second: u32) -> Self {
        Self { per_second, buckets: DashMap::new() }
    }

    /// How many calls a second.
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Whether `address` may make one more call at `now`.
    pub fn admit(&self, address: IpAddr, now: Instant) -> bool {
        if self.buckets.len() >= MAX_RATED_ADDRESSES {
            self.buckets.retain(|_, bucket| now.duration_since(bucket.filled) < Duration::from_secs(1));
        }
        let full = u64::from(self.per_second) * PARTS;
        let mut bucket = self.buckets.entry(network(address)).or_insert(Bucket { left: full, filled: now });
        let passed_ms = u64::try_from(now.duration_since(bucket.filled).as_millis()).unwrap_or(u64::MAX);
        if passed_ms > 0 {
            // Calls a second are parts a millisecond.
            bucket.left = passed_ms.saturating_mul(self.per_second.into()).saturating_add(bucket.left).min(full);
            bucket.filled = now;
        }
        let is_admitted = bucket.left >= PARTS;
        if is_admitted {
            bucket.left -= PARTS;
        }
        is_admitted
    }
}

/// What of an address stands for its owner.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_a_seconds_calls_and_gets_them_back_in_a_second() {
        let (limit, start) = (RateLimit::new(10), Instant::now());
        let one = address("10.0.0.1");
        let admitted = |at: Instant| (0..20).filter(|_| limit.admit(one, at)).count();
        assert_eq!(admitted(start), 10);
        assert_eq!(admitted(start + Duration::from_millis(500)), 5);
        assert_eq!(admitted(start + Duration::from_secs(60)), 10);
        assert!(limit.admit(address("10.0.0.2"), start), "another address has its own");
    }

    #[test]
    fn small_steps_lose_nothing() {
        let (limit, start) = (RateLimit::new(100), Instant::now());
        let one = address("10.0.0.1");
        let admitted = (0..2_000).filter(|ms| limit.admit(one, start + Duration::from_millis(*ms))).count();
        assert_eq!(admitted, 100 + 199);
    }

    #[test]
    fn a_network_of_one_customer_is_one_address() {
        let (limit, now) = (RateLimit::new(1), Instant::now());
        assert!(limit.admit(address("2001:db8::1"), now));
        assert!(!limit.admit(address("2001:db8::2"), now));
        assert!(limit.admit(address("2001:db8:0:1::1"), now));
        assert!(limit.admit(address("::ffff:10.0.0.1"), now));
        assert!(!limit.admit(address("10.0.0.1"), now));
    }
}
