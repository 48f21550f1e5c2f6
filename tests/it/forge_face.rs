//! The small forge behaves like GitHub where it matters: a forgiving fake would hide faults of the server.
