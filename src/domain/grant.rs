//! Which variables an operator may grant to terraform, and why not the others.
//!
//! A granted variable must say *who* terraform is (credentials, a profile, a region), never *what* it does, with which
//! programs, or what it prints: what a plan means would then depend on something that no reviewer sees. One list, for
//! the configuration, which refuses such a grant with the reason, and for the steps, which never pass one on.

/// Names that are refused, exactly as they are.
const NAMES: [(&str, &str); 29] = [
    ("CHECKPOINT_DISABLE", OURS),
    ("HOME", OURS),
    ("LANG", OURS),
    ("PATH", OURS),
    ("TMPDIR", OURS),
    ("TF_INPUT", OURS),
    ("TF_IN_AUTOMATION", OURS),
    ("TF_WORKSPACE", "it is set by the server itself: a project's `workspace` says which one it is"),
    ("TF_DATA_DIR", "it moves `.terraform` to where the server neither cleans nor looks"),
    ("TF_CLI_CONFIG_FILE", CLI_CONFIG),
    ("TERRAFORM_CONFIG", CLI_CONFIG),
    ("TF_PLUGIN_CACHE_DIR", "runs that share a plugin cache break each other's `init`; use a mirror in `cli_config`"),
    ("TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE", "it lets providers run that are not in the lock file"),
    ("TF_REATTACH_PROVIDERS", "it puts a running process in the place of the provider that the lock file names"),
    ("TF_TEMP_LOG_PATH", LOGS),
    ("BASH_ENV", RUNS),
    ("ENV", RUNS),
    ("SHELLOPTS", RUNS),
    ("BASHOPTS", RUNS),
    ("PS4", RUNS),
    ("IFS", RUNS),
    ("GCONV_PATH", RUNS),
    ("GLIBC_TUNABLES", RUNS),
    ("GODEBUG", LOGS),
    ("GOTRACEBACK", LOGS),
    ("SSLKEYLOGFILE", LOGS),
    ("HTTP_PROXY", PROXY),
    ("HTTPS_PROXY", PROXY),
    ("ALL_PROXY", PROXY),
];

/// Beginnings of names that are refused.
const PREFIXES: [(&str, &str); 6] = [
    ("TF_CLI_ARGS", "it adds arguments to terraform's commands that nobody sees, such as `-destroy`"),
    ("TF_HTTP_", "it is set by the server itself: it says where managed state is"),
    ("TF_LOG", LOGS),
    ("LD_", RUNS),
    (
        "GIT_",
        "it can make git run programs, ask other servers, or print the token; of `GIT_…` only `GIT_SSH_COMMAND`, \
              `GIT_SSL_CAINFO` and `GIT_SSL_CAPATH` may be granted",
    ),
    ("TERRAPLANE_", "such names are the server's own settings, and not for terraform"),
];

/// What modules behind ssh or a certificate authority of one's own need.
const GIT_ALLOWED: [&str; 3] = ["GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"];

const OURS: &str = "it is set by the server itself";
const CLI_CONFIG: &str =
    "it names terraform's own configuration, which decides what providers are run; that is `terraform.cli_config`";
const LOGS: &str = "it makes programs write requests and keys into logs that others read";
const RUNS: &str = "it changes what programs run, whatever the code says";
const PROXY: &str = "the server itself decides how a run reaches the network";

/// Why a variable cannot be granted, as the end of a sentence; `None`: it can.
#[must_use]
pub fn refusal(name: &str) -> Option<&'static str> {
    if GIT_ALLOWED.contains(&name) {
        return None;
    }
    // Programs read a proxy's variable in either case.
    let upper = name.to_ascii_uppercase();
    let is_proxy = |known: &str, why: &str| why == PROXY && upper == known;
    let exact = NAMES.iter().find(|(known, why)| *known == name || is_proxy(known, why));
    let exact = exact.map(|(_, why)| *why).or((upper == "NO_PROXY").then_some(PROXY));
    exact.or_else(|| PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, why)| *why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_who_terraform_is_can_be_granted() {
        for name in [
            "AWS_PROFILE",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GITHUB_TOKEN",
            "TF_VAR_region",
            "TF_TOKEN_app_terraform_io",
            "GIT_SSH_COMMAND",
            "SSL_CERT_FILE",
            "ENVIRONMENT",
            "HOMEPAGE",
        ] {
            assert_eq!(refusal(name), None, "{name}");
        }
    }

    #[test]
    fn what_changes_the_meaning_of_steps_or_what_is_seen_of_them_cannot() {
        for name in [
            "HOME",
            "TF_CLI_ARGS",
            "TF_CLI_ARGS_apply",
            "TF_CLI_CONFIG_FILE",
            "TERRAFORM_CONFIG",
            "TF_DATA_DIR",
            "TF_REATTACH_PROVIDERS",
            "TF_LOG",
            "TF_LOG_PATH",
            "TF_LOG_PROVIDER",
            "TF_PLUGIN_CACHE_DIR",
            "TF_WORKSPACE",
            "TF_HTTP_ADDRESS",
            "LD_PRELOAD",
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_GLOBAL",
            "GIT_EXEC_PATH",
            "GIT_TRACE_CURL",
            "GIT_SSL_NO_VERIFY",
            "BASH_ENV",
            "HTTPS_PROXY",
            "https_proxy",
            "no_proxy",
            "NO_PROXY",
            "SSLKEYLOGFILE",
            "TERRAPLANE_GITHUB__TOKEN",
        ] {
            assert!(refusal(name).is_some(), "{name}");
        }
    }
}
