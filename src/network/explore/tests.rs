use super::*;
use crate::network::error::LinkError;
use crate::network::hello::HelloError;
use crate::network::message::CloseReason;
use std::net::IpAddr;
use std::time::Duration;

const CLOCK: TimeMs = TimeMs(1_700_000_000_000);

fn far(g: u8, n: u8) -> SocketAddr {
    SocketAddr::from(([16, g, 0, n], 24_000))
}

fn scene(addresses: impl IntoIterator<Item = SocketAddr>) -> (Explorer, Book, Instant) {
    let (mut book, now) = (Book::new([3; 32]), Instant::now());
    for (n, address) in addresses.into_iter().enumerate() {
        book.learn(address, IpAddr::from([32, n as u8, 0, 1]), CLOCK);
    }
    (Explorer::new(Timings::default(), now), book, now)
}

fn ended(reason: LinkError) -> Ended {
    Ended { node: None, held: None, reason }
}

#[test]
fn links_are_bounded_in_all_and_per_group_but_not_on_this_machine() {
    let (mut explorer, mut book, now) = scene((0..4).flat_map(|g| (0..10).map(move |n| far(g, n))));
    let due = explorer.due(now, CLOCK, &mut book, |_| true);
    assert_eq!(due.len(), 4 * MAX_LEARNT_LINKS_PER_GROUP);
    for g in 0..4 {
        let of_group = due.iter().filter(|(address, _)| group(address.ip()) == group(far(g, 0).ip()));
        assert_eq!(of_group.count(), MAX_LEARNT_LINKS_PER_GROUP);
    }
    let (mut explorer, mut book, now) = scene((1..30).map(|port| SocketAddr::from(([127, 0, 0, 1], port))));
    assert_eq!(explorer.due(now, CLOCK, &mut book, |_| true).len(), MAX_LEARNT_LINKS);
}

#[test]
fn an_address_is_dialed_once_at_a_time_and_not_if_it_may_not_be() {
    let (mut explorer, mut book, now) = scene([far(1, 1), far(2, 1)]);
    let due = explorer.due(now, CLOCK, &mut book, |address| *address != far(2, 1));
    assert_eq!(due, [(far(1, 1), Visit::Link)]);
    let later = CLOCK.plus(10_000_000);
    assert!(explorer.due(now, later, &mut book, |address| *address != far(2, 1)).is_empty());
    explorer.ended(far(1, 1));
    assert_eq!(explorer.due(now, later, &mut book, |address| *address != far(2, 1)).len(), 1);
}

#[test]
fn feelers_go_now_and_then_one_at_a_time_when_links_are_enough() {
    let (mut explorer, mut book, now) = scene((0..60).map(|g| far(g, 1)));
    let timings = Timings::default();
    assert_eq!(explorer.due(now, CLOCK, &mut book, |_| true).len(), MAX_LEARNT_LINKS);
    assert_eq!(explorer.next_due(), now + timings.feeler);
    let due = explorer.due(now + timings.feeler, CLOCK, &mut book, |_| true);
    let [(felt, Visit::Feeler)] = due[..] else { panic!("{due:?}") };
    assert!(explorer.due(now + 2 * timings.feeler, CLOCK, &mut book, |_| true).is_empty(), "one is under way");
    explorer.ended(felt);
    assert_eq!(explorer.due(now + 3 * timings.feeler, CLOCK, &mut book, |_| true).len(), 1);
}

#[test]
fn the_book_learns_from_how_a_dial_went() {
    let timings = Timings::default();
    let after = |reason: LinkError, held: Option<Duration>, is_online: bool| {
        let (_, mut book, _) = scene([far(1, 1)]);
        for _ in 0..crate::limits::MAX_DIAL_FAILURES {
            note(&mut book, far(1, 1), &Ended { held, ..ended(reason.clone()) }, &timings, CLOCK, is_online);
        }
        book.len()
    };
    let refused = || LinkError::Unreachable("refused".to_owned());
    let (met, merely_told, gone) = ((1, 0), (0, 1), (0, 0));
    assert_eq!(after(refused(), None, true), gone);
    assert_eq!(after(refused(), None, false), merely_told, "a node without links may itself be cut off");
    assert_eq!(after(LinkError::HungUp, Some(timings.steady), true), met);
    assert_eq!(after(LinkError::ClosedByPeer(CloseReason::Duplicate), None, true), met);
    assert_eq!(after(LinkError::ClosedByPeer(CloseReason::WrongChain), None, true), gone);
    assert_eq!(after(HelloError::SelfConnection.into(), None, true), gone);
}
