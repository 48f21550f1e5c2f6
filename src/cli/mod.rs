//! The commands of the binary.

pub mod check;
pub mod doctor;
