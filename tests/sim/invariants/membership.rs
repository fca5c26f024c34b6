//! What may happen to members, said as properties and not by the steps that lead there (`protocol.md` 4 and 11), so that
//! an error that the node and the oracle's own registry share shows all the same.
//!
//! M1: an honest key signs only for heights and epochs whose set it is in. M2: a boundary moves no more weight than the
//! churn allows, in the order of asking, lets nobody wait who fits, lets go of nobody who did not ask or was punished, and
//! leaves somebody. M3: a collateral stays where it is until all epochs of unbonding after its last epoch of service are
//! over. M4: a punishment that an honest node can prove comes.

use super::registry::{Record, Registry, Standing};
use super::report::Report;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use timed::chain::spec::ChainSpec;
use timed::types::hash::{MasternodeId, Txid};
use timed::types::keys::PublicKey;
use timed::types::transaction::OutPoint;

/// What happened to members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Masternodes that entered the set.
    pub joins: u64,
    /// Of these, those whose key had served before.
    pub rejoins: u64,
    /// Masternodes that left because they had asked to.
    pub leaves: u64,
    /// Punishments.
    pub slashes: u64,
    /// Times that somebody had to wait for another boundary.
    pub waits: u64,
    /// Transactions first heard of in an epoch and archived in a later one.
    pub crossed: u64,
    /// Collaterals spent by those who had them back.
    pub returned: u64,
    /// Most blocks between the first evidence that was heard and the punishment.
    pub slowest_punishment: u64,
}

/// What the oracle remembers of members.
#[derive(Default)]
pub struct Members {
    /// Last epoch in which each collateral stood for a member of the set.
    served: HashMap<OutPoint, u64>,
    /// Under which names each key served.
    names: BTreeMap<PublicKey, BTreeSet<MasternodeId>>,
    /// Evidence heard and not yet followed by a punishment: height of the tip then.
    provable: BTreeMap<PublicKey, u64>,
    /// Epoch in which each transaction was first heard of.
    heard: HashMap<Txid, u64>,
    tally: Tally,
}

impl Members {
    /// What happened so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The set of `epoch` is that of `registry`.
    pub fn begin_epoch(&mut self, epoch: u64, registry: &Registry) {
        for record in registry.records().iter().filter(|r| r.serves()) {
            self.served.insert(record.collateral, epoch);
            self.names.entry(record.key).or_default().insert(record.id);
        }
    }

    /// A block of `epoch` spends `input`.
    pub fn spend(&mut self, spec: &ChainSpec, epoch: u64, input: &OutPoint, report: &mut Report) {
        let Some(last) = self.served.get(input) else { return };
        let first = last + 1 + spec.unbonding_epochs;
        self.tally.returned += 1;
        report.expect("M3", epoch >= first, || {
            format!(
                "{input:?}, which stood for a member of epoch {last}, is spent in epoch {epoch}, not {first} or later"
            )
        });
    }

    /// A block at `height` punishes the masternode with this key.
    pub fn punish(&mut self, key: &PublicKey, height: u64, old: &OutPoint, new: OutPoint) {
        self.tally.slashes += 1;
        if let Some(last) = self.served.get(old).copied() {
            self.served.insert(new, last);
        }
        if let Some(heard) = self.provable.remove(key) {
            self.tally.slowest_punishment = self.tally.slowest_punishment.max(height - heard);
        }
    }

    /// Evidence that verifies is on a wire while the tip is at `height`.
    pub fn provable(&mut self, key: &PublicKey, height: u64, registry: &Registry) {
        if registry.records().iter().any(|r| r.key == *key && !r.slashed) {
            self.provable.entry(*key).or_insert(height);
        }
    }

    /// What was provable is known to nobody any more.
    pub fn forget_evidence(&mut self) {
        self.provable.clear();
    }

    /// M4: who could be punished since before `height`, and still can.
    pub fn unpunished(&self, height: u64, registry: &Registry) -> Vec<(PublicKey, u64)> {
        let is_open = |key: &PublicKey| registry.records().iter().any(|r| r.key == *key && !r.slashed);
        let due = self.provable.iter().filter(|(key, heard)| **heard < height && is_open(key));
        due.map(|(key, heard)| (*key, *heard)).collect()
    }

    /// A transaction is heard of in `epoch`.
    pub fn hear(&mut self, txid: Txid, epoch: u64) {
        self.heard.entry(txid).or_insert(epoch);
    }

    /// A block of `epoch` archives it.
    pub fn archive(&mut self, txid: &Txid, epoch: u64) {
        self.tally.crossed += u64::from(self.heard.remove(txid).is_some_and(|first| first < epoch));
    }

    /// The boundary that closes `epoch` made `after` of `before`.
    pub fn boundary(
        &mut self,
        spec: &ChainSpec,
        (epoch, signing_total): (u64, u128),
        before: &Registry,
        after: &Registry,
        report: &mut Report,
    ) {
        for fault in boundary_faults(spec, (epoch, signing_total), before, after) {
            report.broken("M2", format!("the boundary that closes epoch {epoch}: {fault}"));
        }
        let change = Change::between(before, after);
        self.tally.leaves += change.left.len() as u64;
        self.tally.joins += change.entered.len() as u64;
        self.tally.waits += (change.leaving.len() + change.queued.len()) as u64;
        let came_back = |r: &&&Record| self.names.get(&r.key).is_some_and(|names| names.iter().any(|id| *id != r.id));
        self.tally.rejoins += change.entered.iter().filter(came_back).count() as u64;
        // A registration that has gone is no ground for a punishment any more.
        self.provable.retain(|key, _| after.records().iter().any(|r| r.key == *key && !r.slashed));
        self.begin_epoch(epoch + 1, after);
    }
}

/// What a boundary did to those who were not punished.
struct Change<'a> {
    /// Members that are none any more.
    left: Vec<&'a Record>,
    /// Those who are members now.
    entered: Vec<&'a Record>,
    /// Those who asked to leave and are members still.
    leaving: Vec<&'a Record>,
    /// Those who wait to enter still.
    queued: Vec<&'a Record>,
}

impl<'a> Change<'a> {
    fn between(before: &'a Registry, after: &Registry) -> Self {
        let serves = |r: &Record| after.get(&r.id).is_some_and(Record::serves);
        let waits = |r: &Record| after.get(&r.id).is_some_and(|r| r.standing == Standing::Queued);
        let pick = |wanted: &dyn Fn(&Record) -> bool| -> Vec<&'a Record> {
            let mut picked: Vec<&Record> = before.records().iter().filter(|r| !r.slashed && wanted(r)).collect();
            picked.sort_by_key(|r| (r.queued_at, r.id));
            picked
        };
        Self {
            left: pick(&|r| r.serves() && !serves(r)),
            entered: pick(&|r| r.standing == Standing::Queued && serves(r)),
            leaving: pick(&|r| r.standing == Standing::Leaving && serves(r)),
            queued: pick(&|r| r.standing == Standing::Queued && waits(r)),
        }
    }

    fn moved(&self) -> u128 {
        self.left.iter().chain(&self.entered).map(|r| u128::from(r.weight)).sum()
    }
}

/// What is wrong with a boundary that closes `epoch`, signed by a set of this weight, and makes `after` of `before`.
pub fn boundary_faults(
    spec: &ChainSpec,
    (epoch, signing_total): (u64, u128),
    before: &Registry,
    after: &Registry,
) -> Vec<String> {
    let mut faults = Vec::new();
    let change = Change::between(before, after);
    let (moved, churn) = (change.moved(), u128::from(spec.churn_bps));
    let exceeds = |weight: u128| weight * 10_000 > signing_total * churn;
    if change.left.len() + change.entered.len() > 1 && exceeds(moved) {
        faults.push(format!("{moved} of {signing_total} moved, {churn} in 10,000 may"));
    }
    let served_before = |r: &&Record| before.get(&r.id).is_some_and(Record::serves);
    let remaining: Vec<&Record> = after.records().iter().filter(|r| r.serves()).filter(served_before).collect();
    // The one whose removal would leave nobody.
    let is_last = |r: &Record| remaining.len() == 1 && remaining[0].id == r.id;
    // The first that has to wait would not have fitted, behind somebody who moved; the rest wait behind it.
    if let Some(first) = change.leaving.iter().find(|r| !is_last(r)).or(change.queued.first())
        && (moved == 0 || !exceeds(moved + u128::from(first.weight)))
    {
        faults.push(format!("{:?} waits though {moved} moved of {signing_total}", first.id));
    }
    let place = |r: &&Record| (r.queued_at, r.id);
    for (moved, waiting) in [(&change.left, &change.leaving), (&change.entered, &change.queued)] {
        let (last, first) = (moved.iter().map(place).max(), waiting.iter().map(place).min());
        if last.zip(first).is_some_and(|(last, first)| last > first) {
            faults.push(format!("{last:?} overtook {first:?}"));
        }
    }
    if !change.entered.is_empty() && change.leaving.iter().any(|r| !is_last(r)) {
        faults.push("somebody entered while somebody waits to leave".into());
    }
    faults.extend(
        change.left.iter().filter(|r| r.standing != Standing::Leaving).map(|r| format!("{:?} had to go", r.id)),
    );
    let free = Standing::Unbonding(epoch + 1 + spec.unbonding_epochs);
    for old in before.records() {
        let now = after.get(&old.id).map(|r| r.standing);
        let is_out = match old.standing {
            Standing::Unbonding(until) if until <= epoch + 1 => now.is_none(),
            Standing::Unbonding(_) => now == Some(old.standing),
            _ if old.slashed => now == Some(free) || is_last(old),
            Standing::Active => now == Some(Standing::Active),
            Standing::Leaving => now == Some(Standing::Leaving) || now == Some(free),
            Standing::Queued => now == Some(Standing::Queued) || now == Some(Standing::Active),
        };
        if !is_out {
            faults.push(format!("{:?} (slashed: {}) became {now:?}", old, old.slashed));
        }
    }
    if !after.records().iter().any(Record::serves) {
        faults.push("nobody is left".into());
    }
    faults
}
