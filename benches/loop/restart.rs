//! How soon a server is ready again that was killed with much in its queue and much behind it.

#[allow(dead_code, clippy::unwrap_used, reason = "the tests' values; not all of them are needed here")]
#[path = "../../tests/it/store/sample.rs"]
mod sample;

use crate::server::Server;
use crate::table::{Samples, goal, ms, row, title};
use crate::{Effort, on_disk};
use std::path::Path;
use std::time::{Duration, Instant};
use terraplane::store::{Job, Store};

/// Runs of one pull request.
const EACH: u64 = 10;

pub(crate) async fn report(effort: Effort) -> anyhow::Result<()> {
    let (queued, old) = effort.left_behind;
    title("A start: from the process to `/readyz`, the probe of the sandbox included");
    let mut medians = Vec::new();
    for (what, queued, old) in
        [("nothing behind it".to_owned(), 0, 0), (format!("{queued} queued, {old} old runs"), queued, old)]
    {
        let mut samples = Samples::default();
        for _ in 0..effort.rounds.min(7) {
            samples.add(once(queued, old).await?);
        }
        medians.push(samples.median());
        let met = samples.quantile(1.0) < Duration::from_secs(2);
        let remark = format!("at most {}; {}", ms(samples.quantile(1.0)), goal(met, "within a second or two"));
        row(&what, &ms(samples.median()), &remark);
    }
    if let [alone, loaded] = medians[..] {
        row("what was left behind costs", &ms(loaded.saturating_sub(alone)), "");
    }
    Ok(())
}

async fn once(queued: u64, old: u64) -> anyhow::Result<Duration> {
    let data = on_disk()?;
    std::fs::create_dir(data.path().join("data"))?;
    fill(&data.path().join("data/terraplane.db"), queued, old).await?;
    let begun = Instant::now();
    let server = Server::start_in(data).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ready = format!("http://{}/readyz", server.address);
    loop {
        if client.get(&ready).send().await.is_ok_and(|answer| answer.status() == http::StatusCode::OK) {
            return Ok(begun.elapsed());
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "it never was ready");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What a server that was killed leaves behind.
async fn fill(path: &Path, queued: u64, old: u64) -> anyhow::Result<()> {
    let store = Store::open(&format!("sqlite:{}", path.display())).await?;
    let mut tx = store.write(&sample::repo()).await?;
    for number in 0..queued + old {
        let pull = number / EACH;
        if number % EACH == 0 {
            tx.save_pull(&sample::record(pull, 'a', 'b', &["prod"]), sample::at(0)).await?;
        }
        let run = sample::plan(number.into(), pull, "prod", 'a', 'b');
        if number < queued {
            tx.insert_run(&run).await?;
            let (pull, project) = (run.pull.clone(), run.project.key.clone());
            tx.enqueue(&Job::Run { run: run.id, pull, project }, sample::at(0)).await?;
        } else {
            tx.insert_run(&sample::planned(run, 1)).await?;
        }
    }
    tx.commit().await?;
    store.close().await;
    Ok(())
}
