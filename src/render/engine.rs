//! The template engine: ours, from `templates/comments`, with the filters that every value passes, and over them what the
//! operator puts in their place.
//!
//! An override that does not parse, does not fit its values, takes too long or leaves out the marker by which the comment
//! is found again is not used: the built-in templates are, and the log says so.

use super::filters;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;
use std::path::Path;

/// Instructions that one template may take; a template renders a head, a row or a section, never the whole table.
const FUEL: u64 = 500_000;

/// A larger override is taken for a mistake, in bytes.
const LONGEST_TEMPLATE: u64 = 256 << 10;

/// The templates by name. A name that ends in `.md` is never escaped automatically: Markdown has no automatic escape.
const TEMPLATES: &[(&str, &str)] = &[
    ("hints.md", include_str!("../../templates/comments/hints.md")),
    ("live/head.md", include_str!("../../templates/comments/live/head.md")),
    ("live/problem.md", include_str!("../../templates/comments/live/problem.md")),
    ("live/row.md", include_str!("../../templates/comments/live/row.md")),
    ("live/section.md", include_str!("../../templates/comments/live/section.md")),
    ("live/tail.md", include_str!("../../templates/comments/live/tail.md")),
    ("live/title.md", include_str!("../../templates/comments/live/title.md")),
    ("result/head.md", include_str!("../../templates/comments/result/head.md")),
    ("result/row.md", include_str!("../../templates/comments/result/row.md")),
    ("result/section.md", include_str!("../../templates/comments/result/section.md")),
    ("result/tail.md", include_str!("../../templates/comments/result/tail.md")),
    ("say.md", include_str!("../../templates/comments/say.md")),
];

pub(super) struct Engine {
    built_in: Environment<'static>,
    /// The built-in templates with the operator's over them.
    overridden: Option<Environment<'static>>,
}

impl Engine {
    pub(super) fn new() -> Self {
        Self { built_in: built_in(), overridden: None }
    }

    /// With the operator's templates from a directory. Also what of them can't be used, in one sentence each.
    pub(super) fn with_overrides(dir: &Path) -> (Self, Vec<String>) {
        let mut environment = built_in();
        let (mut found, mut wrong) = (0, Vec::new());
        for (name, _) in TEMPLATES {
            let path = dir.join(name);
            let source = match read(&path) {
                Ok(None) => continue,
                Ok(Some(source)) => source,
                Err(error) => {
                    wrong.push(format!("{} can't be read: {error}", path.display()));
                    continue;
                }
            };
            match environment.add_template_owned(*name, source) {
                Ok(()) => found += 1,
                Err(error) => {
                    wrong.push(format!("{} is no template: {error:#}", path.display()));
                    let built_in = TEMPLATES.iter().find(|(known, _)| known == name).map_or("", |(_, source)| source);
                    environment.add_template(name, built_in).expect("our own templates parse");
                }
            }
        }
        if found == 0 && wrong.is_empty() {
            wrong.push(format!("{} holds no template of a name that is known", dir.display()));
        }
        (Self { built_in: built_in(), overridden: (found > 0).then_some(environment) }, wrong)
    }

    /// The built-in templates alone.
    pub(super) fn plain(&self) -> Option<Self> {
        self.overridden.is_some().then(Self::new)
    }

    /// # Errors
    /// When the built-in template and its values don't fit together, or the fuel runs out.
    pub(super) fn render(&self, name: &str, values: Value) -> Result<String, Error> {
        self.render_checked(name, values, |_| true)
    }

    /// A comment's beginning, whose first line is the marker.
    ///
    /// # Errors
    /// See [`Engine::render`].
    pub(super) fn render_head(&self, name: &str, marker: &str, values: Value) -> Result<String, Error> {
        self.render_checked(name, values, |head| head.lines().next() == Some(marker))
    }

    fn render_checked(&self, name: &str, values: Value, is_sound: impl Fn(&str) -> bool) -> Result<String, Error> {
        if let Some(environment) = &self.overridden {
            let rendered = environment.get_template(name).and_then(|template| template.render(values.clone()));
            match rendered {
                Ok(text) if is_sound(&text) => return Ok(text),
                Ok(_) => tracing::warn!(template = name, "the first line is not the marker; the built-in one is used"),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(template = name, error, "an override can't be rendered; the built-in one is used");
                }
            }
        }
        let text = self.built_in.get_template(name)?.render(values)?;
        if is_sound(&text) { Ok(text) } else { Err(Error::new(ErrorKind::BadSerialization, "no marker")) }
    }
}

fn built_in() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the default delimiters are valid"));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("code", |value: &str| filters::code(value));
    environment.add_filter("html_code", |value: &str| filters::html_code(value));
    environment.add_filter("text", |value: &str| filters::text(value));
    environment.add_filter("html_text", |value: &str| filters::html_text(value));
    environment.add_filter("cell", |value: &str| filters::cell(value));
    environment.add_filter("command", |value: &str| filters::command(value));
    environment.add_filter("fence", |value: &str, language: &str, limit: usize| {
        filters::fence(&filters::shortened(&filters::clean(value), limit), language)
    });
    environment.add_filter("href", |value: &str| filters::href(value));
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).expect("our own templates parse");
    }
    environment
}

/// `None`: there is none.
fn read(path: &Path) -> std::io::Result<Option<String>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > LONGEST_TEMPLATE => Err(std::io::Error::other("it is larger than 256 KiB")),
        Ok(_) => std::fs::read_to_string(path).map(Some),
    }
}

/// Data as templates see it.
pub(super) fn value(data: impl Serialize) -> Value {
    Serde(data).into()
}
