//! Comments as Markdown. `domain::report` chooses what is said, the templates in `templates/comments` hold the words,
//! and this sets them so that they always fit, whatever is in them.

pub mod ansi;
mod body;
mod diff;
mod engine;
mod filters;
mod live;
pub mod page;
mod result;
mod say;

use crate::domain::decide::Say;
use crate::domain::id::RunId;
use crate::domain::pull::Pull;
use crate::domain::report::{LiveInput, ResultInput, Server};
use engine::Engine;
use minijinja::{Error, ErrorKind};
use std::path::Path;

/// No comment is longer, in characters. GitHub takes 65,536; the rest is for what a forge adds or counts differently.
pub const COMMENT_LIMIT: usize = 60_000;

/// Renders comments. Holds the parsed templates, so it is made once.
pub struct Renderer {
    engine: Engine,
}

/// What an answer to a command is made from, besides the answer.
#[derive(Clone, Copy)]
pub struct SayInput<'a> {
    pub pull: &'a Pull,
    /// The outbox's key of this comment; goes into its marker.
    pub key: &'a str,
    pub server: &'a Server,
    /// Characters that the forge takes.
    pub limit: usize,
}

impl Default for Renderer {
    fn default() -> Self {
        Self::new()
    }
}

impl Renderer {
    #[must_use]
    pub fn new() -> Self {
        Self { engine: Engine::new() }
    }

    /// With templates of the operator's in the place of ours, where the directory holds files of their names. Also what of
    /// them can't be used, one sentence each.
    #[must_use]
    pub fn with_templates(dir: &Path) -> (Self, Vec<String>) {
        let (engine, wrong) = Engine::with_overrides(dir);
        (Self { engine }, wrong)
    }

    /// The live comment: at most [`COMMENT_LIMIT`] characters, its first line the [`live_marker`].
    #[must_use]
    pub fn live(&self, input: &LiveInput<'_>) -> String {
        let marker = live_marker(&input.server.name);
        self.fitting(input.limit, &marker, |engine| live::render(engine, &marker, input))
    }

    /// The result of a batch of applies: at most [`COMMENT_LIMIT`] characters, its first line the [`result_marker`].
    #[must_use]
    pub fn result(&self, input: &ResultInput<'_>) -> String {
        let marker = result_marker(&input.server.name, input.batch);
        self.fitting(input.limit, &marker, |engine| result::render(engine, &marker, input))
    }

    /// An answer, at most [`COMMENT_LIMIT`] characters, its first line the [`reply_marker`]; `None` for
    /// [`Say::ApplyResult`], which [`Renderer::result`] makes from the runs.
    #[must_use]
    pub fn say(&self, say: &Say, input: &SayInput<'_>) -> Option<String> {
        if matches!(say, Say::ApplyResult { .. }) {
            return None;
        }
        let marker = reply_marker(&input.server.name, input.key);
        let missing = || Error::new(ErrorKind::InvalidOperation, "there are no words for this answer");
        let render = |engine: &Engine| say::render(engine, &marker, say, input).unwrap_or_else(|| Err(missing()));
        Some(self.fitting(input.limit, &marker, render))
    }

    /// What the operator's templates make too long is made by ours.
    fn fitting(&self, limit: usize, marker: &str, render: impl Fn(&Engine) -> Result<String, Error>) -> String {
        let comment = render(&self.engine);
        let too_long = |text: &String| text.chars().count() > limit.min(COMMENT_LIMIT);
        let plain = comment.as_ref().is_ok_and(too_long).then(|| self.engine.plain()).flatten();
        let comment = match plain {
            Some(plain) => {
                tracing::warn!(marker, "the operator's templates make a comment too long; the built-in ones are used");
                render(&plain)
            }
            None => comment,
        };
        comment.unwrap_or_else(|error| unrendered(marker, &error))
    }
}

/// The first line of the live comment.
#[must_use]
pub fn live_marker(server: &str) -> String {
    format!("<!-- {server}:live -->")
}

/// The first line of a comment about a batch of applies.
#[must_use]
pub fn result_marker(server: &str, batch: RunId) -> String {
    format!("<!-- {server}:run {batch} -->")
}

/// The first line of an answer. Characters that could end the marker are replaced.
#[must_use]
pub fn reply_marker(server: &str, key: &str) -> String {
    let key: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() || "._:/-".contains(c) { c } else { '_' }).collect();
    let key = key.replace("--", "__");
    format!("<!-- {server}:reply {key} -->")
}

/// Our templates fit our values, which the tests see to; if one ever does not, people are told instead of the comment
/// staying away.
fn unrendered(marker: &str, error: &minijinja::Error) -> String {
    tracing::error!(error = format!("{error:#}"), marker, "a comment could not be rendered");
    format!(
        "{marker}\n### This comment could not be rendered\n\nThe server's log says why. The statuses and the run pages are right.\n"
    )
}

#[cfg(test)]
mod tests;
