use super::*;
use crate::ledger::testing::World;
use crate::replica::message::ReceivedHeader;

const START: TimeMs = TimeMs(10_000);

/// A node that knows the headers of `blocks` blocks, and peers that have them all.
struct Scene {
    window: Window,
    peers: Peers,
    bodies: Bodies,
    top: Height,
}

fn scene(blocks: u64, peers: u64) -> Scene {
    let mut world = World::default();
    let mut window = Window::new(&world.state);
    for _ in 0..blocks {
        world.open(&[]);
        let state = &world.state;
        let header = ReceivedHeader {
            header: state.header.clone(),
            hash: state.hash,
            commit: (**world.last_commit.as_ref().unwrap()).clone(),
            next_set: None,
        };
        window.extend(&world.chain, &world.verifier, vec![header]).unwrap();
    }
    let mut bodies = Bodies::default();
    bodies.tip_is(Height::ZERO);
    let mut scene = Scene { window, peers: Peers::default(), bodies, top: Height::new(blocks) };
    (1..=peers).for_each(|peer| scene.join(peer, Height::new(1)));
    scene
}

impl Scene {
    fn join(&mut self, peer: u64, lowest: Height) {
        self.peers.connect(START, PeerId(peer), None);
        self.peers.claims(PeerId(peer), self.top, lowest);
    }

    /// Who is asked for what: peer, first height, count.
    fn ask(&mut self, after: u64) -> Vec<(u64, u64, u32)> {
        let now = START.plus(after);
        self.bodies.give_up(now);
        let requests = self.bodies.requests(now, &self.window, &self.peers);
        requests.into_iter().map(|(peer, from, count)| (peer.0, from.get(), count)).collect()
    }

    fn answer(&mut self, after: u64, peer: u64, heights: std::ops::RangeInclusive<u64>) -> bool {
        let was_asked = self.bodies.answered(START.plus(after), PeerId(peer), Height::new(*heights.start()));
        was_asked && heights.filter(|height| self.bodies.check(Height::new(*height), 1_000)).count() > 0
    }
}

#[test]
fn ranges_go_to_several_peers_at_once_and_each_block_to_one() {
    let mut scene = scene(200, 3);
    let asked = scene.ask(0);
    assert_eq!(asked, [(1, 1, 64), (2, 65, 64), (3, 129, 64), (1, 193, 8)]);
    assert_eq!(scene.ask(1), [], "all of it is asked for");
    assert!(scene.answer(10, 2, 65..=128));
    assert_eq!(scene.ask(11), [], "what is being checked is not asked for again");
    assert_eq!(scene.bodies.len(), 200);
}

#[test]
fn a_peer_has_few_requests_at_a_time_and_a_short_answer_is_made_up_for() {
    let mut scene = scene(400, 1);
    assert_eq!(scene.ask(0), [(1, 1, 64), (1, 65, 64)]);
    assert!(scene.answer(5, 1, 1..=10));
    assert_eq!(scene.ask(6), [(1, 11, 54)], "the rest of the range comes first");
    assert!(scene.answer(7, 1, 65..=128));
    assert_eq!(scene.ask(8), [(1, 129, 64)]);
}

#[test]
fn who_stalls_is_replaced_sooner_at_the_head_and_its_late_answer_is_of_use() {
    let mut scene = scene(128, 2);
    assert_eq!(scene.ask(0), [(1, 1, 64), (2, 65, 64)]);
    assert_eq!(scene.ask(HEAD_RETRY_MS - 1), []);
    assert_eq!(scene.ask(HEAD_RETRY_MS), [(2, 1, 64)], "the other one is asked for the head of the line");
    assert!(scene.answer(HEAD_RETRY_MS + 1, 1, 1..=64), "late, and still missing");
    assert!(!scene.answer(HEAD_RETRY_MS + 2, 2, 1..=64), "here already");
    assert_eq!(scene.ask(RANGE_RETRY_MS), [], "the second request of a peer waits from its last answer on");
    assert_eq!(scene.ask(RANGE_RETRY_MS + HEAD_RETRY_MS + 2), [(1, 65, 64)]);
}

#[test]
fn who_keeps_stalling_is_left_out_while_others_answer() {
    let mut scene = scene(600, 2);
    let mut now = 0;
    let mut asked_of_first = 0;
    let mut open: Vec<(u64, u64, u32)> = Vec::new();
    for _ in 0..12 {
        open.extend(scene.ask(now));
        asked_of_first += open.iter().filter(|(peer, ..)| *peer == 1).count();
        // The second answers everything, the first nothing.
        for (peer, from, count) in open.drain(..).filter(|(peer, ..)| *peer == 2) {
            scene.answer(now + 1, peer, from..=from + u64::from(count) - 1);
        }
        now += RANGE_RETRY_MS + 1;
    }
    assert!((1..=4).contains(&asked_of_first), "asked {asked_of_first} times");
    assert_eq!(scene.bodies.len(), 600, "all of it came from the other one");
    scene.bodies.gone(PeerId(2));
    scene.peers.disconnect(PeerId(2));
    scene.bodies.unchecked((1..=600).map(Height::new));
    assert!(!scene.ask(now).is_empty(), "if nobody else is there, it is asked all the same");
}

#[test]
fn who_was_at_fault_or_does_not_have_a_block_is_not_asked_for_it() {
    let mut scene = scene(100, 2);
    scene.join(3, Height::new(65));
    scene.bodies.distrust(PeerId(1));
    assert_eq!(scene.ask(0), [(2, 1, 64), (3, 65, 36)]);
    scene.bodies.gone(PeerId(2));
    scene.peers.disconnect(PeerId(2));
    assert_eq!(scene.ask(1), [], "nobody has the first blocks");
    assert_eq!(scene.bodies.len(), 36, "what a link had been asked for is missing when it is down");
}

#[test]
fn what_nobody_asked_for_is_not_taken() {
    let mut scene = scene(100, 2);
    scene.ask(0);
    assert!(!scene.answer(1, 2, 1..=64), "somebody else was asked");
    assert!(!scene.answer(1, 1, 2..=64), "something else was asked");
    assert!(!scene.answer(1, 9, 1..=64), "a stranger");
    assert!(scene.answer(1, 1, 1..=64) && !scene.answer(1, 1, 1..=64), "once");
}

#[test]
fn blocks_ahead_of_the_tip_are_bounded() {
    let mut scene = scene(MAX_BLOCKS_AHEAD as u64 + 200, 40);
    let asked: u32 = scene.ask(0).iter().map(|(.., count)| count).sum();
    assert_eq!(asked as usize, MAX_BLOCKS_AHEAD);
    // Large blocks, as their headers say: fewer of them.
    assert!(expected_bytes(10_000) * 10 > MAX_BYTES_AHEAD);
    scene.bodies.tip_is(Height::new(100));
    let more: u32 = scene.ask(1).iter().map(|(.., count)| count).sum();
    assert!((100..164).contains(&more), "as the tip moves on, so does the line, by whole ranges: {more}");
    assert!(scene.bodies.len() < MAX_BLOCKS_AHEAD + MAX_BLOCKS_PER_MESSAGE);
}
