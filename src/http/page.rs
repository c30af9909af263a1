//! The page at `/` and its assets, which are in the binary.
//!
//! Invariant PG-1: every file of `web/dist` is served, and what is served runs no script and loads nothing but its own origin's.
//!
//! Whoever takes gzip gets it: each file is compressed once, when it is first asked for. A file with a digest of itself in its name is
//! kept by browsers for ever; of the others they ask each time.

use std::{io::Write as _, sync::LazyLock};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, AcceptEncoding, ETag, Encoding, EntityTag, Header as _, IfNoneMatch},
};
use flate2::{Compression, write::GzEncoder};
use parlor_schema::frame::Refusal;

use super::problem::Problem;

/// `connect-src` of `'self'` includes the socket of the same host (CSP level 3). Trusted types make setting HTML from a script an error.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const INDEX: &str = "index.html";
/// Kept, but asked about each time: a new binary is seen at once.
const ASK: &str = "no-cache";
/// A year, the longest there is.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A file of the built page.
struct File {
    name: &'static str,
    bytes: &'static [u8],
}

const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// A file as it is served.
pub(super) struct Asset {
    pub(super) name: &'static str,
    kind: &'static str,
    cache: &'static str,
    plain: (EntityTag, &'static [u8]),
    /// Left out where it would not be smaller.
    gzip: Option<(EntityTag, Vec<u8>)>,
}

/// Every file of the page.
pub(super) static ASSETS: LazyLock<Vec<Asset>> =
    LazyLock::new(|| FILES.iter().map(prepared).collect());

fn prepared(&File { name, bytes }: &File) -> Asset {
    let digest = digest(bytes);
    let gzip = gzip(bytes).filter(|small| small.len() < bytes.len());
    Asset {
        name,
        kind: kind(name),
        cache: if has_digest(name) { FOR_EVER } else { ASK },
        plain: (EntityTag::new_strong(digest.clone()), bytes),
        gzip: gzip.map(|small| (EntityTag::new_strong(format!("{digest}-gzip")), small)),
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// Tells whether a name is one that the build made of the contents, as `index-AaIVAVq9.css`.
fn has_digest(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.split_once('-').is_some_and(|(_, end)| {
        end.len() == 8
            && end
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    })
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref()[..12]
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("invariant: writing to a string succeeds");
            text
        })
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
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Refusal::not_found("path"))?;
    let small = asset.gzip.as_ref().filter(|_| takes_gzip(request));
    let (tag, bytes) = match small {
        Some((tag, bytes)) => (tag, bytes.as_slice()),
        None => (&asset.plain.0, asset.plain.1),
    };
    let held = has(request, tag);
    let mut response = if held {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header(ETag(tag.clone()))
        .insert_header((header::CACHE_CONTROL, asset.cache))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::CONTENT_TYPE, asset.kind))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    if small.is_some() {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(if held {
        response.finish()
    } else {
        // The files live as long as the process: what is sent is not copied.
        response.body(actix_web::web::Bytes::from_static(bytes))
    })
}

/// Tells whether the client takes gzip, and likes the file as it is no better.
fn takes_gzip(request: &HttpRequest) -> bool {
    let Ok(accepted) = AcceptEncoding::parse(request) else {
        return false;
    };
    let offered = [Encoding::identity(), Encoding::gzip()];
    accepted.negotiate(offered.iter()) == Some(Encoding::gzip())
}

/// Tells whether the client holds the file already.
fn has(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|held| held.weak_eq(tag)),
        Err(_) => false,
    }
}
