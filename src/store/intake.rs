//! Group commit: webhooks that arrive while the disk is busy share the next transaction.
//!
//! A commit that survives a power cut waits for the disk, and on SQLite all commits queue for the same one. So what has
//! come in during one commit is written by the next one together, and everybody is answered after it. The busier it
//! gets, the more a commit carries.

use super::deliveries::{self, NewDelivery, Recorded};
use super::error::StoreError;
use super::open::Pools;
use super::{Store, Tx};
use tokio::sync::{mpsc, oneshot};

/// The most deliveries in one transaction: bounds how long others wait for the writer.
const BATCH: usize = 128;

#[derive(Clone)]
pub(super) struct Intake(mpsc::Sender<Request>);

struct Request {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
}

impl Intake {
    /// Starts the task that writes. It ends when the last [`Store`] is gone and all that came in is written.
    pub(super) fn start(pools: Pools) -> Self {
        let (sender, requests) = mpsc::channel(BATCH);
        tokio::spawn(serve(pools, requests));
        Self(sender)
    }
}

impl Store {
    /// Puts a delivery and its ingest job on disk, in one transaction. When this returns, both survive a power cut.
    /// A caller that stops waiting changes nothing: the delivery is recorded all the same.
    ///
    /// # Errors
    /// The database's; the forge must then not be told that all is well.
    pub async fn record_delivery(&self, delivery: NewDelivery) -> Result<Recorded, StoreError> {
        let (answer, recorded) = oneshot::channel();
        self.intake.0.send(Request { delivery, answer }).await.map_err(|_| StoreError::Closed)?;
        recorded.await.map_err(|_| StoreError::Closed)?
    }
}

async fn serve(pools: Pools, mut requests: mpsc::Receiver<Request>) {
    let mut batch = Vec::with_capacity(BATCH);
    while requests.recv_many(&mut batch, BATCH).await > 0 {
        match record(&pools, &batch).await {
            Ok(recorded) => {
                for (request, recorded) in batch.drain(..).zip(recorded) {
                    // Whoever asked may be gone; the delivery is recorded all the same.
                    let _ = request.answer.send(Ok(recorded));
                }
            }
            // One that the database refuses must not take the others with it.
            Err(_) if batch.len() > 1 => {
                for request in batch.drain(..) {
                    let recorded = record(&pools, std::slice::from_ref(&request)).await;
                    let _ = request.answer.send(recorded.map(|recorded| recorded[0]));
                }
            }
            Err(error) => {
                for request in batch.drain(..) {
                    let _ = request.answer.send(Err(error.clone()));
                }
            }
        }
    }
}

async fn record(pools: &Pools, batch: &[Request]) -> Result<Vec<Recorded>, StoreError> {
    let mut tx = Tx::begin(&pools.intake, pools.dialect, None).await?;
    let mut recorded = Vec::with_capacity(batch.len());
    for request in batch {
        recorded.push(deliveries::insert(tx.connection(), &request.delivery).await?);
    }
    tx.commit().await?;
    Ok(recorded)
}
