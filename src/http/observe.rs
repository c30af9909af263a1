//! What happens to every answer: it is counted, and carries the headers that keep browsers careful.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use parlor_actors::metrics::RequestLabels;
use parlor_schema::ErrorCode;

use super::json::state_of;

/// The route of what no route takes.
const NO_ROUTE: &str = "none";

/// What every answer carries that says nothing else: it is data, not to be kept, run, framed or guessed at.
const DEFAULT_HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Passes a request on, then counts its answer and completes the headers.
pub(super) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let metrics = &state_of(response.request()).metrics;
    let code = response.response().extensions().get::<ErrorCode>().copied();
    if let Some(code) = code {
        metrics.refused(code);
    }
    let labels = RequestLabels {
        method: method_label(response.request().method()).to_owned(),
        route: response
            .request()
            .match_pattern()
            .filter(|pattern| !pattern.is_empty())
            .unwrap_or_else(|| NO_ROUTE.to_owned()),
        status: response.status().as_u16(),
    };
    metrics.requests.get_or_create(&labels).inc();
    complete(response.headers_mut());
    Ok(response)
}

fn complete(headers: &mut HeaderMap) {
    for (name, value) in DEFAULT_HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// A client may send any word as a method; those that no route takes are one series (M-2).
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [Method; 6] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    const TEXTS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    KNOWN
        .iter()
        .position(|known| known == method)
        .map_or("other", |at| TEXTS[at])
}
