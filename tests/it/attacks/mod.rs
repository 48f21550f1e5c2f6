//! The attacks that the sandbox was designed against: all 53 of its threat table, as programs. Each family is a file with
//! a table; a case is run bare, where it must succeed (an attack that cannot fail proves nothing), and at every level, as
//! root and as a user without rights.

pub(crate) mod attack;
mod files;
mod network;
mod processes;
mod resources;
mod scene;
mod sockets;
mod syscalls;
mod trial;

#[test]
fn all_of_it_holds_for_a_server_that_is_not_root() {
    crate::sandbox::unprivileged::once_more_without_rights("attacks::");
}
