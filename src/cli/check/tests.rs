use super::*;

/// A checkout with these files.
fn checkout(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// The exit code and what is printed.
fn checked(files: &[(&str, &str)]) -> (u8, String) {
    let root = checkout(files);
    let mut out = Vec::new();
    let code = check(root.path(), &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

const BACKEND: &str = "terraform {\n  required_version = \"~> 1.11\"\n  backend \"s3\" {}\n}\n";

#[test]
fn it_says_which_projects_there_are_and_which_rules_decide() {
    let (code, text) = checked(&[
        ("prod/network/main.tf", &format!("{BACKEND}module \"vpc\" {{ source = \"../../modules/vpc\" }}\n")),
        ("modules/vpc/main.tf", ""),
        ("lab/main.tf", "resource \"terraform_data\" \"x\" {}\n"),
        (".terraform/modules/x/main.tf", "not a part of it"),
        (
            "terraplane.yaml",
            "\
projects:
  - {dir: prod/network, name: network, tags: [prod], var_files: [prod.tfvars], watch: [../../files/**], after: [lab]}
  - {dir: lab, state: managed}
rules:
  - match: '*'
    require: [mergeable]
  - match: tag:prod
    require: [approved, mergeable]
    can_apply: [role:maintain]
",
        ),
    ]);
    insta::assert_snapshot!(text, @r"
    terraplane.yaml is in order. It means:

    lab
      why         listed in terraplane.yaml
      applied     when the pull request is merged
      requires    mergeable
      decided by  terraplane.yaml:5
      state       managed: Terraplane keeps it

    network (prod/network)
      why         listed in terraplane.yaml
      applied     when the pull request is merged
      requires    approved, mergeable, apply by role:maintain
      decided by  terraplane.yaml:7
      state       in the backend `s3`
      terraform   ~> 1.11
      tags        prod
      var files   prod.tfvars
      watches     files/**
      after       lab

    A pull request is judged by the rules of the default branch, and by those of the server.
    ");
    assert_eq!(code, 0);
}

#[test]
fn without_a_file_it_says_what_is_found_and_what_is_wrong_with_it() {
    let (code, text) = checked(&[
        ("app/main.tf", "resource \"terraform_data\" \"x\" {}\n"),
        ("broken/main.tf", "resource {{{"),
        ("atlantis.yaml", "version: 3\n"),
    ]);
    insta::assert_snapshot!(text, @r#"
    There is no terraplane.yaml, so every root module is a project:

    app
      why         a root module, found by reading the code
      applied     when the pull request is merged
      requires    nothing
      state       nowhere: the code has no backend

    broken
      why         a root module, found by reading the code
      applied     when the pull request is merged
      requires    nothing
      state       nowhere: the code has no backend

    finding: there is an atlantis.yaml, which this version does not read: write a terraplane.yaml

    finding: app is planned and never applied, because its state would be lost: add a `backend` block, or `state: managed` in terraplane.yaml

    finding: `broken/main.tf` cannot be parsed: every change of a module then concerns broken
    "#);
    assert_eq!(code, 1);
}

#[test]
fn a_wrong_file_is_explained() {
    let (code, text) =
        checked(&[("prod/main.tf", BACKEND), ("terraplane.yaml", "projects: [{dir: prd}]\nrules: [{match: tag:x}]\n")]);
    insta::assert_snapshot!(text, @r#"
    error: there is no Terraform code in `prd`
     --> terraplane.yaml:1:18
      |
    1 | projects: [{dir: prd}]
      |                  ^^^
      = did you mean `prod`?
    "#);
    assert_eq!(code, 2);
    assert_eq!(checked(&[("terraplane.yaml", "rulez: []")]).0, 2);
}

#[test]
fn a_rule_that_protects_nothing_is_a_finding() {
    let (code, text) = checked(&[("prod/main.tf", BACKEND), ("terraplane.yaml", "rules: [{match: tag:prdo}]\n")]);
    assert!(text.contains("finding: the rule at terraplane.yaml:1 matches no project"), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn a_checkout_that_is_not_there_is_a_usage_error() {
    let mut out = Vec::new();
    assert_eq!(check(Path::new("/nonexistent/checkout"), &mut out).unwrap(), 2);
    assert!(String::from_utf8(out).unwrap().contains("is not a directory"));
}
