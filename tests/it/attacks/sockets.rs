//! Sockets of the host: databases, container engines and message buses listen on them and trust whoever is there.

use super::attack::{Attack, Way, module, python};
use terraplane::sandbox::Level;
use terraplane::sandbox::policy::Network;

const WEAK: &[Level] = &[Level::Weak];

pub(super) const ATTACKS: &[Attack] = &[
    module(
        17,
        "a unix socket with a path, such as a container engine's",
        &[
            // What `weak` is labelled for: this version of Landlock knows no sockets by path.
            python("s = socket.socket(socket.AF_UNIX); s.connect(E['SERVER'] + '/sock'); s.sendall(WORD)")
                .tells()
                .open_at(WEAK),
            python(
                "os.symlink(E['SERVER'] + '/sock', E['TREE'] + '/link')\n\
                 s = socket.socket(socket.AF_UNIX); s.connect(E['TREE'] + '/link'); s.sendall(WORD)",
            )
            .tells()
            .open_at(WEAK),
            // Exchanged while it is looked at.
            python(
                "import threading\n\
                 path = E['TREE'] + '/swap'\n\
                 mine = socket.socket(socket.AF_UNIX); mine.bind(E['TREE'] + '/mine'); mine.listen(1000)\n\
                 def swap():\n    \
                     while True:\n        \
                         for to in ('mine', E['SERVER'] + '/sock'):\n            \
                             os.symlink(to, path + '.new'); os.rename(path + '.new', path)\n\
                 threading.Thread(target=swap, daemon=True).start()\n\
                 end = time.monotonic() + 0.4\n\
                 while time.monotonic() < end:\n    \
                     s = socket.socket(socket.AF_UNIX); s.setblocking(False)\n    \
                     try: s.connect(path); s.sendall(WORD)\n    \
                     except OSError: pass",
            )
            .tells()
            .open_at(WEAK),
        ],
    ),
    module(
        18,
        "an abstract unix socket, which no view of the files hides",
        &[
            python("s = socket.socket(socket.AF_UNIX); s.connect('\\0' + E['ABSTRACT']); s.sendall(WORD)").tells(),
            // With the host's network, the namespace does not help.
            Way {
                network: Network::Host,
                ..python("s = socket.socket(socket.AF_UNIX); s.connect('\\0' + E['ABSTRACT']); s.sendall(WORD)").tells()
            },
        ],
    ),
    module(
        53,
        "datagrams to a unix socket, for which nothing is connected",
        &[
            python("socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(WORD, E['SERVER'] + '/sock.dgram')")
                .tells(),
            python(
                "one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                 one.sendto(WORD, E['SERVER'] + '/sock.dgram')",
            )
            .tells(),
            python(
                "one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                 one.sendmsg([WORD], [], 0, E['SERVER'] + '/sock.dgram')",
            )
            .tells(),
            // As old programs ask for datagrams.
            python("socket.socket(socket.AF_UNIX, socket.SOCK_RAW).sendto(WORD, E['SERVER'] + '/sock.dgram')").tells(),
        ],
    ),
];

#[tokio::test]
async fn no_unix_socket_of_the_host_is_reached() {
    super::trial::all(ATTACKS).await;
}
