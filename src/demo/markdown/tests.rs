use super::render;
use insta::assert_snapshot;

#[test]
fn a_table_keeps_its_alignment_without_inline_styles() {
    assert_snapshot!(render("| Project | + |\n|---|--:|\n| `prod/a` | 2 |\n"), @r#"
    <div class="table"><table>
    <thead><tr><th>Project</th><th class="right">+</th></tr></thead><tbody>
    <tr><td><code>prod/a</code></td><td class="right">2</td></tr>
    </tbody></table></div>
    "#);
}

#[test]
fn an_alert_has_its_title() {
    assert_snapshot!(render("> [!CAUTION]\n> **1 resource** will be destroyed\n"), @r#"
    <div class="alert caution"><p class="alert-title">Caution</p>
    <p><strong>1 resource</strong> will be destroyed</p>
    </div>
    "#);
}

#[test]
fn a_folded_part_with_a_diff_is_shown_as_on_github() {
    let text = "<!-- terraplane:live -->\n<details open><summary><b>prod/a</b> &middot; <a href=\"https://x.example/r\">log</a></summary>\n\n```diff\n+ new <one>\n- old\n! other\n```\n\n</details>\n";
    assert_snapshot!(render(text), @r##"
    <details open><summary><b>prod/a</b> &middot; <a href="https://x.example/r" rel="nofollow noopener noreferrer">log</a></summary>
    <pre class="diff"><code><span class="add">+ new &lt;one&gt;
    </span><span class="del">- old
    </span><span class="alter">! other
    </span></code></pre>
    </details>
    "##);
}

#[test]
fn nothing_that_runs_loads_or_styles_survives() {
    let hostile = [
        "<script>alert(1)</script>",
        "text <img src=x onerror=alert(1)> text",
        "<details ontoggle=alert(1) open>x</details>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<a href=java&#115;cript:alert(1)>x</a>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,hi)",
        "![x](https://evil.example/pixel.png)",
        "<style>body{display:none}</style>",
        "<p style=\"position:fixed\">x</p>",
        "<svg onload=alert(1)>",
        "<a href='https://x' onclick='alert(1)'>x</a>",
        "<iframe src=//evil.example></iframe>",
        "<!-- <script>alert(1)</script>",
        "```\n<script>alert(1)</script>\n```",
        "`<script>`",
    ];
    for text in hostile {
        let html = render(text);
        for tag in ["<script", "<img", "<style", "<svg", "<iframe"] {
            assert!(!html.contains(tag), "{text:?} became {html:?}");
        }
        // What is left of attributes is text between escaped brackets, never part of a tag.
        for (at, _) in html.match_indices('<') {
            let tag = &html[at..at + html[at..].find('>').unwrap()];
            for bad in [" on", "style=", "javascript:", "data:", "src="] {
                assert!(!tag.contains(bad), "{text:?} became {html:?}");
            }
        }
    }
}

#[test]
fn a_comment_cannot_reach_out_of_its_box() {
    assert_eq!(render("</details></div>\n"), "&lt;/div&gt;\n");
    assert!(render("<details><summary>x\n\ntext").ends_with("</summary></details>"));
}

#[test]
fn a_new_line_is_a_new_line() {
    assert_eq!(render("one\ntwo"), "<p>one<br />\ntwo</p>\n");
}
