//! Which addresses a name may lead to. A name is judged by what it resolves to, for whoever owns a name decides where it
//! points: to the server's own loopback, to the database beside it, to the cloud's metadata service.
//!
//! Sources: the registries of special-purpose addresses (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>), and the clouds' own pages for their metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who may be led to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Every listed name.
    Public,
    /// A name that was listed itself, not by a wildcard and not by the server's defaults. With the kind of the address.
    Named(&'static str),
    /// No name. With the kind of the address.
    Never(&'static str),
}

use Reach::{Named, Never};

const METADATA: Reach = Never("the address of a cloud's metadata service");
const PRIVATE: Reach = Named("a private address");
const DOCUMENTATION: Reach = Named("an address from a documentation range");
const BENCHMARK: Reach = Named("an address from a benchmarking range");
const SPECIAL: Reach = Named("an address for a special purpose");
const MULTICAST: Reach = Never("a multicast address");
const LINK_LOCAL: Reach = Never("a link-local address");
const RESERVED: Reach = Never("a reserved address");
const EMBEDDED: Reach = Named("an IPv4 address inside an IPv6 address");

/// The first that matches decides: a network address, the length of its prefix, what it is.
const IPV4: [(Ipv4Addr, u32, Reach); 22] = [
    (Ipv4Addr::new(169, 254, 169, 254), 32, METADATA),
    (Ipv4Addr::new(100, 100, 100, 200), 32, METADATA), // Alibaba
    (Ipv4Addr::new(192, 0, 0, 192), 32, METADATA),     // Oracle
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),   // Azure, in the midst of public ones
    (Ipv4Addr::new(0, 0, 0, 0), 8, Never("an address of this host only")),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Named("a loopback address")),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Named("an address behind a carrier's NAT")),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(192, 0, 0, 0), 24, SPECIAL),
    (Ipv4Addr::new(192, 0, 2, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(198, 51, 100, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(203, 0, 113, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(192, 88, 99, 0), 24, SPECIAL), // relays of 6to4
    (Ipv4Addr::new(192, 31, 196, 0), 24, SPECIAL),
    (Ipv4Addr::new(192, 52, 193, 0), 24, SPECIAL),
    (Ipv4Addr::new(192, 175, 48, 0), 24, SPECIAL),
    (Ipv4Addr::new(198, 18, 0, 0), 15, BENCHMARK),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED), // and broadcast
];

const IPV6: [(Ipv6Addr, u32, Reach); 18] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, METADATA), // AWS
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, METADATA),  // Google
    (Ipv6Addr::UNSPECIFIED, 128, Never("an address of this host only")),
    (Ipv6Addr::LOCALHOST, 128, Named("a loopback address")),
    // Translates to an IPv4 address that stands at a place which only the network's owner knows.
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Never("an address of a local IPv4 translator")),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, Never("a Teredo address")),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, BENCHMARK),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, SPECIAL),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, DOCUMENTATION),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, DOCUMENTATION),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, SPECIAL),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, PRIVATE),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, PRIVATE), // site-local, of old
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
    // What is public is all in here.
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Reach::Public),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, SPECIAL), // discarded
    (Ipv6Addr::UNSPECIFIED, 0, RESERVED),
];

/// IPv6 networks whose addresses stand for an IPv4 address, and where in the address its lowest bit is.
const TRANSLATED: [(Ipv6Addr, u32, u32); 5] = [
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 0),    // mapped
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, 0),         // compatible
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, 0),    // translated (SIIT)
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 0), // NAT64
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 80),   // 6to4
];

/// Who may be led to this address.
pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let within = |network: &Ipv4Addr, length: u32| (address.to_bits() ^ network.to_bits()) >> (32 - length) == 0;
    let found = IPV4.iter().find(|(network, length, _)| within(network, *length));
    found.map_or(Reach::Public, |(_, _, reach)| *reach)
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let within = |network: &Ipv6Addr, length: u32| {
        (address.to_bits() ^ network.to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
    };
    let own =
        IPV6.iter().find(|(network, length, _)| within(network, *length)).map_or(RESERVED, |(_, _, reach)| *reach);
    // `::` and `::1` look like compatible addresses, and are what they are.
    if address.is_loopback() || address.is_unspecified() {
        return own;
    }
    let translated = TRANSLATED.iter().find(|(network, length, _)| within(network, *length));
    let Some((_, _, lowest)) = translated else { return own };
    let embedded = u32::try_from(address.to_bits() >> lowest & u128::from(u32::MAX)).unwrap_or_default();
    match reach_v4(Ipv4Addr::from_bits(embedded)) {
        never @ Never(_) => never,
        Reach::Public | Named(_) => EMBEDDED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P public, N with its own name, X never.
    fn class(text: &str) -> char {
        match reach(text.parse().unwrap()) {
            Reach::Public => 'P',
            Named(_) => 'N',
            Never(_) => 'X',
        }
    }

    fn assert_class(wanted: char, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(class(address), wanted, "{address}: {:?}", reach(address.parse().unwrap()));
        }
    }

    #[test]
    fn public_addresses_are_for_every_listed_name() {
        assert_class(
            'P',
            &[
                "1.1.1.1",
                "8.8.8.8",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.1",
                "140.82.121.3",
                "168.63.129.17",
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.167.255.255",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "2606:4700::1111",
                "2a00:1450:4001::1",
                "2001:200::1",
                "2001:4860:4860::8888",
                "2003::1",
                "3ffe::1",
            ],
        );
    }

    #[test]
    fn private_addresses_take_a_name_of_their_own_at_both_ends_of_every_range() {
        assert_class(
            'N',
            &[
                "10.0.0.0",
                "10.255.255.255",
                "127.0.0.1",
                "127.255.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "192.0.0.1",
                "192.0.2.255",
                "198.51.100.1",
                "203.0.113.1",
                "192.88.99.1",
                "198.18.0.0",
                "198.19.255.255",
                "::1",
                "fc00::1",
                "fdff:ffff::1",
                "fec0::1",
                "2001:db8::1",
                "3fff::1",
                "3fff:fff::1",
                "2001:2::1",
                "2001:10::1",
                "2001:1ff::1",
                "100::1",
            ],
        );
    }

    #[test]
    fn link_local_and_metadata_addresses_are_for_nobody() {
        assert_class(
            'X',
            &[
                "0.0.0.0",
                "0.255.255.255",
                "169.254.0.0",
                "169.254.169.254",
                "169.254.170.2",
                "169.254.255.255",
                "100.100.100.200",
                "192.0.0.192",
                "168.63.129.16",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                "::",
                "fe80::1",
                "febf::1",
                "ff02::1",
                "fd00:ec2::254",
                "fd20:ce::254",
                "64:ff9b:1::7f00:1",
                "2001::1",
                "4000::1",
                "8000::1",
                "200::1",
                "64:ff9c::1",
                "5f00::1",
            ],
        );
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_address_is_at_most_what_it_is_alone() {
        assert_class('N', &["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8"]);
        assert_class(
            'N',
            &["::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "2002:7f00:1::", "2002:808:808::1"],
        );
        assert_class(
            'X',
            &["::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", "::ffff:0.0.0.0"],
        );
        assert_class('X', &["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "2002:a9fe:a9fe:1::1", "64:ff9b::", "::0.0.0.2"]);
    }
}
