//! Problem documents (RFC 9457): how HTTP says no.

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use parlor_schema::{
    ErrorCode,
    frame::{Refusal, refusal::Details},
};
use schemars::JsonSchema;
use serde::Serialize;

const CONTENT_TYPE: &str = "application/problem+json";

/// The body of every refusal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDocument {
    /// `about:blank`: what there is to know stands in `code`.
    pub r#type: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, for a person.
    pub detail: String,
    /// What went wrong, for a program.
    pub code: ErrorCode,
    /// When to try again, in milliseconds; also in `Retry-After`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The field to blame: a path in the body, a query parameter, or a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// More, where a code has more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// Why a node is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl ProblemDocument {
    /// Writes a refusal as a document with this status; the handshake, which answers before there is a request, uses it too.
    #[must_use]
    pub fn of(refusal: &Refusal, status: StatusCode) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: refusal.message.clone(),
            code: refusal.code,
            retry_after_ms: refusal.retry_after_ms,
            field: refusal.field.clone(),
            details: refusal.details.clone(),
            reasons: Vec::new(),
        }
    }
}

/// What becomes of the connection after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    Keep,
    Close,
}

/// A refusal on its way out as a problem document; boxed, because every handler's answer has room for it.
#[derive(Debug)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    refusal: Refusal,
    reasons: Vec<String>,
    header: Option<(HeaderName, HeaderValue)>,
    afterwards: Afterwards,
}

impl Problem {
    fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    fn then_close(mut self) -> Self {
        self.0.afterwards = Afterwards::Close;
        self
    }

    /// 408: the body did not come in time. Nothing was done, so the code is `unavailable`.
    pub(super) fn body_late() -> Self {
        Self::from(Refusal::new(
            ErrorCode::Unavailable,
            "the body did not come in time",
        ))
        .with_status(StatusCode::REQUEST_TIMEOUT)
        .then_close()
    }

    /// 413: a body above `bytes_max`. The rest of it is not read.
    pub(super) fn body_too_large(bytes_max: usize) -> Self {
        let message = format!("a body is at most {bytes_max} bytes here");
        Self::from(Refusal::new(ErrorCode::TooLarge, message)).then_close()
    }

    /// 405: the path is served, but not with this method.
    pub(super) fn wrong_method(allow: &str) -> Self {
        let message = format!("this path takes {allow}");
        let allow = HeaderValue::from_str(allow).expect("invariant: methods are ascii");
        Self::from(Refusal::new(ErrorCode::BadFrame, message))
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
            .with_header(header::ALLOW, allow)
    }

    /// 426: a request for the socket that asks for no upgrade.
    pub(super) fn upgrade_required() -> Self {
        Self::from(Refusal::new(
            ErrorCode::BadFrame,
            "this path is a websocket",
        ))
        .with_status(StatusCode::UPGRADE_REQUIRED)
        .with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
    }

    /// 503: the node should get no traffic now.
    pub(super) fn not_ready(reasons: Vec<String>) -> Self {
        let mut problem = Self::from(Refusal::unavailable("the node is not ready"));
        problem.0.reasons = reasons;
        problem
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.code.http_status())
            .expect("invariant: the table of codes holds http statuses");
        // RFC 9110 section 15.5.2: a 401 says how to authenticate.
        let header = (refusal.code == ErrorCode::Unauthorized)
            .then(|| (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        Self(Box::new(Parts {
            status,
            refusal,
            reasons: Vec::new(),
            header,
            afterwards: Afterwards::Keep,
        }))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.refusal.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.status);
        if let Some(header) = self.0.header.clone() {
            response.insert_header(header);
        }
        if let Some(millis) = self.0.refusal.retry_after_ms {
            let seconds = millis.div_ceil(1000).max(1);
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if self.0.afterwards == Afterwards::Close {
            response.force_close();
        }
        let mut response = response
            .insert_header((header::CONTENT_TYPE, CONTENT_TYPE))
            .json(ProblemDocument {
                reasons: self.0.reasons.clone(),
                ..ProblemDocument::of(&self.0.refusal, self.0.status)
            });
        // For the one place that counts (H-2).
        response.extensions_mut().insert(self.0.refusal.code);
        response
    }
}

/// Answers what no route takes.
pub(super) async fn no_such_path() -> Result<HttpResponse, Problem> {
    Err(Refusal::not_found("path").into())
}

/// Answers the calls of PROTOCOL section 7 that this version does not serve.
pub(super) async fn not_served(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let pattern = request.match_pattern().unwrap_or_default();
    Err(Refusal::not_served(&pattern).into())
}

/// Answers a request for the socket that came without an upgrade.
pub(super) async fn needs_upgrade() -> Result<HttpResponse, Problem> {
    Err(Problem::upgrade_required())
}
