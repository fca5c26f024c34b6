use super::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

const NOW: TimeMs = TimeMs(1_000_000);
/// How long a run listens.
const LISTEN_MS: u64 = LISTEN_QUESTION_MS * LISTEN_QUESTIONS as u64;

fn watch(seed: u64) -> Watch {
    Watch::new(&mut ChaCha12Rng::seed_from_u64(seed), true)
}

const LINKED: Surroundings = Surroundings { has_links: true, is_behind: false, is_alone: false };
const CUT_OFF: Surroundings = Surroundings { has_links: false, ..LINKED };
const BEHIND: Surroundings = Surroundings { is_behind: true, ..LINKED };

/// One that has listened to its end at [`NOW`].
fn signing(seed: u64) -> Watch {
    let mut watch = watch(seed);
    let begin = NOW.0 - LISTEN_MS;
    for n in 0..=u64::from(LISTEN_QUESTIONS) {
        watch.listen(TimeMs(begin + n * LISTEN_QUESTION_MS), LINKED);
    }
    assert!(watch.may_sign());
    watch
}

fn question(watch: &mut Watch, now: TimeMs) -> Claim {
    watch.listen(now, LINKED).unwrap()
}

#[test]
fn a_run_asks_while_it_listens_and_counts_from_its_first_link() {
    let mut watch = watch(1);
    assert_eq!((watch.listen(NOW, CUT_OFF), watch.next_wake()), (None, None));
    let since = NOW.plus(60_000);
    let mut asked = 0;
    for ms in 0..LISTEN_MS {
        let now = since.plus(ms);
        if let Some(claim) = watch.listen(now, LINKED) {
            assert_eq!((claim.run, claim.answers, claim.is_signing, claim.number), (watch.run, None, false, asked));
            asked += 1;
        }
        assert!(!watch.may_sign() && watch.next_wake().unwrap() > now);
    }
    assert_eq!(asked, LISTEN_QUESTIONS);
    // Without a link nobody could have answered: it begins anew.
    watch.listen(since.plus(LISTEN_MS), CUT_OFF);
    let again = since.plus(LISTEN_MS + 1);
    for ms in 0..LISTEN_MS {
        watch.listen(again.plus(ms), LINKED);
        assert!(!watch.may_sign());
    }
    assert_eq!(watch.listen(again.plus(LISTEN_MS), LINKED), None);
    assert!(watch.may_sign() && watch.next_wake().is_none());
}

#[test]
fn who_is_a_quorum_alone_signs_at_once_unless_somebody_is_linked() {
    let alone = |has_links| Surroundings { has_links, is_alone: true, is_behind: false };
    let (mut by_itself, mut watched) = (watch(1), watch(1));
    assert!(by_itself.listen(NOW, alone(false)).is_none() && by_itself.may_sign());
    assert!(watched.listen(NOW, alone(true)).is_some() && !watched.may_sign());
    assert!(Watch::new(&mut ChaCha12Rng::seed_from_u64(1), false).may_sign());
}

#[test]
fn who_is_behind_asks_once_more_when_it_is_level() {
    let mut watch = watch(1);
    for n in 0..u64::from(LISTEN_QUESTIONS) {
        assert!(watch.listen(NOW.plus(n * LISTEN_QUESTION_MS), LINKED).is_some());
    }
    // All were asked, but what they brought could not be judged.
    let level = NOW.plus(100 * LISTEN_QUESTION_MS);
    for ms in (0..level.since(NOW)).step_by(10).skip(170) {
        assert_eq!(watch.listen(NOW.plus(ms), BEHIND), None);
        assert!(!watch.may_sign() && watch.next_wake().is_some_and(|wake| wake > NOW.plus(ms)));
    }
    assert!(watch.listen(level.plus(LISTEN_QUESTION_MS), LINKED).is_some());
    assert!(!watch.may_sign());
    assert_eq!(watch.listen(level.plus(2 * LISTEN_QUESTION_MS), LINKED), None);
    assert!(watch.may_sign());
}

#[test]
fn a_clock_that_is_set_neither_holds_up_listening_nor_ends_it() {
    for step in [-3_600_000i64, 3_600_000] {
        let mut watch = watch(1);
        let mut now = NOW.plus(10_000_000);
        let mut asked = u32::from(watch.listen(now, LINKED).is_some());
        now = TimeMs(now.0.saturating_add_signed(step));
        for _ in 0..LISTEN_MS {
            asked += u32::from(watch.listen(now, LINKED).is_some());
            if watch.may_sign() {
                break;
            }
            now = now.plus(1);
        }
        assert!(asked >= LISTEN_QUESTIONS && watch.may_sign() || asked == LISTEN_QUESTIONS, "{step}: {asked}");
        now = now.plus(LISTEN_QUESTION_MS);
        watch.listen(now, LINKED);
        assert!(watch.may_sign(), "{step}");
    }
}

#[test]
fn a_run_that_signs_asks_now_and_then_and_when_it_has_links_again() {
    let mut watch = signing(1);
    let asked = (0..SIGNING_QUESTION_MS * 3).filter(|ms| watch.listen(NOW.plus(*ms), LINKED).is_some()).count();
    assert_eq!(asked, 2);
    let later = NOW.plus(SIGNING_QUESTION_MS * 3);
    assert_eq!(watch.listen(later, CUT_OFF), None);
    assert!(watch.listen(later.plus(1), LINKED).is_some_and(|claim| claim.is_signing));
    // Two that sign, and hear of each other at last: the one with the greater name gives way.
    let (mut one, mut other) = (signing(2), signing(3));
    let asked = [&mut one, &mut other].map(|watch| question(watch, NOW.plus(SIGNING_QUESTION_MS)));
    let now = NOW.plus(SIGNING_QUESTION_MS);
    let (to_other, to_one) = (one.heard_own(now, &asked[1]).0.unwrap(), other.heard_own(now, &asked[0]).0.unwrap());
    one.heard_own(now, &to_one);
    other.heard_own(now, &to_other);
    assert_eq!((one.is_silent(), other.is_silent()), (one.run > other.run, other.run > one.run));
}

#[test]
fn the_second_run_falls_silent_and_the_first_goes_on() {
    for seed in 0..20 {
        let (mut first, mut second) = (signing(seed), watch(seed + 100));
        let asked = question(&mut second, NOW);
        let (answer, silent) = first.heard_own(NOW, &asked);
        let answer = answer.unwrap();
        assert_eq!((answer.answers, answer.is_signing, silent), (Some(second.run), true, false));
        assert_eq!(second.heard_own(NOW, &answer), (None, true));
        assert!(second.is_silent() && !second.may_sign() && first.may_sign());
        assert_eq!(second.listen(NOW.plus(LISTEN_MS), LINKED), None, "for good");
        assert!(!second.may_sign());
        // It is said once, and who is silent answers nobody.
        assert_eq!(second.heard_own(NOW, &answer), (None, false));
        assert_eq!(second.heard_own(NOW, &question(&mut watch(7_000), NOW)), (None, false));
    }
}

#[test]
fn of_two_that_begin_together_one_goes_on() {
    for seed in 0..20 {
        let (mut one, mut other) = (watch(seed), watch(seed + 100));
        let (of_one, of_other) = (question(&mut one, NOW), question(&mut other, NOW));
        let (to_other, to_one) = (one.heard_own(NOW, &of_other).0.unwrap(), other.heard_own(NOW, &of_one).0.unwrap());
        one.heard_own(NOW, &to_one);
        other.heard_own(NOW, &to_other);
        assert_eq!((one.is_silent(), other.is_silent()), (one.run > other.run, other.run > one.run));
    }
}

#[test]
fn a_question_is_answered_once_over_however_many_links_it_comes_and_not_when_it_is_old() {
    let (mut first, mut second) = (signing(1), watch(2));
    for n in 0..3 {
        let now = NOW.plus(n * LISTEN_QUESTION_MS);
        let asked = question(&mut second, now);
        let answers = (0..100).filter(|_| first.heard_own(now, &asked).0.is_some()).count();
        assert_eq!(answers, 1, "question {n}");
    }
    let recorded = question(&mut watch(3), NOW);
    for late in [NOW.plus(2 * CLAIMS_WINDOW_MS), TimeMs(NOW.0 - 2 * CLAIMS_WINDOW_MS)] {
        assert_eq!(first.heard_own(late, &recorded), (None, false), "kept for later");
        assert!(!first.is_to_be_passed_on(late, PublicKey([1; 32]), &recorded, Signature([1; 64])));
    }
    // However many runs ask, no more is remembered.
    for seed in 10..100 {
        first.heard_own(NOW, &question(&mut watch(seed), NOW));
    }
    assert_eq!(first.answered.len(), MAX_ANSWERED_RUNS);
}

#[test]
fn what_an_earlier_run_said_or_was_told_silences_nobody() {
    let (mut earlier, mut first) = (watch(1), signing(2));
    let asked = question(&mut earlier, NOW);
    let told = first.heard_own(NOW, &asked).0.unwrap();
    let mut later = watch(3);
    let own = question(&mut later, NOW);
    for said in [asked, told, own] {
        assert!(!later.heard_own(NOW, &said).1 && !later.is_silent());
    }
    assert_eq!(later.heard_own(NOW, &own), (None, false), "its own words come back");
}

#[test]
fn a_few_claims_of_a_run_and_of_a_few_runs_are_passed_on_once_each() {
    let mut watch = watch(1);
    let (key, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
    let said = |run: u8| Claim { run: Run([run; 16]), answers: None, is_signing: false, number: 0, time: NOW };
    let id = |n: u8| Signature([n; 64]);
    let once = |watch: &mut Watch, n| watch.is_to_be_passed_on(NOW, key, &said(1), id(n));
    assert!(once(&mut watch, 0) && !once(&mut watch, 0));
    let passed = (1..100).filter(|n| once(&mut watch, *n)).count();
    assert_eq!(passed + 1, MAX_CLAIMS_OF_A_RUN);
    // One run takes nothing from another, nor one key.
    let runs = (2..50).filter(|run| watch.is_to_be_passed_on(NOW, key, &said(*run), id(100 + run))).count();
    assert_eq!(runs + 1, MAX_RUNS_OF_A_KEY);
    assert!(watch.is_to_be_passed_on(NOW, other, &said(77), id(200)));
    let later = NOW.plus(CLAIMS_WINDOW_MS);
    let fresh = Claim { time: later, ..said(60) };
    assert!(watch.is_to_be_passed_on(later, key, &fresh, id(150)));
    watch.forget_old(later);
    assert_eq!(watch.len(), 1);
    // A clock that is set back leaves no count that is full for longer.
    assert!(watch.is_to_be_passed_on(NOW, key, &said(61), id(151)));
}
