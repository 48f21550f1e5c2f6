//! System calls that lead out of a cage, or into parts of the kernel that have been the way out before.

use super::attack::{Attack, module, python, shell};

pub(super) const ATTACKS: &[Attack] = &[
    module(
        26,
        "namespaces and mounts of one's own",
        &[
            shell("unshare --user --map-root-user id -u && echo $WORD"),
            shell("unshare --user --map-root-user --mount mount -t tmpfs none $SCRATCH && echo $WORD"),
            // clone3, whose flags no filter can read.
            python("reach(435, ctypes.create_string_buffer((0x10000000).to_bytes(8, 'little') + bytes(80)), 0)"),
            python("call(56 if X86 else 220, 0x10000000 | 17, 0, 0, 0, 0) and print(E['WORD'])"),
            python("os.chroot('/'); print(E['WORD'])").root_only(),
            shell("nsenter --target $VICTIM --mount echo $WORD").root_only(),
        ],
    ),
    module(
        27,
        "the memory and the files of another process",
        &[
            python(
                "into = ctypes.create_string_buffer(64)\n\
                 pair = lambda address: (ctypes.c_size_t * 2)(address, 64)\n\
                 call(310 if X86 else 270, int(E['VICTIM']), pair(ctypes.addressof(into)), 1, pair(int(E['ADDRESS'])), 1, 0)\n\
                 print(into.raw)",
            )
            .says("environ"),
            python(
                "memory = open('/proc/' + E['VICTIM'] + '/mem', 'rb')\nmemory.seek(int(E['ADDRESS']))\nprint(memory.read(64))",
            )
            .says("environ"),
            python("call(101 if X86 else 117, 0x4206, int(E['VICTIM']), 0, 0); print(E['WORD'])"),
            python("call(438, call(434, int(E['VICTIM']), 0), 1, 0); print(E['WORD'])"),
            python("call(312 if X86 else 272, os.getpid(), int(E['VICTIM']), 2, 0, 0); print(E['WORD'])"),
        ],
    ),
    module(
        28,
        "opening files by handle, past every path",
        &[
            python(
                "buffer = ctypes.create_string_buffer((128).to_bytes(4, 'little') + bytes(132))\n\
                 number = ctypes.c_int()\n\
                 for path in (E['TREE'], '/dev/shm', '/run'):\n    \
                     try:\n        \
                         call(303 if X86 else 264, -100, path.encode(), buffer, ctypes.byref(number), 0)\n        \
                         call(304 if X86 else 265, os.open(path, 0), buffer, 0)\n        \
                         print(E['WORD'])\n    \
                     except OSError as e: print(path, e)",
            )
            .root_only(),
        ],
    ),
    module(
        30,
        "parts of the kernel that a job has no use for",
        &[
            python("reach(425, 0, 0)"),
            python("reach(323 if X86 else 282, 0)").not_bare("may be switched off for all").root_only(),
            python("reach(321 if X86 else 280, 0, 0, 0)").root_only(),
            python("reach(298 if X86 else 241, 0, 0, -1, -1, 0)"),
            python("reach(250 if X86 else 219, 0, -3, 0)"),
            python("reach(248 if X86 else 217, b'user', b'name', b'x', 1, -2)"),
            python("reach(300 if X86 else 262, 0, 0)").root_only(),
            // TIOCSTI types into the terminal of whoever started this.
            python("reach(16 if X86 else 29, 0, 0x5412, b'x')"),
            python("reach(135 if X86 else 92, 0x0400000)"),
            // Memory, messages and semaphores that outlive whoever made them. Removed where they could be made.
            python("s = call(29 if X86 else 194, 0, 4096, 0o1600); print(E['WORD']); libc.shmctl(s, 0, 0)"),
            python("s = call(68 if X86 else 186, 0, 0o1600); print(E['WORD']); libc.msgctl(s, 0, 0)"),
            python("s = call(64 if X86 else 190, 0, 1, 0o1600); print(E['WORD']); libc.semctl(s, 0, 0)"),
            python("call(240 if X86 else 180, WORD, 0o102, 0o600, 0); print(E['WORD']); call(241 if X86 else 181, WORD)"),
        ],
    ),
];

#[tokio::test]
async fn no_system_call_leads_out() {
    super::trial::all(ATTACKS).await;
}
