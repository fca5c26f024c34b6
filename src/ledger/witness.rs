//! Which locks a transaction must open, and whether its witnesses do (`protocol.md` 3).
//!
//! Witnesses stand in the order in which the inputs first need their locks, an authorizing one last, none unused:
//! one body has one acceptable list of locks, so its size does not depend on who relays it.

use super::rejection::Rejection;
use crate::chain::registry::Registry;
use crate::types::lock::{Lock, Witness};
use crate::types::transaction::Payload;
use std::collections::BTreeSet;

/// What stands behind the witnesses that the inputs need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Authority {
    /// Nothing: the payload asks for nobody's consent.
    None,
    /// A witness for this lock, unless an input needs one anyway.
    Owner(Lock),
    /// Whose consent would be needed can no longer be said: one more witness may stand there.
    Gone,
}

impl Authority {
    /// What `payload` asks for where `registry` is the state.
    pub(super) fn of(registry: &Registry, payload: &Payload) -> Self {
        let masternode = match payload {
            Payload::Transfer | Payload::Coinbase { .. } | Payload::Register(_) => return Self::None,
            Payload::Update(update) => &update.masternode,
            Payload::Unregister { masternode } => masternode,
        };
        registry.get(masternode).map_or(Self::Gone, |record| Self::Owner(record.owner))
    }
}

/// Checks that `witnesses` are for `locks`, the locks of the inputs in their order, and for `authority`.
///
/// # Errors
/// [`Rejection::LockNotWitnessed`], [`Rejection::WitnessOutOfOrder`] or [`Rejection::UnusedWitness`].
pub(super) fn check(
    locks: impl IntoIterator<Item = Lock>,
    authority: Authority,
    witnesses: &[Witness],
) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    let mut needed: Vec<Lock> = locks.into_iter().filter(|lock| seen.insert(*lock)).collect();
    if let Authority::Owner(owner) = authority
        && seen.insert(owner)
    {
        needed.push(owner);
    }
    let spare = usize::from(authority == Authority::Gone);
    let given: Vec<Lock> = witnesses.iter().map(Witness::lock).collect();
    if given.starts_with(&needed) && given.len() <= needed.len() + spare {
        return Ok(());
    }
    Err(explain(&needed, &given, &seen))
}

fn explain(needed: &[Lock], given: &[Lock], needed_set: &BTreeSet<Lock>) -> Rejection {
    if let Some(lock) = needed.iter().find(|lock| !given.contains(lock)) {
        return Rejection::LockNotWitnessed { lock: *lock };
    }
    if let Some(lock) = given.iter().find(|lock| !needed_set.contains(lock)) {
        return Rejection::UnusedWitness { lock: *lock };
    }
    let position = needed.iter().zip(given).position(|(needed, given)| needed != given).unwrap_or(needed.len());
    Rejection::WitnessOutOfOrder { position }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::{PublicKey, Signature};

    fn witness(n: u8) -> Witness {
        Witness::Key { pubkey: PublicKey([n; 32]), signature: Signature([0; 64]) }
    }

    fn lock(n: u8) -> Lock {
        witness(n).lock()
    }

    fn checked(locks: &[u8], authority: Authority, witnesses: &[u8]) -> Result<(), Rejection> {
        let witnesses: Vec<Witness> = witnesses.iter().map(|n| witness(*n)).collect();
        check(locks.iter().map(|n| lock(*n)), authority, &witnesses)
    }

    #[test]
    fn witnesses_stand_in_the_order_of_first_need() {
        assert_eq!(checked(&[2, 1, 2, 3], Authority::None, &[2, 1, 3]), Ok(()));
        let wrong = checked(&[2, 1, 2, 3], Authority::None, &[1, 2, 3]);
        assert_eq!(wrong, Err(Rejection::WitnessOutOfOrder { position: 0 }));
    }

    #[test]
    fn every_lock_has_a_witness_and_none_is_unused() {
        assert_eq!(checked(&[1, 2], Authority::None, &[1]), Err(Rejection::LockNotWitnessed { lock: lock(2) }));
        assert_eq!(checked(&[1], Authority::None, &[1, 2]), Err(Rejection::UnusedWitness { lock: lock(2) }));
        assert_eq!(checked(&[1], Authority::None, &[]), Err(Rejection::LockNotWitnessed { lock: lock(1) }));
    }

    #[test]
    fn an_authorizing_witness_stands_last_and_only_if_no_input_needs_it() {
        assert_eq!(checked(&[1], Authority::Owner(lock(9)), &[1, 9]), Ok(()));
        assert_eq!(checked(&[1, 9, 2], Authority::Owner(lock(9)), &[1, 9, 2]), Ok(()));
        let early = checked(&[1], Authority::Owner(lock(9)), &[9, 1]);
        assert_eq!(early, Err(Rejection::WitnessOutOfOrder { position: 0 }));
        let missing = checked(&[1], Authority::Owner(lock(9)), &[1]);
        assert_eq!(missing, Err(Rejection::LockNotWitnessed { lock: lock(9) }));
    }

    #[test]
    fn one_spare_witness_may_stand_where_the_owner_is_no_longer_known() {
        assert_eq!(checked(&[1], Authority::Gone, &[1]), Ok(()));
        assert_eq!(checked(&[1], Authority::Gone, &[1, 9]), Ok(()));
        assert_eq!(checked(&[1], Authority::Gone, &[1, 9, 8]), Err(Rejection::UnusedWitness { lock: lock(9) }));
    }
}
