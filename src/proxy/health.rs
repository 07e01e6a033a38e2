//! Asks upstreams whether they are well, as their sites say.
//!
//! Checks are made as requests are: by the same description of the connection, so that what they say of TLS, names and
//! HTTP versions holds for requests as well. Each has a connection of its own.

use super::exchange::Shared;
use crate::config::HealthCheck;
use crate::reload::Generation;
use pingora_core::connectors::{TransportConnector, http};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Makes checks when they are due, until `shutdown`.
pub(super) async fn watch(shared: Arc<Shared>, mut shutdown: watch::Receiver<bool>) {
    let connectors = Arc::new(Connectors::default());
    let mut checks = JoinSet::new();
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            () = sleep(TICK) => {}
        }
        while checks.try_join_next().is_some() {}
        let generation = shared.current.load_full();
        for (site, runtime) in generation.sites.iter().enumerate() {
            for index in 0..runtime.upstreams.all().len() {
                if runtime.upstreams.is_check_due(index) {
                    let (shared, connectors) = (Arc::clone(&shared), Arc::clone(&connectors));
                    let generation = Arc::clone(&generation);
                    checks.spawn(async move { check(&shared, &connectors, &generation, site, index).await });
                }
            }
        }
    }
}

/// Made when they are first needed, as they read the system's certificate authorities.
#[derive(Default)]
struct Connectors {
    http: OnceLock<http::Connector>,
    transport: OnceLock<TransportConnector>,
}

/// One check of one upstream.
async fn check(shared: &Shared, connectors: &Connectors, generation: &Generation, site: usize, index: usize) {
    let Some(runtime) = generation.sites.get(site) else { return };
    let (Some(check), Some(backend)) =
        (runtime.config.balance.health_check.as_ref(), runtime.upstreams.all().get(index))
    else {
        return;
    };
    let asked = async {
        let directory = &shared.directory;
        let peer = directory.peer(&backend.config, &runtime.config, false, directory.turn()).await;
        let peer = peer.map_err(|_| Error::explain(ErrorType::ConnectError, "no address or certificate"))?;
        match &check.path {
            None => connect(connectors, peer).await,
            Some(path) => {
                let authority = backend.config.authority();
                ask(connectors, peer, check, path, check.host.as_ref().unwrap_or(&authority)).await
            }
        }
    };
    // One is over before the next is due.
    let outcome = timeout(check.timeout.min(check.interval), asked).await;
    let why = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer in time".to_owned()),
    };
    let (site, upstream) = (&runtime.config.name, &backend.config.url);
    match runtime.upstreams.checked(index, why.is_none()) {
        Some(true) => tracing::info!(site, upstream, "the upstream is well again"),
        Some(false) => {
            tracing::warn!(site, upstream, why = why.unwrap_or_default(), "the upstream is down");
        }
        None => {}
    }
}

async fn connect(connectors: &Connectors, peer: HttpPeer) -> Result<()> {
    let connector = connectors.transport.get_or_init(|| TransportConnector::new(None));
    connector.new_stream(&peer).await.map(drop)
}

async fn ask(
    connectors: &Connectors,
    peer: HttpPeer,
    check: &HealthCheck,
    path: &str,
    host: &str,
) -> Result<()> {
    let connector = connectors.http.get_or_init(|| http::Connector::new(None));
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(4))?;
    request.insert_header(::http::header::HOST, host)?;
    request.insert_header(::http::header::USER_AGENT, USER_AGENT)?;
    request.insert_header(::http::header::ACCEPT, "*/*")?;
    // Sessions are never given back, so that each is a new one.
    let (mut session, _) = connector.get_http_session(&peer).await?;
    if session.as_http2().is_none() {
        request.insert_header(::http::header::CONNECTION, "close")?;
    } else {
        let scheme = if peer.is_tls() { "https" } else { "http" };
        if let Ok(uri) = format!("{scheme}://{host}{path}").parse() {
            request.set_uri(uri);
        }
    }
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let status = session.response_header().map_or(0, |response| response.status.as_u16());
    session.shutdown().await;
    if check.status.iter().any(|(low, high)| (*low..=*high).contains(&status)) {
        Ok(())
    } else {
        Error::e_explain(ErrorType::HTTPStatus(status), "that is not well")
    }
}

/// How often is looked for checks that are due.
const TICK: Duration = Duration::from_millis(100);

const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"), " (health check)");
