use super::*;

const UPDATE: &[u8] = include_bytes!("../../../tests/data/plans/update.json");

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn printed(dir: &Path, templates: Option<&Path>) -> (u8, String) {
    let mut out = Vec::new();
    let code = render(dir, templates, 60_000, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn a_folder_of_plans_is_shown_as_a_pull_request_would_show_it() {
    let dir = folder(&[
        ("prod/network.json", UPDATE),
        ("dev/app.txt", b"Error: Reference to undeclared input variable\n"),
        ("notes.md", b"not for us"),
    ]);
    let (code, comment) = printed(dir.path(), None);
    assert_eq!(code, 0);
    insta::assert_snapshot!(comment, @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · 2 projects · 1 failed · 1 with changes

    > [!CAUTION]
    > **1 resource will be destroyed, 1 resource will be replaced**
    > - `prod/network`: `terraform_data.gone`
    > - `prod/network`: `terraform_data.rep`

    | | Project | + | ~ | ± | − | |
    |---|---|--:|--:|--:|--:|---|
    | ❌ | [`dev/app`](https://terraplane.example.com/runs/00000000000000000000000000000001) | | | | | plan failed: `terraform plan` failed with exit code 1. |
    | 🔴 | [`prod/network`](https://terraplane.example.com/runs/00000000000000000000000000000002) |  | 3 | **1** | **1** | 1 moved, 2 outputs |

    <details open><summary><b><a href="https://terraplane.example.com/runs/00000000000000000000000000000001"><code>dev/app</code></a></b> · plan failed · 18 s · because <code>dev/app/main.tf</code> changed</summary>

    `terraform plan` failed with exit code 1.

    ```text
    Error: Reference to undeclared input variable
    ```

    </details>

    <details><summary><b><a href="https://terraplane.example.com/runs/00000000000000000000000000000002"><code>prod/network</code></a></b> · ~3 ±1 −1, 1 moved, 2 outputs · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    ```diff
    - terraform_data.gone    destroy (no longer in the code)
    ! terraform_data.rep     replace (forced by triggers_replace)
    ~   id: "4b6f8823-f46a-09f8-31e8-3a24ee75a1ba" -> (known after apply)
    ~   output: "x" -> (known after apply)
    ~   triggers_replace[0]: "one" -> "two"  # forces replacement
    ~ terraform_data.nested  update
    ~   input.password: (sensitive) -> (sensitive)
    ~   output: {"password":"(sensitive)","user":"u"} -> (known after apply)
    ~ terraform_data.plain   update
    ~   input.word: "one" -> "two"
    ~   output: {"list":["a","b"],"text":"l1\nl2\nl3\n","word":"one"} -> (known after apply)
    ~ terraform_data.secret  update
    ~   input: (sensitive) -> (sensitive)
    ~   output: (sensitive) -> (known after apply)
    ~ terraform_data.new     moved from terraform_data.old
    ~ output pw              (sensitive) -> (sensitive)
    ~ output word            "one" -> "two"
    ```

    <sub>2 unchanged</sub>

    </details>

    To plan again: `terraplane plan dev/app`

    Merging this pull request applies the plan. It needs an approval of this head by somebody with write permission.

    <sub>`8f3c1d2` merged onto `main` at `a91e004` · terraform 1.11.4 · commands: `terraplane help` · sandbox: full</sub>
    "#);
}

#[test]
fn what_cannot_be_shown_is_said() {
    let empty = folder(&[]);
    let (code, said) = printed(empty.path(), None);
    assert!(code == 2 && said.starts_with("there is neither a plan"), "{said}");
    let wrong = folder(&[("a.json", b"{}")]);
    assert_eq!(printed(wrong.path(), None), (2, "a.json: the plan JSON lacks `format_version`\n".into()));
}

#[test]
fn templates_of_ones_own_are_used_and_broken_ones_are_named() {
    let dir = folder(&[("a.json", UPDATE)]);
    let own = folder(&[("live/tail.md", b"Questions? {{ name }} at the platform team, {{ footer.head | code }}\n")]);
    let (code, comment) = printed(dir.path(), Some(own.path()));
    assert!(code == 0 && comment.ends_with("\n\nQuestions? terraplane at the platform team, `8f3c1d2`\n"), "{comment}");
    let broken = folder(&[("live/tail.md", b"{% if %}"), ("live/row.md", b"x")]);
    let (code, said) = printed(dir.path(), Some(broken.path()));
    assert!(code == 2 && said.contains("live/tail.md is no template"), "{said}");
    let (code, said) = printed(dir.path(), Some(folder(&[("other.md", b"x")]).path()));
    assert!(code == 2 && said.contains("holds no template of a name that is known"), "{said}");
}
