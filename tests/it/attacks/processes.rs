//! Secrets in environments, other processes, and what a job leaves behind.

use super::attack::{Attack, module, python, shell};

const BLINDING: &str = "import resource, signal, subprocess\n\
    signal.signal(signal.SIGINT, signal.SIG_IGN)\n\
    subprocess.Popen(['sleep', E['NAP']], start_new_session=True)\n\
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU):\n    \
        try: resource.prlimit(os.getppid(), limit, (0, 0))\n    \
        except OSError as e: print(e)\n\
    time.sleep(3000)";

const STOPPING: &str = "import signal, subprocess\n\
    signal.signal(signal.SIGINT, signal.SIG_IGN)\n\
    subprocess.Popen(['sleep', E['NAP']], start_new_session=True)\n\
    try: os.kill(os.getppid(), signal.SIGSTOP)\n\
    except OSError as e: print(e)\n\
    time.sleep(3000)";

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
            // Or by taking from it what it lives on.
            python("import resource; resource.prlimit(int(E['VICTIM']), resource.RLIMIT_CPU, (0, 0)); print(E['WORD'])"),
            python("import resource; resource.prlimit(int(E['VICTIM']), resource.RLIMIT_NOFILE, (3, 3)); print(E['WORD'])"),
            python("os.setpriority(os.PRIO_PROCESS, int(E['VICTIM']), 19); print(E['WORD'])"),
            python("os.setpriority(os.PRIO_USER, 0, 19); print(E['WORD'])").not_bare("it would slow down all that its user has"),
            python("os.sched_setaffinity(int(E['VICTIM']), {min(os.sched_getaffinity(0))}); print(E['WORD'])"),
            python("os.sched_setscheduler(int(E['VICTIM']), os.SCHED_IDLE, os.sched_param(0)); print(E['WORD'])"),
            python("call(251 if X86 else 30, 1, int(E['VICTIM']), (3 << 13)); print(E['WORD'])"),
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
            // One that makes blind, or stops, who is to end it.
            python(BLINDING).outlives().for_ms(300).not_bare("who started it is this test"),
            python(STOPPING).outlives().for_ms(300).not_bare("who started it is this test"),
        ],
    ),
];

#[tokio::test]
async fn other_processes_are_out_of_reach_and_its_own_end_with_it() {
    super::trial::all(ATTACKS).await;
}
