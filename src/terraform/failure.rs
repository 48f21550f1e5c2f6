//! Why a step did not do its work, told to people and to whoever decides what follows.

use super::steps::LONGEST_OUTPUT;
use super::words::{plain, tail};
use crate::domain::run::{Diagnostic, Failure, Step};
use crate::sandbox::policy::Limit;
use crate::sandbox::process::{End, Outcome, SpawnError};
use serde::{Deserialize, Serialize};

/// Why a step did not do its work.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct StepFailure {
    pub step: Step,
    pub kind: StepFailureKind,
    /// One sentence, for people.
    pub message: String,
    /// The step's last words, masked, without control characters, at most 16 KiB.
    pub output: String,
    /// See [`Failure::diagnostics`].
    pub diagnostics: Vec<Diagnostic>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepFailureKind {
    /// It could not be started, or its files not be made: the server's fault.
    NotStarted,
    /// Its cage broke while it ran: nobody knows how far it came.
    Lost,
    Exit(i32),
    /// Killed by a signal that was not ours: out of memory, for example.
    Signal(i32),
    TimedOut,
    Cancelled,
    /// It met a limit of its cage.
    Limit(Limit),
    /// It worked, and its result is too large, or not what it should be.
    Unusable,
}

impl From<StepFailure> for Failure {
    fn from(failure: StepFailure) -> Self {
        let StepFailure { step, message, output, diagnostics, .. } = failure;
        let diagnostics = diagnostics.into();
        Self { step, message, output, diagnostics, done: vec![], not_done: vec![], changed_something: false }
    }
}

impl StepFailure {
    /// Of a program that did not succeed; `name` is what people are told it was.
    pub(super) fn of(step: Step, name: &str, outcome: &Outcome) -> Self {
        let minutes = outcome.elapsed.as_secs_f64() / 60.0;
        let (kind, message) = match outcome.end {
            End::Exit(code) => (StepFailureKind::Exit(code), format!("{name} failed with exit code {code}.")),
            End::Signal(signal) => (StepFailureKind::Signal(signal), format!("{name} was killed by signal {signal}.")),
            End::TimedOut => {
                (StepFailureKind::TimedOut, format!("{name} was stopped: it had run for {minutes:.1} minutes."))
            }
            End::Cancelled => (StepFailureKind::Cancelled, format!("{name} was cancelled.")),
            End::Limit(limit) => (
                StepFailureKind::Limit(limit),
                format!("{name} was stopped: {} (`sandbox.limits.{}`).", limit.sentence(), limit.as_str()),
            ),
        };
        let errors = plain(&outcome.stderr.bytes);
        let words = if errors.is_empty() { plain(&outcome.stdout.bytes) } else { errors };
        Self { step, kind, message, output: tail(&words, LONGEST_OUTPUT).to_owned(), diagnostics: vec![] }
    }

    /// Of a program whose cage broke.
    pub(super) fn lost(step: Step, name: &str, error: &SpawnError) -> Self {
        let message = format!("{name} was lost with its sandbox ({}): nobody knows how far it came.", error.source);
        Self { step, kind: StepFailureKind::Lost, message, output: String::new(), diagnostics: vec![] }
    }
}

pub(super) fn not_started(step: Step, why: &str) -> StepFailure {
    let message = format!("`{}` could not be started: {why}", step.as_str());
    StepFailure { step, kind: StepFailureKind::NotStarted, message, output: String::new(), diagnostics: vec![] }
}

pub(super) fn unusable(step: Step, why: &str) -> StepFailure {
    let message = format!("The result of `{}` cannot be used: {why}.", step.as_str());
    StepFailure { step, kind: StepFailureKind::Unusable, message, output: String::new(), diagnostics: vec![] }
}
