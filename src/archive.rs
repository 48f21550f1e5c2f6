//! Plans, plan JSON, logs and managed state on the local disk; encrypted where they can hold secrets.
