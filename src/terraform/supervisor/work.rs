//! The supervisor's side: one apply, from its order to its last word.

use super::SUPERVISE;
use super::order::{Ending, Order, Verdict};
use super::place::Place;
use crate::domain::run::StateMark;
use crate::sandbox::egress::{Egress, Outside};
use crate::sandbox::handover::Handed;
use crate::sandbox::log::LogWriter;
use crate::sandbox::{Cage, Sandbox, Slot};
use crate::terraform::failure::StepFailure;
use crate::terraform::plan_file;
use crate::terraform::plan_state::{Moves, PlanState};
use crate::terraform::steps::Steps;
use serde::Deserialize;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The lock of the place and, for a root server, that of the user.
const FILES: usize = 2;

/// What terraform leaves in its directory when it can't bring the state to its backend.
const ERRORED_STATE: &str = "errored.tfstate";

/// How often, and for how long, it is tried to write down how it ended: a disk may be full, or read-only.
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 24 * 60 * 60;

#[derive(Deserialize)]
struct Received {
    place: PathBuf,
    order: Order,
}

/// To be called first in `main`, before there are threads: if this process was started as a supervisor it does its work
/// and ends here; `None` if not.
#[must_use]
pub fn entered() -> Option<ExitCode> {
    (std::env::args_os().nth(1)? == OsStr::new(SUPERVISE)).then(|| match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads more of it: what is not written down did not happen.
        Err(_) => ExitCode::FAILURE,
    })
}

fn supervise() -> io::Result<()> {
    let handed = Handed::<Received>::take(FILES)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let _deaf = deaf()?;
        let place = Place::at(handed.order.place.clone());
        let listener = place.listen()?;
        place.note_begun()?;
        let (Received { order, .. }, files) = handed.accept();
        let mut files = files.into_iter();
        // Held until this process is gone.
        let _lock = files.next();
        let slot = Slot::handed(order.user, files.next());
        let cancel = CancellationToken::new();
        tokio::spawn(listen(listener, cancel.clone()));
        let ending = carry_out(order, &slot, &place, cancel).await;
        patiently(|| place.write_ending(&ending)).await
    })
}

/// Writes what must not be lost, however long the disk refuses.
async fn patiently(write: impl Fn() -> io::Result<()>) -> io::Result<()> {
    for _ in 0..TRIES {
        if write().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
    write()
}

/// Signals that concern the server, and reach its whole service, do not end an apply in the middle.
fn deaf() -> io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?])
}

/// Whoever calls may say that it shall stop. The calls are held to the end: that they close tells that it has come.
async fn listen(listener: UnixListener, cancel: CancellationToken) {
    let mut calls = Vec::new();
    while let Ok((mut call, _)) = listener.accept().await {
        let cancel = cancel.clone();
        calls.push(tokio::spawn(async move {
            if matches!(call.read(&mut [0]).await, Ok(1)) {
                cancel.cancel();
            }
            // A caller that hangs up is gone; one that waits is told by the end of this process.
            let _ = call.read(&mut [0]).await;
        }));
        calls.retain(|call| !call.is_finished());
    }
}

async fn carry_out(mut order: Order, slot: &Slot, place: &Place, cancel: CancellationToken) -> Ending {
    let not_built = |why: String| Ending { verdict: Verdict::NotBuilt(why), blocked: vec![], errored_state: false };
    let log = match order.open_log() {
        Ok(log) => log,
        Err(error) => return not_built(format!("the log can't be written: {error}")),
    };
    let upstream = order.take_upstream();
    let (rules, plan, planned) = (order.rules.take(), order.plan.clone(), order.planned.clone());
    let moves = std::mem::take(&mut order.moves);
    let (sandbox, policy) = (Sandbox::on(order.foundation.clone()), order.policy.clone());
    let steps = match order.into_steps(log.clone(), cancel) {
        Ok(steps) => steps,
        Err(error) => return not_built(format!("the order can't be read: {error}")),
    };
    let mut cage = match sandbox.open_in(policy, slot).await {
        Ok(cage) => cage,
        Err(error) => {
            // The log is for people too; what failed within the sandbox may name paths of the server.
            return not_built(error.to_string());
        }
    };
    let egress = match Egress::of(&mut cage, rules, Outside { upstream, ..Outside::default() }) {
        Ok(egress) => egress,
        Err(error) => return not_built(format!("the way out of the sandbox: {error}")),
    };
    let verdict = apply(&steps, &mut cage, &plan, (&planned, &moves)).await.unwrap_or_else(Verdict::Failed);
    let failed = matches!(&verdict, Verdict::Ran(report) if !report.succeeded());
    let errored_state = failed && keep_errored_state(&steps, &mut cage, place, &log).await;
    cage.close().await;
    let blocked = egress.map(|egress| egress.refused()).unwrap_or_default();
    blocked.iter().for_each(|refusal| log.line(&refusal.to_string()));
    Ending { verdict, blocked, errored_state }
}

/// The saved plan runs if the state is what it was made from.
async fn apply(
    steps: &Steps,
    cage: &mut Cage,
    plan: &Path,
    (planned, moves): (&StateMark, &Moves),
) -> Result<Verdict, StepFailure> {
    let (now, objects) = steps.state(cage).await?;
    if !planned.is_still(&now) {
        return Ok(Verdict::Stale);
    }
    // Nothing of the pull request has run since the server put it there.
    let file = plan_file::read(plan).map_err(|error| error.to_string());
    let is_projects = |file: Vec<u8>| {
        let state = PlanState::of(&file)?;
        state.verify_is_projects(moves, &objects)
    };
    if let Err(why) = file.and_then(|file| is_projects(file).map_err(|error| error.to_string())) {
        return Ok(Verdict::Foreign(why));
    }
    let report = steps.apply(cage, plan).await?;
    // Somebody may have come between the look and the apply; terraform then refuses before it starts anything. If that can't
    // be found out, what terraform said is told.
    if !report.succeeded()
        && !report.started_something()
        && steps.state_pull(cage).await.is_ok_and(|now| !planned.is_still(&now))
    {
        return Ok(Verdict::Stale);
    }
    Ok(Verdict::Ran(report))
}

/// Lost, this state would be the worst that can happen to anybody's infrastructure. Whether there was one.
async fn keep_errored_state(steps: &Steps, cage: &mut Cage, place: &Place, log: &LogWriter) -> bool {
    let settings = steps.settings();
    match cage.take(&settings.dir.join(ERRORED_STATE), settings.limits.state).await {
        Ok(None) => false,
        Ok(Some(state)) => match patiently(|| place.keep_errored_state(&state)).await {
            Ok(()) => true,
            Err(error) => {
                log.line(&format!("`{ERRORED_STATE}` could not be kept: {error}"));
                false
            }
        },
        Err(error) => {
            log.line(&format!("`{ERRORED_STATE}` could not be taken from the sandbox: {error}"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::RunId;
    use crate::sandbox::Level;
    use crate::sandbox::policy::Policy;
    use crate::sandbox::redact::Redactor;
    use crate::terraform::install::Product;
    use crate::terraform::managed::{ManagedState, write_override};
    use crate::terraform::supervisor::Applies;
    use crate::terraform::testing::Project;

    /// Knows no state, gives the lock, and takes no state.
    async fn lost_backend() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = |method: http::Method| async move {
            match method.as_str() {
                "GET" => http::StatusCode::NOT_FOUND,
                "POST" => http::StatusCode::FORBIDDEN,
                _ => http::StatusCode::OK,
            }
        };
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/state/1")
    }

    #[tokio::test]
    async fn a_state_that_can_t_be_written_is_kept() {
        let mut project = Project::new(Product::Terraform).await;
        project.file("main.tf", "resource \"terraform_data\" \"a\" {\n  input = \"one\"\n}\n");
        write_override(&project.dir(), &project.workspace).unwrap();
        project.state =
            Some(ManagedState { address: lost_backend().await, run: "r".into(), token: "t0ken-secret".into() });
        project.planned().await;
        let steps = project.steps();
        let policy = Policy { least: Level::Off, ..Policy::new(project.root(), project.scratch()) };
        let mut cage = Sandbox::off().open(policy).await.unwrap();
        let report = steps.apply(&mut cage, &project.plan_path()).await.unwrap();
        assert!(!report.succeeded(), "{report:?}");

        let run = RunId(uuid::Uuid::now_v7());
        let place = Applies::open(project.root().join("applies")).unwrap().place(run);
        place.prepare().unwrap();
        let log = LogWriter::open(&project.root().join("log"), Redactor::default(), 1 << 20).unwrap();
        // For a moment it can't be written here either.
        std::fs::create_dir(place.errored_state()).unwrap();
        let in_the_way = place.errored_state();
        tokio::spawn(async move {
            tokio::time::sleep(AGAIN / 2).await;
            std::fs::remove_dir(in_the_way).unwrap();
        });
        assert!(keep_errored_state(&steps, &mut cage, &place, &log).await, "{}", project.log());
        let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(place.errored_state()).unwrap()).unwrap();
        assert_eq!(kept["resources"][0]["name"], "a");
    }
}
