//! Comment text to commands.
pub struct Names;
pub struct Parsed;
pub fn parse_comment() {}
