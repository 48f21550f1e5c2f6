use super::*;

#[test]
fn terminal_sequences_go_and_nothing_printable_goes_with_them() {
    assert_eq!(clean("\u{1b}[1;31mError\u{1b}[0m: x"), "Error: x");
    // Not a sequence that a terminal would end here: a clever one can't swallow the rest.
    assert_eq!(clean("a\u{1b}]0;title b"), "a]0;title b");
    assert_eq!(clean("a\u{1b}[12"), "a[12");
    assert_eq!(clean("a\u{1b}"), "a");
}

#[test]
fn what_cannot_be_seen_is_shown() {
    assert_eq!(clean("a\u{202e}b\u{200b}c\u{7}d"), "a<U+202E>b<U+200B>c<U+0007>d");
    assert_eq!(clean("one\r\n\ttwo"), "one\n\ttwo");
    assert_eq!(clean("👩‍💻 é"), "👩‍💻 é");
}

#[test]
fn a_marker_of_ours_cannot_be_imitated() {
    assert_eq!(clean("<!-- terraplane:live -->"), "<! -- terraplane:live -->");
    assert_eq!(clean(&clean("<!-- x")), clean("<!-- x"));
}

#[test]
fn code_is_a_code_span_where_that_is_safe() {
    assert_eq!(code("aws_subnet.private[\"c\"]"), "`aws_subnet.private[\"c\"]`");
    assert_eq!(code("@team #1"), "`@team #1`");
    assert_eq!(code("a|b"), "<code>a&#124;b</code>");
    assert_eq!(code("`x` <b>"), "<code>&#96;x&#96; &#60;b&#62;</code>");
    assert_eq!(code("a\nb"), "`a b`");
    assert_eq!(code(""), "<code></code>");
    assert_eq!(code(&"x".repeat(300)), format!("`{}…`", "x".repeat(200)));
}

#[test]
fn prose_does_nothing_and_keeps_its_code() {
    assert_eq!(text("`a.tf` changed"), "`a.tf` changed");
    assert_eq!(text("ask @lee, see #12"), "ask &#64;\u{200b}lee, see &#35;\u{200b}12");
    assert_eq!(text("/close"), "&#47;close");
    assert_eq!(text("  - a"), "&#45; a");
    assert_eq!(text("an odd ` one"), "an odd &#96; one");
    assert_eq!(
        text("see https://x and www.y, GH-12"),
        "see https:\u{200b}//x and www\u{200b}.y, GH\u{200b}-12".replace("//", "/\u{200b}/")
    );
}

#[test]
fn a_fence_is_longer_than_any_in_it() {
    assert_eq!(fence("a", "text"), "```text\na\n```");
    assert_eq!(fence("```\n````\n", "diff"), "`````diff\n```\n````\n`````");
}

#[test]
fn an_address_cannot_leave_its_attribute() {
    assert_eq!(href("https://x/r?a=1&b=\"><b>"), "https://x/r?a=1&amp;b=%22%3E%3Cb%3E");
    assert_eq!(href("https://x/(a)|b"), "https://x/%28a%29%7Cb");
}
