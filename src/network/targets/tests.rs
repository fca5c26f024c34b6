use super::*;
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

fn learnt(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (n / 256) as u8, (n % 256) as u8], 24_000))
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
    targets.want("a".into(), now);
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
    targets.want("a".into(), now);
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
    targets.want("a".into(), now);
    targets.want("a".into(), now);
    assert_eq!(targets.due(now, nobody), ["a"]);
    assert!(targets.due(now, nobody).is_empty());
    assert_eq!(targets.next_due(), None, "nothing to wake up for");
}

#[test]
fn a_node_that_is_linked_otherwise_is_not_dialed_and_that_is_no_failure() {
    let (mut targets, mut now) = (targets(), Instant::now());
    targets.want("a".into(), now);
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
        targets.learn(learnt(1), now);
        targets.forget("a");
        targets.want("a".into(), now);
        let due = targets.due(now, nobody);
        due.iter().for_each(|address| {
            targets.ended(address, &Ended { node: None, held: None, reason: reason.clone() }, now, |most| most);
        });
        targets.learn(learnt(1), now);
        assert_eq!(targets.next_due(), None);
    }
}

#[test]
fn learnt_addresses_are_forgotten_when_they_fail_and_configured_ones_are_not() {
    let (mut targets, mut now) = (targets(), Instant::now());
    targets.want("a".into(), now);
    targets.learn(learnt(1), now);
    for _ in 0..MAX_DIAL_FAILURES {
        assert_eq!(targets.due(now, nobody).len(), 2);
        for address in ["a", "10.0.0.1:24000"] {
            targets.ended(address, &failure(), now, |most| most);
        }
        now = targets.next_due().unwrap();
    }
    assert_eq!(targets.due(now, nobody), ["a"]);
    targets.forget("a");
    targets.ended("a", &failure(), now, |most| most);
    assert_eq!(targets.len(), 0);
}

#[test]
fn links_to_learnt_addresses_are_bounded_and_so_are_the_addresses() {
    let (mut targets, now) = (targets(), Instant::now());
    (0..2 * MAX_KNOWN_ADDRESSES).for_each(|n| targets.learn(learnt(n), now));
    assert_eq!(targets.len(), MAX_KNOWN_ADDRESSES);
    let due = targets.due(now, nobody);
    assert_eq!(due.len(), MAX_LEARNT_LINKS);
    assert_eq!(targets.next_due(), None, "the others wait for one of these to end");
    targets.want("a".into(), now);
    assert_eq!(targets.due(now, nobody), ["a"], "what is configured is dialed all the same");
    targets.ended(&due[0], &failure(), now, |most| most);
    assert_eq!(targets.due(now, nobody).len(), 1);
}
