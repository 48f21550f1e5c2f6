//! The dependency lock file, `.terraform.lock.hcl`: which version of each provider was chosen, and which packages may
//! be taken for it.
//!
//! A package is known by `h1:` (its content, see [`super::package`]) or by `zh:` (the SHA-256 of its zip). Terraform
//! knows the zips of all platforms from the registry, but the contents only of those that somebody has installed. With
//! the content of an unpacked mirror alone it can't compare a zip, so a lock file that was made on another platform
//! would be refused, although we have compared the zip. Therefore the `h1:` of a package whose zip is right is added to
//! the lock file in the work tree, as `init` itself would have done after it had fetched the zip.

use super::address::Provider;
use crate::terraform::install::Product;
use hcl_edit::Decorate as _;
use hcl_edit::expr::Expression;
use hcl_edit::parser::parse_body;
use hcl_edit::structure::{Block, Body};
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const LOCK_FILE: &str = ".terraform.lock.hcl";

#[derive(Debug, Default)]
pub(super) struct LockFile {
    entries: BTreeMap<Provider, Locked>,
}

/// A provider's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locked {
    pub(super) version: Version,
    /// `h1:…` and `zh:…`; empty where any package of this version will do.
    pub(super) hashes: BTreeSet<String>,
}

/// The lock file is not as Terraform writes it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("The lock file `{LOCK_FILE}` cannot be read: {0}.")]
pub(super) struct BadLockFile(String);

impl BadLockFile {
    pub(super) fn no_plain_file() -> Self {
        Self("it is no regular file, or too large".to_owned())
    }
}

impl LockFile {
    pub(super) fn parse(text: &str) -> Result<Self, BadLockFile> {
        let mut entries = BTreeMap::new();
        for block in body(text)?.get_blocks("provider") {
            let address = address(block);
            let bad = |why: &str| BadLockFile(format!("its entry for `{}` {why}", address.unwrap_or_default()));
            let provider = address.and_then(|address| Provider::parse(address, Product::Terraform));
            let provider = provider.ok_or_else(|| bad("is for no provider"))?;
            let version = block.body.get_attribute("version").and_then(|version| version.value.as_str());
            let version =
                version.and_then(|version| Version::parse(version).ok()).ok_or_else(|| bad("has no version"))?;
            let hashes = block.body.get_attribute("hashes").and_then(|hashes| hashes.value.as_array());
            let hashes = hashes.into_iter().flat_map(|hashes| hashes.iter()).filter_map(Expression::as_str);
            let known = |hash: &&str| hash.starts_with("h1:") || hash.starts_with("zh:");
            let hashes = hashes.filter(known).map(str::to_owned).collect();
            if entries.insert(provider, Locked { version, hashes }).is_some() {
                return Err(bad("is there twice"));
            }
        }
        Ok(Self { entries })
    }

    /// The entry that holds for a provider. OpenTofu takes the version, and no hashes, over from the entry of the same
    /// provider in Terraform's registry.
    pub(super) fn entry(&self, provider: &Provider, product: Product) -> Option<Locked> {
        let taken_over = || {
            let theirs = provider.in_terraforms_registry().filter(|_| product == Product::OpenTofu)?;
            let Locked { version, .. } = self.entries.get(&theirs)?.clone();
            Some(Locked { version, hashes: BTreeSet::new() })
        };
        self.entries.get(provider).cloned().or_else(taken_over)
    }
}

impl Locked {
    /// Whether a package with these hashes may be taken.
    pub(super) fn allows(&self, h1: &str, zh: &str) -> bool {
        self.hashes.is_empty() || self.hashes.contains(h1) || self.hashes.contains(zh)
    }

    /// Whether Terraform would refuse the package in spite of its right zip.
    pub(super) fn wants_content(&self, h1: &str) -> bool {
        !self.hashes.is_empty() && !self.hashes.contains(h1)
    }
}

/// The text of a lock file with one more hash for some of its providers.
pub(super) fn with_hashes(text: &str, more: &BTreeMap<Provider, String>) -> Result<String, BadLockFile> {
    let mut body = body(text)?;
    for block in body.get_blocks_mut("provider") {
        let provider = address(block).and_then(|address| Provider::parse(address, Product::Terraform));
        let Some(hash) = provider.and_then(|provider| more.get(&provider)) else { continue };
        let hashes = block.body.get_attribute_mut("hashes");
        if let Some(mut hashes) = hashes
            && let Some(array) = hashes.value_mut().as_array_mut()
        {
            array.insert(0, Expression::from(hash.as_str()).decorated(("\n    ", "")));
        }
    }
    Ok(body.to_string())
}

fn body(text: &str) -> Result<Body, BadLockFile> {
    parse_body(text).map_err(|error| BadLockFile(format!("line {} is not as it should be", error.location().line())))
}

fn address(block: &Block) -> Option<&str> {
    block.labels.first().map(|label| label.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"# This file is maintained automatically by "terraform init".

provider "registry.terraform.io/acme/fake" {
  version     = "1.0.0"
  constraints = "~> 1.0"
  hashes = [
    "h1:on another platform",
    "zh:aaaa",
    "zh:bbbb",
  ]
}

provider "example.com/acme/bare" {
  version = "2.0.0-beta1"
}
"#;

    fn provider(source: &str) -> Provider {
        Provider::parse(source, Product::Terraform).unwrap()
    }

    #[test]
    fn versions_and_hashes_are_read() {
        let lock = LockFile::parse(LOCK).unwrap();
        let fake = lock.entry(&provider("acme/fake"), Product::Terraform).unwrap();
        assert_eq!(fake.version, Version::new(1, 0, 0));
        assert!(fake.allows("h1:on another platform", "zh:none"));
        assert!(fake.allows("h1:here", "zh:bbbb"));
        assert!(!fake.allows("h1:here", "zh:cccc"));
        assert!(fake.wants_content("h1:here"));
        let bare = lock.entry(&provider("example.com/acme/bare"), Product::Terraform).unwrap();
        assert!(bare.allows("h1:any", "zh:any") && !bare.wants_content("h1:any"));
        assert_eq!(lock.entry(&provider("acme/other"), Product::Terraform), None);
        assert!(LockFile::parse("").unwrap().entries.is_empty());
    }

    #[test]
    fn opentofu_takes_the_version_and_not_the_hashes_over_from_terraforms_registry() {
        let lock = LockFile::parse(LOCK).unwrap();
        let fake = Provider::parse("acme/fake", Product::OpenTofu).unwrap();
        let locked = lock.entry(&fake, Product::OpenTofu).unwrap();
        assert_eq!(locked, Locked { version: Version::new(1, 0, 0), hashes: BTreeSet::new() });
        assert_eq!(lock.entry(&fake, Product::Terraform), None);
    }

    #[test]
    fn a_hash_is_added_and_the_rest_stays_as_it_is() {
        let more = BTreeMap::from([(provider("acme/fake"), "h1:here=".to_owned())]);
        let text = with_hashes(LOCK, &more).unwrap();
        assert_eq!(text, LOCK.replace("  hashes = [\n", "  hashes = [\n    \"h1:here=\",\n"));
    }

    #[test]
    fn a_lock_file_that_is_none_is_told_as_such() {
        for (text, said) in [
            ("provider \"a\" {", "line 1"),
            ("provider \"acme/fake\" {\n}\n", "its entry for `acme/fake` has no version"),
            ("provider \"../../x\" {\n  version = \"1.0.0\"\n}\n", "is for no provider"),
        ] {
            let error = LockFile::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
