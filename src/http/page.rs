//! The page at `/` and its assets, which are in the binary.
//!
//! Invariant PG-1: every file of `web/` is served, and what is served runs no script and loads nothing but its own origin's.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ETag, EntityTag, Header as _, IfNoneMatch},
};
use parlor_schema::frame::Refusal;

use super::problem::Problem;

/// `connect-src` of `'self'` includes the socket of the same host (CSP level 3).
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file in the binary.
pub(super) struct Asset {
    pub(super) name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal: $kind:expr,)*) => {
        &[$(Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../../web/", $name)) },)*]
    };
}

const INDEX: &str = "index.html";
/// Every file of the page.
pub(super) const ASSETS: &[Asset] = assets! {
    "index.html": HTML,
    "app.css": CSS,
    "app.js": SCRIPT,
    "client.js": SCRIPT,
    "connection.js": SCRIPT,
    "icon.svg": SVG,
    "login.js": SCRIPT,
    "messages.js": SCRIPT,
    "outbox.js": SCRIPT,
    "timeline.js": SCRIPT,
    "wire.js": SCRIPT,
};

/// The tag of each file, in the order of [`ASSETS`]: a digest of what it holds.
static TAGS: LazyLock<Vec<EntityTag>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| tag(asset.bytes)).collect());

fn tag(bytes: &[u8]) -> EntityTag {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let text = digest.as_ref()[..12]
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("invariant: writing to a string succeeds");
            text
        });
    EntityTag::new_strong(text)
}

/// `GET /`
pub(super) async fn index(request: HttpRequest) -> Result<HttpResponse, Problem> {
    serve(&request, INDEX)
}

/// `GET /assets/{file}`
pub(super) async fn asset(request: HttpRequest) -> Result<HttpResponse, Problem> {
    serve(&request, request.match_info().query("file"))
}

fn serve(request: &HttpRequest, name: &str) -> Result<HttpResponse, Problem> {
    let at = ASSETS.iter().position(|asset| asset.name == name);
    let at = at.ok_or_else(|| Refusal::not_found("path"))?;
    let (asset, tag) = (&ASSETS[at], &TAGS[at]);
    let mut response = if has(request, tag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header(ETag(tag.clone()))
        // Kept, but asked about each time: a new binary is seen at once.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_TYPE, asset.kind))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    Ok(if has(request, tag) {
        response.finish()
    } else {
        response.body(asset.bytes)
    })
}

/// Tells whether the client holds the file already.
fn has(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|held| held.weak_eq(tag)),
        Err(_) => false,
    }
}
