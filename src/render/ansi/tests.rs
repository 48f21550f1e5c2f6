use super::AnsiHtml;
use proptest::prelude::*;

fn html(log: &[u8]) -> String {
    let mut out = String::new();
    let mut converter = AnsiHtml::new();
    converter.push(log, &mut out);
    converter.finish(&mut out);
    out
}

#[test]
fn colours_and_styles_become_classes() {
    assert_eq!(
        html(b"\x1b[1m\x1b[32mApply complete!\x1b[0m Resources: 1"),
        "<span class=\"bold fg2\">Apply complete!</span> Resources: 1"
    );
    assert_eq!(
        html(b"\x1b[90;4;3mx\x1b[24;39my\x1b[mz"),
        concat!("<span class=\"italic underlined fg8\">x</span>", "<span class=\"italic\">y</span>z")
    );
    assert_eq!(html(b"\x1b[41;97;7;9;2mx"), "<span class=\"faint crossed-out reversed fg15 bg1\">x</span>");
    assert_eq!(html(b"\x1b[104mx\x1b[49my"), "<span class=\"bg12\">x</span>y");
}

#[test]
fn a_style_that_no_character_wears_leaves_no_trace() {
    assert_eq!(html(b"\x1b[31m\x1b[32m\x1b[0mplain\x1b[31m"), "plain");
}

#[test]
fn colours_beyond_the_first_sixteen_are_left_out_with_their_parameters() {
    // 38;2;R;G;B: the 31 among its numbers is no red, the 4 no underline.
    assert_eq!(html(b"\x1b[38;2;31;4;41mx"), "x");
    assert_eq!(html(b"\x1b[38;5;196mx"), "x");
    assert_eq!(html(b"\x1b[38;5;9;1mx"), "<span class=\"bold fg9\">x</span>");
    assert_eq!(html(b"\x1b[38:5:3mx"), "<span class=\"fg3\">x</span>");
    assert_eq!(html(b"\x1b[48;5;3;38mx"), "<span class=\"bg3\">x</span>");
}

#[test]
fn html_in_a_log_is_text() {
    assert_eq!(
        html(b"</pre><script>alert(\"x\")</script> & 'y'"),
        "&lt;/pre&gt;&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;y&#39;"
    );
}

#[test]
fn other_sequences_are_dropped_and_none_reaches_past_its_line() {
    assert_eq!(html(b"a\x1b[2J\x1b[Hb"), "ab", "clearing the screen");
    assert_eq!(html(b"a\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\b"), "alinkb", "hyperlinks");
    assert_eq!(html(b"a\x1b]0;title\x07b"), "ab", "window titles");
    assert_eq!(html(b"a\x07\x08\x0bb\x7f\xc2\x9bc"), "abc", "controls");
    assert_eq!(html(b"\x1b]0;never ended\nseen"), "\nseen");
    assert_eq!(html(b"\x1bPnever ended\nseen"), "\nseen");
    assert_eq!(html(b"\x1b_never ended\nseen"), "\nseen");
    assert_eq!(html(b"\x1b[3\n1m"), "\n1m");
}

#[test]
fn a_carriage_return_ends_a_line_once() {
    assert_eq!(html(b"one\r\ntwo\rthree\r\r\n"), "one\ntwo\nthree\n\n");
}

#[test]
fn characters_that_reorder_or_hide_text_are_shown_by_number() {
    assert_eq!(
        html("a\u{202E}b\u{2066}c\u{200B}d\u{FEFF}".as_bytes()),
        "a<b class=\"odd\">U+202E</b>b<b class=\"odd\">U+2066</b>c<b class=\"odd\">U+200B</b>d<b class=\"odd\">U+FEFF</b>"
    );
    assert_eq!(html("Grüße, 世界 👩‍🔧".as_bytes()), "Grüße, 世界 👩‍🔧");
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced() {
    assert_eq!(html(b"a\xffb"), "a\u{FFFD}b".replace('\u{FFFD}', &html(b"\xff")));
    assert!(html(b"\xe2\x82\nnext").ends_with("\nnext"), "a broken character does not swallow the line's end");
}

/// What a browser would take for markup: only our own two elements, properly nested.
fn assert_harmless(html: &str) {
    let mut open = false;
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("</span>") {
            assert!(open, "closed without being open: {html}");
            open = false;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("<span class=\"") {
            assert!(!open, "nested: {html}");
            open = true;
            let (classes, after) = after.split_once("\">").unwrap();
            assert!(classes.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b" -".contains(&b)));
            rest = after;
        } else {
            let after = rest.strip_prefix("<b class=\"odd\">U+").unwrap_or_else(|| panic!("foreign markup: {html}"));
            let (number, after) = after.split_once("</b>").unwrap();
            assert!(number.bytes().all(|b| b.is_ascii_hexdigit()));
            rest = after;
        }
    }
    assert!(!open, "left open: {html}");
}

proptest! {
    #[test]
    fn whatever_is_logged_is_harmless(
        parts in proptest::collection::vec(prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..20),
            "\x1b\\[[0-9;:]{0,12}m".prop_map(String::into_bytes),
            "[<>&\"'a-z/=]{1,8}".prop_map(String::into_bytes),
            "\\PC{0,4}".prop_map(String::into_bytes),
            Just(b"\x1b]".to_vec()), Just(b"\x1bP".to_vec()), Just(b"\n".to_vec()), Just(b"\r".to_vec()),
        ], 0..30)
    ) {
        assert_harmless(&html(&parts.concat()));
    }

    #[test]
    fn the_pieces_in_which_a_log_arrives_do_not_matter(log in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
        let cut = cut.min(log.len());
        let mut pieces = String::new();
        let mut converter = AnsiHtml::new();
        converter.push(&log[..cut], &mut pieces);
        converter.push(&log[cut..], &mut pieces);
        converter.finish(&mut pieces);
        prop_assert_eq!(pieces, html(&log));
    }

    #[test]
    fn every_line_of_the_log_is_a_line_of_the_page(lines in proptest::collection::vec("[^\n\r]{0,20}", 0..10)) {
        let log = lines.join("\n");
        prop_assert_eq!(html(log.as_bytes()).matches('\n').count(), log.matches('\n').count());
    }
}
