//! Webhooks against a real server process on the same machine: at a fixed rate, whether earlier ones are answered or not,
//! and then as many as it takes. Each is a comment without a command on one of many pull requests: it is verified,
//! recorded on disk, acknowledged, read again by the worker, and ignored.

use crate::Effort;
use crate::server::{Server, WEBHOOK_SECRET};
use crate::table::{Samples, goal, mib, ms, row, title};
use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Pull requests that people talk about at the same time.
const PULLS: usize = 200;
/// Connections that flood the server.
const FLOOD: usize = 64;
/// The size of a body: GitHub's own are of about this size.
const BODY: usize = 10 << 10;

pub(crate) async fn report(effort: Effort) -> anyhow::Result<()> {
    let server = Server::start().await?;
    tokio::time::sleep(effort.idle).await;
    let idle = server.memory()?;
    title(&format!("Idle memory of `terraplane serve`, {:.1} s after its start", effort.idle.as_secs_f64()));
    let met = idle.resident < 25 << 20;
    row("resident", &mib(idle.resident), &goal(met, "under 25 MiB"));
    row("of it not shared with the binary", &mib(idle.own), "");

    let sync = disk(server.data.path())?;
    let sender = Arc::new(Sender::new(&server)?);
    sender.clone().at_rate(effort.rate, effort.offered_for.min(Duration::from_secs(1))).await?;
    let begun = Instant::now();
    let answered = sender.clone().at_rate(effort.rate, effort.offered_for).await?;
    let rate = answered.len() as f64 / begun.elapsed().as_secs_f64();
    title(&format!(
        "Webhooks, each on disk before it is acknowledged: {}/s offered for {} s",
        effort.rate,
        effort.offered_for.as_secs_f64()
    ));
    row("acknowledged", &format!("{rate:.0}/s"), &format!("{} webhooks of {} KiB", answered.len(), BODY >> 10));
    row("half of them within", &ms(answered.median()), "");
    let p99 = answered.quantile(0.99);
    row("99 % of them within", &ms(p99), &goal(p99 < Duration::from_millis(10), "under 10 ms at 500/s"));
    row("all of them within", &ms(answered.quantile(1.0)), "");
    row("a bare 4 KiB write and sync here", &ms(sync.median()), &format!("99 % within {}", ms(sync.quantile(0.99))));

    let begun = Instant::now();
    let flooded = sender.flood(effort.flooded_for).await?;
    let rate = flooded.len() as f64 / begun.elapsed().as_secs_f64();
    let within = format!("{FLOOD} connections that never pause; 99 % within {}", ms(flooded.quantile(0.99)));
    row("most that it acknowledges", &format!("{rate:.0}/s"), &within);
    tokio::time::sleep(effort.idle).await;
    row("resident memory after all that", &mib(server.memory()?.resident), "");
    Ok(())
}

/// How long the disk takes to have one small write for good.
fn disk(dir: &Path) -> anyhow::Result<Samples> {
    let mut file = tempfile::tempfile_in(dir)?;
    let write = |_| {
        let begun = Instant::now();
        file.rewind()?;
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        anyhow::Ok(begun.elapsed())
    };
    (0..100).map(write).collect()
}

struct Sender {
    client: reqwest::Client,
    url: String,
    sent: AtomicUsize,
}

impl Sender {
    fn new(server: &Server) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { client, url: format!("http://{}/webhooks/github", server.address), sent: AtomicUsize::new(0) })
    }

    /// How long each took from the moment at which it had to be sent. A thread keeps the time, because the timers of
    /// the runtime are no finer than a millisecond.
    async fn at_rate(self: Arc<Self>, rate: u32, duration: Duration) -> anyhow::Result<Samples> {
        let count = (duration.as_secs_f64() * f64::from(rate)) as usize;
        let ready: Vec<Webhook> = (0..count).map(|_| self.webhook()).collect();
        let (due, mut dues) = mpsc::unbounded_channel();
        let clock = std::thread::spawn(move || {
            let begun = Instant::now() + Duration::from_millis(20);
            for (number, webhook) in ready.into_iter().enumerate() {
                let at = begun + Duration::from_secs_f64(number as f64 / f64::from(rate));
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                let _ = due.send((at, webhook));
            }
        });
        let mut going_on = JoinSet::new();
        while let Some((at, webhook)) = dues.recv().await {
            let own = self.clone();
            going_on.spawn(async move { own.send(at, webhook).await });
        }
        clock.join().ok().context("the clock stopped")?;
        going_on.join_all().await.into_iter().collect()
    }

    async fn flood(self: Arc<Self>, duration: Duration) -> anyhow::Result<Samples> {
        let end = Instant::now() + duration;
        let mut going_on = JoinSet::new();
        for _ in 0..FLOOD {
            let own = self.clone();
            going_on.spawn(async move {
                let mut answered = Vec::new();
                while Instant::now() < end {
                    let webhook = own.webhook();
                    answered.push(own.send(Instant::now(), webhook).await?);
                }
                anyhow::Ok(answered)
            });
        }
        let answered: Vec<Vec<Duration>> = going_on.join_all().await.into_iter().collect::<Result<_, _>>()?;
        Ok(answered.into_iter().flatten().collect())
    }

    fn webhook(&self) -> Webhook {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let user = |login: &str| json!({"login": login, "id": 1, "type": "User"});
        let body = json!({
            "action": "created",
            "issue": {
                "number": number % PULLS + 1,
                "user": user("sam"),
                "pull_request": {"url": "http://127.0.0.1:9/"},
                "body": "x".repeat(BODY),
            },
            "comment": {
                "id": number + 1,
                "user": user("ana"),
                "body": "Looks good to me.",
                "created_at": "2025-01-01T00:00:00Z",
                "updated_at": "2025-01-01T00:00:00Z",
            },
            "repository": {"id": 1, "name": "infra", "full_name": "acme/infra", "owner": user("acme")},
            "sender": user("ana"),
        });
        let body = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("any length will do");
        mac.update(body.as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        Webhook { id: uuid::Uuid::now_v7().to_string(), signature, body }
    }

    async fn send(&self, at: Instant, webhook: Webhook) -> anyhow::Result<Duration> {
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-github-event", "issue_comment")
            .header("x-github-delivery", webhook.id)
            .header("x-hub-signature-256", webhook.signature)
            .body(webhook.body);
        let answer = request.send().await?;
        anyhow::ensure!(answer.status() == http::StatusCode::ACCEPTED, "a webhook was answered {}", answer.status());
        Ok(at.elapsed())
    }
}

struct Webhook {
    id: String,
    signature: String,
    body: String,
}
