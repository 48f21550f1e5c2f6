//! Gives a pull request the label that says what its plan comes to, where the operator wants that.

use super::tell::Turn;
use super::{Flow, FlowError};
use crate::domain::decide::PullState;
use crate::domain::id::Timestamp;
use crate::domain::report::{Labelling, label_family, labelling};
use crate::forge::Forge;
use crate::store::Lease;

impl Flow {
    /// Returns when to go on. A label that the forge does not take is nothing that anybody waits for.
    pub(super) async fn tell_label(
        &self,
        lease: &Lease,
        forge: &Forge,
        state: &PullState,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Timestamp>, FlowError> {
        let (id, name) = (&state.pull().id, &self.server.name);
        if !self.config.labels_for(&id.repo) {
            return Ok(None);
        }
        let wanted = match labelling(state, name) {
            Labelling::Undecided => return Ok(None),
            Labelling::None => None,
            Labelling::One(label) => Some(label),
        };
        if self.store.label(id).await? == wanted {
            return Ok(None);
        }
        if let Some(later) = turn.take() {
            return Ok(Some(later));
        }
        match forge.relabel(id, &label_family(name), wanted.as_deref()).await {
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => tracing::warn!(pull = %id, %error, "a label can't be set"),
            Ok(()) => {}
        }
        self.store.labelled(lease, id, wanted.as_deref()).await?;
        Ok(None)
    }
}
