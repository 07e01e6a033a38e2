//! The admin listener: metrics, health, posture, reload.

use super::bans;
use super::candidates;
use super::guard::{Refusal, Visit, may_use_api, may_visit};
use crate::admission::Admission;
use crate::config::{Admin, posture};
use crate::reload::{Attempt, Condition, Generation, Reloader};
use crate::store::MemoryStore;
use crate::telemetry::{Metrics, UpstreamFacts};
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// What the admin listener tells about and acts on.
pub struct Subject {
    /// The generations.
    pub reloader: Arc<Reloader>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The persistent collections, whose state is a metric.
    pub store: Arc<MemoryStore>,
    /// Rate limits and bans.
    pub admission: Arc<Admission>,
    /// Whether requests are served: `/readyz` says so. Cleared when the server is told to end, so that load
    /// balancers look elsewhere before its connections are closed.
    pub ready: AtomicBool,
}

/// The bound admin listener.
pub struct AdminServer {
    listener: std::net::TcpListener,
    subject: Arc<Subject>,
}

/// Connections at a time. Scrapers and probes use a handful.
const CONNECTIONS: usize = 64;
/// From a connection's acceptance, or the last answer, to the end of a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

impl AdminServer {
    /// Binds `address`.
    ///
    /// # Errors
    ///
    /// When it cannot be bound.
    pub fn bind(address: SocketAddr, subject: Arc<Subject>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, subject })
    }

    /// On a socket that is bound.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn on(listener: std::net::TcpListener, subject: Arc<Subject>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, subject })
    }

    /// Another handle of its socket.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn socket(&self) -> io::Result<std::net::TcpListener> {
        self.listener.try_clone()
    }

    /// The bound address.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` says `true` or its sender is gone.
    ///
    /// # Errors
    ///
    /// When the socket cannot be handed to the runtime.
    pub async fn serve(self, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            };
            let Ok((stream, peer)) = accepted else {
                // Out of file descriptors, most likely; trying again at once would only burn time.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
            let subject = Arc::clone(&self.subject);
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(move |request: Request<Incoming>| {
                    let subject = Arc::clone(&subject);
                    async move { Ok::<_, Infallible>(answer(&request, peer.ip(), subject).await) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(16 << 10);
                // What goes wrong on a scraper's connection is the scraper's business.
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    /// [`Self::serve`] on a thread of its own, so that a busy proxy does not delay a probe.
    ///
    /// # Errors
    ///
    /// When the thread or its runtime cannot be started.
    pub fn spawn(self, shutdown: watch::Receiver<bool>) -> io::Result<std::thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(self.serve(shutdown)) {
                tracing::error!(%error, "the admin listener has ended");
            }
            // A reload under way on a blocking thread may outlast the listener.
            runtime.shutdown_timeout(Duration::from_millis(100));
        })
    }
}

type Answer = Response<Full<Bytes>>;

/// What there is, with the method that it takes.
const ROUTES: &[(&str, Method)] = &[
    ("/metrics", Method::GET),
    ("/healthz", Method::GET),
    ("/readyz", Method::GET),
    ("/api/posture", Method::GET),
    ("/api/generation", Method::GET),
    ("/api/bans", Method::GET),
    ("/api/bans/lift", Method::POST),
    ("/api/shadow", Method::GET),
    ("/api/costs", Method::GET),
    ("/api/reload", Method::POST),
    ("/api/promote", Method::POST),
];

async fn answer(request: &Request<Incoming>, peer: IpAddr, subject: Arc<Subject>) -> Answer {
    let generation = subject.reloader.current().load_full();
    // A reload that switches the listener off takes effect with the next start; until then it obeys the defaults.
    let fallback = Admin { address: crate::config::DEFAULT_ADMIN, token: None, hosts: Vec::new() };
    let admin = generation.config.admin.as_ref().unwrap_or(&fallback);
    let text = |name| request.headers().get(name).map(|v: &HeaderValue| v.to_str().unwrap_or(""));
    let visit = Visit {
        host: request.uri().authority().map(http::uri::Authority::as_str).or(text(HOST)),
        origin: text(ORIGIN),
        authorization: request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes),
        peer,
    };
    let path = request.uri().path();
    let Some((_, method)) = ROUTES.iter().find(|(route, _)| *route == path) else {
        return problem(StatusCode::NOT_FOUND, "there is nothing here");
    };
    let api = path.starts_with("/api/");
    if let Err(refusal) =
        may_visit(&visit, admin).and_then(|()| if api { may_use_api(&visit, admin) } else { Ok(()) })
    {
        return refuse(refusal);
    }
    let asked = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    if asked != method {
        let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "another method is expected");
        if let Ok(allow) = HeaderValue::from_str(method.as_str()) {
            answer.headers_mut().insert(ALLOW, allow);
        }
        return answer;
    }
    match path {
        "/metrics" => {
            let usage = subject.store.usage();
            let banned = subject.admission.bans().list(SystemTime::now()).len();
            subject.metrics.admission(banned, subject.admission.evictions());
            subject.metrics.store(usage.collections, usage.bytes, usage.evictions);
            tell_upstreams(&generation, &subject.metrics);
            plain(StatusCode::OK, METRICS_TYPE, subject.metrics.render())
        }
        "/healthz" => plain(StatusCode::OK, TEXT_TYPE, "ok\n".to_owned()),
        "/readyz" if subject.ready.load(Ordering::Acquire) => {
            plain(StatusCode::OK, TEXT_TYPE, "ready\n".to_owned())
        }
        "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, TEXT_TYPE, "not ready\n".to_owned()),
        "/api/posture" => json_answer(StatusCode::OK, &postures(&subject)),
        "/api/generation" => json_answer(StatusCode::OK, &generation_facts(&subject)),
        "/api/bans" => json_answer(StatusCode::OK, &bans::list(&subject.admission, SystemTime::now())),
        "/api/bans/lift" => {
            let query = request.uri().query().unwrap_or_default();
            match bans::lift(&subject.admission, &generation.config, query, SystemTime::now()) {
                Ok(lifted) => {
                    tracing::info!(clients = lifted.join(" "), "bans lifted through the admin listener");
                    json_answer(StatusCode::OK, &json!({ "lifted": lifted }))
                }
                Err(what) => problem(StatusCode::BAD_REQUEST, &what),
            }
        }
        "/api/shadow" => json_answer(StatusCode::OK, &candidates::shadows(&generation)),
        "/api/costs" => {
            let query = request.uri().query().unwrap_or_default();
            json_answer(StatusCode::OK, &candidates::costs(&generation, &subject.metrics, query))
        }
        "/api/reload" => reload(subject).await,
        "/api/promote" => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let promoted =
                tokio::task::spawn_blocking(move || candidates::promote(&subject.reloader, &query)).await;
            match promoted {
                Ok((status, said)) => json_answer(status, &said),
                Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the server is ending"),
            }
        }
        _ => problem(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// How the upstreams are, which is known where they are chosen. Scrapes come one after the other, as the listener has
/// one thread.
fn tell_upstreams(generation: &Generation, metrics: &Metrics) {
    metrics.forget_upstreams();
    for site in &generation.sites {
        for (index, backend) in site.upstreams.all().iter().enumerate() {
            let Condition { is_up, active, requests, failures, checks_passed, checks_failed } =
                site.upstreams.condition(index);
            let facts = UpstreamFacts { is_up, active, requests, failures, checks_passed, checks_failed };
            metrics.upstream(&site.config.name, &backend.config.url, &facts);
        }
    }
}

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

fn postures(subject: &Subject) -> Value {
    let status = subject.reloader.status();
    let sites: Vec<Value> = status
        .postures
        .iter()
        .map(|site| json!({"site": site.site, "posture": posture::to_json(&site.posture, site.mode)}))
        .collect();
    json!({ "sites": sites })
}

fn generation_facts(subject: &Subject) -> Value {
    let generation = subject.reloader.current().load_full();
    let status = subject.reloader.status();
    json!({
        "number": generation.number,
        "hash": generation.hash,
        "loaded_at": stamp(generation.loaded_at),
        "sites": generation.sites.iter().map(|s| s.config.name.as_str()).collect::<Vec<_>>(),
        "last_attempt": {"at": stamp(status.attempted_at), "refusal": status.refusal},
        "version": env!("CARGO_PKG_VERSION"),
    })
}

fn stamp(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

async fn reload(subject: Arc<Subject>) -> Answer {
    let attempt = tokio::task::spawn_blocking(move || {
        let attempt = subject.reloader.reload();
        (attempt, subject.reloader.current().load().number)
    });
    match attempt.await {
        Ok((Some(Attempt::Swapped(number)), _)) => {
            json_answer(StatusCode::OK, &json!({"result": "success", "generation": number}))
        }
        Ok((Some(Attempt::Unchanged), number)) => {
            json_answer(StatusCode::OK, &json!({"result": "unchanged", "generation": number}))
        }
        Ok((Some(Attempt::Refused(errors)), number)) => {
            let body = json!({"result": "refused", "generation": number, "errors": errors});
            json_answer(StatusCode::UNPROCESSABLE_ENTITY, &body)
        }
        Ok((None, _)) | Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the server is ending"),
    }
}

fn refuse(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Host => problem(StatusCode::MISDIRECTED_REQUEST, "this Host is not served; see admin.hosts"),
        Refusal::Origin => problem(StatusCode::FORBIDDEN, "web pages of other origins are not answered"),
        Refusal::Remote => {
            problem(StatusCode::FORBIDDEN, "without a configured token only loopback may use the API")
        }
        Refusal::Token => {
            let mut answer = problem(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            answer
        }
    }
}

fn problem(status: StatusCode, what: &str) -> Answer {
    json_answer(status, &json!({ "error": what }))
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    plain(status, "application/json", format!("{value}\n"))
}

fn plain(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}
