//! Reads request bodies without trusting anything about them: neither that they end, nor that their `Content-Length` is
//! true or there at all, nor that they come at a human pace, nor that there are few of them.

use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bodies up to this size are read without asking for a place.
const SMALL: usize = 1024 * 1024;
/// The longest pause between two pieces of a body.
const PAUSE: Duration = Duration::from_secs(10);
/// How much of a refused body is read and thrown away, so that the answer arrives: a connection that is closed while the
/// client still sends is reset, and most clients then never read the answer.
const THROWN_AWAY: usize = 64 * 1024 * 1024;

/// Bounds for the bodies of one kind of request.
pub(super) struct Uploads {
    limit: usize,
    within: Duration,
    large: Arc<Semaphore>,
}

/// A whole body. Large ones hold their place until they are dropped.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) bytes: Vec<u8>,
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UploadRefused {
    #[error("the body is larger than {} KiB", .limit / 1024)]
    TooLarge { limit: usize },
    #[error("the body took too long")]
    TooSlow,
    #[error("the body ended early")]
    Broken,
}

impl IntoResponse for UploadRefused {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        };
        (status, format!("{self}\n")).into_response()
    }
}

impl Uploads {
    /// Bodies of at most `limit` bytes that come in `within` this time. At most `large` that are over 1 MiB are in
    /// memory at once.
    pub(super) fn new(limit: usize, within: Duration, large: usize) -> Self {
        Self { limit, within, large: Arc::new(Semaphore::new(large)) }
    }

    /// The whole body. A body that is too large has been read to its end, if it has one within reason, before this
    /// returns: then the client is ready for the answer.
    pub(super) async fn read(&self, body: Body) -> Result<Upload, UploadRefused> {
        let mut pieces = body.into_data_stream();
        let read = timeout(self.within, self.collect(&mut pieces)).await.unwrap_or(Err(UploadRefused::TooSlow));
        if matches!(read, Err(UploadRefused::TooLarge { .. })) {
            throw_away(&mut pieces, self.within).await;
        }
        read
    }

    /// For a request that is refused whatever its body says.
    pub(super) async fn discard(&self, body: Body) {
        throw_away(&mut body.into_data_stream(), self.within).await;
    }

    async fn collect(&self, pieces: &mut BodyDataStream) -> Result<Upload, UploadRefused> {
        let (mut bytes, mut place) = (Vec::new(), None);
        while let Some(piece) = timeout(PAUSE, pieces.next()).await.map_err(|_| UploadRefused::TooSlow)? {
            let piece = piece.map_err(|_| UploadRefused::Broken)?;
            let length = bytes.len() + piece.len();
            if length > self.limit {
                return Err(UploadRefused::TooLarge { limit: self.limit });
            }
            if length > SMALL && place.is_none() {
                let free = Arc::clone(&self.large).acquire_owned().await;
                place = Some(free.expect("the semaphore is never closed"));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Upload { bytes, _place: place })
    }
}

async fn throw_away(pieces: &mut BodyDataStream, within: Duration) {
    let all = async {
        let mut read = 0;
        while let Ok(Some(Ok(piece))) = timeout(PAUSE, pieces.next()).await {
            read += piece.len();
            if read > THROWN_AWAY {
                break;
            }
        }
    };
    // Whoever needs longer gets the answer without having been heard out.
    let _ = timeout(within, all).await;
}
