use super::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

const NOW: TimeMs = TimeMs(1_000_000);

fn watch(seed: u64) -> Watch {
    Watch::new(&mut ChaCha12Rng::seed_from_u64(seed), false)
}

/// One that has listened to its end.
fn signing(seed: u64) -> Watch {
    let mut watch = watch(seed);
    watch.listen(NOW, true);
    assert!(!watch.may_sign());
    watch.listen(NOW.plus(LISTEN_MS), true);
    assert!(watch.may_sign());
    watch
}

fn question(watch: &mut Watch, now: TimeMs) -> Claim {
    watch.listen(now, true).unwrap()
}

#[test]
fn a_run_asks_while_it_listens_and_counts_from_its_first_link() {
    let mut watch = watch(1);
    assert_eq!((watch.listen(NOW, false), watch.next_wake()), (None, None));
    let since = NOW.plus(60_000);
    let mut asked = 0;
    for ms in 0..LISTEN_MS {
        let now = since.plus(ms);
        if let Some(claim) = watch.listen(now, true) {
            assert_eq!((claim.run, claim.answers, claim.is_signing, claim.number), (watch.run, None, false, asked));
            asked += 1;
        }
        assert!(!watch.may_sign() && watch.next_wake().unwrap() > now);
    }
    assert_eq!(u64::from(asked), LISTEN_MS / LISTEN_QUESTION_MS);
    // Without a link nobody could have answered: it begins anew.
    watch.listen(since.plus(LISTEN_MS), false);
    watch.listen(since.plus(LISTEN_MS + 1), true);
    assert!(!watch.may_sign());
    assert_eq!(watch.listen(since.plus(2 * LISTEN_MS + 1), true), None);
    assert!(watch.may_sign() && watch.next_wake().is_none());
    assert!(Watch::new(&mut ChaCha12Rng::seed_from_u64(1), true).may_sign(), "who is alone asks nobody");
}

#[test]
fn the_second_run_falls_silent_and_the_first_goes_on() {
    for seed in 0..20 {
        let (mut first, mut second) = (signing(seed), watch(seed + 100));
        let asked = question(&mut second, NOW);
        let (answer, silent) = first.heard_own(&asked);
        let answer = answer.unwrap();
        assert_eq!((answer.answers, answer.is_signing, silent), (Some(second.run), true, false));
        assert_eq!(second.heard_own(&answer), (None, true));
        assert!(second.is_silent() && !second.may_sign() && first.may_sign());
        assert_eq!(second.listen(NOW.plus(LISTEN_MS), true), None, "for good");
        assert!(!second.may_sign());
        // It is said once, and who is silent answers nobody.
        assert_eq!(second.heard_own(&answer), (None, false));
        assert_eq!(second.heard_own(&question(&mut watch(7_000), NOW)), (None, false));
    }
}

#[test]
fn of_two_that_begin_together_one_goes_on() {
    for seed in 0..20 {
        let (mut one, mut other) = (watch(seed), watch(seed + 100));
        let (of_one, of_other) = (question(&mut one, NOW), question(&mut other, NOW));
        let (to_other, to_one) = (one.heard_own(&of_other).0.unwrap(), other.heard_own(&of_one).0.unwrap());
        one.heard_own(&to_one);
        other.heard_own(&to_other);
        assert_eq!((one.is_silent(), other.is_silent()), (one.run > other.run, other.run > one.run));
    }
}

#[test]
fn what_an_earlier_run_said_or_was_told_silences_nobody() {
    let (mut earlier, mut first) = (watch(1), signing(2));
    let asked = question(&mut earlier, NOW);
    let told = first.heard_own(&asked).0.unwrap();
    let mut later = watch(3);
    let own = question(&mut later, NOW);
    for said in [asked, told, own] {
        assert!(!later.heard_own(&said).1 && !later.is_silent());
    }
    assert_eq!(later.heard_own(&own), (None, false), "its own words come back");
}

#[test]
fn a_few_claims_of_a_key_are_passed_on_once_each() {
    let mut watch = watch(1);
    let (key, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
    let id = |n: u8| Signature([n; 64]);
    assert!(watch.is_to_be_passed_on(NOW, key, id(0)) && !watch.is_to_be_passed_on(NOW, key, id(0)));
    let passed = (1..100).filter(|n| watch.is_to_be_passed_on(NOW, key, id(*n))).count();
    assert_eq!(passed + 1, MAX_CLAIMS_OF_A_KEY);
    assert!(watch.is_to_be_passed_on(NOW, other, id(200)), "another key has a count of its own");
    let later = NOW.plus(CLAIMS_WINDOW_MS);
    assert!(watch.is_to_be_passed_on(later, key, id(150)));
    watch.forget_old(later);
    assert_eq!(watch.len(), 1);
}
