//! `/openapi.json`, `/asyncapi.json` for the socket, and `/docs`: the first for people, by Swagger UI, which is in the binary.

use std::sync::{Arc, LazyLock};

use actix_web::{HttpRequest, HttpResponse, http::header, web::Bytes};
use parlor_schema::frame::Refusal;
use utoipa_swagger_ui::Config;

use super::{openapi, problem::Problem};

/// Swagger UI sets styles from its script, and has small pictures in its style sheet.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Parlor: HTTP</title>
  <link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/docs/swagger-ui.css">
  <script src="/docs/swagger-ui-bundle.js" defer></script>
  <script src="/docs/start.js" defer></script>
</head>
<body><div id="swagger-ui"></div></body>
</html>
"#;
const START: &str = r##"SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"##;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi::document().to_string().into());

static SOCKET_DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| parlor_schema::asyncapi().to_string().into());

/// `GET /openapi.json`
pub(super) async fn document() -> HttpResponse {
    json(&DOCUMENT)
}

/// `GET /asyncapi.json`
pub(super) async fn socket_document() -> HttpResponse {
    json(&SOCKET_DOCUMENT)
}

fn json(document: &Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(document.clone())
}

/// `GET /docs`
pub(super) async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(PAGE)
}

/// `GET /docs/{file}`
pub(super) async fn file(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let name = request.match_info().query("file");
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "max-age=3600"));
    if name == "start.js" {
        return Ok(response
            .insert_header((header::CONTENT_TYPE, "text/javascript; charset=utf-8"))
            .body(START));
    }
    // Only what the page needs: the rest of the distribution has scripts within its pages.
    let file = ["swagger-ui.css", "swagger-ui-bundle.js"]
        .contains(&name)
        .then(|| {
            utoipa_swagger_ui::serve(name, Arc::new(Config::default()))
                .ok()
                .flatten()
        })
        .flatten()
        .ok_or_else(|| Refusal::not_found("path"))?;
    if file.gzpipped {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response
        .insert_header((header::CONTENT_TYPE, file.content_type))
        .body(file.bytes.into_owned()))
}
