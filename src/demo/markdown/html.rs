//! Raw HTML in Markdown, reduced to what is harmless: allowed tags are written anew, all other text is escaped.

/// GitHub allows these and more; what comments need is here. None of them runs or loads anything.
const ALLOWED: [&str; 38] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "dd",
    "del",
    "details",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "ins",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "samp",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

/// Tags without an end.
const VOID: [&str; 2] = ["br", "hr"];

/// Remembers what is open, so that nothing is closed that was not opened, and all is closed at the end: a comment can
/// not reach out of its box.
#[derive(Debug, Default)]
pub(super) struct Sanitiser {
    open: Vec<&'static str>,
}

impl Sanitiser {
    pub(super) fn clean(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('<') {
            out.push_str(&escaped_text(&rest[..at]));
            rest = &rest[at..];
            if let Some(comment) = rest.strip_prefix("<!--") {
                // Comments are for programs; one without an end hides the rest, as in a browser.
                rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
                continue;
            }
            let Some((tag, after)) = tag(rest) else {
                out.push_str("&lt;");
                rest = &rest[1..];
                continue;
            };
            out.push_str(&self.tag(tag));
            rest = after;
        }
        out.push_str(&escaped_text(rest));
        out
    }

    /// The ends of all that is still open.
    pub(super) fn close_all(&mut self) -> String {
        self.open.drain(..).rev().map(|name| format!("</{name}>")).collect()
    }

    /// `inner` is what stands between `<` and `>`.
    fn tag(&mut self, inner: &str) -> String {
        let (closes, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
        let (name, attributes) = inner.split_at(end);
        let Some(name) = ALLOWED.into_iter().find(|allowed| allowed.eq_ignore_ascii_case(name)) else {
            return format!("&lt;{}{}&gt;", if closes { "/" } else { "" }, escaped(inner));
        };
        if VOID.contains(&name) {
            return format!("<{name}>");
        }
        if closes {
            return match self.open.iter().rposition(|open| *open == name) {
                Some(at) => self.open.drain(at..).rev().map(|name| format!("</{name}>")).collect(),
                None => String::new(),
            };
        }
        self.open.push(name);
        match name {
            "a" => link(&attribute(attributes, "href").unwrap_or_default()),
            "details" if attribute(attributes, "open").is_some() => "<details open>".into(),
            "td" | "th" => match attribute(attributes, "align").as_deref() {
                Some("right") => format!("<{name} class=\"right\">"),
                Some("center") => format!("<{name} class=\"center\">"),
                _ => format!("<{name}>"),
            },
            _ => format!("<{name}>"),
        }
    }
}

/// What stands between `<` and the `>` that ends the tag, and what follows; `None` if this is no tag.
fn tag(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    if !inner.trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut quote = None;
    for (at, c) in inner.char_indices() {
        match (quote, c) {
            (None, '>') => return Some((&inner[..at], &inner[at + 1..])),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

/// An attribute's value; empty if it has none.
fn attribute(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = &rest[..end];
        let after = rest[end..].trim_start();
        let value;
        (value, rest) = match after.strip_prefix('=') {
            None => ("", after),
            Some(after) => value_of(after.trim_start()),
        };
        if name.trim_matches('/').eq_ignore_ascii_case(wanted) {
            return Some(value.to_owned());
        }
        if name.is_empty() && value.is_empty() {
            return None;
        }
        rest = rest.trim_start();
    }
    None
}

fn value_of(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// The beginning of a link. An address that is not the web's leads nowhere.
pub(super) fn link(address: &str) -> String {
    // Only a plain beginning passes: one that is written with entities (`java&#115;cript:`) leads nowhere either.
    let plain = address.replace("&amp;", "&");
    let lower = plain.trim().to_ascii_lowercase();
    let web = lower.starts_with("https://") || lower.starts_with("http://");
    let here = (lower.starts_with('/') && !lower.starts_with("//")) || lower.starts_with('#');
    let target = if web || here { escaped(plain.trim()) } else { "#".into() };
    format!("<a href=\"{target}\" rel=\"nofollow noopener noreferrer\">")
}

/// Text as text, wherever it is put.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// The text between tags: its entities (`&nbsp;`) are meant as such, and can do no harm there.
fn escaped_text(text: &str) -> String {
    text.replace('<', "&lt;").replace('>', "&gt;")
}
