use super::*;
use crate::sandbox::log::LogWriter;
use crate::sandbox::redact::Redactor;
use std::path::Path;
use std::sync::{Arc, Mutex};

fn shell(script: &str) -> Spec {
    heard(Spec::new("/bin/sh", "/").args(["-c", script]))
}

fn heard(mut spec: Spec) -> Spec {
    spec.stdout = Sink::Buffer { max: 1000 };
    spec.stderr = Sink::Buffer { max: 1000 };
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spec
}

async fn said(spec: Spec) -> String {
    let outcome = run(spec).await.unwrap();
    assert_eq!(outcome.end, End::Exit(0));
    String::from_utf8(outcome.stdout.bytes).unwrap()
}

/// Waits until the process is gone, reaped or a zombie that somebody else has to reap.
async fn dies(pid: &str) {
    let stat = format!("/proc/{}/stat", pid.trim());
    for _ in 0..500 {
        match std::fs::read_to_string(&stat) {
            Ok(text) if !text.contains(") Z ") => tokio::time::sleep(Duration::from_millis(10)).await,
            _ => return,
        }
    }
    panic!("process {pid} is still alive");
}

/// The file's text once it has some.
async fn written(path: &Path) -> String {
    for _ in 0..500 {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("{} was never written", path.display());
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let mut spec = Spec::new("/usr/bin/env", "/");
    spec.env = vec![("LANG".into(), "C.UTF-8".into())];
    spec.secret_env = vec![("TOKEN".into(), "hunter22".into())];
    spec.stdout = Sink::Buffer { max: 1000 };
    assert_eq!(format!("{spec:?}").matches("hunter22").count(), 0);
    assert_eq!(said(spec).await, "LANG=C.UTF-8\nTOKEN=hunter22\n");
}

#[tokio::test]
async fn input_is_closed_or_what_was_given() {
    assert_eq!(said(shell("cat; echo end")).await, "end\n");
    let mut spec = shell("cat");
    let text = "x".repeat(900);
    spec.stdin = Stdin::Bytes(text.clone().into());
    assert_eq!(said(spec).await, text);
    let mut ignoring = shell("exec 0<&-; echo fine");
    ignoring.stdin = Stdin::Bytes(vec![b'x'; 1_000_000]);
    assert_eq!(said(ignoring).await, "fine\n");
}

#[tokio::test]
async fn a_process_is_asked_and_answers_in_turns() {
    let (questions, asked) = tokio::sync::mpsc::channel(1);
    let (answer, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let mut spec = shell("while read -r question; do echo \"re: $question\"; done; echo bye");
    spec.stdin = Stdin::Fed(asked);
    spec.stdout = Sink::Each(Box::new(move |chunk| answer.send(String::from_utf8_lossy(chunk).into_owned()).unwrap()));
    let running = tokio::spawn(run(spec));
    for question in ["one", "two"] {
        questions.send(format!("{question}\n").into()).await.unwrap();
        assert_eq!(answers.recv().await.unwrap(), format!("re: {question}\n"));
    }
    drop(questions);
    assert_eq!(answers.recv().await.unwrap(), "bye\n");
    assert!(running.await.unwrap().unwrap().end.success());
}

#[tokio::test]
async fn a_process_that_ends_is_over_although_more_could_be_asked() {
    let (_questions, asked) = tokio::sync::mpsc::channel(1);
    let mut spec = shell("exit 3");
    spec.stdin = Stdin::Fed(asked);
    let outcome = run(spec).await.unwrap();
    assert_eq!(outcome.end, End::Exit(3));
    assert!(outcome.elapsed < LAST_WORDS, "nobody waits for questions to come");
}

#[tokio::test]
async fn the_exit_code_and_a_foreign_signal_are_told_apart() {
    assert_eq!(run(shell("exit 7")).await.unwrap().end, End::Exit(7));
    assert_eq!(run(shell("kill -SEGV $$")).await.unwrap().end, End::Signal(11));
}

#[tokio::test]
async fn a_missing_program_is_an_error_that_names_it() {
    let error = run(Spec::new("/nowhere/terraform", "/")).await.unwrap_err();
    assert_eq!(error.to_string(), "`/nowhere/terraform` could not be started in `/`");
    assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_process_may_end_in_order_when_its_time_is_over() {
    // Tests that a script has started in the background ignore the interrupt, and a shell can't listen for that. The server
    // listens for it, so that its children never ignore it.
    let script = "trap 'echo stopping; exit 3' INT; echo started; while :; do sleep 0.05; done";
    let mut spec = heard(Spec::new("/usr/bin/env", "/").args(["--default-signal=INT", "/bin/sh", "-c", script]));
    spec.deadline = Duration::from_secs(1);
    let outcome = run(spec).await.unwrap();
    assert_eq!(outcome.end, End::TimedOut);
    assert_eq!(String::from_utf8(outcome.stdout.bytes).unwrap(), "started\nstopping\n");
}

#[tokio::test]
async fn a_tree_that_ignores_the_interrupt_is_killed_with_all_its_members() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let script = format!("trap '' INT TERM; (sleep 60 & echo $! ; wait) > {} & wait", pids.display());
    let mut spec = shell(&script);
    spec.deadline = Duration::from_secs(1);
    spec.grace = Duration::from_millis(100);
    let outcome = run(spec).await.unwrap();
    assert_eq!(outcome.end, End::TimedOut);
    assert!(outcome.elapsed < Duration::from_secs(5), "{:?}", outcome.elapsed);
    dies(&written(&pids).await).await;
}

#[tokio::test]
async fn cancelling_stops_it() {
    let spec = shell("exec sleep 60");
    let cancel = spec.cancel.clone();
    let running = tokio::spawn(run(spec));
    tokio::time::sleep(Duration::from_millis(50)).await;
    cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap().end, End::Cancelled);
}

#[tokio::test]
async fn what_was_cancelled_before_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let spec = shell(&format!("echo > {}/started", dir.path().display()));
    spec.cancel.cancel();
    assert_eq!(run(spec).await.unwrap().end, End::Cancelled);
    assert!(!dir.path().join("started").exists());
}

#[tokio::test]
async fn dropping_the_future_kills_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let running = tokio::spawn(run(shell(&format!("sleep 60 & echo $! > {}; wait", pids.display()))));
    let pid = written(&pids).await;
    running.abort();
    dies(&pid).await;
}

#[tokio::test]
async fn a_child_that_is_left_behind_with_the_pipe_is_killed_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let outcome = run(shell(&format!("sleep 60 & echo $! > {}; echo done", pids.display()))).await.unwrap();
    assert_eq!((outcome.end, outcome.stdout.bytes), (End::Exit(0), b"done\n".to_vec()));
    assert!(outcome.elapsed < Duration::from_secs(5), "{:?}", outcome.elapsed);
    dies(&written(&pids).await).await;
}

#[tokio::test]
async fn a_grandchild_in_a_session_of_its_own_that_holds_the_pipe_is_not_waited_for() {
    let outcome = run(shell("setsid sleep 8 & sleep 0.1; echo done")).await.unwrap();
    assert_eq!((outcome.end, outcome.stdout.bytes), (End::Exit(0), b"done\n".to_vec()));
    assert!(outcome.elapsed < Duration::from_secs(5), "{:?}", outcome.elapsed);
}

#[tokio::test]
async fn output_is_bounded_counted_and_read_to_its_end() {
    let mut spec = shell("head -c 3000000 /dev/zero; echo err >&2");
    spec.stdout = Sink::Buffer { max: 100 };
    let outcome = run(spec).await.unwrap();
    assert_eq!((outcome.end, outcome.stdout.bytes.len(), outcome.stdout.dropped), (End::Exit(0), 100, 2_999_900));
    assert_eq!(outcome.stderr.bytes, b"err\n");
}

#[tokio::test]
async fn output_into_a_file_is_private_bounded_and_follows_no_link() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (path, precious) = (dir.path().join("plan.json"), dir.path().join("precious"));
    std::fs::write(&precious, "kept").unwrap();
    std::os::unix::fs::symlink(&precious, &path).unwrap();
    let mut spec = shell("printf 0123456789");
    spec.stdout = Sink::File { path: path.clone(), max: 4 };
    let outcome = run(spec).await.unwrap();
    assert_eq!((outcome.stdout.dropped, outcome.stdout.failure.is_none()), (6, true));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "0123");
    assert_eq!(std::fs::symlink_metadata(&path).unwrap().mode(), 0o100_600);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "kept");
}

#[tokio::test]
async fn the_log_and_the_tail_for_a_message_are_masked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = LogWriter::open(&path, Redactor::new([&"hunter22".into()]), 10_000).unwrap();
    let mut spec = shell("printf 'password hunt'; sleep 0.1; echo 'er22 given'; echo oops hunter22 >&2");
    spec.stdout = Sink::Log { log: log.clone(), tail: 10 };
    spec.stderr = Sink::Log { log, tail: 100 };
    let outcome = run(spec).await.unwrap();
    assert_eq!(outcome.stdout.bytes, b"*** given\n");
    assert_eq!(outcome.stderr.bytes, b"oops ***\n");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["oops ***", "password *** given"]);
}

#[tokio::test]
async fn each_chunk_is_seen_in_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut spec = shell("for i in 1 2 3; do echo $i; done");
    let sink = Arc::clone(&seen);
    spec.stdout = Sink::Each(Box::new(move |chunk| sink.lock().unwrap().extend_from_slice(chunk)));
    run(spec).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), b"1\n2\n3\n");
}

#[tokio::test]
async fn arguments_are_not_read_by_a_shell() {
    let mut spec = Spec::new("/bin/echo", "/").args(["$HOME", "`id`", "; rm x"]);
    spec.stdout = Sink::Buffer { max: 100 };
    assert_eq!(said(spec).await, "$HOME `id` ; rm x\n");
}

#[test]
fn a_program_is_found_by_name_or_by_path() {
    let find = |name: &str, path: &str| find_program(Path::new(name), OsStr::new(path));
    assert_eq!(find("sh", "/nowhere:relative:/bin"), Some("/bin/sh".into()));
    assert_eq!(find("/bin/sh", ""), Some("/bin/sh".into()));
    assert_eq!(find("sh", "/nowhere"), None);
    assert_eq!(find("passwd", "/etc"), None);
}
