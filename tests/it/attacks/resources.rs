//! Using up the machine. Every bomb is bounded by itself: it wants more than the cage's limits allow and less than would
//! hurt, so that it can be let off bare as well.

use super::attack::{Attack, module, python};
use terraplane::sandbox::policy::Limits;

const MIB: u64 = 1 << 20;

const fn few_processes(limits: Limits) -> Limits {
    Limits { processes: 50, ..limits }
}

const fn little_memory(limits: Limits) -> Limits {
    Limits { memory: 128 * MIB, ..limits }
}

const fn small_disk(limits: Limits) -> Limits {
    Limits { disk: 16 * MIB, ..limits }
}

const fn small_files(limits: Limits) -> Limits {
    Limits { file_size: MIB, ..limits }
}

pub(super) const ATTACKS: &[Attack] = &[
    module(
        31,
        "a fork bomb",
        &[
            // Where runs have no user of their own this is seen a moment later, and then the job is at its end.
            python(
                "import signal\nfor i in range(150):\n    if os.fork() == 0: signal.pause()\n\
                 time.sleep(float(E['LINGER'])); print(E['WORD'])",
            )
            .within(few_processes),
            python(
                "import threading\nfor i in range(150): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n\
                 time.sleep(float(E['LINGER'])); print(E['WORD'])",
            )
            .within(few_processes),
        ],
    ),
    module(
        32,
        "a memory bomb",
        &[
            python("held = b'x' * (200 << 20); time.sleep(float(E['LINGER'])); print(E['WORD'])").within(little_memory),
            // Each process has little.
            python(
                "import signal\n\
                 children = []\n\
                 for i in range(4):\n    \
                     out, into = os.pipe()\n    \
                     if os.fork() == 0:\n        \
                         held = b'x' * (60 << 20); os.write(into, b'.'); signal.pause()\n    \
                     children.append(out); os.close(into)\n\
                 if all(os.read(out, 1) for out in children):\n    \
                     time.sleep(float(E['LINGER']))\n    \
                     if os.waitpid(-1, os.WNOHANG) == (0, 0): print(E['WORD'])",
            )
            .within(little_memory),
            // Files in memory, which are no process' own.
            python(
                "held = [os.memfd_create('x') for i in range(5)]\n\
                 for file in held: os.write(file, b'x' * (40 << 20))\n\
                 time.sleep(float(E['LINGER'])); print(E['WORD'])",
            )
            .within(little_memory),
        ],
    ),
    module(
        33,
        "HCL that doubles itself again and again",
        &[
            // 32 MiB of text, and copies of it: more than 200 MiB of memory in all.
            python(
                "code = 'locals {\\n  v0 = \"' + 1024 * 'x' + '\"\\n'\n\
                 for i in range(15): code += '  v%d = \"${local.v%d}${local.v%d}\"\\n' % (i + 1, i, i)\n\
                 open('main.tf', 'w').write(code + '}\\noutput \"n\" {\\n  value = length(local.v15)\\n}\\n')\n\
                 if os.system('terraform plan -input=false -no-color') == 0: print(E['WORD'])",
            )
            .within(little_memory)
            .for_ms(120_000),
        ],
    ),
    module(
        34,
        "filling the disk",
        &[
            // Below `full` this is seen a moment later, and then the job is at its end: it may have written more by then.
            python("for i in range(60):\n    open('f%d' % i, 'wb').write(bytes(1 << 20))\ntime.sleep(float(E['LINGER'])); print(E['WORD'])")
                .within(small_disk),
            python("open(E['SCRATCH'] + '/big', 'wb').write(bytes(50 << 20)); time.sleep(float(E['LINGER'])); print(E['WORD'])").within(small_disk),
            python("open('big', 'wb').write(bytes(2 << 20)); print(E['WORD'])").within(small_files),
            // Without writing anything.
            python("file = os.open('big', os.O_CREAT | os.O_RDWR); call(285 if X86 else 47, file, 0, 0, 200 << 20); print(E['WORD'])")
                .within(small_disk),
        ],
    ),
    module(
        35,
        "filling the disk with files that hold nothing",
        &[
            python(
                "for i in range(6000):\n    os.close(os.open('f%d' % i, os.O_CREAT | os.O_WRONLY))\n\
                 time.sleep(float(E['LINGER'])); print(E['WORD'])",
            )
            .within(small_disk),
            python(
                "os.mkdir('d')\nfor i in range(6000):\n    os.symlink('x', 'd/%d' % i)\ntime.sleep(float(E['LINGER'])); print(E['WORD'])",
            )
            .within(small_disk),
        ],
    ),
];

#[tokio::test]
async fn a_job_takes_no_more_than_it_may() {
    super::trial::all(ATTACKS).await;
}
