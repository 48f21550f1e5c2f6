//! Serving until told to stop.

use axum::Router;
use std::io;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves; once `until` is cancelled no new connection is taken, and requests under way are answered.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, router: Router, until: CancellationToken) -> io::Result<()> {
    // Answers are small: waiting for more to send would only delay them.
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).with_graceful_shutdown(until.cancelled_owned()).await
}
