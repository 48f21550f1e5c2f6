//! The helper: this binary, started anew to build a cage around itself.

/// The hidden command that makes this binary a helper.
pub const EXEC: &str = "sandbox-exec";
