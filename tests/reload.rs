//! Hot reload: what is noticed, what is swapped, what is refused, and that nothing is ever half done.

#![cfg(feature = "server")]

use portcullis::config::{Checked, Overrides};
use portcullis::reload::{
    Attempt, Generation, Hooks, NoHooks, Origin, Reloader, StartError, file_loader, load,
};
use portcullis::telemetry::Metrics;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A configuration in a directory of its own.
struct Bench {
    directory: tempfile::TempDir,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn new(settings: &str) -> Self {
        let bench = Bench {
            directory: tempfile::tempdir().expect("a directory"),
            metrics: Arc::new(Metrics::new().expect("registered")),
        };
        bench.write("portcullis.yaml", &format!("{settings}{SITES}"));
        bench.write("a.conf", "SecRuleEngine On\nInclude more/*.conf\n");
        bench.write("more/one.conf", "SecRule ARGS \"@pmFromFile words.data\" \"id:1,phase:1,deny\"\n");
        bench.write("more/words.data", "evil\n");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        // At once: a look between a file's truncation and its text would find another change.
        let new = path.with_extension("new");
        fs::write(&new, text).expect("written");
        fs::rename(&new, path).expect("renamed");
    }

    fn origin(&self) -> Origin {
        Origin { path: Some(self.path("portcullis.yaml")), overrides: Overrides::default() }
    }

    fn start(&self) -> Reloader {
        self.start_with(Arc::new(NoHooks))
    }

    fn start_with(&self, hooks: Arc<dyn Hooks>) -> Reloader {
        let loaded = load(&self.origin(), 1, &file_loader());
        let told = loaded.render(false);
        Reloader::start(self.origin(), Arc::new(file_loader()), loaded, Arc::clone(&self.metrics), hooks)
            .unwrap_or_else(|_| panic!("{told}"))
    }
}

const SITES: &str = "
admin: off
sites:
  - {name: one, hosts: one.test, upstreams: 'http://127.0.0.1:1', rules: a.conf}
  - {name: two, hosts: two.test, upstreams: 'http://127.0.0.1:2', rules: a.conf}
  - {name: three, hosts: three.test, upstreams: 'http://127.0.0.1:3', rules: [a.conf], directives: 'SecAction \"id:3,phase:1,pass\"'}
";
const WATCHED: &str = "reload: {interval: 20ms}\n";
const UNWATCHED: &str = "reload: {watch: false}\n";

fn number(reloader: &Reloader) -> u64 {
    reloader.current().load().number
}

/// Waits for generation `wanted`.
fn reaches(reloader: &Reloader, wanted: u64) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if number(reloader) >= wanted {
            return number(reloader) == wanted;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn sites_with_the_same_rules_share_one_ruleset() {
    let bench = Bench::new(UNWATCHED);
    let reloader = bench.start();
    let generation = reloader.current().load_full();
    assert_eq!((generation.number, generation.sites.len()), (1, 3));
    let rulesets: Vec<_> = generation.sites.iter().map(|s| &s.ruleset).collect();
    assert!(Arc::ptr_eq(rulesets[0], rulesets[1]) && !Arc::ptr_eq(rulesets[0], rulesets[2]));
    assert_eq!(generation.site_for("two.test", "/").map(|s| s.config.name.as_str()), Some("two"));
    let status = reloader.status();
    let rules: Vec<usize> = status.postures.iter().map(|p| p.posture.rules).collect();
    assert_eq!(rules, [1, 1, 2]);
    let text = bench.metrics.render();
    assert!(text.contains("portcullis_generation_info{hash=\"") && text.contains("number=\"1\"} 1"));
    assert!(text.contains("portcullis_site_rules{site=\"three\"} 2"));
}

#[test]
fn every_file_that_was_read_is_watched() {
    let bench = Bench::new(WATCHED);
    let reloader = bench.start();
    bench.write("a.conf", "SecRuleEngine DetectionOnly\nInclude more/*.conf\n");
    assert!(reaches(&reloader, 2), "a rule file");
    bench.write("more/words.data", "wicked\n");
    assert!(reaches(&reloader, 3), "a data file");
    bench.write("more/two.conf", "SecAction \"id:2,phase:1,pass\"\n");
    assert!(reaches(&reloader, 4), "a new file that a pattern matches");
    fs::remove_file(bench.path("more/two.conf")).expect("removed");
    assert!(reaches(&reloader, 5), "a file that is gone");
    bench.write(
        "portcullis.yaml",
        &format!("{WATCHED}{SITES}").replace("http://127.0.0.1:1'", "http://127.0.0.1:9'"),
    );
    assert!(reaches(&reloader, 6), "the configuration");
    assert_eq!(reloader.current().load().sites[0].config.upstreams[0].port, 9);
    // The same content again, with other dates, is no change.
    let same = fs::read_to_string(bench.path("a.conf")).expect("read");
    bench.write("a.conf", &same);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(number(&reloader), 6);
    let text = bench.metrics.render();
    assert!(text.contains("portcullis_reloads_total{result=\"success\"} 5"), "{text}");
    for none in ["refused", "unchanged"] {
        assert!(text.contains(&format!("portcullis_reloads_total{{result=\"{none}\"}} 0")), "{text}");
    }
}

#[test]
fn lists_of_addresses_are_watched() {
    let bench = Bench::new(WATCHED);
    let site = "admin: off\nsites: [{name: one, upstreams: 'http://127.0.0.1:1', rules: a.conf, \
                access: [{name: feed, address_files: [listed.txt]}]}]\n";
    bench.write("portcullis.yaml", &format!("{WATCHED}{site}"));
    bench.write("listed.txt", "192.0.2.0/24\n");
    let reloader = bench.start();
    let refuses = |address: &str| {
        let generation = reloader.current().load_full();
        let lists = &generation.sites[0].config.access[0].scope.when.addresses;
        lists.iter().any(|list| list.contains(address.parse().expect("an address")))
    };
    assert!(refuses("192.0.2.7") && !refuses("203.0.113.9"));
    bench.write("listed.txt", "# since today\n203.0.113.9\n");
    assert!(reaches(&reloader, 2), "a list of addresses");
    assert!(!refuses("192.0.2.7") && refuses("203.0.113.9"));

    // One with a line that is no address is refused, and the old one stays.
    bench.write("listed.txt", "203.0.113.9\nnowhere\n");
    let begun = Instant::now();
    while reloader.status().refusal.is_none() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let refusal = reloader.status().refusal.clone().expect("refused");
    assert!(refusal.contains("listed.txt") && refusal.contains("nowhere"), "{refusal}");
    assert!(number(&reloader) == 2 && refuses("203.0.113.9"));
    bench.write("listed.txt", "192.0.2.0/24\n");
    assert!(reaches(&reloader, 3), "a list that is sound again");
    assert!(refuses("192.0.2.7") && !refuses("203.0.113.9"));
}

#[cfg(unix)]
#[test]
fn the_swap_of_a_configmaps_link_is_seen() {
    use std::os::unix::fs::symlink;
    let bench = Bench::new(WATCHED);
    // As Kubernetes mounts it: the files are links into `..data`, itself a link to a dated directory.
    let dated = |name: &str, words: &str| {
        bench.write(&format!("map/{name}/words.data"), words);
        let date = fs::File::open(bench.path(&format!("map/{name}/words.data"))).expect("opened");
        date.set_modified(std::time::UNIX_EPOCH).expect("dated");
    };
    dated("..1", "evil\n");
    dated("..2", "wily\n");
    symlink("..1", bench.path("map/..data")).expect("linked");
    symlink("..data/words.data", bench.path("map/words.data")).expect("linked");
    bench.write("more/one.conf", "SecRule ARGS \"@pmFromFile ../map/words.data\" \"id:1,phase:1,deny\"\n");
    let reloader = bench.start();
    symlink("..2", bench.path("map/..new")).expect("linked");
    fs::rename(bench.path("map/..new"), bench.path("map/..data")).expect("swapped");
    assert!(reaches(&reloader, 2));
}

#[test]
fn a_broken_generation_is_refused_and_the_old_one_stays() {
    let bench = Bench::new(WATCHED);
    let reloader = bench.start();
    let before = reloader.current().load_full();
    bench.write("a.conf", "SecRuleEngine On\nSecRule ARGZ \"@rx (\" \"id:1,phase:1,deny\"\nSecRul x\n");
    let begun = Instant::now();
    while reloader.status().refusal.is_none() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let refusal = reloader.status().refusal.clone().expect("refused");
    for told in ["a.conf:2:9", "ARGZ", "a.conf:3:1", "SecRul"] {
        assert!(refusal.contains(told), "{told} is not in {refusal}");
    }
    assert!(Arc::ptr_eq(&before, &reloader.current().load_full()));
    let text = bench.metrics.render();
    assert!(text.contains("portcullis_config_last_reload_successful 0"));
    // It is tried again when it changes, and not before.
    std::thread::sleep(Duration::from_millis(200));
    assert!(bench.metrics.render().contains("portcullis_reloads_total{result=\"refused\"} 1"));
    bench.write("a.conf", "SecRuleEngine DetectionOnly\n");
    assert!(reaches(&reloader, 2));
    assert!(reloader.status().refusal.is_none());
    assert!(bench.metrics.render().contains("portcullis_config_last_reload_successful 1"));

    bench.write("portcullis.yaml", "sites: [{naem: x}]\n");
    assert!(matches!(reloader.reload(), Some(Attempt::Refused(text)) if text.contains("naem")));
    assert_eq!(number(&reloader), 2);
}

#[test]
fn on_demand_it_reloads_though_nothing_watches() {
    let bench = Bench::new(UNWATCHED);
    let reloader = bench.start();
    assert_eq!(reloader.reload(), Some(Attempt::Unchanged));
    bench.write("more/words.data", "wicked\n");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(number(&reloader), 1);
    assert_eq!(reloader.reload(), Some(Attempt::Swapped(2)));
    bench.write("more/words.data", "evil\n");
    reloader.request();
    assert!(reaches(&reloader, 3));
    reloader.stop();
    assert_eq!(reloader.reload(), None);
    assert_eq!(number(&reloader), 3, "what is at work stays");
}

/// Takes its time over each attempt, and counts them.
#[derive(Default)]
struct Slow(AtomicU64);

impl Hooks for Slow {
    fn verify(&self, _: &Checked) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::AcqRel);
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    }
}

#[test]
fn what_is_asked_for_meanwhile_is_one_attempt_and_holds_up_no_end() {
    let bench = Bench::new(UNWATCHED);
    let hooks = Arc::new(Slow::default());
    let reloader = Arc::new(bench.start_with(Arc::<Slow>::clone(&hooks)));
    bench.write("more/words.data", "wicked\n");
    let before = hooks.0.load(Ordering::Acquire);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..50).map(|_| scope.spawn(|| reloader.reload())).collect();
        let attempts: Vec<_> = all.into_iter().map(|one| one.join().expect("no panic")).collect();
        let is_answer = |a: &Option<Attempt>| matches!(a, Some(Attempt::Swapped(2) | Attempt::Unchanged));
        assert!(attempts.iter().all(is_answer), "{attempts:?}");
        assert!(attempts.contains(&Some(Attempt::Swapped(2))));
    });
    assert!(hooks.0.load(Ordering::Acquire) - before < 40, "each is an attempt of its own");
    // Whoever waits when it is over waits no longer, and nobody waits for all of them.
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let reloader = Arc::clone(&reloader);
            std::thread::spawn(move || reloader.reload())
        })
        .collect();
    (0..1_000).for_each(|_| reloader.request());
    let began = Instant::now();
    reloader.stop();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for one in waiting {
        one.join().expect("no panic");
    }
}

#[test]
fn the_hash_is_that_of_the_content() {
    let bench = Bench::new(UNWATCHED);
    let hash = |bench: &Bench, origin: &Origin| {
        let _ = bench;
        load(origin, 1, &file_loader()).generation.expect("sound").hash
    };
    let first = hash(&bench, &bench.origin());
    assert_eq!(first, hash(&bench, &bench.origin()));
    bench.write("more/words.data", "evil \n");
    let second = hash(&bench, &bench.origin());
    assert_ne!(first, second);
    let mut flagged = bench.origin();
    flagged.overrides.upstreams.push("http://127.0.0.1:7".to_owned());
    assert_ne!(second, hash(&bench, &flagged));
}

/// Says no while `no` holds, and keeps the numbers of what was put to work.
#[derive(Default)]
struct Picky {
    no: AtomicBool,
    seen: Mutex<Vec<u64>>,
}

impl Hooks for Picky {
    fn verify(&self, _: &Checked) -> Result<(), String> {
        if self.no.load(Ordering::Relaxed) {
            Err("the certificate has the wrong key".to_owned())
        } else {
            Ok(())
        }
    }
    fn swapped(&self, generation: &Generation) {
        self.seen.lock().expect("not poisoned").push(generation.number);
    }
}

#[test]
fn running_parts_have_a_word_and_follow() {
    let bench = Bench::new(UNWATCHED);
    let hooks = Arc::new(Picky::default());
    let reloader = bench.start_with(Arc::<Picky>::clone(&hooks));
    bench.write("more/words.data", "x\n");
    hooks.no.store(true, Ordering::Relaxed);
    assert!(matches!(reloader.reload(), Some(Attempt::Refused(text)) if text.contains("wrong key")));
    hooks.no.store(false, Ordering::Relaxed);
    assert_eq!(reloader.reload(), Some(Attempt::Swapped(2)));
    assert_eq!(*hooks.seen.lock().expect("not poisoned"), [1, 2]);

    hooks.no.store(true, Ordering::Relaxed);
    let loaded = load(&bench.origin(), 1, &file_loader());
    let loader = Arc::new(file_loader());
    let metrics = Arc::clone(&bench.metrics);
    match Reloader::start(bench.origin(), loader, loaded, metrics, hooks) {
        Err(StartError::Refused(loaded)) => assert!(loaded.render(false).contains("wrong key")),
        _ => panic!("started"),
    }
}

/// Readers take generations without a pause while hundreds are swapped: each is whole, and none goes back.
#[test]
fn hundreds_of_reloads_are_each_whole() {
    let bench = Bench::new(UNWATCHED);
    let text = |port: u16| {
        let sites = SITES.replace(":1'", &format!(":{port}'")).replace(":2'", &format!(":{port}'"));
        format!("{UNWATCHED}{}", sites.replace(":3'", &format!(":{port}'")))
    };
    bench.write("portcullis.yaml", &text(1_000));
    let reloader = bench.start();
    let over = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (current, over, taken) = (reloader.current(), Arc::clone(&over), Arc::clone(&taken));
            std::thread::spawn(move || {
                let mut last = 0;
                while !over.load(Ordering::Relaxed) {
                    let generation = current.load_full();
                    assert!(generation.number >= last, "never back");
                    last = generation.number;
                    let ports: Vec<u16> =
                        generation.sites.iter().map(|s| s.config.upstreams[0].port).collect();
                    assert!(ports.iter().all(|p| *p == ports[0]), "half of a generation: {ports:?}");
                    assert_eq!(generation.config.sites.len(), generation.sites.len());
                    taken.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for i in 0..300_u16 {
        bench.write("portcullis.yaml", &text(1_001 + i));
        assert_eq!(reloader.reload(), Some(Attempt::Swapped(2 + u64::from(i))));
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().expect("no reader saw anything odd");
    }
    assert!(taken.load(Ordering::Relaxed) > 1_000);
}

#[test]
fn globs_in_a_sites_rules_are_expanded_in_order() {
    let bench = Bench::new(UNWATCHED);
    bench.write("g/2.conf", "SecRuleRemoveById 1\n");
    bench.write("g/1.conf", "SecAction \"id:1,phase:1,pass\"\n");
    let text = "admin: off\nsites: [{name: g, upstreams: 'http://127.0.0.1:1', rules: ['g/*.conf', 'none/*.conf']}]\n";
    bench.write("portcullis.yaml", text);
    let loaded = load(&bench.origin(), 1, &file_loader());
    assert!(loaded.generation.is_some(), "{}", loaded.render(false));
    assert_eq!(loaded.postures[0].posture.rules, 0, "2.conf takes away what 1.conf made");
    assert!(loaded.render(false).contains("no rule file matches"));
    let missing = Path::new("/nowhere/portcullis.yaml").to_owned();
    let nothing = load(&Origin { path: Some(missing), overrides: Overrides::default() }, 1, &file_loader());
    assert!(nothing.generation.is_none() && nothing.render(false).contains("/nowhere/portcullis.yaml"));
}
