//! What is asked of Gitea, and how its answers are understood.
