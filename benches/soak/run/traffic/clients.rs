//! One client of each kind. An error is an answer that did not come.

use super::super::origin::{EVENTS, FAULTS, download as file, event, page as html};
use super::super::wire::Wire;
use super::words::{AGENT, Random, Request, attack as evil, ordinary_body, target, words};
use super::{Ground, PATIENCE};
use crate::support::http2;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

type Done = Result<(), String>;

/// A form of so many words.
fn form(kind: &'static str, marker: String, random: &mut Random, count: usize) -> Request {
    let body = format!("note={}", words(random, count, "+"));
    Request::post(kind, marker, "application/x-www-form-urlencoded", body)
}

fn told(kind: &str) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{kind}: {error}")
}

/// Requests on a connection until one is worn out; ordinary ones, and attacks among them.
async fn many(
    ground: &Ground,
    wire: &mut Wire,
    random: &mut Random,
    kind: &'static str,
    count: usize,
) -> Done {
    for _ in 0..count {
        let is_attack = random.below(8) == 0;
        let request = if is_attack {
            evil("attacks between others", ground.tally.marker("attack"), random)
        } else {
            let marker = ground.tally.marker("m");
            let target = target(random, &marker);
            Request::get(kind, marker, target)
        };
        let reply = ground.exchange(wire, &request).await?;
        match is_attack {
            true => ground.judge_attack(&request, &reply),
            false => ground.judge(&request, &reply),
        }
        if reply.is_last() || !ground.goes_on().await {
            break;
        }
    }
    Ok(())
}

pub async fn kept(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("kept"))?;
    many(&ground, &mut wire, &mut random, "on kept connections", 200).await
}

pub async fn fresh(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("fresh"))?;
    many(&ground, &mut wire, &mut random, "on new connections", 1).await
}

pub async fn secured(ground: Arc<Ground>, mut random: Random) -> Done {
    let connected = ground.within("TLS", "handshake", Wire::secured(ground.secured, &ground.trust)).await;
    let (mut wire, shown) = connected?;
    ground.shown.lock().expect("no panic").insert(shown);
    many(&ground, &mut wire, &mut random, "over TLS", 3).await
}

/// Several requests at once, whose answers have to come in order.
pub async fn pipelined(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("pipelined"))?;
    let requests: Vec<Request> = (0..4)
        .map(|n| {
            let marker = ground.tally.marker("p");
            match n % 2 {
                0 => Request::get("pipelined", marker.clone(), target(&mut random, &marker)),
                _ => form("pipelined", marker, &mut random, 40),
            }
        })
        .collect();
    let all: Vec<u8> = requests.iter().flat_map(Request::bytes).collect();
    wire.send(&all).await.map_err(told("pipelined"))?;
    for request in &requests {
        let reply = ground.within(request.kind, &request.marker, wire.read(None)).await?;
        ground.judge(request, &reply);
    }
    Ok(())
}

/// Ordinary requests to a site one of whose upstreams comes and goes.
pub async fn pair(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("pair"))?;
    for _ in 0..20 {
        let marker = ground.tally.marker("m");
        let request = Request::get("with an upstream away", marker.clone(), target(&mut random, &marker))
            .at("pair.test");
        let reply = ground.exchange(&mut wire, &request).await?;
        ground.judge(&request, &reply);
        if reply.is_last() || !ground.goes_on().await {
            break;
        }
    }
    Ok(())
}

pub async fn upload(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("upload"))?;
    for _ in 0..10 {
        let request = ordinary_body("forms, JSON, uploads", ground.tally.marker("u"), &mut random);
        let reply = ground.within(request.kind, &request.marker, async {
            wire.send(&request.bytes()).await?;
            wire.read(None).await
        });
        let reply = reply.await?;
        ground.judge(&request, &reply);
        if reply.is_last() || !ground.goes_on().await {
            break;
        }
    }
    Ok(())
}

pub async fn attack(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("attack"))?;
    let request = evil("attacks", ground.tally.marker("attack"), &mut random);
    let reply = ground.exchange(&mut wire, &request).await?;
    ground.judge_attack(&request, &reply);
    Ok(())
}

/// One who attacks until he is banned, and goes on.
pub async fn banned(ground: Arc<Ground>, mut random: Random) -> Done {
    let address = Ipv4Addr::new(203, 0, 113, (random.next() % 4) as u8);
    let mut wire = Wire::plain(ground.plain).await.map_err(told("banned"))?;
    let mut request = evil("attacks of banned clients", ground.tally.marker("attack"), &mut random);
    request.fields = format!("X-Forwarded-For: {address}\r\n");
    let reply = ground.exchange(&mut wire, &request).await?;
    ground.judge_attack(&request, &reply);
    Ok(())
}

/// Requests that can be read in two ways, with another one behind.
pub async fn malformed(ground: Arc<Ground>, mut random: Random) -> Done {
    let behind = format!(
        "GET /hidden HTTP/1.1\r\nHost: shop.test\r\nX-Marker: {}\r\n\r\n",
        ground.tally.marker("attack")
    );
    let length = behind.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 203.0.113.9\r\nUser-Agent: {AGENT}\r\n"
    );
    let text = random.of(&[0, 1, 2, 3]);
    let text = match text {
        0 => format!("{head}Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{behind}"),
        1 => format!("{head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{behind}"),
        2 => format!("{head}Content-Length: 0\n\r\n{behind}"),
        _ => format!("{head}X:\r\n y\r\nTransfer-Encoding: xchunked\r\n\r\n{behind}"),
    };
    let mut wire = Wire::plain(ground.plain).await.map_err(told("malformed"))?;
    let exchange = async {
        wire.send(text.as_bytes()).await?;
        wire.read(None).await
    };
    let reply = ground.within("malformed", &text, exchange).await?;
    ground.tally.asked("malformed");
    if reply.status != 400 {
        ground.tally.wrong("a malformed request not refused", format!("{}: {text:?}", reply.status));
    }
    if let Ok(Ok(more)) = tokio::time::timeout(PATIENCE, wire.read(None)).await {
        ground.tally.wrong("an answer that nobody asked for", format!("{}: {text:?}", more.status));
    }
    Ok(())
}

/// Streams at once on one connection.
pub async fn http2(ground: Arc<Ground>, mut random: Random) -> Done {
    let client = ground.within("HTTP/2", "handshake", ground.trust.http2(ground.secured)).await?;
    for _ in 0..10 {
        let streams = (0..6).map(|n| {
            let request = match n {
                0 => evil("attacks over HTTP/2", ground.tally.marker("attack"), &mut random),
                1 | 2 => ordinary_body("over HTTP/2", ground.tally.marker("h"), &mut random),
                _ => {
                    let marker = ground.tally.marker("h");
                    let target = target(&mut random, &marker);
                    Request::get("over HTTP/2", marker, target)
                }
            };
            stream(&ground, client.clone(), request)
        });
        let streams: Vec<_> = streams.collect();
        for done in futures::future::join_all(streams).await {
            done?;
        }
        if !ground.goes_on().await {
            break;
        }
    }
    Ok(())
}

async fn stream(
    ground: &Ground,
    mut client: h2::client::SendRequest<bytes::Bytes>,
    request: Request,
) -> Done {
    let uri = format!("https://{}{}", request.host, request.target);
    let mut builder = http::Request::builder().method(request.method).uri(uri);
    let fixed = [("user-agent", AGENT), ("accept", "*/*"), ("x-marker", &request.marker)];
    for (name, value) in fixed {
        builder = builder.header(name, value);
    }
    let fields = request.fields();
    for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
        builder = builder.header(name.to_ascii_lowercase(), value);
    }
    let message = builder.body(()).map_err(|error| error.to_string())?;
    let sent = http2::send(&mut client, message, &request.body, 16_000);
    let answer =
        ground.within(request.kind, &request.marker, async { sent.await.map_err(io::Error::other) }).await?;
    let mut head = String::new();
    for (name, value) in answer.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or("?")));
    }
    let status = answer.status().as_u16();
    let reply = super::Reply { status, head, body: answer.into_body(), complete: true };
    match request.marker.starts_with("attack") {
        true => ground.judge_attack(&request, &reply),
        false => ground.judge(&request, &reply),
    }
    Ok(())
}

/// More than is allowed.
pub async fn limited(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("limited"))?;
    let who = random.of(&["ann", "bob"]);
    for _ in 0..40 {
        let marker = ground.tally.marker("l");
        let mut request = Request::get("under a rate limit", marker.clone(), target(&mut random, &marker))
            .at("limited.test");
        request.fields += &format!("X-Who: {who}\r\n");
        let reply = ground.exchange(&mut wire, &request).await?;
        match reply.status {
            429 if reply.header("retry-after").is_some() && reply.complete => {
                ground.tally.asked("refused by a rate limit");
            }
            _ => ground.judge(&request, &reply),
        }
        if reply.is_last() || !ground.goes_on().await {
            break;
        }
    }
    Ok(())
}

async fn one(
    ground: &Ground,
    kind: &'static str,
    path: &str,
    expected: impl FnOnce(&str) -> Vec<u8>,
) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told(kind))?;
    let marker = ground.tally.marker("d");
    let request = Request::get(kind, marker.clone(), path.to_owned());
    let reply = ground.exchange(&mut wire, &request).await?;
    ground.judge_as(&request, &reply, &expected(&marker));
    Ok(())
}

pub async fn page(ground: Arc<Ground>, _: Random) -> Done {
    one(&ground, "pages of HTML", "/page", |marker| html(marker).into_bytes()).await
}

pub async fn download(ground: Arc<Ground>, _: Random) -> Done {
    one(&ground, "downloads", "/big", file).await
}

pub async fn events(ground: Arc<Ground>, _: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("events"))?;
    let marker = ground.tally.marker("e");
    let request = Request::get("event streams", marker.clone(), "/events".to_owned());
    let work = async {
        wire.send(&request.bytes()).await?;
        let mut reply = wire.head().await?;
        // Pieces may be joined on the way, but not all of them.
        let mut pieces = 0;
        while let Some(piece) = wire.chunk().await? {
            pieces += 1;
            reply.body.extend_from_slice(&piece);
        }
        reply.complete = true;
        Ok((reply, pieces))
    };
    let (reply, pieces) = ground.within(request.kind, &marker, work).await?;
    let expected: String = (0..EVENTS).map(|number| event(&marker, number)).collect();
    ground.judge_as(&request, &reply, expected.as_bytes());
    if pieces < 2 {
        ground.tally.wrong("events held back", marker);
    }
    Ok(())
}

pub async fn websocket(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("WebSocket"))?;
    let marker = ground.tally.marker("w");
    let mut request = Request::get("WebSockets", marker.clone(), "/ws".to_owned());
    request.fields += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let reply = ground.within(request.kind, &marker, async {
        wire.send(&request.bytes()).await?;
        wire.head().await
    });
    let reply = reply.await?;
    ground.tally.asked(request.kind);
    if reply.status != 101 {
        ground.tally.wrong("a WebSocket refused", format!("{marker}: {}", reply.status));
        return Ok(());
    }
    for number in 0..20 {
        let message = format!("\u{2}{marker} {number} {}", words(&mut random, 10, " "));
        let echoed = ground.within(request.kind, &marker, async {
            wire.send(message.as_bytes()).await?;
            wire.exactly(message.len()).await
        });
        if echoed.await? != message.as_bytes() {
            ground.tally.wrong("somebody else's answer", format!("WebSocket {marker}"));
        }
        if !ground.goes_on().await {
            break;
        }
    }
    Ok(())
}

pub async fn slow_head(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("slow head"))?;
    let marker = ground.tally.marker("s");
    let request = Request::get("slow heads", marker.clone(), target(&mut random, &marker));
    let reply = ground.within(request.kind, &marker, async {
        wire.dribble(&request.bytes(), 9, Duration::from_millis(10)).await?;
        wire.read(None).await
    });
    let reply = reply.await?;
    ground.judge(&request, &reply);
    Ok(())
}

pub async fn slow_body(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("slow body"))?;
    let request = form("slow bodies", ground.tally.marker("s"), &mut random, 200);
    let reply = ground.within(request.kind, &request.marker, async {
        wire.send(request.head().as_bytes()).await?;
        wire.dribble(&request.body, 100, Duration::from_millis(20)).await?;
        wire.read(None).await
    });
    let reply = reply.await?;
    ground.judge(&request, &reply);
    Ok(())
}

pub async fn slow_reader(ground: Arc<Ground>, _: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("slow reader"))?;
    let marker = ground.tally.marker("s");
    let request = Request::get("slow readers", marker.clone(), "/big".to_owned());
    let reply = ground.within(request.kind, &marker, async {
        wire.send(&request.bytes()).await?;
        wire.read(Some(Duration::from_millis(20))).await
    });
    let reply = reply.await?;
    ground.judge_as(&request, &reply, &file(&marker));
    Ok(())
}

/// A head that never ends.
pub async fn never_ends(ground: Arc<Ground>, _: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("never ends"))?;
    let reply = ground.within("never ends", "", async {
        wire.send(b"GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 203.0.113.9\r\nX-Marker: attack")
            .await?;
        wire.read(None).await
    });
    let reply = reply.await?;
    ground.tally.asked("heads that never end");
    if reply.status != 408 {
        ground.tally.wrong("a head that never ends", format!("{}", reply.status));
    }
    Ok(())
}

/// Clients who do not wait.
pub async fn goes_away(ground: Arc<Ground>, mut random: Random) -> Done {
    let mut wire = Wire::plain(ground.plain).await.map_err(told("goes away"))?;
    let marker = ground.tally.marker("g");
    ground.tally.asked("clients who go away");
    let path = random.of(&["/slow", "/big", "/page", "/events"]);
    let request = Request::get("goes away", marker.clone(), path.to_owned());
    let post = form("goes away", marker, &mut random, 500);
    let sent = match random.below(4) {
        0 => wire.send(&post.bytes()[..800]).await,
        1 => wire.send(&request.bytes()[..60]).await,
        2 => wire.send(&request.bytes()).await,
        _ => {
            let begun = async {
                wire.send(&request.bytes()).await?;
                wire.head().await.map(drop)
            };
            ground.within("goes away", path, begun).await.map_err(io::Error::other)
        }
    };
    sent.map_err(told("goes away"))
}

pub async fn broken(ground: Arc<Ground>, mut random: Random) -> Done {
    let (path, expected) = random.of(&FAULTS);
    let mut wire = Wire::plain(ground.plain).await.map_err(told("broken"))?;
    let marker = ground.tally.marker("b");
    let request = Request::get("broken upstreams", marker.clone(), path.to_owned()).at("faulty.test");
    let reply = ground.within(request.kind, &marker, async {
        wire.send(&request.bytes()).await?;
        wire.read(None).await
    });
    let reply = reply.await?;
    ground.tally.asked(request.kind);
    let is_right = match expected {
        // Begun, and cut so that the client sees it; or not begun at all.
        0 => !reply.complete || reply.status == 502 || reply.status == 504,
        200 => reply.status == 200 && reply.body == marker.as_bytes(),
        status => reply.status == status && reply.complete && reply.header("x-request-id").is_some(),
    };
    if !is_right {
        let about =
            format!("{path} {marker}: {} {} complete: {}", reply.status, reply.text(), reply.complete);
        ground.tally.wrong("a broken upstream's answer", about);
    }
    Ok(())
}
