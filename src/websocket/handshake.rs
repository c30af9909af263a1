//! The handshake: RFC 6455 by actix-http (the one that actix-web-actors wraps), and Parlor's own conditions before it.
//!
//! Order: path, method and upgrade, origin, drain, subprotocol, admission, token. What fails is answered with a problem document.

use std::{net::IpAddr, sync::Arc};

use actix_codec::Framed;
use actix_http::{
    ConnectionType, HttpMessage, Request, Response, StatusCode,
    body::{BodySize, BoxBody},
    h1,
    header::{self, HeaderValue},
};
use actix_web::Error;
use actix_web_actors::ws::HandshakeError;
use bytes::Bytes;
use futures_util::SinkExt;
use parlor_actors::{
    pace,
    ports::Coding,
    session::{Session, SessionEnv},
};
use parlor_schema::{ErrorCode, SessionId, frame::Refusal};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    admission::{Admission, Admitted},
    connection::Connection,
    deflate,
    socket::Setup,
    stream::Stream,
};
use crate::{head::Headed, http::ProblemDocument};

/// The path of the socket.
pub(super) const PATH: &str = "/v1/ws";
/// The subprotocol.
const SUBPROTOCOL: &str = "parlor.v1";

/// What every connection of a node shares.
#[derive(Clone)]
pub struct WsState {
    /// What sessions share.
    pub sessions: Arc<SessionEnv>,
    /// Who may connect now.
    pub admission: Arc<Admission>,
    /// Whether compression is agreed to.
    pub deflate: bool,
    /// Origins allowed beside the server's own.
    pub allowed_origins: Arc<Vec<String>>,
    /// Bytes of one client frame.
    pub frame_bytes: usize,
}

/// A refusal before the upgrade.
struct Refused {
    refusal: Refusal,
    status: StatusCode,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { refusal, status }
    }
}

/// Answers a request to upgrade; the connection is the socket's from then on.
///
/// # Errors
/// The client went away during the handshake.
pub async fn upgrade<S>(
    state: WsState,
    request: Request,
    mut framed: Framed<Headed<S>, h1::Codec>,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Into<Stream>,
{
    // Requests that were waited for may come at once, as those do that are all refused.
    pace::step().await;
    let peer = request
        .peer_addr()
        .map_or(IpAddr::from([0, 0, 0, 0]), |addr| addr.ip());
    let agreed = agree(&state, &request, peer).await;
    let agreed = match agreed {
        Ok(agreed) => agreed,
        Err(refused) => {
            state.sessions.front.metrics.refused(refused.refusal.code);
            return refuse(&mut framed, &refused).await;
        }
    };
    framed
        .send(h1::Message::Item((agreed.response, BodySize::None)))
        .await?;
    let parts = framed.into_parts();
    let (stream, untaken) = parts.io.into_parts();
    // What came in a large buffer is kept in a small one, mostly in none.
    let first = Bytes::from([&parts.read_buf[..], &untaken].concat());
    serve(state, stream.into(), first, peer, agreed.party);
    Ok(())
}

/// What a handshake agreed on.
struct Agreed {
    response: Response<()>,
    party: Party,
}

/// What the connection keeps of it.
struct Party {
    coding: Coding,
    token: Option<String>,
    admitted: Admitted,
}

/// Starts the session of a connection.
fn serve(state: WsState, stream: Stream, first: Bytes, peer: IpAddr, party: Party) {
    let env = state.sessions;
    let metrics = env.front.metrics.clone();
    metrics.connections.inc();
    let ports = &env.front.ports;
    let setup = Setup {
        session: SessionId::new(ports.ids.uuid(ports.clock.now())),
        ledger: env.fanout().ledger(),
        coding: party.coding,
        frame_bytes: state.frame_bytes,
        clock: ports.clock.clone(),
        wire: ports.wire.clone(),
    };
    let admitted = party.admitted;
    let end = move |code| {
        metrics.closed(code);
        metrics.connections.dec();
        drop(admitted);
    };
    let connection = Connection::new(stream, first, setup, end);
    Session::open(env, connection.line(), peer, party.token, connection);
}

async fn agree(state: &WsState, request: &Request, peer: IpAddr) -> Result<Agreed, Refused> {
    if request.path() != PATH {
        return Err(Refusal::not_found("path").into());
    }
    let mut response =
        actix_http::ws::handshake(request.head()).map_err(|error| handshake_refused(&error))?;
    check_origin(state, request)?;
    let ports = &state.sessions.front.ports;
    if state
        .sessions
        .drain
        .left_ms(ports.clock.monotonic_ms())
        .is_some()
    {
        return Err(Refusal::unavailable("the node is draining").into());
    }
    if let Some(protocol) = subprotocol(request)? {
        response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    let coding = match compression(state, request) {
        Some((coding, answer)) => {
            response.insert_header((header::SEC_WEBSOCKET_EXTENSIONS, answer));
            coding
        }
        None => Coding::Plain,
    };
    let admitted = state.admission.enter(peer, ports.clock.monotonic_ms())?;
    let token = bearer(request)?;
    if let Some(token) = &token {
        state
            .sessions
            .front
            .ports
            .gate
            .verify(token.clone())
            .await?;
    }
    Ok(Agreed {
        response: response.finish().drop_body(),
        party: Party {
            coding,
            token,
            admitted,
        },
    })
}

/// Chooses how frames are coded, where the client offers a choice and the settings allow it.
fn compression(state: &WsState, request: &Request) -> Option<(Coding, String)> {
    let offers = request
        .headers()
        .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
        .filter_map(|offer| offer.to_str().ok());
    deflate::negotiate(offers).filter(|_| state.deflate)
}

fn handshake_refused(error: &HandshakeError) -> Refused {
    let status = match error {
        HandshakeError::GetMethodRequired => StatusCode::METHOD_NOT_ALLOWED,
        HandshakeError::NoWebsocketUpgrade | HandshakeError::NoConnectionUpgrade => {
            StatusCode::UPGRADE_REQUIRED
        }
        _ => StatusCode::BAD_REQUEST,
    };
    Refused {
        refusal: Refusal::new(ErrorCode::BadFrame, error.to_string()),
        status,
    }
}

/// A page may connect from the server's own origin, or from one the settings name. Programs send no origin.
fn check_origin(state: &WsState, request: &Request) -> Result<(), Refused> {
    let Some(origin) = request.headers().get(header::ORIGIN) else {
        return Ok(());
    };
    let refused = || Refused::from(Refusal::forbidden("this origin may not connect"));
    let origin = origin.to_str().map_err(|_| refused())?;
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let own = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
        .is_some_and(|rest| !host.is_empty() && rest.eq_ignore_ascii_case(host));
    let allowed = own
        || state
            .allowed_origins
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(origin));
    if allowed { Ok(()) } else { Err(refused()) }
}

/// Chooses the subprotocol: ours, or none when none is offered.
fn subprotocol(request: &Request) -> Result<Option<HeaderValue>, Refused> {
    let mut offered = false;
    for value in request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        for protocol in value.to_str().unwrap_or_default().split(',') {
            offered = true;
            if protocol.trim() == SUBPROTOCOL {
                return Ok(Some(HeaderValue::from_static(SUBPROTOCOL)));
            }
        }
    }
    if offered {
        return Err(Refusal::new(ErrorCode::BadFrame, "the subprotocol is parlor.v1").into());
    }
    Ok(None)
}

fn bearer(request: &Request) -> Result<Option<String>, Refused> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let unauthorized = || {
        Refused::from(Refusal::new(
            ErrorCode::Unauthorized,
            "a bearer token is needed",
        ))
    };
    let value = value.to_str().map_err(|_| unauthorized())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthorized());
    }
    Ok(Some(token.trim().to_owned()))
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<S, h1::Codec>,
    refused: &Refused,
) -> Result<(), Error> {
    let document = ProblemDocument::of(&refused.refusal, refused.status);
    let body = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
    let mut response = Response::<BoxBody>::new(refused.status);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    match refused.status {
        StatusCode::UPGRADE_REQUIRED => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"))
        }
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"))
        }
        _ => headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    };
    if let Some(wait) = refused.refusal.retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000)));
    }
    if refused.status != StatusCode::UPGRADE_REQUIRED {
        // The codec would else repeat what the request wanted.
        let head = response.head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    let size = BodySize::Sized(body.len() as u64);
    // All of it with one write: those who are refused may be many.
    framed
        .feed(h1::Message::Item((response.drop_body(), size)))
        .await?;
    framed.feed(h1::Message::Chunk(Some(body))).await?;
    framed.send(h1::Message::Chunk(None)).await?;
    Ok(())
}
