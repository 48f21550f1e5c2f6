//! Notes every request, and makes it go wrong when the world says so. How a forge words a refusal is its face's.

use super::serve::Wire;
use super::state::{How, Request as Noted};
use super::world::World;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

pub(super) async fn meet(
    State(world): State<World>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let (index, trouble) = world.change(|state| {
        state.requests.push(Noted { method: method.clone(), path: path.clone(), status: None });
        (state.requests.len() - 1, state.trouble(&method, &path, |how| !how.is_about_webhooks()))
    });
    let response = match trouble {
        Some(how @ (How::Answer(_) | How::RetryAfter(_) | How::RateLimited { .. })) => world.face().refusal(how),
        Some(How::Slow(time)) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
        Some(How::Reset) => {
            wire.cut();
            return Response::new(Body::empty());
        }
        Some(How::LoseAnswer) => {
            let response = next.run(request).await;
            wire.cut();
            return response;
        }
        Some(How::LoseWebhook | How::RepeatWebhook) | None => next.run(request).await,
    };
    let status = response.status().as_u16();
    world.change(|state| {
        if let Some(noted) = state.requests.get_mut(index) {
            noted.status = Some(status);
        }
    });
    response
}

pub(super) fn with_headers(mut response: Response, headers: &[(HeaderName, String)]) -> Response {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
