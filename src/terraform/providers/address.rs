//! The address of a provider: which registry has it, and under which name there. It becomes a path of the mirror, and
//! comes from code that a pull request's author wrote: whatever is not plainly a name is no address.

use crate::terraform::install::Product;
use std::fmt;
use std::path::PathBuf;

/// `HOST/NAMESPACE/NAME`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Provider {
    host: String,
    namespace: String,
    name: String,
}

impl Provider {
    /// Reads an address as `source` has it; without a host it is in the tool's own registry, without a namespace in
    /// `hashicorp`. `None`: it is none.
    pub(super) fn parse(source: &str, product: Product) -> Option<Self> {
        let source = source.to_ascii_lowercase();
        let mut parts = source.rsplit('/');
        let name = parts.next()?;
        let namespace = parts.next().unwrap_or("hashicorp");
        let host = parts.next().unwrap_or(registry(product));
        let host = host.strip_suffix(":443").unwrap_or(host);
        let sound = is_host(host) && is_name(namespace) && is_name(name) && parts.next().is_none();
        sound.then(|| Self { host: host.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The provider that a name means if no `required_providers` says otherwise.
    pub(super) fn implied(name: &str, product: Product) -> Option<Self> {
        let source = if name == "terraform" { "terraform.io/builtin/terraform" } else { name };
        Self::parse(source, product)
    }

    /// Whether it is a part of the tool itself.
    pub(super) fn is_builtin(&self) -> bool {
        self.host == "terraform.io" && self.namespace == "builtin"
    }

    /// The same provider in Terraform's registry, if this one is in OpenTofu's: lock files are taken over from there.
    pub(super) fn in_terraforms_registry(&self) -> Option<Self> {
        let ours = self.host == registry(Product::OpenTofu);
        ours.then(|| Self { host: registry(Product::Terraform).to_owned(), ..self.clone() })
    }

    /// The registry.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is in a mirror.
    pub(super) fn dir(&self) -> PathBuf {
        [&self.host, &self.namespace, &self.name].iter().collect()
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.host, self.namespace, self.name)
    }
}

const fn registry(product: Product) -> &'static str {
    match product {
        Product::Terraform => "registry.terraform.io",
        Product::OpenTofu => "registry.opentofu.org",
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "1"));
    name.split('.').all(is_name) && text.len() <= 255 && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.len() <= 100 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed_as_the_tool_does() {
        let of = |source, product| Provider::parse(source, product).unwrap().to_string();
        for (source, terraform, tofu) in [
            ("aws", "registry.terraform.io/hashicorp/aws", "registry.opentofu.org/hashicorp/aws"),
            ("Acme/Fake", "registry.terraform.io/acme/fake", "registry.opentofu.org/acme/fake"),
            ("example.com:8443/acme/a-b_c", "example.com:8443/acme/a-b_c", "example.com:8443/acme/a-b_c"),
            ("example.com:443/acme/fake", "example.com/acme/fake", "example.com/acme/fake"),
        ] {
            assert_eq!(of(source, Product::Terraform), terraform);
            assert_eq!(of(source, Product::OpenTofu), tofu);
        }
        assert!(Provider::implied("terraform", Product::OpenTofu).unwrap().is_builtin());
        assert!(!Provider::implied("aws", Product::OpenTofu).unwrap().is_builtin());
    }

    #[test]
    fn nothing_that_could_lead_out_of_the_mirror_is_an_address() {
        let sources = [
            "",
            "a/",
            "../b/c",
            "a/../c",
            "./a/b",
            "a.com/b/..",
            "a..b/c/d",
            "a/b/c/d",
            "h:0/a/b",
            "h:x/a/b",
            "a/b c",
            "-/aws",
        ];
        for source in sources {
            assert_eq!(Provider::parse(source, Product::Terraform), None, "{source}");
        }
    }
}
