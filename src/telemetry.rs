//! What operators see of the server: its log and its metrics.
//!
//! Both are public to whoever runs the server, so neither ever holds a secret, a token, a link's key or a request's
//! body; metrics hold no names of repositories or people either.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How log lines are written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text for a terminal, JSON for everything else.
    #[default]
    Auto,
    Text,
    Json,
}

/// Starts logging to standard error: `info` and worse, unless `RUST_LOG` says otherwise. Later calls change nothing.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // What can't be written (the log is on a full disk, say) would be complained about on standard error as well, by a
    // macro that panics if that can't be written.
    let builder = builder.log_internal_errors(false);
    // An error means that logging was started before: by a test, or by a program that we are a part of.
    let _ = if json {
        builder.json().flatten_event(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(terminal).try_init()
    };
}

/// Webhook requests, by `forge` and `result`.
pub const DELIVERIES: &str = "terraplane_deliveries_total";
/// Jobs in the queue, by `kind` and `state` (`queued`, `leased`).
pub const JOBS: &str = "terraplane_jobs";
/// 1 if the database answered when the metrics were read.
pub const SANDBOX_LEVEL: &str = "terraplane_sandbox_level";
pub const DATABASE_UP: &str = "terraplane_database_up";
/// How long HTTP requests took, by `method`, `route` and `status`.
pub const HTTP_SECONDS: &str = "terraplane_http_request_seconds";
/// How long runs took from their start to their end, by `kind` and the `state` that they ended in.
pub const RUN_SECONDS: &str = "terraplane_run_seconds";
/// How long jobs of the queue took, by `kind`.
pub const JOB_SECONDS: &str = "terraplane_job_seconds";

const HTTP_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];
const JOB_BUCKETS: [f64; 10] = [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 600.0, 3600.0];
const RUN_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0];

/// Samples of histograms are kept one by one until they are sorted into their buckets: by whoever reads the metrics, or
/// after this time when nobody does.
const UPKEEP: Duration = Duration::from_secs(10);

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Starts collecting, once per process; all callers share the same metrics.
    #[must_use]
    pub fn install() -> Self {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        INSTALLED.get_or_init(|| Self(collect().expect("the buckets are valid and nobody else collects"))).clone()
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}

fn collect() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(HTTP_SECONDS.into()), &HTTP_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(RUN_SECONDS.into()), &RUN_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(JOB_SECONDS.into()), &JOB_BUCKETS)?
        .install_recorder()?;
    describe_counter!(DELIVERIES, "Webhook requests by forge and result");
    describe_gauge!(JOBS, "Jobs in the queue by kind and state");
    describe_gauge!(SANDBOX_LEVEL, "1 for the level of the sandbox that holds runs");
    describe_gauge!(DATABASE_UP, "1 if the database answered");
    describe_histogram!(HTTP_SECONDS, Unit::Seconds, "HTTP requests by method, route and status");
    describe_histogram!(RUN_SECONDS, Unit::Seconds, "Runs by kind and the state that they ended in");
    describe_histogram!(JOB_SECONDS, Unit::Seconds, "Jobs of the queue by kind");
    let upkeep = handle.clone();
    // A thread and not a task: it outlives every runtime that tests start and stop.
    let thread = std::thread::Builder::new().name("metrics".into()).spawn(move || {
        loop {
            std::thread::sleep(UPKEEP);
            upkeep.run_upkeep();
        }
    });
    if let Err(error) = thread {
        tracing::warn!(%error, "metrics can't be kept up; they are when somebody reads them");
    }
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_can_be_read_by_prometheus() {
        let metrics = Metrics::install();
        metrics::histogram!(RUN_SECONDS, "kind" => "plan", "state" => "succeeded").record(3.0);
        let text = Metrics::install().render();
        assert!(text.contains("# TYPE terraplane_run_seconds histogram"), "{text}");
        assert!(text.contains("terraplane_run_seconds_bucket{kind=\"plan\",state=\"succeeded\",le=\"5\"} 1"), "{text}");
        drop(metrics);
    }
}
