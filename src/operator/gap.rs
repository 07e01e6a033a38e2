//! Patterns some of whose beginnings end in a gap: `(?:time .*|[;&|])(?:cat|sudo|…)`.
//!
//! Behind such a beginning the rest may begin anywhere. An automaton that is past it has to look for the rest in all places
//! together, and where the rest is a long list, random text leads from one new state to another, up to its end: the gap is
//! greedy. So the pattern is taken apart. What has no gap is one pattern, and is walked through; the beginnings that have
//! one are another, and short; and behind the first of them the rest is looked for from the end of the text.
//!
//! Where it is not plain that the whole pattern would find the same, it is not known what that finds.

use super::walk::Unknown;
use super::walker::{Text, Walker};
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Input, Match};
use regex_syntax::hir::{Dot, Hir, HirKind};
use std::ops::Range;

/// A pattern of many states, as it is walked through.
pub(super) enum Walked {
    /// As it is.
    Whole(Box<Walker>),
    /// Taken apart.
    Gapped(Box<Gapped>),
}

impl Walked {
    /// The walker or walkers for a pattern that is worth it. `size` is the most that an automaton may take, in bytes.
    pub(super) fn new(hir: &Hir, size: usize) -> Option<Self> {
        let gapped = Gapped::new(hir, size).map(|gapped| Walked::Gapped(Box::new(gapped)));
        gapped.or_else(|| Walker::new(hir, size).map(|walker| Walked::Whole(Box::new(walker))))
    }

    /// The first match that begins at `from` or later; where another way is quicker, it is not known.
    pub(super) fn find(&self, input: &[u8], from: usize) -> Result<Option<Range<usize>>, Unknown> {
        let text = Text::new(input);
        match self {
            Walked::Whole(walker) => walker.find(text, from),
            Walked::Gapped(gapped) => gapped.find(text, from),
        }
    }

    /// Whether there is a match.
    pub(super) fn is_match(&self, input: &[u8]) -> Result<bool, Unknown> {
        let text = Text::new(input);
        match self {
            Walked::Whole(walker) => walker.is_match(text),
            Walked::Gapped(gapped) => gapped.is_match(text),
        }
    }
}

/// A pattern that was taken apart.
pub(super) struct Gapped {
    /// It without the beginnings that end in a gap.
    gapless: Walker,
    /// Those beginnings, each up to its gap.
    beginnings: Regex,
    /// What comes behind them.
    rest: Walker,
}

impl Gapped {
    /// The parts of a pattern, if it has any, and is worth it. `size` is the most that each may take, in bytes.
    fn new(hir: &Hir, size: usize) -> Option<Self> {
        let parts = Parts::of(hir)?;
        let config = Regex::config().utf8_empty(false).nfa_size_limit(Some(size)).onepass(false);
        let config = config.which_captures(WhichCaptures::Implicit);
        let beginnings = Regex::builder().configure(config).build_from_hir(&parts.beginnings).ok()?;
        Some(Self {
            gapless: Walker::new(&parts.gapless, size)?,
            beginnings,
            rest: Walker::new(&parts.rest, size)?,
        })
    }

    fn find(&self, text: Text<'_>, from: usize) -> Result<Option<Range<usize>>, Unknown> {
        if !self.gapless.takes(text) {
            return Err(Unknown);
        }
        if self.rest.is_ruled_out(text, from) {
            return Ok(None);
        }
        let gapless = self.gapless.find(text, from)?;
        let Some(begun) = self.beginnings.search(&Input::new(text.bytes).range(from..)) else {
            return Ok(gapless);
        };
        if gapless.as_ref().is_some_and(|found| found.start < begun.start()) {
            return Ok(gapless);
        }
        let Some((start, rest)) = self.find_gapped(text, begun)? else { return Ok(gapless) };
        match &gapless {
            Some(found) if found.start < start => Ok(gapless),
            // Which of the two is preferred is not told here.
            Some(found) if found.start == start => Err(Unknown),
            _ => Ok(Some(start..rest.end)),
        }
    }

    fn is_match(&self, text: Text<'_>) -> Result<bool, Unknown> {
        if !self.gapless.takes(text) {
            return Err(Unknown);
        }
        if self.rest.is_ruled_out(text, 0) {
            return Ok(false);
        }
        if self.gapless.is_match(text)? {
            return Ok(true);
        }
        let Some(begun) = self.beginnings.search(&Input::new(text.bytes)) else { return Ok(false) };
        Ok(self.find_gapped(text, begun)?.is_some())
    }

    /// Where the first match with a gap begins, and the rest with which it ends. `begun` is the first that may begin one.
    fn find_gapped(&self, text: Text<'_>, begun: Match) -> Result<Option<(usize, Range<usize>)>, Unknown> {
        let Some(rest) = self.rest.find_last(text.bytes, begun.start())? else { return Ok(None) };
        if rest.start >= begun.end() {
            return Ok(Some((begun.start(), rest)));
        }
        // A beginning may have taken less than it did, or another that begins later may have.
        let before = Input::new(text.bytes).range(begun.start()..rest.start);
        Ok(self.beginnings.search(&before).map(|begun| (begun.start(), rest)))
    }
}

/// What a pattern consists of: it is `(?:gapless|beginnings.*rest)`, but for what is preferred. What the rest may begin with or
/// do without is left out: where the gap ends as late as it can, there is none of it.
struct Parts {
    gapless: Hir,
    beginnings: Hir,
    rest: Hir,
}

impl Parts {
    fn of(hir: &Hir) -> Option<Self> {
        let HirKind::Concat(items) = hir.kind() else { return None };
        let at = items.iter().position(ends_in_gap)?;
        let (before, behind) = (&items[..at], &items[at + 1..]);
        let Sides { gapless, gapped } = Sides::of(items[at].clone());
        let whole = |item: Hir, behind: &[Hir]| Hir::concat([before, &[item], behind].concat());
        Some(Self {
            gapless: whole(gapless?, behind),
            beginnings: whole(gapped?, &[]),
            rest: Hir::concat(behind.iter().skip_while(|item| is_optional(item)).cloned().collect()),
        })
    }
}

/// Whether some way through a pattern ends in a gap.
fn ends_in_gap(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => ends_in_gap(&capture.sub),
        HirKind::Alternation(ways) => ways.iter().any(ends_in_gap),
        HirKind::Concat(items) => items.last().is_some_and(ends_in_gap),
        HirKind::Repetition(repetition) => {
            repetition.greedy
                && (repetition.min, repetition.max) == (0, None)
                && *repetition.sub == Hir::dot(Dot::AnyByte)
        }
        _ => false,
    }
}

/// Whether a pattern matches nothing at all in any place.
fn is_optional(hir: &Hir) -> bool {
    let properties = hir.properties();
    properties.minimum_len() == Some(0) && properties.look_set().is_empty()
}

/// The ways through a part of a pattern: those that end in a gap, without that, and those that do not.
#[derive(Default)]
struct Sides {
    gapless: Option<Hir>,
    gapped: Option<Hir>,
}

impl Sides {
    fn of(hir: Hir) -> Self {
        if !ends_in_gap(&hir) {
            return Self { gapless: Some(hir), gapped: None };
        }
        match hir.into_kind() {
            HirKind::Capture(capture) => Self::of(*capture.sub),
            HirKind::Alternation(ways) => {
                let (mut gapless, mut gapped) = (Vec::new(), Vec::new());
                for way in ways.into_iter().map(Self::of) {
                    gapless.extend(way.gapless);
                    gapped.extend(way.gapped);
                }
                let any = |ways: Vec<Hir>| (!ways.is_empty()).then(|| Hir::alternation(ways));
                Self { gapless: any(gapless), gapped: any(gapped) }
            }
            HirKind::Concat(mut before) => {
                let Self { gapless, gapped } = before.pop().map(Self::of).unwrap_or_default();
                let behind = |last: Hir| Hir::concat([before.as_slice(), &[last]].concat());
                Self { gapless: gapless.map(behind), gapped: gapped.map(behind) }
            }
            // It is the gap.
            _ => Self { gapless: None, gapped: Some(Hir::empty()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pattern: &str) -> Hir {
        let mut parser = regex_syntax::ParserBuilder::new();
        let mut parser = parser.unicode(false).utf8(false).dot_matches_new_line(true).build();
        parser.parse(pattern).expect("a valid pattern")
    }

    /// Enough words to be worth it.
    fn words(words: &str) -> String {
        let filler = (0..150).map(|n| format!("q{n:03}['a]?z{n}w")).collect::<Vec<_>>().join("|");
        format!("(?:{words}|{filler})")
    }

    fn both(pattern: &str) -> (Gapped, Regex) {
        let hir = parse(pattern);
        let gapped = Gapped::new(&hir, 10 << 20).expect("a large pattern with a gap");
        (gapped, Regex::builder().build_from_hir(&hir).expect("a valid pattern"))
    }

    /// Both find what is wanted.
    fn agree(gapped: &Gapped, regex: &Regex, input: &[u8], wanted: Option<Range<usize>>) {
        assert_eq!(regex.find(input).map(|m| m.range()), wanted, "{}", input.escape_ascii());
        assert_eq!(gapped.is_match(Text::new(input)), Ok(wanted.is_some()), "{}", input.escape_ascii());
        assert_eq!(gapped.find(Text::new(input), 0), Ok(wanted), "{}", input.escape_ascii());
    }

    #[test]
    fn patterns_are_taken_apart_at_greedy_gaps_behind_which_more_follows() {
        let rest = words("cat");
        for pattern in
            [format!("(?:t.*|;){rest}"), format!("(?:t(?:u.*|v)|;){rest}"), format!("a((?:t.*|(;))){rest}b")]
        {
            assert!(Gapped::new(&parse(&pattern), 10 << 20).is_some(), "{pattern}");
        }
        for pattern in [
            format!("(?:t.*?|;){rest}"),
            format!("(?:t.+|;){rest}"),
            format!("(?-s)(?:t.*|;){rest}"),
            format!("(?:t.*|;){rest}?"),
            format!("t.*{rest}"),
            format!("(?:t.*|;)*{rest}"),
            format!("(?:t.*|;)(?:{rest})?['a]*"),
            format!("{rest}(?:t.*|;)"),
        ] {
            assert!(Gapped::new(&parse(&pattern), 10 << 20).is_none(), "{pattern}");
        }
    }

    #[test]
    fn the_last_rest_ends_a_match_with_a_gap() {
        let (gapped, regex) = both(&format!("(?:t[ ;].*|[;|])['\"]*{}", words("cat|do")));
        for (input, wanted) in [
            ("''t ';'cat' ';'do' ;';", Some(2..17)),
            ("'';cat' 't ;cat' 'do';", Some(2..6)),
            ("''t ';'ca' ';'d' ;';'';", None),
            ("''t ;'ca' ';'d' ;do';;", Some(2..19)),
            ("'\"'x ;'cat '\"' t 'do'", Some(5..10)),
        ] {
            agree(&gapped, &regex, input.as_bytes(), wanted);
        }
    }

    #[test]
    fn which_of_two_is_preferred_is_not_known() {
        let (gapped, regex) = both(&format!("(?:t['u]*(?:;.*|v)|t['u]*;['u]*){}", words("cat")));
        let input = br"'t'';''cat'";
        assert_eq!(gapped.find(Text::new(input), 0), Err(Unknown), "both begin at one place");
        assert!(regex.is_match(input));
    }

    #[test]
    fn a_beginning_may_take_less_than_it_did() {
        let (gapped, regex) = both(&format!("(?:t['ca]*.*|[|]a.*|[;])[ac]{}", words("cat|t")));
        for (input, wanted) in [
            ("''tccat''''", Some(2..7)),
            ("''tcccc''''", None),
            ("'tcc|acat''", Some(1..9)),
            ("'tca|a't';''", None),
            ("'tcc|at;''''", Some(1..7)),
            ("'tc;cat;''''", Some(1..7)),
        ] {
            agree(&gapped, &regex, input.as_bytes(), wanted);
        }
    }

    #[test]
    fn what_goes_on_for_long_is_followed_together() {
        let (gapped, regex) = both(&format!("(?:t .*|[;|])[a-z'](?:[a-z']+=[^ ]+ )*{}", words("cat")));
        let glued = [b"t ;".as_slice(), &b"a'=b'=".repeat(2_000)].concat();
        assert_eq!(gapped.find(Text::new(&glued), 0), Ok(None));
        let found = [&glued[..], b" cat;'''", &b"a'=b'=".repeat(2_000)].concat();
        let wanted = regex.find(&found).map(|m| m.range());
        assert!(wanted.is_some());
        assert_eq!(gapped.find(Text::new(&found), 0), Ok(wanted));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// It finds what the other engine finds, or does not know.
        #[test]
        fn it_finds_what_the_other_finds(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "t", "i", "t ", "ti;", "tio", "cat", "do", "env", "ca", ";", "|", "'", "\"", "$", "=", " ", "x=", "\n",
                "b", "y(",
            ]), 0..30),
            from in 0_usize..4,
        ) {
            thread_local! {
                static PATTERNS: Vec<(Gapped, Regex)> = [
                    format!(
                        "(?:t['\"]*i['\"]*(?:[ ;].*|o)|[bt]['(]*|[;|]) *(?:[$] *|x=[^ ]+ +)*{}",
                        words("cat|do|d"),
                    ),
                    format!("(?:^|t ['\"]*.*|[;|])['\"]*{}\\b", words("cat|do|env[ ;].*")),
                    format!("(?m)(?:y.*|[;|])['\"]*{}(?:$|=)", words("cat|do|ca")),
                    format!("(?:t(?: .*|i.*)|t|[;'])['\"]*{}", words("c(?:a|at|atd)??[o ]|do|env")),
                ]
                .iter()
                .map(|pattern| both(pattern))
                .collect();
            }
            let input = pieces.concat().into_bytes();
            PATTERNS.with(|patterns| {
                for (gapped, regex) in patterns {
                    let from = from.min(input.len());
                    let wanted = regex.search(&Input::new(&input).range(from..)).map(|m| m.range());
                    if let Ok(found) = gapped.find(Text::new(&input), from) {
                        assert_eq!(found, wanted, "{regex:?} {}", input.escape_ascii());
                    }
                    if from == 0 && let Ok(told) = gapped.is_match(Text::new(&input)) {
                        assert_eq!(told, wanted.is_some(), "{}", input.escape_ascii());
                    }
                }
            });
        }
    }
}
