//! When those who wait in line will be let in or go, if nobody asks for anything meanwhile.

use super::{Masternode, MasternodeState, Registry};
use crate::chain::spec::ChainSpec;
use crate::limits::MAX_FORECAST_EPOCHS;
use crate::types::hash::MasternodeId;
use crate::types::number::Epoch;

impl Registry {
    /// How many a boundary looks at before the masternode `id`; `None` if that does not wait.
    ///
    /// Who asked to leave stands before who waits to enter, each in order of asking (`protocol.md` 4).
    pub fn ahead(&self, id: &MasternodeId) -> Option<usize> {
        let place = |m: &Masternode| match m.state {
            MasternodeState::Leaving => Some((0, m.queued_at, m.id)),
            MasternodeState::Queued => Some((1, m.queued_at, m.id)),
            MasternodeState::Active | MasternodeState::Unbonding { .. } => None,
        };
        let own = self.get(id).and_then(place)?;
        Some(self.iter().filter_map(place).filter(|other| *other < own).count())
    }

    /// The first epoch at whose beginning the masternode `id`, which waits to enter or to leave in the epoch `current`,
    /// does not wait any more, if nobody else asks for anything and nobody is punished. `None` if it does not wait, or
    /// waits for more than [`MAX_FORECAST_EPOCHS`].
    pub fn moves_in(&self, spec: &ChainSpec, current: Epoch, id: &MasternodeId) -> Option<Epoch> {
        self.ahead(id)?;
        let (mut future, mut epoch) = (self.clone(), current);
        for _ in 0..MAX_FORECAST_EPOCHS {
            let signing_total = future.member_weight();
            future.boundary(spec, epoch, signing_total);
            epoch = epoch.next();
            if future.ahead(id).is_none() {
                return Some(epoch);
            }
        }
        None
    }
}
