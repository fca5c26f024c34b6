use super::*;

const NOW: TimeMs = TimeMs(1_700_000_000_000);

fn book() -> Book {
    Book::new([7; 32])
}

/// Address `n` of IPv4 group `g`.
fn address(g: u16, n: u16) -> SocketAddr {
    let ([a, b], [c, d]) = ((0x1000 + g).to_be_bytes(), n.to_be_bytes());
    SocketAddr::from(([a, b, c, d], 24_000))
}

fn teller(g: u16) -> IpAddr {
    address(0x800 + g, 1).ip()
}

fn of_group(table: &Table, g: u16) -> usize {
    table.keys().filter(|known| group(known.ip()) == group(address(g, 0).ip())).count()
}

fn told_by(book: &Book, g: u16) -> usize {
    book.new.values().filter(|entry| entry.source == teller(g)).count()
}

fn anything(_: &SocketAddr) -> bool {
    true
}

#[test]
fn one_teller_fills_its_share_and_no_more() {
    let mut book = book();
    for n in 0..5_000 {
        book.learn(address(n % 400, n), teller(0), NOW);
    }
    assert_eq!((told_by(&book, 0), book.len()), (MAX_NEW_PER_SOURCE, (0, MAX_NEW_PER_SOURCE)));
}

#[test]
fn one_group_of_addresses_fills_its_share_and_no_more() {
    let mut book = book();
    for n in 0..5_000 {
        book.learn(address(0, n), teller(n % 500), NOW);
    }
    assert_eq!(book.len(), (0, MAX_NEW_PER_GROUP));
}

#[test]
fn whoever_tells_most_makes_room_for_others_and_cannot_drive_them_out() {
    let mut book = book();
    (0..10).for_each(|n| book.learn(address(n, 1), teller(0), NOW));
    // 40 groups of tellers could fill the book two and a half times.
    for source in 1..=40 {
        (0..256).for_each(|n| book.learn(address(100 + n, source), teller(source), NOW));
    }
    assert_eq!(book.len().1, MAX_NEW_ADDRESSES);
    assert_eq!(told_by(&book, 0), 10, "who told little keeps it");
    let shares: Vec<usize> = (1..=40).map(|source| told_by(&book, source)).collect();
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(most - least <= 1, "{shares:?}");
}

#[test]
fn an_address_told_again_stays_one_address() {
    let mut book = book();
    book.learn(address(1, 1), teller(1), NOW);
    book.learn(address(1, 1), teller(2), NOW.plus(5));
    let mapped = SocketAddr::new(IpAddr::V6("::ffff:16.1.0.1".parse().unwrap()), 24_000);
    book.learn(mapped, teller(3), NOW);
    let entries: Vec<(&SocketAddr, &Entry)> = book.entries().collect();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].1.source, entries[0].1.heard), (teller(1), NOW.plus(5)));
}

#[test]
fn where_a_node_was_met_is_no_longer_merely_told() {
    let mut book = book();
    book.learn(address(1, 1), teller(1), NOW);
    book.met(address(1, 1), NOW);
    assert_eq!(book.len(), (1, 0));
    book.learn(address(1, 1), teller(2), NOW);
    assert_eq!(book.len(), (1, 0));
}

#[test]
fn tried_addresses_are_bounded_by_group_and_those_that_fail_go_first() {
    let mut book = book();
    let most = u16::try_from(MAX_TRIED_PER_GROUP).unwrap();
    (0..most).for_each(|n| book.met(address(0, n), NOW.plus(n.into())));
    book.failed(address(0, 9), NOW);
    book.met(address(0, 100), NOW.plus(500));
    assert_eq!(of_group(&book.tried, 0), MAX_TRIED_PER_GROUP);
    assert!(book.new.contains_key(&address(0, 9)), "it is not forgotten");
    book.met(address(0, 101), NOW.plus(501));
    assert!(!book.tried.contains_key(&address(0, 0)), "met longest ago");
    assert!(book.tried.contains_key(&address(0, 1)) && book.tried.contains_key(&address(0, 100)));
}

#[test]
fn a_full_table_of_tried_addresses_stays_diverse() {
    let mut book = book();
    let groups = u16::try_from(MAX_TRIED_ADDRESSES / MAX_TRIED_PER_GROUP).unwrap();
    for g in 0..groups {
        (0..16).for_each(|n| book.met(address(g, n), NOW));
    }
    assert_eq!(book.len().0, MAX_TRIED_ADDRESSES);
    (0..200).for_each(|g| book.met(address(1_000 + g, 1), NOW));
    assert_eq!(book.len().0, MAX_TRIED_ADDRESSES);
    assert!((0..200).all(|g| of_group(&book.tried, 1_000 + g) == 1), "a group of its own always has room");
    assert!((0..groups).all(|g| of_group(&book.tried, g) >= 11), "and takes from the greatest ones");
}

#[test]
fn an_address_that_fails_is_forgotten_unless_a_node_was_met_there_of_late() {
    let mut book = book();
    book.learn(address(1, 1), teller(1), NOW);
    book.met(address(2, 1), NOW);
    for _ in 0..MAX_DIAL_FAILURES {
        assert!(book.new.contains_key(&address(1, 1)));
        book.failed(address(1, 1), NOW);
        book.failed(address(2, 1), NOW);
    }
    assert_eq!(book.len(), (1, 0));
    book.failed(address(2, 1), NOW.plus(KEEP_MET_MS));
    assert_eq!(book.len(), (0, 0));
}

#[test]
fn pauses_between_dials_grow_with_failures_up_to_an_hour() {
    let mut book = book();
    book.met(address(1, 1), NOW);
    assert_eq!(book.draw(Pool::Any, NOW, anything), None, "it was there a moment ago");
    let mut now = NOW.plus(DIAL_BACKOFF_MAX_MS);
    for failures in 1..=10 {
        assert_eq!(book.draw(Pool::Any, now, anything), Some(address(1, 1)));
        book.dialed(address(1, 1), now);
        book.failed(address(1, 1), now);
        let pause = (DIAL_BACKOFF_MAX_MS << failures).min(BOOK_BACKOFF_MAX_MS);
        assert_eq!(book.draw(Pool::Any, now.plus(pause - 1), anything), None);
        now = now.plus(pause);
    }
    book.dialed(address(1, 1), now);
    let put_back = TimeMs(now.0 - 1);
    assert_eq!(book.draw(Pool::Any, put_back, anything), Some(address(1, 1)), "the clock was put back");
}

#[test]
fn a_draw_is_by_group_first() {
    let mut book = book();
    (0..60).for_each(|n| book.learn(address(0, n), teller(n), NOW));
    book.learn(address(1, 0), teller(0), NOW);
    let draws = (0..1_000).filter(|_| book.draw(Pool::New, NOW, anything) == Some(address(1, 0)));
    let alone = draws.count();
    assert!((400..600).contains(&alone), "one of two groups: {alone}");
    assert_eq!(book.draw(Pool::New, NOW, |address| address.port() == 1), None);
}

#[test]
fn a_feeler_goes_to_what_was_only_told() {
    let mut book = book();
    book.met(address(1, 1), NOW);
    let later = NOW.plus(BOOK_BACKOFF_MAX_MS);
    assert_eq!(book.draw(Pool::New, later, anything), None);
    assert_eq!(book.draw(Pool::Any, later, anything), Some(address(1, 1)));
}

#[test]
fn others_are_told_where_a_node_was_met_and_nothing_else() {
    let mut book = book();
    (0..100).for_each(|g| book.learn(address(g, 1), teller(1), NOW));
    (0..100).for_each(|g| book.met(address(200 + g, 1), NOW));
    let told = book.sample(64, |told| *told != address(200, 1));
    assert_eq!(told.len(), 64);
    assert!(told.iter().all(|told| book.tried.contains_key(told) && *told != address(200, 1)));
}

#[test]
fn this_nodes_own_addresses_stay_out_and_are_bounded() {
    let mut book = book();
    for n in 0..100 {
        book.learn(address(n, 1), teller(1), NOW);
        book.is_own(address(n, 1));
    }
    assert_eq!((book.len(), book.own.len()), ((0, 0), MAX_OWN_ADDRESSES));
    book.learn(address(0, 1), teller(2), NOW);
    book.met(address(0, 1), NOW);
    assert_eq!(book.len(), (0, 0));
}

#[test]
fn one_seed_makes_one_choice() {
    let history = |seed| {
        let mut book = Book::new([seed; 32]);
        for n in 0..3_000 {
            book.learn(address(n % 90, n), teller(n % 20), NOW);
        }
        let draws: Vec<Option<SocketAddr>> = (0..20).map(|_| book.draw(Pool::Any, NOW, anything)).collect();
        (draws, book.entries().map(|(address, _)| *address).collect::<Vec<_>>())
    };
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}
