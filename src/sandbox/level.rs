//! How well the host is protected from the code of a pull request: a word of the domain.

pub use crate::domain::sandbox::Level;
