//! Patterns of many states, tried from each place at which a match can begin.
//!
//! An automaton that looks for a match at all places together has a state for each mixture of beginnings that are under
//! way. Patterns that allow for noise between letters keep many of them under way, and random text then leads to a state
//! that has not been met with nearly every byte: it has to be made, which takes a hundred times as long as to go to one
//! that is known. Tried from one place, the same pattern has few states. A walker follows each beginning by itself, rules
//! most places out by their first three bytes, does not begin what is known to come to nothing within some more, and lets go
//! of a beginning that comes to the state of an earlier one.
//!
//! Text that is long and plain is looked through for all places at once nevertheless, unless that has led to new states
//! too often lately: there it is quicker.
//!
//! Time stays proportional to the input: after a number of steps for each byte the walker gives up, and does not know.

use super::beginnings::{Befores, Beginnings};
use super::stretches::Search;
use super::walk::{STEPS, Unknown, Walk, Which};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};
use std::ops::Range;

/// A pattern and where its matches can begin.
pub(super) struct Walker {
    dfa: DFA,
    beginnings: Box<Beginnings>,
    /// What stands before beginnings, as far as they tell it apart.
    befores: Box<Befores>,
    /// Whether few places of a text can begin a match.
    is_choosy: bool,
    caches: Caches,
    /// States of searches for a match in all places together.
    caches_together: Caches,
    /// Such searches, in several stretches.
    search: Search,
}

/// An input, of which it is asked once what it is like.
#[derive(Clone, Copy)]
pub(super) struct Text<'i> {
    pub(super) bytes: &'i [u8],
    is_noise: bool,
}

impl<'i> Text<'i> {
    pub(super) fn new(bytes: &'i [u8]) -> Self {
        Self { bytes, is_noise: is_noise(bytes) }
    }
}

type Caches = Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>;

fn caches(dfa: &DFA) -> Caches {
    let dfa = dfa.clone();
    Pool::new(Box::new(move || dfa.create_cache()))
}

impl Walker {
    /// A walker for a pattern that is worth one. `size` is the most that its automaton may take, in bytes.
    pub(super) fn new(hir: &Hir, size: usize) -> Option<Self> {
        let properties = hir.properties();
        let is_anchored = properties.look_set_prefix().contains(Look::Start);
        if is_anchored || properties.minimum_len().is_none_or(|least| least == 0) {
            return None;
        }
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(size));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir).ok()?;
        if nfa.states().len() < MANY_STATES {
            return None;
        }
        let config = DFA::config().cache_capacity(CACHE).minimum_cache_clear_count(None);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        let befores = Box::new(Befores::of(&dfa)?);
        let beginnings = Box::new(Beginnings::of(&dfa, &befores)?);
        let is_choosy = beginnings.likelihood() <= CHOOSY;
        let (caches, caches_together) = (caches(&dfa), caches(&dfa));
        let search = Search::new();
        Some(Self { dfa, beginnings, befores, is_choosy, caches, caches_together, search })
    }

    /// The first match that begins at `from` or later; where another way is quicker, it is not known either.
    pub(super) fn find(&self, text: Text<'_>, from: usize) -> Result<Option<Range<usize>>, Unknown> {
        if !self.takes(text) {
            return Err(Unknown);
        }
        // In most texts all places together are quicker, and in most of these there is nothing.
        if !text.is_noise && self.is_match_anywhere(text.bytes, from) == Ok(false) {
            return Ok(None);
        }
        self.walk(&mut self.caches.get(), text.bytes, from, Which::First)
    }

    /// The match that begins last, at `from` or later.
    pub(super) fn find_last(&self, input: &[u8], from: usize) -> Result<Option<Range<usize>>, Unknown> {
        let mut cache = self.caches.get();
        // As a rule that is soon told from the end. What goes on for long is better followed together.
        let mut steps = STEPS + input.len();
        for start in (from..input.len()).rev().filter(|start| self.beginnings.may_begin(input, *start)) {
            match self.end_of(&mut cache, input, start, &mut steps) {
                Ok(Some(end)) => return Ok(Some(start..end)),
                Ok(None) => {}
                Err(Unknown) => return self.walk(&mut cache, input, from, Which::Last),
            }
        }
        Ok(None)
    }

    /// Where the match ends that begins at `start`, if there is one. Takes the steps to there off `steps`.
    fn end_of(
        &self,
        cache: &mut Cache,
        input: &[u8],
        start: usize,
        steps: &mut usize,
    ) -> Result<Option<usize>, Unknown> {
        let dfa = &self.dfa;
        let whole = Input::new(input).range(start..).anchored(Anchored::Yes);
        let mut state = dfa.start_state_forward(cache, &whole).map_err(|_| Unknown)?;
        let mut end = None;
        for (at, byte) in input.iter().enumerate().skip(start) {
            *steps = steps.checked_sub(1).ok_or(Unknown)?;
            state = dfa.next_state(cache, state, *byte).map_err(|_| Unknown)?;
            if state.is_tagged() {
                if state.is_quit() {
                    return Err(Unknown);
                }
                if state.is_dead() {
                    return Ok(end);
                }
                // A state tells of the match that ended before the byte which led to it.
                if state.is_match() {
                    end = Some(at);
                }
            }
        }
        let state = dfa.next_eoi_state(cache, state).map_err(|_| Unknown)?;
        Ok(if state.is_match() { Some(input.len()) } else { end })
    }

    /// Whether there is a match.
    pub(super) fn is_match(&self, text: Text<'_>) -> Result<bool, Unknown> {
        if !self.takes(text) {
            return Err(Unknown);
        }
        if !text.is_noise
            && let Ok(told) = self.is_match_anywhere(text.bytes, 0)
        {
            return Ok(told);
        }
        self.walk(&mut self.caches.get(), text.bytes, 0, Which::Any).map(|found| found.is_some())
    }

    /// Walks to the match that is wanted.
    fn walk(
        &self,
        cache: &mut Cache,
        input: &[u8],
        from: usize,
        wanted: Which,
    ) -> Result<Option<Range<usize>>, Unknown> {
        let mut walk = Walk::new(&self.dfa, &self.befores, cache, input, wanted);
        let mut places = self.beginnings.places(input);
        let mut at = from;
        while at < input.len() {
            if walk.takes_more() {
                let next = places.next(at);
                if walk.is_idle() {
                    at = next;
                }
                if at == input.len() {
                    break;
                }
                if at == next && !walk.is_soon_over(at) {
                    walk.begin(at)?;
                } else if walk.is_idle() {
                    at += 1;
                    continue;
                }
            }
            at = walk.go_on(at, &mut places)?;
            if walk.is_done() {
                return Ok(walk.found());
            }
        }
        walk.end()
    }

    /// Whether it is soon told that no match begins at `from` or later. Where that is not known, there may be none.
    pub(super) fn is_ruled_out(&self, text: Text<'_>, from: usize) -> bool {
        if text.is_noise {
            self.walk(&mut self.caches.get(), text.bytes, from, Which::Any) == Ok(None)
        } else {
            self.is_match_anywhere(text.bytes, from) == Ok(false)
        }
    }

    /// Whether a text is walked through: where another way is quicker, nothing is known.
    pub(super) fn takes(&self, text: Text<'_>) -> bool {
        self.is_choosy && text.bytes.len() >= LONG || text.is_noise
    }

    /// Whether there is a match from `from` on, told by looking for it in all places together.
    fn is_match_anywhere(&self, input: &[u8], from: usize) -> Result<bool, Unknown> {
        self.search.is_match(&self.dfa, &mut self.caches_together.get(), input, from)
    }
}

/// Whether much of `input` is punctuation. In text that has little, a pattern that can begin in many places is better
/// looked for in all of them together: few mixtures of beginnings come about.
fn is_noise(input: &[u8]) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() | matches!(b, b' ' | b',' | b'.') | (b >= 0x80);
    let others = |piece: &[u8]| usize::from(piece.iter().map(|b| u8::from(!is_plain(*b))).sum::<u8>());
    // Counted in pieces, which takes vector instructions.
    input.chunks(128).map(others).sum::<usize>() * PLAIN_FOR_NOISE >= input.len()
}

/// The most places of a text, as a part of all, that a choosy pattern can begin at.
const CHOOSY: f64 = 0.05;
/// Bytes of an input for each punctuation mark, from which on it is noise.
const PLAIN_FOR_NOISE: usize = 5;
/// Bytes of an input from which on a choosy pattern is walked through where all places together lead to new states. In
/// shorter ones few mixtures of beginnings come about.
const LONG: usize = 512;
/// States of an automaton from which on a walker is made. Smaller patterns have few mixtures of beginnings.
const MANY_STATES: usize = 500;
/// Bytes of states that are known, per pattern and concurrent search.
const CACHE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::meta::Regex;

    fn both(pattern: &str) -> (Walker, Regex) {
        let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
        let hir = hir.expect("a valid pattern");
        let walker = Walker::new(&hir, 10 << 20).expect("a large pattern");
        (walker, Regex::builder().build_from_hir(&hir).expect("a valid pattern"))
    }

    /// Words with noise between their letters, and enough of them.
    fn noisy(before: &str, words: &[&str], after: &str) -> String {
        let noisy =
            |word: &&str| word.chars().map(|c| format!("{c}['\"(]*(?:\\$[a-d]*)?\\\\?")).collect::<String>();
        let words: Vec<String> = words.iter().map(noisy).collect();
        let filler = (0..60).map(|n| format!("q{n:03}z{n}w")).collect::<Vec<_>>().join("|");
        format!("(?i){before}(?:{}|{filler}){after}", words.join("|"))
    }

    #[test]
    fn small_and_anchored_patterns_have_none() {
        for pattern in ["abc", "", &format!(r"\A(?:{})", noisy("", &["word"], ""))] {
            let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
            assert!(Walker::new(&hir.expect("a valid pattern"), 10 << 20).is_none(), "{pattern}");
        }
    }

    #[test]
    fn it_gives_up_after_so_many_steps() {
        let (walker, regex) = both("(?i)a[ab']{400}[^ab'](?:cat|dog)[^a]{100}");
        let near = [b"a'".repeat(2_000), b";cat".to_vec(), b".".repeat(99)].concat();
        assert_eq!(
            walker.find(Text::new(&near), 0),
            Err(Unknown),
            "two hundred beginnings are under way at a time"
        );
        let short = [b"a'".repeat(200).as_slice(), b"a;cat", &b".".repeat(100)].concat();
        assert_eq!(walker.find(Text::new(&short), 0), Err(Unknown));
        assert!(regex.is_match(&short));
        let few = [b"a".as_slice(), &b"'".repeat(400), b";cat", &b".".repeat(100)].concat();
        assert_eq!(walker.find(Text::new(&few), 0), Ok(Some(0..few.len())));
    }

    #[test]
    fn long_text_is_looked_through_in_all_places_together() {
        let (walker, regex) = both(&noisy("[;|&]", &["cat", "sudo", "passwd"], ""));
        assert!(walker.is_choosy);
        let mut text = b"some text; and more of it. ".repeat(40);
        assert!(text.len() >= LONG && !is_noise(&text));
        assert_eq!(walker.find(Text::new(&text), 0), Ok(None));
        assert_eq!(walker.is_match(Text::new(&text)), Ok(false));
        text.extend_from_slice(b";s'u'do x");
        let wanted = regex.find(&text).map(|m| m.range());
        assert!(wanted.is_some());
        assert_eq!(walker.find(Text::new(&text), 0), Ok(wanted));
        assert_eq!(walker.is_match(Text::new(&text)), Ok(true));
    }

    #[test]
    fn what_leads_to_new_states_too_often_is_walked_through() {
        let (walker, regex) = both(&noisy("[;|&].*", &["cat", "sudo", "passwd"], "x"));
        let begun: Vec<u8> = [b";".as_slice(), &b"catsudopasswdcasudpasssucapa".repeat(40)].concat();
        walker.search.leave(2);
        assert_eq!(walker.is_match_anywhere(&begun, 0), Err(Unknown));
        assert_eq!(walker.is_match(Text::new(&begun)), Ok(false), "walked through instead");
        walker.search.leave(500);
        assert_eq!(walker.is_match_anywhere(&begun, 0), Ok(regex.is_match(&begun)));
    }

    #[test]
    fn what_began_first_may_match_last() {
        let (walker, regex) = both(&noisy("(?:;.{5,30}|[|])", &["cat", "do"], ""));
        for (input, wanted) in
            [(b";|do;;;;;cat;".as_slice(), 0..12), (b"';|do;;|do;cat'", 1..15), (b";|do;;;;;ca;", 1..4)]
        {
            assert_eq!(regex.find(input).map(|m| m.range()), Some(wanted.clone()));
            assert_eq!(walker.find(Text::new(input), 0), Ok(Some(wanted)), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn what_begins_within_a_run_comes_to_the_same_as_what_began_before() {
        let (walker, regex) = both(&noisy("(?:[\n;]|[|]{3,5};)[\n; ]*['\"]*", &["cat", "do"], ""));
        for (input, wanted) in [
            ([b"'' ", &b"\n".repeat(60)[..], b"''cat"].concat(), 3..68),
            ([b"''||||", &b";\n".repeat(60)[..], b"''cat"].concat(), 2..131),
            ([b"''||||;|", &b";\n".repeat(60)[..], b"''cat"].concat(), 8..133),
        ] {
            assert_eq!(regex.find(&input).map(|m| m.range()), Some(wanted.clone()));
            assert_eq!(walker.find(Text::new(&input), 0), Ok(Some(wanted)), "{}", input.escape_ascii());
        }
        assert_eq!(walker.find(Text::new(&b"\n;".repeat(300)), 0), Ok(None));
    }

    #[test]
    fn text_is_left_to_another_where_much_can_begin() {
        let (walker, _) = both(&noisy("[a-z ][a-z ]", &["cat"], ""));
        assert_eq!(walker.find(Text::new(b"a plain text with a cat"), 0), Err(Unknown));
        assert_eq!(walker.find(Text::new(b"'a cat;'("), 0), Ok(Some(1..6)));
    }

    #[test]
    fn states_that_made_room_are_found_again() {
        let pattern = noisy("[;|].{0,40}", &["cat", "cattle", "catalogue", "category"], "[ ;]x");
        let (walker, regex) = both(&pattern);
        let input: Vec<u8> = (0..200_usize)
            .flat_map(|n| {
                let word = &"cattlecategorycatalogue"[n % 16..];
                let glue = ["'", "\"", "(", "$ab", "\\", "'(", "$d'", "\"\"$c"];
                let letters = word.bytes().enumerate();
                letters.map(move |(at, b)| format!("{}{}", b as char, glue[(n * at) % 8])).chain([";".into()])
            })
            .flat_map(String::into_bytes)
            .chain(*b";c'a\"t x")
            .collect();
        let wanted = regex.find(&input).map(|m| m.range());
        assert!(wanted.is_some());
        let mut hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build();
        let hir = hir.parse(&pattern).expect("valid");
        let nfa = thompson::Compiler::new().build_from_hir(&hir).expect("valid");
        let mut told_in_spite = 0;
        for capacity in (0..40).map(|n| n * 10_000) {
            let config = DFA::config().cache_capacity(capacity).skip_cache_capacity_check(true);
            let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone()).expect("valid");
            let tight = Walker {
                caches: caches(&dfa),
                caches_together: caches(&dfa),
                dfa,
                beginnings: walker.beginnings.clone(),
                befores: walker.befores.clone(),
                is_choosy: true,
                search: Search::new(),
            };
            // Or it does not know.
            if let Ok(found) = tight.find(Text::new(&input), 0) {
                assert_eq!(found, wanted, "{capacity}");
                told_in_spite += usize::from(tight.caches.get().clear_count() > 0);
            }
        }
        assert!(told_in_spite > 0);
    }

    proptest! {
        /// It finds what the other engine finds, or does not know.
        #[test]
        fn it_finds_what_the_other_finds(
            input in proptest::collection::vec(proptest::sample::select(
                &b"cCaAtdobBeENnvq0z1w'\"($\\; \n\xff"[..]), 0..160),
            from in 0_usize..4,
        ) {
            thread_local! {
                static PATTERNS: Vec<(Walker, Regex)> = [
                    noisy("(?:[;\n ]|^)", &["cat", "do", "env"], r"(?:\b|.*$)"),
                    noisy(r"\b", &["cat", "dab", "be"], r"[^a-z]"),
                    noisy("(?m)(?:^|;)[ ']*", &["ca", "cat", "nv"], "(?m)$"),
                    noisy("", &["cat", "at", "b"], "(?:[ ]+x)??"),
                    noisy(";?", &["ca", "b"], "(?:t[ ;]*)*"),
                    noisy("[\n;$][\n ]*['$]*", &["cat", "do", "b"], "(?:;|.*$)"),
                    noisy("(?:;|\n[\n;]{0,3})[\n ]*", &["c", "do"], "[a-z;]*"),
                ]
                .iter()
                .map(|pattern| both(pattern))
                .collect();
            }
            PATTERNS.with(|patterns| {
                for (walker, regex) in patterns {
                    let from = from.min(input.len());
                    let wanted = regex.search(&Input::new(&input).range(from..)).map(|m| m.range());
                    let found = walker.find(Text::new(&input), from);
                    if found == Err(Unknown) && !is_noise(&input) {
                        continue;
                    }
                    assert_eq!(found, Ok(wanted.clone()), "{regex:?} {input:?}");
                    if from == 0 {
                        assert_eq!(walker.is_match(Text::new(&input)), Ok(wanted.is_some()));
                    }
                    let at = |start: usize| {
                        let there = Input::new(&input).range(start..).anchored(Anchored::Yes);
                        regex.search(&there).map(|m| m.range())
                    };
                    let last = (from..input.len()).rev().find_map(at);
                    assert_eq!(walker.find_last(&input, from), Ok(last.clone()), "{regex:?} {input:?}");
                    let mut cache = walker.caches.get();
                    assert_eq!(walker.walk(&mut cache, &input, from, Which::Last), Ok(last), "{regex:?} {input:?}");
                }
            });
        }
    }
}
