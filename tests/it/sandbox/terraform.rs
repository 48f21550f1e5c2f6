//! The real terraform in a cage.

use super::{CAGED, Yard, said};
use std::time::Duration;
use terraplane::sandbox::process::Spec;

const MAIN: &str = "resource \"terraform_data\" \"one\" {\n  input = \"a\"\n  provisioner \"local-exec\" {\n    \
                    command = \"echo made by a provisioner\"\n  }\n}\noutput \"made\" {\n  value = terraform_data.one.output\n}\n";

fn terraform(yard: &Yard, args: &[&str]) -> Spec {
    let mut spec = yard.program("/usr/local/bin/terraform", args);
    let set = |name: &str, value: String| (name.to_owned(), value);
    spec.env.extend([
        set("TMPDIR", yard.scratch.join("tmp").display().to_string()),
        set("CHECKPOINT_DISABLE", "1".into()),
        set("TF_CLI_CONFIG_FILE", "/dev/null".into()),
        set("TF_IN_AUTOMATION", "1".into()),
    ]);
    spec.deadline = Duration::from_secs(60);
    spec
}

#[tokio::test]
async fn it_plans_in_one_cage_and_applies_the_saved_plan_in_another() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        std::fs::write(yard.tree.join("main.tf"), MAIN).unwrap();
        std::fs::create_dir(yard.scratch.join("tmp")).unwrap();
        let plan = yard.scratch.join("plan.bin");
        let out = format!("-out={}", plan.display());

        let mut cage = yard.cage().await;
        said(&mut cage, terraform(&yard, &["init", "-input=false"])).await;
        let text = said(&mut cage, terraform(&yard, &["plan", "-input=false", "-lock=false", "-no-color", &out])).await;
        assert!(text.contains("1 to add"), "{level}: {text}");
        let bytes = cage.take(&plan, 10 << 20).await.unwrap().unwrap();
        cage.close().await;

        std::fs::write(&plan, bytes).unwrap();
        let mut cage = yard.cage().await;
        said(&mut cage, terraform(&yard, &["init", "-input=false"])).await;
        let args = ["apply", "-input=false", "-no-color", plan.to_str().unwrap()];
        let text = said(&mut cage, terraform(&yard, &args)).await;
        assert!(text.contains("made by a provisioner") && text.contains("1 added"), "{level}: {text}");
        let state = cage.take(&yard.tree.join("terraform.tfstate"), 1 << 20).await.unwrap().unwrap();
        assert!(String::from_utf8(state).unwrap().contains("terraform_data"), "{level}");
    }
}
