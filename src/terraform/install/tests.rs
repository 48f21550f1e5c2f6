use super::{NoTool, Product, Tools};
use crate::terraform::testing::{path_variable, tool};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A binary that answers like the real one and counts how often it is asked.
fn fake(dir: &Path, name: &str, answer: &str) -> PathBuf {
    let path = dir.join(name);
    let asked = dir.join(format!("{name}.asked"));
    // The shell's own commands only: it is started without a PATH.
    fs::write(&path, format!("#!/bin/sh\necho x >> {}\necho '{answer}'\n", asked.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn terraform(dir: &Path, name: &str, version: &str) -> PathBuf {
    fake(dir, name, &format!(r#"{{"terraform_version": "{version}", "platform": "x", "terraform_outdated": true}}"#))
}

fn tofu(dir: &Path, name: &str, version: &str) -> PathBuf {
    fake(dir, name, &format!(r#"{{"terraform_version": "{version}", "platform": "x"}}"#))
}

fn times_asked(dir: &Path, name: &str) -> usize {
    fs::read_to_string(dir.join(format!("{name}.asked"))).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn the_real_tools_tell_which_product_and_version_they_are() {
    let scratch = tempfile::tempdir().unwrap();
    for product in Product::ALL {
        let tool = tool(product, scratch.path()).await;
        assert_eq!(tool.identity(), format!("{} {}", product.as_str(), tool.version));
        assert!(tool.version.major >= 1);
    }
}

#[tokio::test]
async fn the_first_in_the_operators_order_that_fits_is_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let configured =
        [terraform(dir.path(), "a", "1.11.4"), terraform(dir.path(), "b", "1.5.7"), tofu(dir.path(), "c", "1.9.0")];
    let tools = Tools::new(&configured, OsStr::new(""), dir.path());
    for (wanted, identity) in [
        (&[][..], "terraform 1.11.4"),
        (&[""], "terraform 1.11.4"),
        (&["1.5.7"], "terraform 1.5.7"),
        (&["~> 1.5", "< 1.11"], "terraform 1.5.7"),
        (&["~> 1.8, < 1.10"], "opentofu 1.9.0"),
    ] {
        assert_eq!(tools.choose(wanted.iter().copied()).await.unwrap().identity(), identity, "{wanted:?}");
    }
}

#[tokio::test]
async fn without_configuration_the_path_is_searched_terraform_first() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    fs::write(one.join("terraform"), "not executable").unwrap();
    tofu(&one, "tofu", "1.8.0");
    terraform(&two, "terraform", "1.11.4");
    let path = std::env::join_paths([Path::new("relative"), &one, &two]).unwrap();
    let tools = Tools::new(&[], &path, dir.path());
    assert_eq!(tools.choose([]).await.unwrap().identity(), "terraform 1.11.4");
    assert_eq!(tools.choose(["< 1.9"]).await.unwrap().identity(), "opentofu 1.8.0");
}

#[tokio::test]
async fn a_binary_is_asked_once_and_again_only_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = terraform(dir.path(), "t", "1.11.4");
    let tools = Tools::new(&[path], OsStr::new(""), dir.path());
    let (one, two) = tokio::join!(tools.choose([]), tools.choose(["1.11.4"]));
    assert_eq!(one.unwrap(), two.unwrap());
    tools.choose([]).await.unwrap();
    assert_eq!(times_asked(dir.path(), "t"), 1);
    terraform(dir.path(), "t", "1.12.0-rc1");
    assert_eq!(tools.choose(["1.12.0-rc1"]).await.unwrap().identity(), "terraform 1.12.0-rc1");
    assert_eq!(times_asked(dir.path(), "t"), 2);
}

#[tokio::test]
async fn a_missing_tool_is_told_so_that_a_person_understands() {
    let dir = tempfile::tempdir().unwrap();
    let none = Tools::new(&[], OsStr::new("/nowhere"), dir.path()).choose([]).await.unwrap_err();
    insta::assert_snapshot!(none, @"this server has neither terraform nor tofu; whoever runs it must install one of them on its PATH");

    let installed = [terraform(dir.path(), "a", "1.11.4"), tofu(dir.path(), "b", "1.6.2")];
    let tools = Tools::new(&installed, OsStr::new(""), dir.path());
    let none = tools.choose(["~> 0.12.0", "!= 0.12.3"]).await.unwrap_err();
    insta::assert_snapshot!(none, @"no installed version satisfies `!= 0.12.3, ~> 0.12.0`; this server has terraform 1.11.4, opentofu 1.6.2");
    let none = tools.choose(["latest"]).await.unwrap_err();
    insta::assert_snapshot!(none, @"a version constraint cannot be read: `latest` is not a version constraint (such as `1.11.4`, `>= 1.5, < 2.0` or `~> 1.9`)");
}

#[tokio::test]
async fn a_broken_binary_is_named_to_the_operator_and_the_others_still_serve() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    let chatty = fake(dir.path(), "chatty", "Terraform v1.11.4");
    let tools = Tools::new(&[gone.clone(), chatty.clone()], OsStr::new(""), dir.path());
    let none = tools.choose([]).await.unwrap_err();
    assert!(matches!(none, NoTool::Broken(_)));
    assert!(!none.to_string().contains(&*dir.path().to_string_lossy()), "no path of the server in a comment: {none}");
    let all = tools.all().await;
    assert!(all[0].as_ref().unwrap_err().to_string().contains("No such file"));
    assert!(all[1].as_ref().unwrap_err().to_string().contains("did not answer as Terraform does"));

    let good = terraform(dir.path(), "good", "1.11.4");
    let tools = Tools::new(&[gone, chatty, good], &path_variable(), dir.path());
    assert_eq!(tools.choose([]).await.unwrap().identity(), "terraform 1.11.4");
}
