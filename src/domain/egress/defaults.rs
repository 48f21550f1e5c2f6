//! What every cage may reach without being told, by phase.

use super::rule::Rule;

/// Where `init` finds providers and modules: the two registries and where their answers point to. Exact names only. Who may
/// write to one of these hosts can be sent data by what runs here, so the list is for `init` alone, which runs no code
/// of the pull request. Plan and apply reach what is listed, and nothing else.
const INIT: [&str; 8] = [
    "registry.terraform.io",
    "releases.hashicorp.com",
    "registry.opentofu.org",
    "github.com",
    // Source archives of modules.
    "codeload.github.com",
    // Where the files of a GitHub release are, the older and the newer host.
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
    // Files that a module's or provider's address names directly.
    "raw.githubusercontent.com",
];

/// The names that `init` may reach besides those that are listed.
///
/// They do not lead into a private network even if the resolver says so: for that, an operator lists the name.
#[must_use]
pub fn for_init() -> Vec<Rule> {
    INIT.iter().map(|name| Rule::exact(name.parse().expect("the names above are host names"), 443)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_reaches_the_registries_and_nobodys_bucket() {
        let rules = for_init();
        let reaches = |host: &str| rules.iter().any(|rule| rule.covers(&host.parse().unwrap(), 443));
        assert!(reaches("registry.terraform.io") && reaches("registry.opentofu.org") && reaches("github.com"));
        assert!(!reaches("bucket.s3.amazonaws.com") && !reaches("gist.github.com"));
        assert!(rules.iter().all(|rule| rule.is_exact() && !rule.is_raw()));
    }
}
