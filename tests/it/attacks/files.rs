//! Files of the server's and of other pull requests.

use super::attack::{Attack, module, python, shell};
use terraplane::sandbox::Level;

const WEAK: &[Level] = &[Level::Weak];

pub(super) const ATTACKS: &[Attack] = &[
    module(
        6,
        "a symbolic link to the server's key",
        &[
            shell("ln -s $SERVER/server.key link && cat link").says("key"),
            shell("ln -s / root && cat root$SERVER/server.key").says("key"),
            shell("cat ../server/server.key").says("key"),
        ],
    ),
    module(7, "a hard link to it", &[shell("ln $SERVER/server.key link && cat link").says("key")]),
    module(
        8,
        "a link to it that terraform reads as variables, and quotes in its error",
        &[shell("ln -s $SERVER/server.key x.auto.tfvars; terraform plan -no-color -input=false").says("key")],
    ),
    module(
        14,
        "writing to the server's files",
        &[
            shell("echo $WORD >> $SERVER/server.yaml").plants(),
            shell("echo $WORD > $SERVER/new").plants(),
            shell("mkdir $SERVER/$WORD").plants(),
            shell("ln -s ../server out && echo $WORD > out/new").plants(),
            shell("ln -s $WORD $SERVER/$WORD").plants(),
            shell("echo $WORD > word && mv word $SERVER/moved").plants(),
            // Not what is in them, but who may do what with them. At `weak`, runs of a server that is not root have its
            // user, and Landlock does not know these calls.
            python("os.chmod(E['SERVER'] + '/server.key', 0o640); print(E['WORD'])").open_unless_root(WEAK),
            python("os.symlink(E['SERVER'] + '/server.key', 'link'); os.chmod('link', 0o640); print(E['WORD'])")
                .open_unless_root(WEAK),
            python("os.chmod('server.key', 0o640, dir_fd=os.open(E['SERVER'], os.O_PATH)); print(E['WORD'])")
                .open_unless_root(WEAK),
            python("os.chmod('/proc/self/cwd/../server/server.key', 0o640); print(E['WORD'])").open_unless_root(WEAK),
            python("os.utime(E['SERVER'] + '/server.key', (1, 1)); print(E['WORD'])").open_unless_root(WEAK),
            python("os.setxattr(E['SERVER'] + '/server.key', 'user.x', b'x'); print(E['WORD'])")
                .not_bare("not every file system has them"),
        ],
    ),
    module(
        15,
        "poisoning the mirror of providers, which may be read",
        &[
            shell("cat $SERVER/mirror/provider && echo $WORD >> $SERVER/mirror/provider").plants(),
            shell("echo $WORD > x && mv -f x $SERVER/mirror/provider").plants(),
            shell("chmod 777 $SERVER/mirror; echo $WORD > $SERVER/mirror/new").plants(),
            python("os.fchmod(os.open(E['SERVER'] + '/mirror/provider', os.O_RDONLY), 0o640); print(E['WORD'])")
                .open_unless_root(WEAK),
            python("os.utime(os.open(E['SERVER'] + '/mirror/provider', os.O_RDONLY), (1, 1)); print(E['WORD'])")
                .open_unless_root(WEAK),
        ],
    ),
    module(
        16,
        "a hook or a setting for the git that the server runs later",
        &[
            shell("printf '#!/bin/sh\\n%s' $WORD > $SERVER/git/hooks/post-checkout").plants(),
            shell("printf '\\tfsmonitor = %s' $WORD >> $SERVER/git/config").plants(),
        ],
    ),
];

#[tokio::test]
async fn files_of_the_server_are_neither_read_nor_written() {
    super::trial::all(ATTACKS).await;
}
