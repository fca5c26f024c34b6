use super::*;
use crate::chain::spec::ChainSpec;

/// Slots of two seconds from 1,000 s on, epochs of ten, tolerance half a second.
fn spec() -> ChainSpec {
    let spec = ChainSpec::builtin("dev").unwrap();
    ChainSpec {
        genesis_time_ms: 1_000_000,
        slot_ms: 2_000,
        epoch_slots: 10,
        max_block_bytes: 2_000_000,
        overflow_min_bytes: 1_000_000,
        clock_tolerance_ms: 500,
        ..spec
    }
}

fn tip(slot: u64, opened: u64) -> Tip {
    Tip { slot: Slot::new(slot), opened }
}

/// `ms` into `slot`.
fn time(slot: u64, ms: u64) -> TimeMs {
    spec().slot_start(Slot::new(slot)).plus(ms)
}

fn opening(slot: u64) -> NextBlock {
    NextBlock::Opening { slot: Slot::new(slot) }
}

fn wait(slot: u64) -> NextBlock {
    NextBlock::Wait { until: time(slot, 0) }
}

#[test]
fn what_the_next_block_is() {
    let (min, max) = (1_000_000, 2_000_000);
    for (name, tip, now, bytes, expected) in [
        ("the slot lasts, nothing waits", tip(5, 5), time(5, 0), 0, wait(6)),
        ("just too little waits", tip(5, 5), time(5, 1_999), min - 1, wait(6)),
        ("enough waits", tip(5, 5), time(5, 0), min, NextBlock::Overflow),
        ("the clock is behind the tip", tip(5, 5), time(4, 0), 0, wait(6)),
        ("the clock is behind the tip, enough waits", tip(5, 5), time(4, 0), min, NextBlock::Overflow),
        ("the slot has ended", tip(5, 5), time(6, 0), 0, opening(6)),
        ("the slot has ended, however much waits", tip(5, 5), time(6, 0), 10 * max, opening(6)),
        ("missed slots are skipped", tip(5, 5), time(9, 7), 0, opening(9)),
        ("the last slot before closing lasts", tip(9, 9), time(9, 0), min, NextBlock::Overflow),
        ("closing, all fits", tip(9, 9), time(10, 0), max, opening(10)),
        ("closing, not all fits", tip(9, 9), time(10, 0), max + 1, NextBlock::Overflow),
        ("closing, long after", tip(9, 9), time(99, 0), max + 1, NextBlock::Overflow),
        ("after closing, all is as ever", tip(10, 10), time(11, 0), max + 1, opening(11)),
        ("genesis stands alone in slot 0", tip(0, 0), time(0, 0), max, wait(1)),
        ("before genesis time", tip(0, 0), TimeMs(0), 0, wait(1)),
        ("height 1 opens a slot", tip(0, 0), time(3, 0), max + 1, opening(3)),
    ] {
        assert_eq!(tip.next_block(&spec(), now, bytes), expected, "{name}");
    }
}

#[test]
fn height_1_opens_a_slot_even_where_it_closes_the_epoch() {
    let spec = ChainSpec { epoch_slots: 1, ..spec() };
    assert_eq!(tip(0, 0).next_block(&spec, time(3, 0), 9_000_000), opening(3));
}

#[test]
fn a_proposal_is_accepted_in_the_current_slot_give_or_take_the_tolerance() {
    for (name, tip, now, slot, is_fine) in [
        ("current", tip(5, 5), time(6, 900), 6, true),
        ("the leader's clock is a little ahead", tip(5, 5), time(5, 1_500), 6, true),
        ("the leader's clock is too far ahead", tip(5, 5), time(5, 1_499), 6, false),
        ("the leader's clock is a little behind", tip(5, 5), time(7, 499), 6, true),
        ("the leader's clock is too far behind", tip(5, 5), time(7, 500), 6, false),
        ("overflow in its slot", tip(5, 5), time(5, 1_000), 5, true),
        ("overflow a little after its slot", tip(5, 5), time(6, 499), 5, true),
        ("overflow after its slot", tip(5, 5), time(6, 500), 5, false),
        ("overflow before closing, whenever", tip(9, 9), time(50, 0), 9, true),
        ("closing block of an old slot", tip(9, 9), time(50, 0), 10, false),
        ("before the tip", tip(5, 5), time(4, 0), 4, false),
        ("overflow of genesis", tip(0, 0), time(0, 0), 0, false),
    ] {
        assert_eq!(tip.accepts(&spec(), now, Slot::new(slot)).is_ok(), is_fine, "{name}");
    }
}

#[test]
fn what_one_proposes_another_within_the_tolerance_accepts_whatever_its_backlog() {
    let spec = spec();
    for opened in [1, 5, 9, 10] {
        let tip = tip(40, opened);
        for now in (79_000..86_000).step_by(50).map(|ms| TimeMs(1_000_000 + ms)) {
            for bytes in [0, 999_999, 1_000_000, 2_000_000, 2_000_001, u64::MAX] {
                let slot = match tip.next_block(&spec, now, bytes) {
                    NextBlock::Opening { slot } => slot,
                    NextBlock::Overflow => tip.slot,
                    NextBlock::Wait { until } => {
                        assert!(until > now);
                        continue;
                    }
                };
                if spec.slot_at(now) < tip.slot {
                    continue; // a clock behind the tip itself
                }
                for skew in [0, 1, 499, 500] {
                    let (ahead, behind) = (now.plus(skew), TimeMs(now.0 - skew));
                    assert_eq!(tip.accepts(&spec, ahead, slot), Ok(()), "{now:?} {bytes} +{skew}");
                    assert_eq!(tip.accepts(&spec, behind, slot), Ok(()), "{now:?} {bytes} -{skew}");
                }
            }
        }
    }
}

#[test]
fn votes_of_an_epoch_stop_once_its_closing_slot_has_come() {
    assert!(!tip(9, 9).is_closing(&spec(), time(9, 1_999)));
    assert!(tip(9, 9).is_closing(&spec(), time(10, 0)));
    assert!(!tip(8, 8).is_closing(&spec(), time(10, 0)));
    assert!(!tip(10, 10).is_closing(&spec(), time(12, 0)));
}
