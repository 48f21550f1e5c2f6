//! The template engine: ours, from `templates/comments`, with the filters that every value passes.

use super::filters;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

/// Instructions that one template may take; a template renders a head, a row or a section, never the whole table.
const FUEL: u64 = 500_000;

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

pub(super) struct Engine(Environment<'static>);

impl Engine {
    pub(super) fn new() -> Self {
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
        Self(environment)
    }

    /// # Errors
    /// When the template and its values don't fit together, or the fuel runs out.
    pub(super) fn render(&self, name: &str, values: Value) -> Result<String, minijinja::Error> {
        self.0.get_template(name)?.render(values)
    }
}

/// Data as templates see it.
pub(super) fn value(data: impl Serialize) -> Value {
    Serde(data).into()
}
