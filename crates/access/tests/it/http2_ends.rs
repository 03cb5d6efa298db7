//! When HTTP/2 connections are told to go, and what stays when they are.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request, StatusCode};
use hubbub_access::AcceptLimits;

use crate::face::Face;
use crate::http2::{Both, PATIENCE, Socket, get, opening, with};

const LONG: Duration = Duration::from_secs(60);
const SOCKETS_MAX: u32 = 3;

/// Answers are short: the status and the first part of the body.
async fn answer(client: &mut SendRequest<Bytes>, request: Request<()>) -> (StatusCode, String) {
    let (answer, _) = client.send_request(request, true).unwrap();
    let (parts, mut body) = answer.await.unwrap().into_parts();
    let body = body.data().await.unwrap().unwrap();
    (parts.status, String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn one_that_is_not_let_in_ends_with_the_answer_that_says_so() {
    let limits = AcceptLimits {
        opens_per_second_max: 0,
        handshakes_max: 100,
        http2_sockets_max: SOCKETS_MAX,
        headers_timeout: LONG,
    };
    let face = Face::with(0, limits, None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // More of them, one after the other, than there are places for those turned away.
        for nth in 1..=100 {
            let stream = tokio::net::TcpStream::connect(face.address).await.unwrap();
            // A request that is there at once is refused without a task. The loop is done with this
            // connection when it has met the next.
            drop(tokio::net::TcpStream::connect(face.address).await.unwrap());
            let began = Instant::now();
            while Face::counted(&face.stats.turned_away) < 2 * nth {
                assert!(began.elapsed() < PATIENCE);
                tokio::task::yield_now().await;
            }
            let (client, connection) = h2::client::handshake(stream).await.unwrap();
            let connection = tokio::spawn(connection);
            let mut client: SendRequest<Bytes> = client.ready().await.unwrap();
            assert_eq!(answer(&mut client, get("/livez")).await.0, StatusCode::OK);
            let (status, body) = answer(&mut client, get("/")).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(body.contains("\"reason\":\"too_many_connections\""), "{body}");
            // The server closes it, with the client still there to ask for more.
            tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap().unwrap();
            drop(client);
        }
    });
}

/// Opens sockets that are refused until the connection takes no more requests.
async fn refused_to_the_end(mut client: SendRequest<Bytes>) {
    let began = Instant::now();
    while let Ok(ready) = client.ready().await {
        client = ready;
        assert!(began.elapsed() < PATIENCE);
        let request = opening("/echo", &[]);
        let Ok((answer, _to)) = client.send_request(request, false) else { return };
        // One that comes after the connection was told to go is not answered.
        let Ok(answer) = answer.await else { return };
        assert!(!answer.status().is_success(), "{}", answer.status());
    }
}

#[test]
fn a_flood_of_refusals_ends_the_connection_and_no_socket() {
    with(PATIENCE, async |both: &Both| {
        let mut client = both.connect().await;
        let mut open = Vec::new();
        for _ in 0..SOCKETS_MAX {
            open.push(Socket::open(&mut client, "/echo", &[]).await.ok().unwrap());
        }
        refused_to_the_end(client).await;
        assert!(Face::counted(&both.face.stats.http2_refused) > 100);
        for socket in &mut open {
            socket.echoes("still here").await;
        }
        assert_eq!(both.hub.stats().connections, u64::from(SOCKETS_MAX));
    });
}

#[test]
fn connect_opens_websockets_and_nothing_else() {
    with(PATIENCE, async |both: &Both| {
        let mut client = both.connect().await;
        for path in ["/ws", "/echo", "/elsewhere"] {
            let request = Request::builder()
                .method(Method::CONNECT)
                .uri(format!("http://here{path}"))
                .extension(Protocol::from_static("connect-udp"))
                .header("sec-websocket-version", "13")
                .header("authorization", "Bearer bad")
                .body(())
                .unwrap();
            let (status, body) = answer(&mut client, request).await;
            assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{path}: {body}");
            assert!(
                body.starts_with("{\"code\":501,\"reason\":\"protocol_not_supported\""),
                "{body}"
            );
        }
        let plain = Request::connect("here:443").body(()).unwrap();
        assert_eq!(answer(&mut client, plain).await.0, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(Face::counted(&both.face.stats.adopted), 0);
        assert!(Socket::open(&mut client, "/echo", &[]).await.is_ok());
    });
}
