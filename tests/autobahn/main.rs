//! The Autobahn suite's cases against the real transport: handshake, connection, decoder, compression, outlet; only what is said is an echo.
//!
//! Deliberately absent: the cases whose messages are larger than a server frame may be; `tests/autobahn/README.md` names them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    net::TcpListener,
    process::Command,
    rc::Rc,
    sync::{Arc, mpsc},
};

use actix::prelude::*;
use actix_codec::Framed;
use actix_http::{HttpMessage, HttpService, Request, Response, body::BodySize, h1, header};
use actix_rt::net::TcpStream;
use actix_service::fn_service;
use bytes::BufMut;
use futures_util::SinkExt;
use parlor::websocket::{Connection, Setup, WebSocketWire, negotiate};
use parlor_actors::{
    ledger::{Budget, Ledger},
    line::Line,
    ports::{Coding, Packed, Wire},
    session::{Inbound, Text},
};
use parlor_cluster::SystemClock;
use parlor_schema::{SessionId, limits::SERVER_FRAME_BYTES_MAX};
use uuid::Uuid;

/// The cases of messages above 1 MiB, which Parlor refuses by their size.
const TOO_LARGE: [&str; 8] = [
    "9.1.4", "9.1.5", "9.1.6", "9.2.4", "9.2.5", "9.2.6", "9.3.*", "9.4.*",
];

/// Says what it hears.
struct Echo(Rc<Line>);

impl Actor for Echo {
    type Context = Context<Self>;
}

impl StreamHandler<Inbound> for Echo {
    fn handle(&mut self, Inbound(texts): Inbound, _: &mut Self::Context) {
        for text in texts {
            self.0.outlet.push(match text {
                Text::Json(text) => WebSocketWire.coded(&text, self.0.coding),
                Text::Binary(bytes) => binary(&bytes),
            });
        }
    }
}

/// Packs a binary message, which the server itself never sends.
fn binary(bytes: &[u8]) -> Packed {
    let mut out = Vec::new();
    out.put_u8(0x82);
    match u16::try_from(bytes.len()) {
        Ok(short @ 0..=125) => out.put_u8(short.to_be_bytes()[1]),
        Ok(middle) => {
            out.put_u8(126);
            out.put_u16(middle);
        }
        Err(_) => {
            out.put_u8(127);
            out.put_u64(bytes.len() as u64);
        }
    }
    out.put_slice(bytes);
    out.into()
}

async fn upgrade(
    request: Request,
    mut framed: Framed<TcpStream, h1::Codec>,
) -> Result<(), actix_web::Error> {
    let mut response = actix_http::ws::handshake(request.head()).unwrap();
    let offers = request
        .headers()
        .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
        .map(|offer| offer.to_str().unwrap());
    let mut coding = Coding::Plain;
    if let Some((agreed, answer)) = negotiate(offers) {
        response.insert_header((header::SEC_WEBSOCKET_EXTENSIONS, answer));
        coding = agreed;
    }
    let response = response.finish().drop_body();
    framed
        .send(h1::Message::Item((response, BodySize::None)))
        .await?;
    let parts = framed.into_parts();
    let setup = Setup {
        session: SessionId::new(Uuid::now_v7()),
        ledger: Rc::new(Ledger::new(Budget::new(0))),
        coding,
        frame_bytes: SERVER_FRAME_BYTES_MAX,
        clock: SystemClock::new(),
        wire: Arc::new(WebSocketWire),
    };
    let connection = Connection::new(parts.io.into(), parts.read_buf.freeze(), setup, |_| {});
    Echo::create(|ctx| {
        let line = connection.line();
        Echo::add_stream(connection, ctx);
        Echo(line)
    });
    Ok(())
}

/// Starts the echo on a thread of its own; answers its address.
fn start() -> String {
    let (ready, started) = mpsc::channel();
    std::thread::spawn(move || {
        actix_rt::System::new().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            ready.send(listener.local_addr().unwrap()).unwrap();
            let server = actix_server::Server::build()
                .workers(1)
                .disable_signals()
                .listen("echo", listener, || {
                    HttpService::build()
                        .upgrade(fn_service(|(request, framed)| upgrade(request, framed)))
                        .finish(fn_service(async |_: Request| {
                            Ok::<_, actix_http::Error>(Response::not_found())
                        }))
                        .tcp()
                })
                .unwrap();
            server.run().await.unwrap();
        });
    });
    format!("ws://{}", started.recv().unwrap())
}

#[test]
fn every_case_that_fits_a_frame_passes() {
    let ended = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/autobahn/run"))
        .arg(start())
        .arg("--strict")
        .arg("--exclude")
        .args(TOO_LARGE)
        .status()
        .expect("python3 runs");
    assert!(ended.success(), "{ended}");
}
