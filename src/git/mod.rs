//! Git, through its own program: what the mirrors hold, what a merge would give, and the files of a tree in a directory.
//!
//! The program, and not a library, because only it fetches, merges and checks out the way people's git does. Each of
//! its processes gets an environment that turns off what a repository could use to run code or to reach elsewhere:
//! hooks, filters, submodules, other protocols, redirects ([`command`]).
//!
//! 1. [`mirrors`]: one bare mirror per repository, brought up to date by one network fetch for all that is wanted.
//! 2. [`mirror`]: questions to a mirror, one process each.
//! 3. `before`: where a merge began.
//! 4. [`reader`]: commits, trees and files, many questions to one process.
//! 5. [`folder`]: a tree in memory, and what two of them differ in.
//! 6. [`objects`]: the formats of git's objects and of `cat-file`.
//! 7. [`checkout`]: a tree's files, without what terraform must not find there.
//! 8. [`workdir`]: the directory that they are put in.

mod before;
pub mod checkout;
pub mod command;
pub mod error;
pub mod folder;
pub mod mirror;
pub mod mirrors;
pub mod objects;
pub mod reader;
pub mod workdir;

pub use command::{Access, Git};
pub use error::GitError;
pub use folder::Folder;
pub use mirror::{Merge, Mirror, Treeish};
pub use mirrors::{Mirrors, Want};
pub use objects::{Entry, EntryKind, ObjectId};
pub use reader::Reader;
pub use workdir::WorkDir;

#[cfg(test)]
mod tests;
