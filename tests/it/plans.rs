//! Plans of the real Terraform, as people read them.

use std::path::Path;
use std::process::Command;
use terraplane::cli::render::render;

const BEFORE: &str = r#"
variable "password" {
  type      = string
  sensitive = true
  default   = "correct horse battery"
}
locals {
  zones = { a = "10.0.1.0/24", b = "10.0.2.0/24", c = "10.0.3.0/24" }
}
resource "terraform_data" "subnet" {
  for_each = local.zones
  input    = { cidr = each.value, zone = each.key }
}
resource "terraform_data" "server" {
  input = {
    image = "server:1"
    disks = [{ name = "root", size = 10 }, { name = "data", size = 100 }]
    tags  = { Owner = "net", Team = "a" }
    boot  = <<-END
      #!/bin/sh
      set -eu
      echo one
      echo two
      exec server --port 80
    END
  }
}
resource "terraform_data" "policy" {
  input = jsonencode({ Version = "2012-10-17", Statement = [{ Sid = "read", Action = ["get", "list"], Resource = "*" }] })
}
resource "terraform_data" "login" {
  input = { user = "admin", password = var.password }
}
resource "terraform_data" "database" {
  input            = "pg15"
  triggers_replace = { engine = "15", size = "small" }
}
resource "terraform_data" "old_name" {
  input = "stays"
}
resource "terraform_data" "legacy" {
  input = "goes"
}
resource "terraform_data" "handed_over" {
  input = "elsewhere"
}
output "zones" {
  value = keys(local.zones)
}
"#;

const AFTER: &str = r#"
variable "password" {
  type      = string
  sensitive = true
  default   = "another horse battery"
}
locals {
  zones = { a = "10.0.1.0/24", b = "10.9.2.0/24", d = "10.0.4.0/24" }
}
resource "terraform_data" "subnet" {
  for_each = local.zones
  input    = { cidr = each.value, zone = each.key }
}
resource "terraform_data" "server" {
  input = {
    image = "server:2"
    disks = [{ name = "data", size = 200 }, { name = "root", size = 10 }, { name = "log", size = 5 }]
    tags  = { Owner = "platform", Cost = "7" }
    boot  = <<-END
      #!/bin/sh
      set -eu
      echo one
      echo 2
      exec server --port 443
    END
  }
}
resource "terraform_data" "policy" {
  input = jsonencode({ Version = "2012-10-17", Statement = [{ Sid = "read", Action = ["get"], Resource = "*" }] })
}
resource "terraform_data" "login" {
  input = { user = "root", password = var.password }
}
resource "terraform_data" "database" {
  input            = "pg16"
  triggers_replace = { engine = "16", size = "small" }
}
resource "terraform_data" "new_name" {
  input = "stays"
}
moved {
  from = terraform_data.old_name
  to   = terraform_data.new_name
}
import {
  to = terraform_data.found
  id = "found-1"
}
resource "terraform_data" "found" {
  input = "was there"
}
removed {
  from = terraform_data.handed_over
  lifecycle {
    destroy = false
  }
}
check "zones" {
  assert {
    condition     = length(local.zones) > 3
    error_message = "There are fewer than 4 zones (ask @net, see #12)."
  }
}
output "zones" {
  value = keys(local.zones)
}
output "server" {
  value = terraform_data.server.id
}
"#;

fn terraform(dir: &Path, args: &[&str]) -> Vec<u8> {
    let ran = Command::new("terraform").args(args).current_dir(dir).env("TF_IN_AUTOMATION", "1").output().unwrap();
    let said = [&ran.stdout[..], &ran.stderr[..]].concat();
    assert!(ran.status.success(), "terraform {args:?}: {}", String::from_utf8_lossy(&said));
    ran.stdout
}

/// The comment for a change from one code to another.
fn comment(before: &str, after: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let code = dir.path().join("code");
    std::fs::create_dir_all(dir.path().join("plans/prod")).unwrap();
    std::fs::create_dir_all(&code).unwrap();
    std::fs::write(code.join("main.tf"), before).unwrap();
    terraform(&code, &["init", "-input=false", "-no-color"]);
    terraform(&code, &["apply", "-auto-approve", "-input=false", "-no-color"]);
    std::fs::write(code.join("main.tf"), after).unwrap();
    terraform(&code, &["plan", "-input=false", "-no-color", "-out=plan.bin"]);
    let json = terraform(&code, &["show", "-json", "plan.bin"]);
    std::fs::write(dir.path().join("plans/prod/network.json"), json).unwrap();
    let mut out = Vec::new();
    assert_eq!(render(&dir.path().join("plans"), None, 60_000, &mut out).unwrap(), 0);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_plan_of_everything_that_terraform_does_reads_well() {
    let comment = comment(BEFORE, AFTER);
    assert!(!comment.contains("horse"), "{comment}");
    let shown = comment.replace('\u{200b}', "");
    insta::with_settings!({filters => vec![
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
        (r"terraform [0-9.]+", "terraform VERSION"),
        (r"p_[0-9a-f]{8}", "p_ID"),
    ]}, {
        insta::assert_snapshot!(shown, @r##"
        <!-- terraplane:live -->
        ### terraplane · plan ready · `prod/network` · +1 ~5 ±1 −2, 1 imported, 1 moved, 1 forgotten, 2 outputs

        > [!CAUTION]
        > **2 resources will be destroyed, 1 resource will be replaced**
        > - `terraform_data.database`
        > - `terraform_data.legacy`
        > - `terraform_data.subnet["c"]`

        <details><summary><b><a href="https://terraplane.example.com/runs/00000000000000000000000000000001"><code>prod/network</code></a></b> · +1 ~5 ±1 −2, 1 imported, 1 moved, 1 forgotten, 2 outputs · 18 s · because <code>prod/network/main.tf</code> changed</summary>

        - ⚠️ `check.zones` does not hold: There are fewer than 4 zones (ask &#64;net, see &#35;12).

        ```diff
        - terraform_data.legacy       destroy (no longer in the code)
        - terraform_data.subnet["c"]  destroy (its key is no longer in `for_each`)
        ! terraform_data.database     replace (forced by triggers_replace)
        ~   id: "UUID" -> (known after apply)
        ~   input: "pg15" -> "pg16"
        ~   output: "pg15" -> (known after apply)
        ~   triggers_replace.engine: "15" -> "16"  # forces replacement
        ! terraform_data.handed_over  forget, stays, and is no longer managed
        ~ terraform_data.found        update, import
        +   input: "was there"
        +   output: (known after apply)
        ~ terraform_data.login        update
        ~   input:
        ~     password: (sensitive) -> (sensitive)
        ~     user: "admin" -> "root"
        ~   output: {"password":"(sensitive)","user":"admin"} -> (known after apply)
        ~ terraform_data.policy       update
        -   input.Statement[0].Action[1]: "list"
        -   output: "{\"Statement\":[{\"Action\":[\"get\",\"list\"],\"Resource\"… (114 characters)
        +   output: (known after apply)
        ~ terraform_data.server       update
        ~   input:
        ~     boot:
        @@ line 2 @@
                set -eu
                echo one
        -       echo two
        -       exec server --port 80
        +       echo 2
        +       exec server --port 443
        ~     disks:
        ~       [0].size: 100 -> 200
        +       [2]:
        +         name: "log"
        +         size: 5
        ~     image: "server:1" -> "server:2"
        ~     tags:
        +       Cost: "7"
        ~       Owner: "net" -> "platform"
        -       Team: "a"
        -   output: {"boot":"#!/bin/sh\nset -eu\necho one\necho two\nexec server… (190 characters)
        +   output: (known after apply)
        ~ terraform_data.subnet["b"]  update
        ~   input.cidr: "10.0.2.0/24" -> "10.9.2.0/24"
        ~   output: {"cidr":"10.0.2.0/24","zone":"b"} -> (known after apply)
        + terraform_data.subnet["d"]  create
        +   id: (known after apply)
        +   input:
        +     cidr: "10.0.4.0/24"
        +     zone: "d"
        +   output: (known after apply)
        ~ terraform_data.new_name     moved from terraform_data.old_name
        + output server               "UUID"
        ~ output zones                update
        ~   [2]: "c" -> "d"
        ```

        <sub>1 unchanged</sub>

        </details>

        Merging this pull request applies the plan. It needs an approval of this head by somebody with write permission.

        <sub>`8f3c1d2` merged onto `main` at `a91e004` · terraform VERSION · plan `p_ID` · commands: `terraplane help` · sandbox: full</sub>
        "##);
    });
}
