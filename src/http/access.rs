//! Who asks: the bearer token, the device, the idempotency key, and the ids in a path.

use std::{convert::Infallible, fmt::Display, future::Future, net::IpAddr, pin::Pin, str::FromStr};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use parlor_schema::{
    DeviceId, ErrorCode, MsgId,
    frame::{ClientFrame, Refusal, client::Caller},
};
use std::future::{Ready, ready};
use uuid::Uuid;

use super::{json::state_of, problem::Problem};
use crate::auth::Identity;

/// The header that names the device.
pub(super) const DEVICE_HEADER: &str = "Parlor-Device";
/// The header that carries the `msg_id`.
pub(super) const KEY_HEADER: &str = "Idempotency-Key";
/// The device of those who name none.
const DEVICE_DEFAULT: &str = "http";

/// A request whose token holds.
pub(super) struct Signed {
    /// What every frame is authorised against.
    pub(super) caller: Caller,
    /// What the token says.
    pub(super) identity: Identity,
}

impl FromRequest for Signed {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(sign(&request).await?) })
    }
}

/// Returns what `Authorization: Bearer` carries.
pub(super) fn bearer(request: &HttpRequest) -> Result<&str, Refusal> {
    let unauthorized = |message| Refusal::new(ErrorCode::Unauthorized, message);
    let value = request
        .headers()
        .get(header::AUTHORIZATION)
        .ok_or_else(|| unauthorized("a bearer token is needed"))?;
    // RFC 9110 section 11.1: the scheme is compared without case.
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| unauthorized("the authorization header carries no bearer token"))
}

async fn sign(request: &HttpRequest) -> Result<Signed, Refusal> {
    let token = bearer(request)?;
    let identity = state_of(request).accounts.verify(token).await?;
    let device_id = header_text(request, DEVICE_HEADER)?.unwrap_or(DEVICE_DEFAULT);
    let caller = Caller {
        user_id: identity.user_id.clone(),
        device_id: DeviceId::from_str(device_id)
            .map_err(|error| Refusal::bad_field(DEVICE_HEADER, error.to_string()))?,
    };
    Ok(Signed { caller, identity })
}

/// The idempotency key, where there is one.
pub(super) struct Key(pub(super) Option<MsgId>);

impl Key {
    /// Returns the `msg_id` for `frame`: the key, or a fresh one where the frame needs one.
    pub(super) fn msg_id(&self, frame: &ClientFrame) -> Option<MsgId> {
        frame
            .needs_msg_id()
            .then(|| self.0.unwrap_or_else(|| MsgId::new(Uuid::new_v4())))
    }

    /// Returns the key where the call demands one.
    pub(super) fn required(&self) -> Result<MsgId, Refusal> {
        self.0
            .ok_or_else(|| Refusal::bad_field(KEY_HEADER, "missing: a uuid is needed"))
    }

    /// Returns the key of another frame that the same request makes: the same for the same key, unlike any other.
    pub(super) fn of_second_frame(&self) -> Self {
        Self(self.0.map(|key| {
            let mut seed = b"parlor second frame ".to_vec();
            seed.extend_from_slice(&key.bytes());
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &seed);
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&digest.as_ref()[..16]);
            MsgId::new(Uuid::new_v8(bytes))
        }))
    }
}

impl FromRequest for Key {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read_key(request).map(Self).map_err(Problem::from))
    }
}

fn read_key(request: &HttpRequest) -> Result<Option<MsgId>, Refusal> {
    let Some(text) = header_text(request, KEY_HEADER)? else {
        return Ok(None);
    };
    // The header's draft standard writes a string in quotes; most clients do not.
    let bare = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    let key = bare
        .parse()
        .map_err(|_| Refusal::bad_field(KEY_HEADER, "must be a uuid"))?;
    Ok(Some(key))
}

fn header_text<'a>(
    request: &'a HttpRequest,
    name: &'static str,
) -> Result<Option<&'a str>, Refusal> {
    request
        .headers()
        .get(name)
        .map(|value| value.to_str().map(str::trim))
        .transpose()
        .map_err(|_| Refusal::bad_field(name, "must be ascii"))
}

/// The address at the other end of the connection.
pub(super) struct Peer(pub(super) IpAddr);

impl FromRequest for Peer {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(peer(request))))
    }
}

/// Returns the address at the other end of the connection.
pub(super) fn peer(request: &HttpRequest) -> IpAddr {
    // Only a listener that is no TCP socket has no address; all its clients then count as one.
    let address = request
        .peer_addr()
        .map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip());
    address.to_canonical()
}

/// Reads the id that the path calls `name`.
pub(super) fn path_id<T>(request: &HttpRequest, name: &'static str) -> Result<T, Refusal>
where
    T: FromStr,
    T::Err: Display,
{
    request
        .match_info()
        .query(name)
        .parse()
        .map_err(|error: T::Err| Refusal::bad_field(name, error.to_string()))
}
