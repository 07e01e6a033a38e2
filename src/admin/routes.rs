//! What there is on the admin listener, and who may ask for it.

use super::changes::Change;
use super::desk::Desk;
use super::facts::{self, Query};
use super::guard::{Access, Refusal, Visit, may_use_api, may_visit};
use super::reply::{self, Answer};
use super::{assets, bans, candidates, changes, gate, stream};
use crate::config::Admin;
use crate::reload::{Attempt, Generation};
use crate::telemetry::Metrics;
use http::header::{ALLOW, AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderValue, Method, Request, StatusCode};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use tokio::sync::Notify;

/// What may be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Metrics,
    Health,
    Ready,
    Posture,
    Generation,
    Overview,
    History,
    Transactions,
    Transaction,
    Explain,
    Patches,
    Upstreams,
    Changes,
    Stream,
    Session,
    Open,
    Close,
    Reload,
    Bans,
    Lift,
    Shadow,
    Costs,
    Promote,
}

/// Who may ask for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Whoever reaches the listener.
    Nothing,
    /// Who may use the API.
    Read,
    /// Who has shown a token.
    Change,
}

/// A path that ends in `*` stands for all that have another last segment in its place.
const ROUTES: &[(&str, Method, Need, Task)] = &[
    ("/metrics", Method::GET, Need::Nothing, Task::Metrics),
    ("/healthz", Method::GET, Need::Nothing, Task::Health),
    ("/readyz", Method::GET, Need::Nothing, Task::Ready),
    ("/api/posture", Method::GET, Need::Read, Task::Posture),
    ("/api/generation", Method::GET, Need::Read, Task::Generation),
    ("/api/overview", Method::GET, Need::Read, Task::Overview),
    ("/api/history", Method::GET, Need::Read, Task::History),
    ("/api/transactions", Method::GET, Need::Read, Task::Transactions),
    ("/api/transactions/*", Method::GET, Need::Read, Task::Transaction),
    ("/api/explain/*", Method::GET, Need::Read, Task::Explain),
    ("/api/patches", Method::GET, Need::Read, Task::Patches),
    ("/api/upstreams", Method::GET, Need::Read, Task::Upstreams),
    ("/api/changes", Method::GET, Need::Read, Task::Changes),
    ("/api/stream", Method::GET, Need::Read, Task::Stream),
    ("/api/session", Method::GET, Need::Nothing, Task::Session),
    ("/api/session", Method::POST, Need::Change, Task::Open),
    ("/api/session", Method::DELETE, Need::Change, Task::Close),
    ("/api/reload", Method::POST, Need::Change, Task::Reload),
    ("/api/shadow", Method::GET, Need::Read, Task::Shadow),
    ("/api/costs", Method::GET, Need::Read, Task::Costs),
    ("/api/promote", Method::POST, Need::Change, Task::Promote),
    ("/api/bans", Method::GET, Need::Read, Task::Bans),
    ("/api/bans/lift", Method::POST, Need::Change, Task::Lift),
];

/// Answers a request. `cut` ends its connection.
pub(super) async fn answer<B>(
    request: &Request<B>,
    peer: IpAddr,
    desk: &Arc<Desk>,
    cut: &Arc<Notify>,
) -> Answer {
    let generation = desk.generation();
    // A reload that switches the listener off takes effect with the next start; until then it obeys the defaults.
    let fallback = Admin { address: crate::config::DEFAULT_ADMIN, token: None, hosts: Vec::new() };
    let admin = generation.config.admin.as_ref().unwrap_or(&fallback);
    let header = |name: &str| request.headers().get(name).map(|v: &HeaderValue| v.to_str().unwrap_or(""));
    let visit = Visit {
        host: request.uri().authority().map(http::uri::Authority::as_str).or(header(HOST.as_str())),
        origin: header(ORIGIN.as_str()),
        fetch_site: header("sec-fetch-site"),
        authorization: request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes),
        peer,
    };
    let path = request.uri().path();
    let note = |action, result, what, by, status: StatusCode| {
        let target = request.uri().path_and_query().map_or(path, |target| target.as_str());
        let request = (request.method().to_string(), target.to_owned());
        let change = Change { action, result, what, by, client: peer, request, status: status.as_u16() };
        desk.changes.note(change);
    };
    let asked = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    if let Some(asset) = assets::find(path) {
        return match may_visit(&visit, admin) {
            Err(refusal) => reply::refusal(refusal),
            Ok(()) if asked != Method::GET => not_allowed(&[&Method::GET]),
            Ok(()) => assets::serve(asset, request.headers()),
        };
    }
    let routes: Vec<_> = ROUTES.iter().filter(|(route, ..)| member(route, path).is_some()).collect();
    if routes.is_empty() {
        return reply::problem(StatusCode::NOT_FOUND, "there is nothing here");
    }
    if let Err(refusal) = may_visit(&visit, admin) {
        return reply::refusal(refusal);
    }
    let Some((route, _, need, task)) = routes.iter().find(|(_, method, ..)| method == asked) else {
        let methods: Vec<_> = routes.iter().map(|(_, method, ..)| method).collect();
        // Whoever may not ask is not told either what there is.
        let access =
            if path.starts_with("/api/") { may_use_api(&visit, admin, &desk.gate).err() } else { None };
        return access.map_or_else(|| not_allowed(&methods), reply::refusal);
    };
    if *need != Need::Nothing {
        let access = may_use_api(&visit, admin, &desk.gate).and_then(|access| {
            if *need == Need::Change && access == Access::Read { Err(Refusal::ReadOnly) } else { Ok(access) }
        });
        if let Err(refusal) = access {
            let answer = reply::refusal(refusal);
            let is_guess = refusal == Refusal::Token && !visit.bearer().is_empty();
            if let Some(action) = action(*task).or(is_guess.then_some("access")) {
                let by = changes::who(&visit, refusal == Refusal::ReadOnly && admin.token.is_some());
                note(action, changes::refused(refusal), String::new(), by, answer.status());
            }
            return answer;
        }
    }
    let known = || changes::who(&visit, true);
    let query = Query::new(request.uri().query().unwrap_or_default());
    match task {
        Task::Metrics => {
            let subject = &desk.subject;
            let usage = subject.store.usage();
            let banned = subject.admission.bans().list(SystemTime::now()).len();
            subject.metrics.admission(banned, subject.admission.evictions());
            subject.metrics.store(usage.collections, usage.bytes, usage.evictions);
            tell_upstreams(&generation, &subject.metrics);
            reply::bytes(StatusCode::OK, METRICS, subject.metrics.render())
        }
        Task::Health => reply::text("ok\n"),
        Task::Ready if desk.subject.ready.load(Ordering::Acquire) => reply::text("ready\n"),
        Task::Ready => reply::bytes(StatusCode::SERVICE_UNAVAILABLE, reply::TEXT, "not ready\n"),
        Task::Posture => reply::json(&facts::postures(&desk.subject)),
        Task::Generation => reply::json(&facts::generation(&desk.subject)),
        Task::Overview => reply::json(&facts::overview(desk)),
        Task::History => reply::json(&facts::history(desk, &query)),
        Task::Transactions => reply::json(&facts::transactions(desk, &query)),
        Task::Transaction => match facts::transaction(desk, member(route, path).unwrap_or_default()) {
            Some(found) => reply::json(&found),
            None => {
                reply::problem(StatusCode::NOT_FOUND, "no such transaction is in memory; see the audit log")
            }
        },
        Task::Explain => {
            let query = request.uri().query().unwrap_or_default();
            super::explain::explanation(desk, member(route, path).unwrap_or_default(), query).await
        }
        Task::Patches => reply::json(&facts::patches(&desk.subject)),
        Task::Upstreams => reply::json(&facts::upstreams(&generation)),
        Task::Changes => reply::json(&json!({ "changes": desk.changes.list() })),
        Task::Stream => stream::open(desk, cut),
        Task::Session => {
            let access = may_use_api(&visit, admin, &desk.gate);
            let refused = match access {
                Err(Refusal::Remote) => Some("remote"),
                Err(Refusal::Rate(_)) => Some("rate"),
                _ => None,
            };
            reply::json(&json!({
                "token": admin.token.is_some(),
                "access": access.ok().map(Access::name),
                "refused": refused,
            }))
        }
        Task::Open => {
            let opened = admin.token.as_ref().and_then(|token| desk.gate.open(token));
            let name = opened.as_ref().and_then(|(session, _)| gate::nickname(session.as_bytes()));
            let (result, answer) = match opened {
                Some((session, life)) => {
                    ("success", reply::json(&json!({"session": session, "expires_in": life.as_secs()})))
                }
                None => {
                    ("failed", reply::problem(StatusCode::SERVICE_UNAVAILABLE, "no session can be opened"))
                }
            };
            note("sign in", result, name.unwrap_or_default(), known(), answer.status());
            answer
        }
        Task::Close => {
            if desk.gate.close(visit.bearer()) {
                note("sign out", "success", String::new(), known(), StatusCode::OK);
            }
            reply::json(&json!({}))
        }
        Task::Reload => {
            let (result, what, answer) = reload(desk).await;
            note("reload", result, what, known(), answer.status());
            answer
        }
        Task::Shadow => reply::json(&candidates::shadows(&generation)),
        Task::Costs => {
            let query = request.uri().query().unwrap_or_default();
            reply::json(&candidates::costs(&generation, &desk.subject.metrics, query))
        }
        Task::Promote => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let reloader = Arc::clone(&desk.subject.reloader);
            let what = query.clone();
            let promoted = tokio::task::spawn_blocking(move || candidates::promote(&reloader, &query)).await;
            let answer = match promoted {
                Ok((status, said)) => reply::json_with(status, &said),
                Err(_) => reply::problem(StatusCode::SERVICE_UNAVAILABLE, "the server is ending"),
            };
            let result = if answer.status() == StatusCode::OK { "success" } else { "failed" };
            note("promote", result, what, known(), answer.status());
            answer
        }
        Task::Bans => reply::json(&bans::list(&desk.subject.admission, SystemTime::now())),
        Task::Lift => {
            let query = request.uri().query().unwrap_or_default();
            let lifted = bans::lift(&desk.subject.admission, &generation.config, query, SystemTime::now());
            let (result, what, answer) = match lifted {
                Ok(lifted) => ("success", lifted_names(&lifted), reply::json(&json!({ "lifted": lifted }))),
                Err(what) => ("failed", String::new(), reply::problem(StatusCode::BAD_REQUEST, &what)),
            };
            note("lift bans", result, what, known(), answer.status());
            answer
        }
    }
}

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How the upstreams are, which is known where they are chosen. Scrapes come one after the other, as the listener has
/// one thread.
fn tell_upstreams(generation: &Generation, metrics: &Metrics) {
    metrics.forget_upstreams();
    for site in &generation.sites {
        for (index, backend) in site.upstreams.all().iter().enumerate() {
            metrics.upstream(&site.config.name, &backend.config.url, &site.upstreams.condition(index));
        }
    }
}

/// The name of what changes something.
fn action(task: Task) -> Option<&'static str> {
    match task {
        Task::Open => Some("sign in"),
        Task::Reload => Some("reload"),
        Task::Lift => Some("lift bans"),
        Task::Promote => Some("promote"),
        _ => None,
    }
}

/// What stands in the place of the route's `*`, empty for a route without one; none when `path` is another's.
fn member<'a>(route: &str, path: &'a str) -> Option<&'a str> {
    match route.strip_suffix('*') {
        None => (route == path).then_some(""),
        Some(start) => path.strip_prefix(start).filter(|rest| !rest.is_empty() && !rest.contains('/')),
    }
}

fn not_allowed(methods: &[&Method]) -> Answer {
    let mut answer = reply::problem(StatusCode::METHOD_NOT_ALLOWED, "another method is expected");
    let names = methods.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", ");
    if let Ok(allow) = HeaderValue::from_str(&names) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// Whose bans were lifted.
fn lifted_names(lifted: &[String]) -> String {
    if lifted.is_empty() { "nobody".to_owned() } else { lifted.join(" ") }
}

/// Loads anew; what came of it, which generation is at work, and what is answered.
async fn reload(desk: &Arc<Desk>) -> (&'static str, String, Answer) {
    let reloader = Arc::clone(&desk.subject.reloader);
    let attempt = tokio::task::spawn_blocking(move || {
        let attempt = reloader.reload();
        (attempt, reloader.current().load().number)
    });
    let (result, answer) = match attempt.await {
        Ok((Some(Attempt::Swapped(number)), _)) => {
            ("success", reply::json(&json!({"result": "success", "generation": number})))
        }
        Ok((Some(Attempt::Unchanged), number)) => {
            ("unchanged", reply::json(&json!({"result": "unchanged", "generation": number})))
        }
        Ok((Some(Attempt::Refused(errors)), number)) => {
            let body = json!({"result": "refused", "generation": number, "errors": errors});
            ("failed", reply::json_with(StatusCode::UNPROCESSABLE_ENTITY, &body))
        }
        Ok((None, _)) | Err(_) => {
            ("failed", reply::problem(StatusCode::SERVICE_UNAVAILABLE, "the server is ending"))
        }
    };
    let number = desk.subject.reloader.current().load().number;
    (result, format!("generation {number}"), answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_have_members() {
        assert_eq!(member("/a/*", "/a/b"), Some("b"));
        assert_eq!(member("/a", "/a"), Some(""));
        for other in ["/a", "/a/", "/a/b/c", "/b/a"] {
            assert_eq!(member("/a/*", other), None, "{other}");
        }
    }

    /// Everything that changes something needs a token.
    #[test]
    fn only_reading_is_open() {
        for (path, method, need, _) in ROUTES {
            assert_eq!(*need == Need::Change, *method != Method::GET, "{path}");
            assert!(
                !path.starts_with("/api/") || *need != Need::Nothing || *path == "/api/session",
                "{path}"
            );
        }
    }
}
