//! Webhook requests as they were received, and what became of them.

use super::error::StoreError;
use super::job::{Job, Lease};
use super::{Store, Tx, queue, row};
use crate::domain::event::Event;
use crate::domain::id::{DeliveryId, ForgeKind, PullId, RepoName, Timestamp};
use sqlx::{AnyConnection, Row as _};

/// A verified webhook request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    pub forge: ForgeKind,
    pub id: DeliveryId,
    /// The forge's name for the kind of event, as its header has it.
    pub event_name: String,
    /// `None` if the request doesn't tell.
    pub repo: Option<RepoName>,
    /// Deliveries of one lane are looked at one after the other, in the order in which they came.
    pub lane: String,
    /// The JSON as it was received.
    pub body: String,
    pub received_at: Timestamp,
}

impl NewDelivery {
    /// The event name of what no forge sent: the body is an [`Event`] as JSON. No forge has an event of this name.
    pub const MADE_HERE: &str = "terraplane:found";

    /// What was found out, or asked for, without a webhook: it takes the way that webhooks take.
    #[must_use]
    pub fn of_event(forge: ForgeKind, id: DeliveryId, pull: &PullId, event: &Event, at: Timestamp) -> Self {
        Self {
            forge,
            id,
            event_name: Self::MADE_HERE.to_owned(),
            repo: Some(pull.repo.clone()),
            lane: pull.to_string(),
            body: serde_json::to_string(event).expect("an event is plain data"),
            received_at: at,
        }
    }
}

/// Whether a delivery was new; both are acknowledged to the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    New,
    /// The same id was recorded before; nothing was done.
    Repeated,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDelivery {
    pub delivery: NewDelivery,
    /// `None` until its ingest job is over.
    pub end: Option<DeliveryEnd>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEnd {
    Done,
    /// Nothing to do, and why.
    Ignored(String),
    /// It could not be understood or carried out, and why.
    Failed(String),
}

impl DeliveryEnd {
    const fn columns(&self) -> (&'static str, Option<&String>) {
        match self {
            Self::Done => ("done", None),
            Self::Ignored(why) => ("ignored", Some(why)),
            Self::Failed(why) => ("failed", Some(why)),
        }
    }
}

impl Store {
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn delivery(&self, forge: ForgeKind, id: &DeliveryId) -> Result<Option<StoredDelivery>, StoreError> {
        let row = sqlx::query(
            "SELECT event_name, repo, lane, body, received_at, ending, reason FROM delivery \
             WHERE forge = $1 AND id = $2",
        )
        .bind(forge.as_str())
        .bind(id.as_str())
        .fetch_optional(&self.pools.reads)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let repo: Option<String> = row.try_get("repo")?;
        let reason: Option<String> = row.try_get("reason")?;
        let reason = reason.unwrap_or_default();
        let delivery = NewDelivery {
            forge,
            id: id.clone(),
            event_name: row.try_get("event_name")?,
            repo: repo.map(|_| row::id(&row, "repo")).transpose()?,
            lane: row.try_get("lane")?,
            body: row.try_get("body")?,
            received_at: Timestamp(row.try_get("received_at")?),
        };
        let end = match row.try_get::<Option<String>, _>("ending")?.as_deref() {
            None => None,
            Some("done") => Some(DeliveryEnd::Done),
            Some("ignored") => Some(DeliveryEnd::Ignored(reason)),
            Some("failed") => Some(DeliveryEnd::Failed(reason)),
            Some(other) => return Err(StoreError::unreadable("ending", other)),
        };
        Ok(Some(StoredDelivery { delivery, end }))
    }

    /// Writes down what became of a delivery; its ingest job is done by that.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or the database's.
    pub async fn end_delivery(
        &self,
        lease: &Lease,
        forge: ForgeKind,
        id: &DeliveryId,
        end: DeliveryEnd,
    ) -> Result<(), StoreError> {
        let mut tx = self.fenced(lease).await?;
        tx.end_delivery(forge, id, &end).await?;
        tx.finish(lease).await?;
        tx.commit().await
    }
}

impl Tx {
    /// Writes down what became of a delivery, together with all else that this transaction does.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_delivery(
        &mut self,
        forge: ForgeKind,
        id: &DeliveryId,
        end: &DeliveryEnd,
    ) -> Result<(), StoreError> {
        let (ending, reason) = end.columns();
        sqlx::query("UPDATE delivery SET ending = $3, reason = $4 WHERE forge = $1 AND id = $2")
            .bind(forge.as_str())
            .bind(id.as_str())
            .bind(ending)
            .bind(reason.map(|why| row::free_text(why)))
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

/// The delivery and its ingest job, unless the delivery is there already.
pub(super) async fn insert(connection: &mut AnyConnection, new: &NewDelivery) -> Result<Recorded, StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO delivery (forge, id, event_name, repo, lane, body, received_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (forge, id) DO NOTHING",
    )
    .bind(new.forge.as_str())
    .bind(new.id.as_str())
    .bind(new.event_name.as_str())
    .bind(new.repo.as_ref().map(ToString::to_string))
    .bind(new.lane.as_str())
    .bind(new.body.as_str())
    .bind(new.received_at.0)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Recorded::Repeated);
    }
    let job = Job::Ingest { forge: new.forge, delivery: new.id.clone() };
    queue::insert(connection, &job, &format!("ingest:{}", new.lane), new.received_at).await?;
    Ok(Recorded::New)
}
