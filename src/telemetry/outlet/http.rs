//! Batches of records as POST requests, over one connection that is kept.

use super::queue::{Batch, Line};
use super::tls;
use super::worker::{Failure, Output, Then};
use crate::config::SinkTarget;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::fmt::Display;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

pub(super) struct Http {
    runtime: Runtime,
    client: Client,
}

struct Client {
    target: SinkTarget,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// What became of a request.
enum Answer {
    Taken,
    /// 413: fewer at once may do.
    TooMuch,
    Later(String, Duration),
    Never(String),
}

impl Http {
    pub(super) fn new(target: SinkTarget) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, client: Client { target, connection: None } })
    }

    fn post(&mut self, lines: &[Line]) -> Answer {
        let SinkTarget::Http { timeout, array, .. } = &self.client.target else { return Answer::Taken };
        let (timeout, body) = (*timeout, body(lines, *array));
        let Self { runtime, client } = self;
        let answer = runtime.block_on(async { tokio::time::timeout(timeout, client.post(body)).await });
        let answer = answer.unwrap_or_else(|_| Answer::Later("no answer in time".to_owned(), Duration::ZERO));
        if !matches!(answer, Answer::Taken) {
            client.connection = None;
        }
        answer
    }
}

impl Output for Http {
    fn batch(&self) -> Batch {
        match &self.client.target {
            SinkTarget::Http { batch, batch_bytes, batch_wait, .. } => {
                Batch { lines: batch.get(), bytes: *batch_bytes, wait: *batch_wait }
            }
            _ => Batch { lines: 1, bytes: 1, wait: Duration::ZERO },
        }
    }

    fn send(&mut self, lines: &[Line]) -> Result<(), Failure> {
        match self.post(lines) {
            Answer::Taken => Ok(()),
            Answer::TooMuch if lines.len() > 1 => {
                let (first, second) = lines.split_at(lines.len() / 2);
                self.send(first)?;
                self.send(second).map_err(|failure| Failure { sent: failure.sent + first.len(), ..failure })
            }
            Answer::TooMuch => {
                Err(Failure { sent: 0, why: "413 for a single record".to_owned(), then: Then::Drop })
            }
            Answer::Later(why, after) => Err(Failure { sent: 0, why, then: Then::Retry(after) }),
            Answer::Never(why) => Err(Failure { sent: 0, why, then: Then::Drop }),
        }
    }
}

impl Client {
    async fn post(&mut self, body: Bytes) -> Answer {
        // A kept connection may have been closed meanwhile, which shows only now: then once more on a new one.
        if let Some(mut kept) = self.connection.take()
            && kept.ready().await.is_ok()
            && let Ok(answer) = self.exchange(kept, body.clone()).await
        {
            return answer;
        }
        match self.connect().await {
            Ok(new) => {
                let answer = self.exchange(new, body).await;
                answer.unwrap_or_else(|error| Answer::Later(error, Duration::ZERO))
            }
            Err(error) => Answer::Later(error.to_string(), Duration::ZERO),
        }
    }

    async fn exchange(
        &mut self,
        mut connection: SendRequest<Full<Bytes>>,
        body: Bytes,
    ) -> Result<Answer, String> {
        let text = |error: &dyn Display| error.to_string();
        let request = self.request(body).map_err(|e| text(&e))?;
        let response = connection.send_request(request).await.map_err(|e| text(&e))?;
        let (status, after) = (response.status(), retry_after(response.headers().get(RETRY_AFTER)));
        // Read to its end, so that the connection can be used again; what says more is not worth keeping.
        let read = Limited::new(response.into_body(), 64 << 10).collect().await;
        if read.is_ok() && status.is_success() {
            self.connection = Some(connection);
        }
        Ok(match status {
            status if status.is_success() => Answer::Taken,
            StatusCode::PAYLOAD_TOO_LARGE => Answer::TooMuch,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => {
                Answer::Later(format!("answered {status}"), after)
            }
            status if status.is_server_error() => Answer::Later(format!("answered {status}"), after),
            status => Answer::Never(format!("answered {status}")),
        })
    }

    fn request(&self, body: Bytes) -> http::Result<Request<Full<Bytes>>> {
        let SinkTarget::Http { authority, path, headers, array, .. } = &self.target else {
            return Request::builder().body(Full::new(body));
        };
        let kind = if *array { "application/json" } else { "application/x-ndjson" };
        let mut request = Request::post(path.as_str())
            .header(HOST, authority.as_str())
            .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, kind)
            .body(Full::new(body))?;
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value.expose())?;
            value.set_sensitive(true);
            request.headers_mut().insert(HeaderName::from_bytes(name.as_bytes())?, value);
        }
        Ok(request)
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let SinkTarget::Http { tls: security, host, port, .. } = &self.target else {
            return Err(io::Error::other("no HTTP sink"));
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        match security {
            None => Self::speak(TokioIo::new(stream)).await,
            Some(config) => {
                let connector = tokio_rustls::TlsConnector::from(tls::client(config)?);
                Self::speak(TokioIo::new(connector.connect(tls::name(host)?, stream).await?)).await
            }
        }
    }

    async fn speak<T>(stream: T) -> io::Result<SendRequest<Full<Bytes>>>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(stream).await.map_err(io::Error::other)?;
        // It runs whenever a request does; its errors are the request's.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Lines as they are, or as the members of one array.
fn body(lines: &[Line], array: bool) -> Bytes {
    let mut body = Vec::with_capacity(lines.iter().map(|line| line.bytes.len() + 1).sum::<usize>() + 2);
    if array {
        body.push(b'[');
    }
    for (index, line) in lines.iter().enumerate() {
        if array && index > 0 {
            body.push(b',');
        }
        let newline = if array { line.bytes.strip_suffix(b"\n") } else { None };
        body.extend_from_slice(newline.unwrap_or(&line.bytes));
    }
    if array {
        body.push(b']');
    }
    body.into()
}

/// `Retry-After` in seconds, at most five minutes; dates are not understood.
fn retry_after(value: Option<&HeaderValue>) -> Duration {
    let seconds = value.and_then(|v| v.to_str().ok()?.trim().parse().ok()).unwrap_or(0_u64);
    Duration::from_secs(seconds.min(300))
}
