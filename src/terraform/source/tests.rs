use super::{Content, SourceFile, is_source, modules};
use crate::domain::impact::{ModuleFacts, Modules};

fn read(files: &[(&str, &str)]) -> Modules {
    modules(files.iter().map(|(path, text)| SourceFile { path, content: Content::Text(text.as_bytes()) }))
}

fn facts(path: &str, text: &str) -> ModuleFacts {
    let dir = path.rsplit_once('/').map_or(".", |(dir, _)| dir);
    read(&[(path, text)]).get(&dir.parse().unwrap()).unwrap().clone()
}

fn uses(facts: &ModuleFacts) -> Vec<&str> {
    facts.uses.iter().map(|dir| dir.as_str()).collect()
}

#[test]
fn local_modules_are_directories_of_the_repository_and_the_others_are_fetched() {
    let facts = facts(
        "prod/network/main.tf",
        r#"
        module "vpc"      { source = "../../modules/vpc" }
        module "here"     { source = "./sub/" }
        module "registry" { source = "terraform-aws-modules/vpc/aws" }
        module "git"      { source = "git::https://example.com/vpc.git?ref=v1" }
        "#,
    );
    assert_eq!(uses(&facts), ["modules/vpc", "prod/network/sub"]);
    assert_eq!(facts.unknown, None);
}

#[test]
fn json_files_say_the_same_in_json_with_arrays_wherever_blocks_may_stand() {
    let facts = facts(
        "prod/main.tf.json",
        r#"{
          "module": [{"a": {"source": "../a"}, "b": [{"source": "../b"}]}, {"c": {"source": "acme/c/aws"}}],
          "terraform": [{"backend": {"s3": {"bucket": "x"}}}, {"required_version": "~> 1.5"}]
        }"#,
    );
    assert_eq!(uses(&facts), ["a", "b"]);
    assert_eq!(facts.backend.as_deref(), Some("s3"));
    assert_eq!(facts.required_versions, ["~> 1.5"]);
}

#[test]
fn settings_are_collected_from_all_files_of_a_directory() {
    let modules = read(&[
        ("prod/main.tf", "terraform {\n  required_version = \">= 1.5\"\n}"),
        ("prod/backend.tf", "terraform {\n  backend \"s3\" {}\n  required_version = \"!= 1.6.0\"\n}"),
        ("prod/more.tofu", "module \"m\" { source = \"../m\" }"),
    ]);
    let facts = modules.get(&"prod".parse().unwrap()).unwrap();
    assert_eq!(facts.required_versions, ["!= 1.6.0", ">= 1.5"]);
    assert_eq!(uses(facts), ["m"]);
    assert!(facts.keeps_state());
}

#[test]
fn only_a_backend_that_outlives_the_work_tree_keeps_state() {
    let with = |settings: &str| facts("main.tf", &format!("terraform {{\n{settings}\n}}"));
    assert!(with("backend \"gcs\" {}").keeps_state());
    assert!(with("cloud {\n}").keeps_state());
    assert!(facts("main.tf.json", r#"{"terraform": {"cloud": {}}}"#).keeps_state());
    assert!(!with("backend \"local\" {}").keeps_state());
    assert!(!with("").keeps_state());
    assert_eq!(with("backend \"local\" {}").backend.as_deref(), Some("local"));
}

#[test]
fn whatever_cannot_be_understood_is_unknown_and_says_why() {
    for (path, text, why) in [
        ("a/main.tf", "resource \"x\" {", "`a/main.tf` cannot be parsed"),
        ("a/main.tf.json", "{", "`a/main.tf.json` is not JSON"),
        ("a/m.tf", "module \"m\" { source = \"../${var.m}\" }", "`a/m.tf` has a module whose source is an expression"),
        ("a/m.tofu", "module \"m\" { source = var.m }", "`a/m.tofu` has a module whose source is an expression"),
        (
            "a/m.tf.json",
            r#"{"module": {"m": {"source": "../${var.m}"}}}"#,
            "`a/m.tf.json` has a module whose source is an expression",
        ),
        ("a/m.tf", "module \"m\" { source = \"../../m\" }", "`a/m.tf` uses a module outside of the repository"),
    ] {
        assert_eq!(facts(path, text).unknown.as_deref(), Some(why));
    }
    let unread = |content| {
        let modules = modules([SourceFile { path: "a/main.tf", content }]);
        modules.get(&"a".parse().unwrap()).unwrap().unknown.clone()
    };
    assert_eq!(unread(Content::Unread).as_deref(), Some("`a/main.tf` was not read"));
    assert_eq!(unread(Content::Text(b"\xff")).as_deref(), Some("`a/main.tf` is not UTF-8"));
}

#[test]
fn a_broken_file_does_not_hide_what_the_others_say() {
    let modules = read(&[("a/bad.tf", "{{{"), ("a/good.tf", "module \"m\" { source = \"../m\" }")]);
    let facts = modules.get(&"a".parse().unwrap()).unwrap();
    assert_eq!(uses(facts), ["m"]);
    assert!(facts.unknown.is_some());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_read() {
    let facts = facts("a/main.tf", "\u{feff}module \"m\" {\r\n  source = \"../m\"\r\n}\r\n");
    assert_eq!((uses(&facts), facts.unknown.clone()), (vec!["m"], None));
}

#[test]
fn everyday_syntax_is_read() {
    let facts = facts(
        "a/main.tf",
        r#"
        locals {
          name   = upper("${var.env}-x")
          policy = <<-EOT
            { "Version": "${var.v}" %{ if true }x%{ endif } }
          EOT
          ids    = [for k, v in var.m : v.id if v != null]
          first  = aws_subnet.x[*].id
          fn     = provider::terraform::encode_tfvars({ a = 1 })
        }
        moved {
          from = a.b
          to   = a.c
        }
        module "m" {
          for_each = toset(["a", "b"])
          source   = "../m" # the one
        }
        "#,
    );
    assert_eq!((uses(&facts), facts.unknown.clone()), (vec!["m"], None));
}

#[test]
fn a_link_to_a_terraform_file_is_read_where_it_stands_and_remembered() {
    let common = r#"module "m" { source = "../m" }"#;
    let file = |path, content| SourceFile { path, content };
    let modules = modules([
        file("common/common.tf", Content::Text(common.as_bytes())),
        file("prod/eu/common.tf", Content::Link(b"../../common/common.tf")),
        file("prod/us/gone.tf", Content::Link(b"../../common/gone.tf")),
        file("prod/out/passwd.tf", Content::Link(b"/etc/passwd")),
    ]);
    let of = |dir: &str| modules.get(&dir.parse().unwrap()).unwrap();
    assert_eq!(uses(of("prod/eu")), ["prod/m"], "relative to the directory that holds the link");
    assert_eq!(of("prod/eu").links.get("prod/eu/common.tf").map(String::as_str), Some("common/common.tf"));
    assert_eq!(of("prod/eu").unknown, None);
    assert!(of("prod/us").unknown.is_some());
    assert!(of("prod/out").unknown.is_some());
}

#[test]
fn only_files_that_terraform_would_load_are_sources() {
    for path in ["main.tf", "a/b/x.tofu", "a/x.tf.json", "x.tofu.json", "x_override.tf"] {
        assert!(is_source(path), "{path}");
    }
    for path in ["main.tfvars", "a/.hidden.tf", ".terraform/modules/m/main.tf", "a.tf/readme.md", "x.tftest.hcl"] {
        assert!(!is_source(path), "{path}");
    }
}

#[test]
fn hostile_nesting_is_refused_and_not_a_crash() {
    let deep = format!("locals {{ x = {}1{} }}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(facts("a/main.tf", &deep).unknown.is_some());
    let json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(facts("a/main.tf.json", &json).unknown.is_some());
}
