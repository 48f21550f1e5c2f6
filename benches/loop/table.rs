//! Numbers and how they are shown.

use std::time::Duration;

/// Durations of one thing that was done many times.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// The smallest sample that at least this share of all does not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

pub(crate) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

pub(crate) fn title(text: &str) {
    println!("\n{text}");
}

/// A line of two or three columns.
pub(crate) fn row(what: &str, value: &str, remark: &str) {
    println!("{}", format!("  {what:<34}{value:>12}   {remark}").trim_end());
}

/// Whether a goal is met.
pub(crate) fn goal(met: bool, text: &str) -> String {
    format!("goal: {text}: {}", if met { "met" } else { "MISSED" })
}
