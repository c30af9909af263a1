//! Bodies: read within bounds and in time, as an object, with the field to blame.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header,
    web::{self, Bytes, BytesMut},
};
use futures_util::StreamExt as _;
use parlor_schema::{
    ErrorCode,
    frame::{ClientFrame, Refusal},
    limits::SERVER_FRAME_BYTES_MAX,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use super::{HttpState, problem::Problem};

/// Time within which a body is there, from the moment it is asked for: a phone on a bad link sends 64 KiB in less.
pub(super) const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a batch of frames; each frame in it keeps to `limits.frame_bytes`, which is never larger.
pub(super) const BATCH_BYTES_MAX: usize = SERVER_FRAME_BYTES_MAX;

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// A body of at most `limits.frame_bytes`.
///
/// The content type is not looked at: the only thing taken is JSON, and no cookie makes another site's form worth anything.
pub(super) struct Body(pub(super) Bytes);

/// A body of at most [`BATCH_BYTES_MAX`].
pub(super) struct BatchBody(pub(super) Bytes);

impl FromRequest for Body {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes_max = state_of(request).settings.limits.frame_bytes;
        let body = read(request, payload, bytes_max);
        Box::pin(async move { body.await.map(Self) })
    }
}

impl FromRequest for BatchBody {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload, BATCH_BYTES_MAX);
        Box::pin(async move { body.await.map(Self) })
    }
}

/// Returns the state that [`super::configure`] put there.
pub(super) fn state_of(request: &HttpRequest) -> &web::Data<HttpState> {
    request
        .app_data::<web::Data<HttpState>>()
        .expect("invariant: configure sets the state")
}

fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    bytes_max: usize,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let payload = payload.take();
    async move {
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(Problem::body_too_large(bytes_max));
        }
        // A client may announce much and send little: room is made for what comes.
        let first = announced.unwrap_or(0).min(16 * 1024);
        tokio::time::timeout(BODY_WITHIN, collect(payload, first, bytes_max))
            .await
            .unwrap_or_else(|_| Err(Problem::body_late()))
    }
}

async fn collect(mut payload: Payload, first: usize, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::with_capacity(first);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            Refusal::new(ErrorCode::BadFrame, format!("the body broke off: {error}"))
        })?;
        if body.len() + chunk.len() > bytes_max {
            return Err(Problem::body_too_large(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads a body as a `T`, blaming the field that is wrong. An empty body is an empty object.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let text = object(body)?.write();
    let mut json = serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        // Where serde stands after a wrong value is of use to nobody.
        let message = error.inner().to_string();
        let message = match message.rfind(" at line ") {
            Some(end) => message[..end].to_owned(),
            None => message,
        };
        let path = error.path().to_string();
        // serde names a field that is missing in its message only, and blames the object around it.
        let missing = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split('`').next());
        let field = match missing {
            Some(name) if path == "." => name.to_owned(),
            Some(name) => format!("{path}.{name}"),
            None => path,
        };
        Refusal::bad_field(field, message)
    })
}

/// The fields of a JSON object in the order they came, their values spelled as they came.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Fields;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        from.deserialize_map(Visit)
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(map: Map<String, Value>) -> Self {
        let mut fields = Self::default();
        for (name, value) in &map {
            fields.put(name, value);
        }
        fields
    }
}

impl Fields {
    /// Adds a field.
    fn put(&mut self, name: &str, value: &Value) {
        let value = RawValue::from_string(value.to_string()).expect("invariant: a value is json");
        self.0.push((name.to_owned(), value));
    }

    fn write(&self) -> String {
        let mut text = String::from("{");
        for (name, value) in &self.0 {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&Value::from(name.as_str()).to_string());
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        text
    }
}

/// Reads a body as a JSON object. An empty body is an empty object.
pub(super) fn object(body: &[u8]) -> Result<Fields, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Fields::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        let message = if error.is_data() {
            "a body is a json object".to_owned()
        } else {
            format!("not json: {error}")
        };
        Refusal::new(ErrorCode::BadFrame, message)
    })
}

/// Makes the frame that a call stands for (H-4), passed on as it came; what the path says wins over the body.
pub(super) fn frame<const N: usize>(
    kind: &'static str,
    fields: impl Into<Fields>,
    path: [(&'static str, String); N],
) -> Result<ClientFrame, Refusal> {
    let mut fields = fields.into();
    fields
        .0
        .retain(|(name, _)| path.iter().all(|(ours, _)| ours != name));
    for (name, text) in path {
        fields.put(name, &Value::String(text));
    }
    ClientFrame::read(kind, &fields.write())
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[allow(dead_code, reason = "read to be refused")]
        b: u8,
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[allow(dead_code, reason = "read to be refused")]
        a: Inner,
    }

    #[test]
    fn the_field_is_blamed() {
        let blamed = |body: &str| parse::<Outer>(body.as_bytes()).unwrap_err().field;
        assert_eq!(blamed("{}").as_deref(), Some("a"));
        assert_eq!(blamed("").as_deref(), Some("a"));
        assert_eq!(blamed(r#"{"a":{}}"#).as_deref(), Some("a.b"));
        assert_eq!(blamed(r#"{"a":{"b":-1}}"#).as_deref(), Some("a.b"));
        assert_eq!(blamed("[]"), None);
        assert_eq!(blamed("{"), None);
    }

    #[test]
    fn a_body_is_passed_on_as_it_came() {
        let body = r#"{"z":1.50,"a":{"y":1e2,"x":"\u00e9"},"z":2}"#;
        assert_eq!(object(body.as_bytes()).unwrap().write(), body);
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        let body = object(br#"{"body":{"text":"a"},"body":{"text":"b"}}"#).unwrap();
        let room = ("room_id", uuid::Uuid::nil().to_string());
        let refusal = frame("message.send", body, [room]).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::BadFrame);
    }

    #[test]
    fn the_path_wins_over_the_body() {
        const PATH: &str = "0191f0c2-0000-7000-8000-0000000000cd";
        let body = object(br#"{"room_id":"0191f0c2-0000-7000-8000-0000000000ab"}"#).unwrap();
        let frame = frame("room.get", body, [("room_id", PATH.to_owned())]).unwrap();
        let ClientFrame::RoomGet(get) = frame else {
            panic!("another frame")
        };
        assert_eq!(get.room_id.to_string(), PATH);
    }
}
