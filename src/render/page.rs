//! The pages as HTML: one template each, everything escaped, nothing inline, so that the strictest content security
//! policy fits.

mod view;

use crate::domain::id::Timestamp;
use crate::domain::pull::Pull;
use crate::domain::run::Run;
use crate::render::ansi;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use view::RunView;

const STYLE_SHEET: &str = include_str!("../../templates/assets/app.css");
/// Names that end in `.html` are escaped automatically.
const TEMPLATES: [(&str, &str); 4] = [
    ("base.html", include_str!("../../templates/pages/base.html")),
    ("home.html", include_str!("../../templates/pages/home.html")),
    ("run.html", include_str!("../../templates/pages/run.html")),
    ("missing.html", include_str!("../../templates/pages/missing.html")),
];
/// Where the log goes. No value can hold it, because every `<` in a value is escaped.
const LOG: &str = "<!-- log -->";
/// Instructions that a page may take; a run with thousands of resources needs a tenth of it.
const FUEL: u64 = 2_000_000;

/// A template and its values don't fit together: a fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("the page `{name}` can't be made: {cause}")]
pub struct PageError {
    name: &'static str,
    cause: minijinja::Error,
}

/// Everything that a run's page is made from, besides the text of the log.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts<'a> {
    pub run: &'a Run,
    /// `None` if it isn't known any more.
    pub pull: Option<&'a Pull>,
    /// The plan run that an apply was ordered for.
    pub reviewed: Option<&'a Run>,
    /// What protects the host from the run too little, in capitals.
    pub now: Timestamp,
    /// Why the pull request does not show what it should, if so.
    pub not_told: &'a [String],
    pub log_bytes: u64,
    /// Bytes of the log's beginning that are not shown.
    pub log_left_out: u64,
}

/// A run's page in two parts: the log goes between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPage {
    pub before_log: String,
    pub after_log: String,
}

/// Makes the pages.
pub struct Pages {
    engine: Environment<'static>,
    style_name: String,
    style_path: String,
}

impl Pages {
    /// `base_path` is the path of the server's address, without a `/` at its end.
    #[must_use]
    pub fn new(base_path: &str) -> Self {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        engine.set_syntax(syntax.expect("the default delimiters are valid"));
        // For whatever people or their code have written.
        engine.add_filter("visible", |text: &str| ansi::visible(text));
        for (name, source) in TEMPLATES {
            engine.add_template(name, source).expect("our own templates parse");
        }
        let style_name = format!("app.{}.css", hex::encode(&Sha256::digest(STYLE_SHEET)[..6]));
        let style_path = format!("{base_path}/assets/{style_name}");
        Self { engine, style_name, style_path }
    }

    /// The style sheet, if this is its name. The name holds a hash of the content.
    #[must_use]
    pub fn style_sheet(&self, name: &str) -> Option<&'static str> {
        (name == self.style_name).then_some(STYLE_SHEET)
    }

    /// # Errors
    /// See [`PageError`].
    pub fn home(&self) -> Result<String, PageError> {
        self.render("home.html", ())
    }

    /// For whoever comes without a good link to a run.
    ///
    /// # Errors
    /// See [`PageError`].
    pub fn no_such_run(&self) -> Result<String, PageError> {
        self.render("missing.html", Missing { run: true })
    }

    /// # Errors
    /// See [`PageError`].
    pub fn nothing_here(&self) -> Result<String, PageError> {
        self.render("missing.html", Missing { run: false })
    }

    /// # Errors
    /// See [`PageError`].
    pub fn run(&self, facts: &RunFacts<'_>) -> Result<RunPage, PageError> {
        let page = self.render("run.html", RunView::of(facts))?;
        let (before, after) = page.split_once(LOG).expect("the template says where the log goes");
        Ok(RunPage { before_log: before.to_owned(), after_log: after.to_owned() })
    }

    fn render(&self, name: &'static str, view: impl Serialize) -> Result<String, PageError> {
        self.engine
            .get_template(name)
            .and_then(|template| template.render(Serde(Values { style: &self.style_path, view })))
            .map_err(|cause| PageError { name, cause })
    }
}

/// What every template gets.
#[derive(Serialize)]
struct Values<'a, V> {
    style: &'a str,
    view: V,
}

#[derive(Serialize)]
struct Missing {
    /// Somebody asked for a run.
    run: bool,
}

#[cfg(test)]
mod tests;
