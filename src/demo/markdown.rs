//! Comments as people see them: GitHub's Markdown to HTML that is safe to show.
//!
//! Whatever a comment says, what comes out has no script, no style, no image and no address but `http(s)` ones: raw HTML
//! goes through a list of allowed tags ([`html`]), everything else is made here from Markdown's events. Nothing needs
//! inline styles, which the pages' content security policy forbids.

mod html;

use html::Sanitiser;
use pulldown_cmark::{Alignment, BlockQuoteKind, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The HTML of a comment or description.
pub(super) fn render(markdown: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_GFM;
    let mut writer = Writer::default();
    let mut events = Vec::new();
    for event in Parser::new_ext(markdown, options) {
        writer.event(event, &mut events);
    }
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, events.into_iter());
    out.push_str(&writer.raw.close_all());
    out
}

#[derive(Default)]
struct Writer {
    raw: Sanitiser,
    /// The raw HTML block that is being read: a tag or comment may go over several lines.
    block: Option<String>,
    /// The fenced block that is being read, and its language.
    code: Option<(String, String)>,
    columns: Vec<Alignment>,
    column: usize,
    in_head: bool,
    /// Whether each open quote is an alert.
    quotes: Vec<bool>,
}

impl Writer {
    fn event<'a>(&mut self, event: Event<'a>, out: &mut Vec<Event<'a>>) {
        let html = |text: String| Event::Html(text.into());
        match event {
            Event::Start(Tag::HtmlBlock) => self.block = Some(String::new()),
            Event::Html(text) if self.block.is_some() => {
                self.block.as_mut().expect("just seen").push_str(&text);
            }
            Event::End(TagEnd::HtmlBlock) => {
                let block = self.block.take().unwrap_or_default();
                out.push(html(self.raw.clean(&block)));
            }
            Event::Html(text) | Event::InlineHtml(text) => out.push(Event::InlineHtml(self.raw.clean(&text).into())),
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or_default().to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((language, String::new()));
            }
            Event::Text(text) if self.code.is_some() => {
                self.code.as_mut().expect("just seen").1.push_str(&text);
            }
            Event::End(TagEnd::CodeBlock) => {
                let (language, text) = self.code.take().unwrap_or_default();
                out.push(html(code_block(&language, &text)));
            }
            Event::Start(Tag::BlockQuote(kind)) => {
                self.quotes.push(kind.is_some());
                out.push(html(match kind {
                    Some(kind) => {
                        let (class, title) = alert(kind);
                        format!("<div class=\"alert {class}\"><p class=\"alert-title\">{title}</p>\n")
                    }
                    None => "<blockquote>\n".into(),
                }));
            }
            Event::End(TagEnd::BlockQuote(_)) => {
                let alert = self.quotes.pop().unwrap_or_default();
                out.push(html(if alert { "</div>\n".into() } else { "</blockquote>\n".into() }));
            }
            // GitHub shows what a comment's author typed: a new line is a new line.
            Event::SoftBreak => out.push(Event::HardBreak),
            Event::Start(Tag::Image { dest_url, .. } | Tag::Link { dest_url, .. }) => {
                out.push(Event::InlineHtml(html::link(&dest_url).into()));
            }
            Event::End(TagEnd::Image | TagEnd::Link) => out.push(Event::InlineHtml("</a>".into())),
            other => self.table(other, out),
        }
    }

    /// Tables are written here because the library aligns cells by inline styles.
    fn table<'a>(&mut self, event: Event<'a>, out: &mut Vec<Event<'a>>) {
        let html = |text: &str| Event::Html(text.to_owned().into());
        let cell = if self.in_head { "th" } else { "td" };
        out.push(match event {
            Event::Start(Tag::Table(columns)) => {
                self.columns = columns;
                html("<div class=\"table\"><table>\n")
            }
            Event::End(TagEnd::Table) => html("</tbody></table></div>\n"),
            Event::Start(Tag::TableHead) => {
                (self.in_head, self.column) = (true, 0);
                html("<thead><tr>")
            }
            Event::End(TagEnd::TableHead) => {
                self.in_head = false;
                html("</tr></thead><tbody>\n")
            }
            Event::Start(Tag::TableRow) => {
                self.column = 0;
                html("<tr>")
            }
            Event::End(TagEnd::TableRow) => html("</tr>\n"),
            Event::Start(Tag::TableCell) => {
                let class = match self.columns.get(self.column) {
                    Some(Alignment::Right) => " class=\"right\"",
                    Some(Alignment::Center) => " class=\"center\"",
                    _ => "",
                };
                self.column += 1;
                html(&format!("<{cell}{class}>"))
            }
            Event::End(TagEnd::TableCell) => html(&format!("</{cell}>")),
            other => other,
        });
    }
}

const fn alert(kind: BlockQuoteKind) -> (&'static str, &'static str) {
    match kind {
        BlockQuoteKind::Note => ("note", "Note"),
        BlockQuoteKind::Tip => ("tip", "Tip"),
        BlockQuoteKind::Important => ("important", "Important"),
        BlockQuoteKind::Warning => ("warning", "Warning"),
        BlockQuoteKind::Caution => ("caution", "Caution"),
    }
}

/// A code block; one that is a `diff` with a class for each line.
fn code_block(language: &str, text: &str) -> String {
    if language != "diff" {
        return format!("<pre><code>{}</code></pre>\n", html::escaped(text));
    }
    let lines = text.lines().map(|line| {
        // As on GitHub, only the first column counts.
        let class = match line.as_bytes().first() {
            Some(b'+') => "add",
            Some(b'-') => "del",
            Some(b'!') => "alter",
            Some(b'@' | b'#') => "meta",
            _ => "same",
        };
        format!("<span class=\"{class}\">{}\n</span>", html::escaped(line))
    });
    format!("<pre class=\"diff\"><code>{}</code></pre>\n", lines.collect::<String>())
}

#[cfg(test)]
mod tests;
