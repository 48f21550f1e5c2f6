//! Terraform and OpenTofu: finding the binary, reading what the code says without running it, running the steps.
//!
//! Both tools are one here: they take the same arguments and speak the same formats. What happened is read from exit
//! codes and JSON, never from text that is meant for people.

pub mod source;
pub mod version;
