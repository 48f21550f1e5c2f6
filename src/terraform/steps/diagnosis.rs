//! What is wrong with the code of a plan that failed, as data: which file, which line, what.

use super::{StepFailure, StepFailureKind, Steps};
use crate::domain::run::Diagnostic;
use crate::sandbox::sink::Sink;
use crate::sandbox::{Cage, egress};
use crate::terraform::events::{self, MOST_DIAGNOSTICS};
use serde::Deserialize;
use std::ffi::OsString;
use std::time::Duration;

/// How long it may take to find out what is wrong with the code of a plan that failed, and how much may be said, in bytes.
const DIAGNOSIS: Duration = Duration::from_secs(30);
const LONGEST_DIAGNOSIS: usize = 1 << 20;

impl Steps {
    /// A plan's end, with what is wrong with the code if it is that which failed.
    pub(super) async fn diagnosed(&self, cage: &mut Cage, planned: Result<(), StepFailure>) -> Result<(), StepFailure> {
        match planned {
            Err(failure) if matches!(failure.kind, StepFailureKind::Exit(_)) => {
                let diagnostics = self.diagnose(cage).await;
                Err(StepFailure { diagnostics, ..failure })
            }
            planned => planned,
        }
    }

    /// What is wrong with the code, as data, after a plan has failed; nothing if the code is right, and something else was
    /// wrong. The plan itself could tell, but then the log would lack Terraform's own words.
    async fn diagnose(&self, cage: &mut Cage) -> Vec<Diagnostic> {
        #[derive(Deserialize)]
        struct Validation {
            diagnostics: Vec<events::Diagnostic>,
        }
        let mut spec = self.spec(["validate", "-json"].map(OsString::from).into(), DIAGNOSIS);
        spec.stdout = Sink::Buffer { max: LONGEST_DIAGNOSIS };
        spec.stderr = Sink::Discard;
        spec.env.extend(cage.proxy().into_iter().flat_map(egress::variables));
        let Ok(outcome) = cage.run(spec).await else { return Vec::new() };
        let Ok(found) = serde_json::from_slice::<Validation>(&outcome.stdout.bytes) else { return Vec::new() };
        self.without_secrets(found.diagnostics.iter().filter_map(events::Diagnostic::kept).collect())
    }

    pub(super) fn without_secrets(&self, mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
        diagnostics.truncate(MOST_DIAGNOSTICS);
        for diagnostic in &mut diagnostics {
            for text in [&mut diagnostic.summary, &mut diagnostic.detail] {
                *text = self.settings.log.redactor().text(text);
            }
        }
        diagnostics
    }
}
