//! What commits do, and how a pull request becomes one.

/// A commit that is written when its button is pressed.
#[derive(Debug, Clone)]
pub struct ReadyCommit {
    pub author: String,
    pub message: String,
    pub changes: Vec<Change>,
}

/// What a commit does to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: String,
    pub to: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Executable(String),
    /// A symbolic link to this target.
    Link(String),
    Gone,
}

impl Change {
    pub fn write(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), to: Content::Text(text.into()) }
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self { path: path.into(), to: Content::Gone }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMethod {
    Merge,
    Squash,
    Rebase,
}
