//! The attacks that the sandbox was designed against: all 53 of its threat table. Each family is a file with a table.
//!
//! A case is a program in a cage of the module, or a pull request in the whole loop. It is tried bare, where it must
//! succeed (an attack that cannot fail proves nothing); and in a cage of each level, where it must not, but for what the
//! table says is known to be open there. All of it is tried as root and as a user without rights.

pub(crate) mod attack;
mod bare;
mod documents;
mod files;
mod git;
mod hcl;
mod neighbours;
mod network;
mod older_kernels;
mod plan_file;
mod processes;
mod programs;
mod resources;
mod scene;
mod sockets;
mod syscalls;
mod text;
mod trial;
mod variables;

use attack::{Attack, Shown};

fn attacks() -> impl Iterator<Item = &'static Attack> {
    let programs = [files::ATTACKS, processes::ATTACKS, sockets::ATTACKS, network::ATTACKS, resources::ATTACKS];
    let loops = [syscalls::ATTACKS, neighbours::ATTACKS, hcl::ATTACKS, programs::ATTACKS];
    let duties = [plan_file::ATTACKS, git::ATTACKS, text::ATTACKS, variables::ATTACKS];
    [&programs[..], &loops, &duties].concat().into_iter().flatten()
}

#[test]
fn every_case_of_the_table_is_tried_or_names_the_tests_that_try_it() {
    let mut numbers: Vec<u8> = attacks().map(|attack| attack.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=53).collect::<Vec<_>>());
    for attack in attacks() {
        match attack.shown {
            Shown::Module(ways) => assert!(!ways.is_empty(), "{}", attack.name),
            Shown::By(tests) => {
                assert!(!tests.is_empty(), "{}", attack.name);
                for test in tests {
                    let there = test.source.contains(&format!("fn {}(", test.name));
                    assert!(there, "{:02} {}: there is no test `{}`", attack.number, attack.name, test.name);
                }
            }
        }
    }
}

#[test]
fn all_of_it_holds_for_a_server_that_is_not_root() {
    crate::sandbox::unprivileged::once_more_without_rights("attacks::");
}
