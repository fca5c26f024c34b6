//! What a run showed, as text and as JSON.

use super::book::{Book, Outcome};
use super::latency::Percentiles;
use super::payments::Role;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

/// How the figures come about; printed with them.
pub const METHOD: &str = "open loop: payments are due at even times and go to the nodes in turn, in requests of up to 50 \
    that wait up to 5 ms; a latency runs from the time a payment was due until its status \"finalized\" arrived here from \
    the first node (subscribe_transactions; or get_transaction_status, where the subscription was cut off); finalized/s \
    counts from the first due time to the last finality; double spends are two transactions due at one time, sent to two \
    nodes, and are in no other figure";

/// One run at one rate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RunReport {
    /// Payments due each second.
    pub rate: u64,
    /// Payments, a double spend counted as one.
    pub count: u64,
    /// Transactions of payments without a rival that nodes have taken.
    pub accepted: u64,
    /// Those that became final.
    pub finalized: u64,
    /// Those that nodes took, did not drop, and that were not final in time.
    pub not_final: u64,
    /// Final ones a second, rounded down.
    pub finalized_per_second: u64,
    /// From due to final; `None` if none was.
    pub latency_ms: Option<Percentiles>,
    /// From due to sent: how far the load generator itself was behind. It is part of the latency.
    pub send_delay_ms: Option<Percentiles>,
    /// From due to taken by the node. It is part of the latency.
    pub answer_ms: Option<Percentiles>,
    /// Transactions that nodes did not take, by reason.
    pub errors: BTreeMap<String, u64>,
    /// Transactions that nodes took and dropped, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Double spends.
    pub conflicts: Conflicts,
    /// How often the subscription was cut off.
    pub subscription_gaps: u64,
    /// What could not be looked at, in sentences: with any of these the figures are not complete.
    pub problems: Vec<String>,
}

/// What became of pairs of rivals.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Conflicts {
    /// Pairs.
    pub pairs: u64,
    /// Exactly one of the two is final, on every node that was asked.
    pub one_final: u64,
    /// None is; the coin may be free again in the next epoch.
    pub none_final: u64,
    /// Both are, on one node or on two. This must be 0.
    pub both_final: u64,
}

impl RunReport {
    /// The report of a finished run at `rate`. `finals` are the numbers of rivals that any node has as final.
    pub fn of(book: &Book, rate: u64, finals: &BTreeSet<u32>, subscription_gaps: u64) -> Self {
        let mut report = book.outcomes(|outcomes| Self::of_outcomes(rate, outcomes));
        report.conflicts = conflicts(book, finals);
        report.count = report.count.saturating_add(report.conflicts.pairs);
        report.subscription_gaps = subscription_gaps;
        report
    }

    fn of_outcomes(rate: u64, outcomes: &mut dyn Iterator<Item = Outcome<'_>>) -> Self {
        let (mut latencies, mut delays, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        let (mut errors, mut rejected) = (BTreeMap::new(), BTreeMap::new());
        let (mut count, mut accepted, mut not_final, mut last) = (0_u64, 0_u64, 0_u64, 0);
        for outcome in outcomes.filter(|outcome| outcome.payment.role == Role::Alone) {
            let since_due = |us: u64| us.saturating_sub(outcome.payment.due_us);
            count += 1;
            delays.extend(outcome.sent_us.map(since_due));
            answers.extend(outcome.answered_us.map(since_due));
            accepted += u64::from(outcome.answered_us.is_some());
            match (outcome.finalized_us, outcome.refused, outcome.rejected) {
                (Some(us), _, _) => {
                    latencies.push(since_due(us));
                    last = last.max(us);
                }
                (None, Some(reason), _) => *errors.entry(reason.to_owned()).or_default() += 1,
                (None, None, Some(reason)) => *rejected.entry(reason.to_owned()).or_default() += 1,
                (None, None, None) => not_final += 1,
            }
        }
        let finalized = u64::try_from(latencies.len()).unwrap_or(u64::MAX);
        Self {
            rate,
            count,
            accepted,
            finalized,
            not_final,
            finalized_per_second: finalized.saturating_mul(1_000_000).checked_div(last).unwrap_or_default(),
            latency_ms: Percentiles::of(latencies),
            send_delay_ms: Percentiles::of(delays),
            answer_ms: Percentiles::of(answers),
            errors,
            rejected,
            conflicts: Conflicts::default(),
            subscription_gaps: 0,
            problems: Vec::new(),
        }
    }
}

fn conflicts(book: &Book, finals: &BTreeSet<u32>) -> Conflicts {
    let mut conflicts = Conflicts::default();
    let firsts = book.payments().iter().zip(0_u32..).filter(|(payment, _)| payment.role == Role::First);
    for (_, number) in firsts {
        let is_final = |number: u32| book.is_final(number) || finals.contains(&number);
        conflicts.pairs += 1;
        match (is_final(number), is_final(number.saturating_add(1))) {
            (true, true) => conflicts.both_final += 1,
            (false, false) => conflicts.none_final += 1,
            _ => conflicts.one_final += 1,
        }
    }
    conflicts
}

/// The head of a table of runs.
pub const TABLE_HEAD: &str =
    "   rate     count  finalized  finalized/s   p50 ms   p90 ms   p99 ms   max ms   errors rejected not final";

impl RunReport {
    /// One line of a table of runs.
    pub fn table_line(&self) -> String {
        let latency = |read: fn(&Percentiles) -> u64| {
            self.latency_ms.as_ref().map_or("-".to_owned(), |latency| read(latency).to_string())
        };
        format!(
            "{:>7} {:>9} {:>10} {:>12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
            self.rate,
            self.count,
            self.finalized,
            self.finalized_per_second,
            latency(|l| l.p50),
            latency(|l| l.p90),
            latency(|l| l.p99),
            latency(|l| l.max),
            sum(&self.errors),
            sum(&self.rejected),
            self.not_final,
        )
    }
}

fn sum(reasons: &BTreeMap<String, u64>) -> u64 {
    reasons.values().sum()
}

impl Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rate            {} payments/s", self.rate)?;
        writeln!(f, "payments        {}", self.count)?;
        writeln!(f, "finalized       {}", self.finalized)?;
        writeln!(f, "finalized/s     {}", self.finalized_per_second)?;
        for (name, figures) in
            [("latency", self.latency_ms), ("taken after", self.answer_ms), ("sent late by", self.send_delay_ms)]
        {
            match figures {
                Some(p) => {
                    writeln!(f, "{name:<15} p50 {} ms, p90 {} ms, p99 {} ms, max {} ms", p.p50, p.p90, p.p99, p.max)?;
                }
                None => writeln!(f, "{name:<15} -")?,
            }
        }
        for (name, reasons) in [("errors", &self.errors), ("rejected", &self.rejected)] {
            writeln!(f, "{name:<15} {}", sum(reasons))?;
            for (reason, count) in reasons {
                writeln!(f, "  {count:>9} {reason}")?;
            }
        }
        writeln!(f, "not final       {}", self.not_final)?;
        if self.conflicts.pairs > 0 {
            let Conflicts { pairs, one_final, none_final, both_final } = self.conflicts;
            writeln!(f, "double spends   {pairs}: one final {one_final}, none {none_final}, both {both_final}")?;
            if both_final > 0 {
                writeln!(f, "ALARM           {both_final} double spends have both rivals final: this must never be")?;
            }
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM         {problem}")?;
        }
        if self.subscription_gaps > 0 {
            writeln!(
                f,
                "gaps            {} in the subscription; some latencies are upper bounds",
                self.subscription_gaps
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::payments::Payment;
    use crate::types::hash::Txid;

    fn book(roles: &[Role]) -> Book {
        let payment = |(n, role): (u8, &Role)| Payment {
            txid: Txid([n; 32]),
            bytes: Vec::new(),
            position: n.into(),
            due_us: u64::from(n) * 100_000,
            role: *role,
        };
        Book::new((0..).zip(roles).map(payment).collect())
    }

    #[test]
    fn latency_counts_from_when_a_payment_was_due() {
        let book = book(&[Role::Alone; 3]);
        // All three leave late, after a stall of 300 ms.
        for number in 0..3 {
            book.sent(number, 300_000);
            book.taken(number, 310_000);
            book.finalized(number, 400_000);
        }
        let report = RunReport::of(&book, 10, &BTreeSet::new(), 0);
        assert_eq!(report.latency_ms, Some(Percentiles { p50: 300, p90: 400, p99: 400, max: 400 }));
        assert_eq!(report.send_delay_ms.unwrap().max, 300);
        assert_eq!((report.finalized, report.finalized_per_second), (3, 7));
    }

    #[test]
    fn everything_is_counted_once_and_under_its_reason() {
        let book = book(&[Role::Alone; 6]);
        (0..5).for_each(|number| book.taken(number, 1));
        book.finalized(0, 500_000);
        book.rejected(1, "evicted".into());
        book.rejected(2, "evicted".into());
        book.refused(5, "mempool_full".into());
        // No answer came, and yet it arrived.
        book.refused(3, "no answer".into());
        book.finalized(3, 600_000);
        let report = RunReport::of(&book, 10, &BTreeSet::new(), 0);
        assert_eq!((report.count, report.finalized, report.not_final), (6, 2, 1));
        assert_eq!(report.errors, BTreeMap::from([("mempool_full".to_owned(), 1)]));
        assert_eq!(report.rejected, BTreeMap::from([("evicted".to_owned(), 2)]));
    }

    #[test]
    fn double_spends_are_counted_apart() {
        let pair = [Role::First, Role::Second];
        let book = book(&[[Role::Alone; 2], pair, pair, pair, pair].concat());
        book.finalized(0, 100_000);
        book.finalized(2, 900_000);
        book.refused(3, "conflict".into());
        book.finalized(6, 900_000);
        // Only another node has the rival as final.
        let report = RunReport::of(&book, 10, &BTreeSet::from([7, 9]), 0);
        assert_eq!(report.conflicts, Conflicts { pairs: 4, one_final: 2, none_final: 1, both_final: 1 });
        assert_eq!((report.count, report.finalized, report.not_final), (6, 1, 1));
        assert_eq!(report.latency_ms.unwrap().max, 100);
        assert!(report.errors.is_empty());
        assert!(report.to_string().contains("4: one final 2, none 1, both 1"));
        assert!(report.to_string().contains("\nALARM           1 double spends"));
    }

    #[test]
    fn a_run_without_a_final_payment_has_no_percentiles() {
        let report = RunReport::of(&book(&[Role::Alone; 2]), 10, &BTreeSet::new(), 0);
        assert_eq!((report.latency_ms, report.finalized_per_second, report.not_final), (None, 0, 2));
        assert_eq!(report.table_line().len(), TABLE_HEAD.len());
    }
}
