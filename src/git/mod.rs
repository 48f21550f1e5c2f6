//! Git, through its own program: what the mirrors hold, what a merge would give, and the files of a tree in a directory.
//!
//! The program, and not a library, because only it fetches, merges and checks out the way people's git does. Each of
//! its processes gets an environment that turns off what a repository could use to run code or to reach elsewhere:
//! hooks, filters, submodules, other protocols, redirects ([`command`]).
//!
//! 1. [`mirrors`]: one bare mirror per repository, brought up to date by one network fetch for all that is wanted.
//! 2. [`mirror`]: questions to a mirror, one process each.
//! 3. `before`: where a merge began.
//! 4. [`objects`]: the formats of `ls-tree` and `cat-file`.
//! 5. [`checkout`]: a tree's files, without what terraform must not find there.
//! 6. [`workdir`]: the directory that they are put in.

mod before;
pub mod checkout;
pub mod command;
pub mod error;
pub mod mirror;
pub mod mirrors;
pub mod objects;
pub mod workdir;

pub use command::{Access, Git};
pub use error::GitError;
pub use mirror::{Merge, Mirror, Treeish};
pub use mirrors::{Mirrors, Want};
pub use objects::{Entry, EntryKind, ObjectId};
pub use workdir::WorkDir;

#[cfg(test)]
mod tests;
