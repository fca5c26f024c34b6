use super::*;
use crate::network::error::LinkError;
use crate::network::hello::HelloError;
use crate::network::message::CloseReason;
use crate::network::testing::node_id;

fn targets() -> Targets {
    Targets::new(Timings::default())
}

fn failure() -> Ended {
    Ended { node: None, held: None, reason: LinkError::Unreachable("refused".into()) }
}

fn nobody(_: &str, _: Option<NodeId>) -> bool {
    false
}

/// Dials `a`, fails, and returns the pause until it is due again.
fn fail(targets: &mut Targets, now: &mut Instant, ended: &Ended, draw: impl FnOnce(u64) -> u64) -> Duration {
    assert_eq!(targets.due(*now, nobody), ["a"]);
    targets.ended("a", ended, *now, draw);
    let pause = targets.next_due().unwrap() - *now;
    *now += pause;
    pause
}

#[test]
fn pauses_double_up_to_the_longest_and_are_drawn_from_their_upper_half() {
    let (mut targets, mut now) = (targets(), Instant::now());
    targets.want("a".into(), Wish::Seed, now);
    for ms in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        let longest = Duration::from_millis(ms);
        let draw = |most| {
            assert_eq!(most, ms / 2);
            most
        };
        assert_eq!(fail(&mut targets, &mut now, &failure(), draw), longest);
    }
    assert_eq!(fail(&mut targets, &mut now, &failure(), |_| 0), Duration::from_secs(30));
}

#[test]
fn a_link_that_held_is_a_success_and_one_that_broke_at_once_is_not() {
    let (mut targets, mut now) = (targets(), Instant::now());
    targets.want("a".into(), Wish::Seed, now);
    for _ in 0..5 {
        fail(&mut targets, &mut now, &failure(), |most| most);
    }
    let held = |seconds| Ended { held: Some(Duration::from_secs(seconds)), ..failure() };
    assert_eq!(fail(&mut targets, &mut now, &held(1), |most| most), Duration::from_secs(16));
    assert_eq!(fail(&mut targets, &mut now, &held(30), |most| most), Duration::from_millis(500));
    assert_eq!(fail(&mut targets, &mut now, &failure(), |most| most), Duration::from_millis(500));
}

#[test]
fn an_address_is_dialed_once_at_a_time() {
    let (mut targets, now) = (targets(), Instant::now());
    targets.want("a".into(), Wish::Seed, now);
    targets.want("a".into(), Wish::Seed, now);
    assert_eq!(targets.due(now, nobody), ["a"]);
    assert!(targets.due(now, nobody).is_empty());
    assert_eq!(targets.next_due(), None, "nothing to wake up for");
}

#[test]
fn a_node_that_is_linked_otherwise_is_not_dialed_and_that_is_no_failure() {
    let (mut targets, mut now) = (targets(), Instant::now());
    targets.want("a".into(), Wish::Seed, now);
    let duplicate =
        Ended { node: Some(node_id(1)), held: None, reason: LinkError::ClosedByPeer(CloseReason::Duplicate) };
    fail(&mut targets, &mut now, &duplicate, |most| most);
    for _ in 0..10 {
        let is_linked = |_: &str, node: Option<NodeId>| node == Some(node_id(1));
        assert!(targets.due(now, is_linked).is_empty());
        now = targets.next_due().unwrap();
    }
    assert_eq!(fail(&mut targets, &mut now, &failure(), |most| most), Duration::from_millis(500));
}

#[test]
fn a_node_does_not_dial_itself_twice() {
    let (mut targets, now) = (targets(), Instant::now());
    for reason in [LinkError::Hello(HelloError::SelfConnection), LinkError::ClosedByPeer(CloseReason::SelfConnection)] {
        targets.forget("a", Wish::Seed);
        targets.want("a".into(), Wish::Seed, now);
        assert_eq!(targets.due(now, nobody), ["a"]);
        targets.ended("a", &Ended { node: None, held: None, reason }, now, |most| most);
        assert_eq!(targets.next_due(), None);
    }
}

#[test]
fn an_address_is_dialed_until_the_last_wish_for_it_is_taken_back() {
    let (mut targets, mut now) = (targets(), Instant::now());
    targets.want("a".into(), Wish::Seed, now);
    targets.want("a".into(), Wish::Masternode, now);
    targets.forget("a", Wish::Masternode);
    targets.forget("a", Wish::Operator);
    for _ in 0..50 {
        fail(&mut targets, &mut now, &failure(), |most| most);
    }
    assert_eq!(targets.due(now, nobody), ["a"], "however often it failed");
    targets.forget("a", Wish::Seed);
    targets.ended("a", &failure(), now, |most| most);
    assert_eq!((targets.len(), targets.next_due()), (0, None));
}
