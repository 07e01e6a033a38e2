//! `portcullis run`: the order of starting and ending.

use super::console::complain;
use super::{RunArgs, demo, posture, rules};
use crate::compile::Loaded;
use crate::config::{self, Checked, RuleInput};
use crate::engine::NoWorld;
use crate::proxy::{Deaf, Server};
use crate::reload::{Balancer, Current, Generation, SiteRuntime};
use crate::syntax::diagnostic;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Serves until a signal says otherwise. `false` when it could not start.
pub(super) fn run(args: &RunArgs) -> bool {
    match serve(args) {
        Ok(()) => true,
        Err(message) => {
            complain(&message);
            false
        }
    }
}

fn serve(args: &RunArgs) -> Result<(), String> {
    let mut overrides = args.settings.overrides();
    let shop =
        args.demo.then(demo::start).transpose().map_err(|e| format!("error: the demonstration: {e}\n"))?;
    if let Some(shop) = &shop {
        overrides.upstreams = vec![format!("http://{}", shop.address())];
    }
    let loaded = config::load(args.settings.config.as_deref(), &overrides);
    if !loaded.diagnostics.is_empty() {
        complain(&diagnostic::render(&loaded.diagnostics, &loaded.sources, super::console::colour()));
    }
    let config = Arc::new(loaded.config.ok_or("error: the configuration is not usable\n")?);
    let generation = generation(&config)?;
    let current = Current::new(Arc::new(generation).into());
    let server =
        Server::bind(current, Arc::new(NoWorld), Arc::new(Deaf)).map_err(|e| format!("error: {e}\n"))?;
    let addresses = server.addresses();
    for address in &addresses {
        complain(&format!("listening on {address}\n"));
    }
    if let (Some(_), Some(address)) = (&shop, addresses.first()) {
        complain(&tour(*address));
    }
    let (stop, stopped) = watch::channel(false);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || wait_for_end(&stop))
        .map_err(|e| format!("error: {e}\n"))?;
    server.run(config.process.workers, stopped).map_err(|e| format!("error: {e}\n"))
}

/// Compiles every site's rules, each list once, and tells what they amount to.
fn generation(config: &Arc<Checked>) -> Result<Generation, String> {
    let mut compiled: HashMap<&[RuleInput], Loaded> = HashMap::new();
    let mut sites = Vec::new();
    for site in &config.sites {
        let loaded = compiled.entry(&site.rules).or_insert_with(|| {
            let loaded = rules::load_inputs(&site.rules);
            if !loaded.diagnostics.is_empty() {
                complain(&rules::rendered(&loaded));
            }
            loaded
        });
        let ruleset = loaded.ruleset.clone().ok_or("error: the rules are not usable\n")?;
        complain(&format!("site {}\n{}", site.name, posture::describe(&loaded.posture, site.mode)));
        for alarm in posture::alarms(&loaded.posture, site.mode) {
            complain(&format!("ALARM       {alarm}\n"));
        }
        sites.push(SiteRuntime {
            config: Arc::clone(site),
            ruleset,
            upstreams: Balancer::new(&site.upstreams),
        });
    }
    Ok(Generation {
        number: 1,
        hash: String::new(),
        config: Arc::clone(config),
        sites,
        loaded_at: SystemTime::now(),
    })
}

/// What to try in the demonstration.
fn tour(address: SocketAddr) -> String {
    format!(
        "\nThe demonstration is open at http://{address}/\n\n\
         This passes:\n  curl -i 'http://{address}/search?q=lighthouse'\n\
         These are blocked:\n  \
         curl -i -G http://{address}/search --data-urlencode 'q=<script>alert(1)</script>'\n  \
         curl -i http://{address}/login --data-urlencode \"user=admin' OR 1=1 -- \" -d password=x\n\n"
    )
}

/// Returns when SIGTERM or SIGINT has come, having said so.
fn wait_for_end(stop: &watch::Sender<bool>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        // Nobody listens any more when the server has ended by itself.
        let _ = stop.send(true);
    });
}
