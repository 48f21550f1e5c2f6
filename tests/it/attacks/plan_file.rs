//! The plan file, which code at plan time can write as it likes.

use super::attack::{Attack, by, test};
use crate::sandbox::{CAGED, Yard, said};
use std::fs;
use terraplane::sandbox::TakeError;

pub(super) const ATTACKS: &[Attack] = &[
    by(
        43,
        "a link in its place, so that the server keeps and shows what it leads to",
        &[
            test!("tests/it/attacks/plan_file.rs", "a_link_in_the_place_of_the_plan_is_not_followed"),
            test!("tests/it/sandbox/files.rs", "only_a_regular_file_that_lies_where_it_seems_to_is_taken_out"),
        ],
    ),
    by(
        44,
        "another configuration in it, which applies something else than it shows",
        &[
            test!(
                "src/terraform/integrity/tests.rs",
                "a_provisioner_that_was_rewritten_in_the_plan_would_run_and_is_refused"
            ),
            test!("src/terraform/integrity/tests.rs", "every_other_way_to_change_a_plan_is_refused"),
            test!(
                "tests/it/scenario/modules.rs",
                "a_plan_whose_configuration_was_changed_while_it_was_made_is_neither_kept_nor_applied"
            ),
        ],
    ),
];

#[tokio::test]
async fn a_link_in_the_place_of_the_plan_is_not_followed() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let key = yard.outside().join("server.key");
        fs::write(&key, "canary").unwrap();
        let plan = yard.scratch.join("plan.bin");
        let link = format!("ln -s {} {}", key.display(), plan.display());
        let mut cage = yard.cage().await;
        said(&mut cage, yard.script(&link)).await;
        let taken = cage.take(&plan, 1000).await;
        assert!(matches!(taken, Err(TakeError::NotAFile(_))), "{level}: {taken:?}");
        cage.close().await;
        // The control: to a server that reads what lies there, the link would lead.
        let _ = std::os::unix::fs::symlink(&key, &plan);
        assert_eq!(fs::read_to_string(&plan).unwrap(), "canary");
    }
}
