//! Secrets in environments, other processes, and what a job leaves behind.

use super::attack::{Attack, module, python, shell};

pub(super) const ATTACKS: &[Attack] = &[
    module(
        5,
        "the environment of the server's processes",
        &[shell("cat /proc/[0-9]*/environ").says("environ"), shell("ps axeww").says("environ")],
    ),
    module(
        13,
        "the server's files through /proc",
        &[
            shell("cat /proc/[0-9]*/cwd/server.key").says("key"),
            shell("cat /proc/[0-9]*/root$SERVER/server.key").says("key"),
            shell("cat /proc/self/root$SERVER/server.key").says("key"),
        ],
    ),
    module(
        29,
        "killing the server",
        &[
            shell("kill -9 $VICTIM").kills(),
            shell("kill -9 -1").kills().not_bare("it would kill everything that its user has"),
            python("os.kill(int(E['VICTIM']), 9)").kills(),
            // By a file descriptor, which no number stands in the way of.
            python("call(424, call(434, int(E['VICTIM']), 0), 9, 0, 0)").kills(),
        ],
    ),
    module(
        36,
        "daemons that stay when the job is over",
        &[
            shell("for i in 1 2 3 4 5; do setsid sleep $NAP >/dev/null 2>&1 & done").outlives(),
            shell("(setsid sh -c 'setsid sleep $NAP & sleep $NAP' &) >/dev/null 2>&1; sleep 0.05").outlives(),
            // With a crowd of dead children that nobody buries. It is there when its end of the pipe closes.
            python(
                "out, into = os.pipe()\n\
                 if os.fork() == 0:\n    os.setsid()\n    for i in range(50):\n        if os.fork() == 0: os._exit(0)\n    \
                 for fd in range(3): os.close(fd)\n    os.execv('/bin/sleep', ['sleep', E['NAP']])\n\
                 os.close(into); os.read(out, 1)",
            )
            .outlives(),
        ],
    ),
    module(
        37,
        "a job that does not hear that its time is over",
        &[
            shell("trap '' INT TERM HUP; setsid sleep $NAP >/dev/null 2>&1 & trap '' INT TERM HUP; sleep $NAP; sleep $NAP")
                .outlives()
                .for_ms(300),
        ],
    ),
];

#[tokio::test]
async fn other_processes_are_out_of_reach_and_its_own_end_with_it() {
    super::trial::all(ATTACKS).await;
}
