use super::{Call, Requirements};
use crate::terraform::install::Product;

fn read(files: &[(&str, &str)]) -> Requirements {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    Requirements::of_module(&files, Product::Terraform)
}

/// Each provider of Terraform's registry without the host, with its constraints.
fn wanted(found: &Requirements) -> Vec<String> {
    let one = |(provider, constraints): (&super::Provider, &std::collections::BTreeSet<String>)| {
        let constraints: Vec<&str> = constraints.iter().map(String::as_str).collect();
        let provider = provider.to_string();
        let provider = provider.strip_prefix("registry.terraform.io/").unwrap_or(&provider);
        format!("{provider} {}", constraints.join(", ")).trim_end().to_owned()
    };
    found.providers.iter().map(one).collect()
}

#[test]
fn providers_are_found_in_every_form_of_the_language() {
    for (name, text, providers) in [
        (
            "a.tf",
            "terraform {\n required_providers {\n aws = {\n source = \"hashicorp/aws\"\n version = \"~> 5.0\"\n }\n \
             \"x\" = \"1\"\n }\n}\n",
            &[][..],
        ),
        (
            "a.tf",
            "terraform {\n required_providers {\n aws = {\n source = \"hashicorp/aws\"\n version = \"~> 5.0\"\n }\n }\n}\n",
            &["hashicorp/aws ~> 5.0"],
        ),
        (
            "a.tf",
            "terraform {\n required_providers {\n a = {\n \"source\" : \"example.com/acme/fake\",\n \"version\" = \"1.0\"\n \
             configuration_aliases = [a.west]\n }\n}\n}\n",
            &["example.com/acme/fake 1.0"],
        ),
        ("a.tf", "terraform {\n required_providers {\n null = \">= 3.0\"\n }\n}\n", &["hashicorp/null >= 3.0"]),
        ("a.tf", "resource \"random_pet\" \"x\" {}\ndata \"http\" \"x\" {}\n", &["hashicorp/http", "hashicorp/random"]),
        (
            "a.tf",
            "ephemeral \"vault_x\" \"x\" {}\ncheck \"x\" {\n data \"http\" \"x\" {}\n}\n",
            &["hashicorp/http", "hashicorp/vault"],
        ),
        ("a.tf", "provider \"aws\" {\n version = \"~> 4.0\"\n}\n", &["hashicorp/aws ~> 4.0"]),
        ("a.tf", "resource \"aws_x\" \"x\" {\n provider = google.west\n}\n", &["hashicorp/google"]),
        ("a.tf", "resource \"aws_x\" \"x\" {\n provider = google-beta\n}\n", &["hashicorp/google-beta"]),
        ("a.tf", "resource \"aws_x\" \"x\" {\n provider = \"google.west\"\n}\n", &["hashicorp/google"]),
        ("a.tf", "resource \"aws_x\" \"x\" {\n provider = google.by_region[each.key]\n}\n", &["hashicorp/google"]),
        (
            "a.tf",
            "import {\n to = aws_x.a\n id = \"i\"\n}\nimport {\n to = module.m.google_x.a\n id = \"i\"\n}\n",
            &["hashicorp/aws"],
        ),
        ("a.tf", "resource \"terraform_data\" \"x\" {}\ndata \"terraform_remote_state\" \"x\" {}\n", &[]),
        (
            "a.tf.json",
            r#"{"terraform": [{"required_providers": [{"aws": {"source": "acme/aws", "version": ">= 1"}, "null": "~> 3"}]}],
                "provider": {"google": [{"alias": "a"}, {"version": "1.0"}]},
                "resource": {"random_pet": {"x": {}}, "aws_x": {"y": [{"provider": "vault.z"}]}},
                "data": [{"http": {"x": {}}}], "import": [{"to": "local_file.x", "id": "1"}]}"#,
            &[
                "acme/aws >= 1",
                "hashicorp/google 1.0",
                "hashicorp/http",
                "hashicorp/local",
                "hashicorp/null ~> 3",
                "hashicorp/random",
                "hashicorp/vault",
            ],
        ),
        (
            "a.tftest.hcl",
            "mock_provider \"aws\" {}\nprovider \"google\" {}\nrun \"x\" {}\n",
            &["hashicorp/aws", "hashicorp/google"],
        ),
    ] {
        let found = read(&[(name, text)]);
        if providers.is_empty() && text.contains("\"x\" = \"1\"") {
            assert_eq!(found.unknown, ["`a.tf` cannot be parsed"]);
            continue;
        }
        assert_eq!(wanted(&found), providers, "{text}");
        assert!(found.unknown.is_empty(), "{text}: {:?}", found.unknown);
    }
}

#[test]
fn a_module_is_the_sum_of_its_files() {
    let required =
        "terraform {\n required_providers {\n fake = {\n source = \"acme/fake\"\n version = \">= 1.0\"\n }\n }\n}\n";
    let found = read(&[
        ("main.tf", "resource \"fake_x\" \"x\" {}\n"),
        ("old.tf", "provider \"fake\" {\n version = \"< 2.0\"\n}\n"),
        ("versions.tf", required),
    ]);
    assert_eq!(wanted(&found), ["acme/fake < 2.0, >= 1.0"]);
}

#[test]
fn an_override_file_replaces_what_the_others_say() {
    let of = |version: &str| {
        format!(
            "terraform {{\n required_providers {{\n fake = {{\n source = \"acme/fake\"\n version = \"{version}\"\n }}\n }}\n}}\n"
        )
    };
    for name in ["a_override.tf", "override.tf", "override.tf.json"] {
        let replaced = if name.ends_with("json") {
            r#"{"terraform": {"required_providers": {"fake": {"source": "acme/fake", "version": "2"}}}}"#.to_owned()
        } else {
            of("2")
        };
        let found = read(&[(name, &replaced), ("versions.tf", &of("1"))]);
        assert_eq!(wanted(&found), ["acme/fake 2"], "{name}");
    }
}

#[test]
fn modules_of_the_repository_are_told_from_those_elsewhere() {
    let local = |source: &str| Call::Local(source.to_owned());
    for (name, text, calls) in [
        (
            "a.tf",
            "module \"a\" {\n source = \"../a\"\n}\nmodule \"b\" {\n source = \"./b\"\n}\n",
            vec![local("../a"), local("./b")],
        ),
        ("a.tf", "module \"a\" {\n source = \"acme/a/x\"\n version = \"1\"\n}\n", vec![Call::Elsewhere]),
        ("a.tf", "module \"a\" {\n source = \"./${var.x}\"\n}\n", vec![Call::Elsewhere]),
        ("a.tf", "module \"a\" {\n source = \"/absolute\"\n}\n", vec![Call::Elsewhere]),
        (
            "a.tf.json",
            r#"{"module": {"a": {"source": "./a"}, "b": [{"source": "git::https://x"}]}}"#,
            vec![local("./a"), Call::Elsewhere],
        ),
        ("a.tftest.hcl", "run \"a\" {\n module {\n source = \"./setup\"\n }\n}\n", vec![local("./setup")]),
    ] {
        assert_eq!(read(&[(name, text)]).calls.into_iter().collect::<Vec<_>>(), calls, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_still_counts() {
    let found = read(&[
        ("a.tf", "resource {"),
        ("b.tf.json", "{"),
        ("c.tf", "resource \"aws_x\" \"x\" {}\n"),
        ("d.tf", "terraform {\n required_providers {\n x = {\n source = \"../../etc\"\n }\n }\n}\n"),
    ]);
    assert_eq!(wanted(&found), ["hashicorp/aws"]);
    assert_eq!(
        found.unknown,
        ["`a.tf` cannot be parsed", "`b.tf.json` is not JSON", "`../../etc` is no address of a provider"]
    );
}
