//! The detector against the crate `libinjectionrs`, which translates the C code and differs from it in a few named
//! places, and against what those places are in C.

use super::detect::{Verdict, judge, judge_whole};
use super::token::Kind;
use super::tokenizer::{Reading, is_one_word, is_plain};
use super::words::{Word, words};
use super::{LONGEST, detect};
use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;
use libinjectionrs::{SqliFlags, SqliState};
use std::collections::BTreeSet;

#[test]
fn every_word_is_found_in_any_case() {
    let words = words();
    for keyword in SQL_KEYWORDS.iter().filter(|keyword| keyword.token_type != b'F') {
        let word = words.find(keyword.word.as_bytes());
        assert_eq!(words.kind(word).letter(), keyword.token_type, "{}", keyword.word);
        assert_eq!(words.find(keyword.word.to_ascii_lowercase().as_bytes()), word, "{}", keyword.word);
        assert!(keyword.word.len() <= LONGEST, "{} is longer than a token", keyword.word);
        // Tokens of symbols and digits are not looked up again when words are merged.
        if keyword.word.contains(' ') {
            assert!(keyword.word.split(' ').all(|part| part.as_bytes()[0].is_ascii_alphabetic()));
        }
    }
    for other in ["", "SELEC", "SELECTS", "UNION  ALL", "INTO\u{0}", "\u{e9}"] {
        assert_eq!(words.find(other.as_bytes()), Word::NONE, "{other:?}");
    }
    let fingerprints: BTreeSet<&str> = SQL_KEYWORDS
        .iter()
        .filter(|keyword| keyword.token_type == b'F')
        .map(|keyword| keyword.word)
        .collect();
    assert_eq!(words.fingerprints(), fingerprints.len());
}

/// [`is_plain`] answers before anything is read; this says that reading would come to the same answer.
#[test]
fn plain_values_are_no_attacks() {
    let read = |value: &str| {
        assert!(is_plain(value.as_bytes()), "{value}");
        let verdict = judge(value.as_bytes(), Reading { quote: 0, mysql: false });
        assert!(verdict.attack.is_none(), "{value}: {verdict:?}");
        assert!(!value.contains(['\'', '"', '#', '-']));
    };
    // Whatever numbers and words of digits come first, and whatever word comes last.
    let before = ["", "0", "1", "12", "1e5", "1f", "0x", "0x1f", "0b", "0b1", "1e"];
    let mut starts = vec![String::new()];
    for _ in 0..3 {
        starts = starts.iter().flat_map(|start| before.map(|next| format!("{start}{next}"))).collect();
        starts.sort();
        starts.dedup();
    }
    let plain = |text: &&[u8]| is_plain(text);
    let last: Vec<&str> = words()
        .all()
        .map(|entry| entry.1)
        .filter(plain)
        .map(|text| std::str::from_utf8(text).expect("ASCII"))
        .collect();
    assert!(last.len() > 700);
    for start in &starts {
        read(start);
        let few = if start.len() > 4 { 40 } else { 1 };
        for word in last.iter().step_by(few).chain(&["UNION", "\u{e9}", "_", "foo"]) {
            read(&format!("{start}{word}"));
        }
    }
    // No fingerprint of numbers and names with one more token is known from attacks, but for those with a comment,
    // for what is evil, and for `1U`, which is let pass.
    let known: Vec<&str> = SQL_KEYWORDS
        .iter()
        .filter(|keyword| keyword.token_type == b'F')
        .map(|keyword| &keyword.word[1..])
        .filter(|letters| letters[..letters.len() - 1].bytes().all(|letter| matches!(letter, b'1' | b'N')))
        .collect();
    assert_eq!(known, ["1C", "1U", "NC", "X"]);
}

/// [`is_one_word`] answers before anything is read as well.
#[test]
fn words_alone_are_no_attacks() {
    let mut words: Vec<String> =
        words().all().map(|entry| String::from_utf8_lossy(entry.1).into_owned()).collect();
    words.extend(
        ["json", "_", "\u{e9}", "b1", "x0f", "q", "a_name_that_is_longer_than_a_token"].map(str::to_owned),
    );
    let mut known = 0;
    for word in &words {
        for value in
            [word.clone(), format!("{word}.a"), format!("a.{word}"), format!("a`{word}"), format!("{word}$1")]
        {
            let verdict = judge(value.as_bytes(), Reading { quote: 0, mysql: false });
            if is_one_word(value.as_bytes()) {
                known += 1;
                assert!(verdict.attack.is_none(), "{value}: {verdict:?}");
                assert!(
                    super::tokens(value.as_bytes()).len() == 1 && !value.contains(['\'', '"', '#', '-']),
                    "{value}"
                );
            }
        }
    }
    assert!(known > 3000, "only {known}");
    for other in [
        "",
        "1",
        "1a",
        "a b",
        "select.1",
        "a,b",
        "n'a'",
        "u&'a'",
        "`a`",
        "@a",
        "$a",
        ".a",
        "a.select.b\u{a0}",
    ] {
        assert!(!is_one_word(other.as_bytes()), "{other}");
    }
}

/// Two names tell before anything else is read; this says that reading on would come to the same answer.
#[test]
fn two_names_are_no_attack() {
    let known = SQL_KEYWORDS.iter().filter(|k| k.token_type == b'F' && k.word[1..].starts_with("NN"));
    assert_eq!(known.count(), 0);
    let mut generator = Generator::new(11);
    let mut stopped = 0;
    for round in 0..200_000 {
        let mut name = |common: &[&str]| match generator.below(3) {
            0 => common[generator.below(common.len())].as_bytes().to_vec(),
            1 => {
                let chosen = generator.below(generator.words.len());
                generator.words[chosen].to_vec()
            }
            _ => format!("w{round}").into_bytes(),
        };
        let (first, second) =
            (name(&["the", "user", "group", "is"]), name(&["quick", "database", "lock", "is"]));
        let value = [&first, b" ".as_slice(), &second, b" ", &generator.value()].concat();
        let either = |judge: fn(&[u8], Reading) -> Verdict| {
            let ansi = judge(&value, Reading { quote: 0, mysql: false });
            let mysql =
                ansi.differs_in_mysql.then(|| judge(&value, Reading { quote: 0, mysql: true }).attack);
            (ansi.attack.or(mysql.flatten()), ansi.differs_in_mysql)
        };
        let (soon, whole) = (either(judge), either(judge_whole));
        assert_eq!(soon.0, whole.0, "{:?}", String::from_utf8_lossy(&value));
        stopped += usize::from(soon.1 != whole.1);
    }
    assert!(stopped > 1_000, "it stopped before what differs {stopped} times only");
}

/// The first token tells of most values that are nothing but symbols; this says that reading on would come to the same
/// answer.
#[test]
fn what_begins_no_attack_is_none() {
    let begins = |kind: Kind, letter: fn(&u8) -> bool| {
        let fingerprints =
            SQL_KEYWORDS.iter().filter(|k| k.token_type == b'F').map(|k| &k.word.as_bytes()[1..]);
        let mut of_kind = fingerprints.filter(|f| f[0] == kind.letter().to_ascii_uppercase());
        of_kind.any(|fingerprint| !fingerprint.iter().any(letter))
    };
    for kind in [Kind::Colon, Kind::Dot, Kind::Operator, Kind::RightBrace, Kind::Unknown] {
        assert!(!begins(kind, |_| false), "{kind:?}");
    }
    for kind in [Kind::RightParenthesis, Kind::Semicolon] {
        assert!(!begins(kind, |letter| b"UET".contains(letter)), "{kind:?}");
    }
    let mut generator = Generator::new(12);
    let (mut stopped, mut attacks) = (0, 0);
    for _ in 0..300_000 {
        let symbols = b"!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\" \n0";
        let mut value: Vec<u8> =
            (0..generator.below(9)).map(|_| symbols[generator.below(symbols.len())]).collect();
        if generator.below(3) == 0 {
            value.extend(generator.value());
        }
        for quote in [0, b'\'', b'"'] {
            let judged = |judge: fn(&[u8], Reading) -> Verdict| {
                let ansi = judge(&value, Reading { quote, mysql: false });
                let mysql =
                    ansi.differs_in_mysql.then(|| judge(&value, Reading { quote, mysql: true }).attack);
                (ansi.attack.or(mysql.flatten()), ansi.differs_in_mysql)
            };
            let (soon, whole) = (judged(judge), judged(judge_whole));
            assert_eq!(soon.0, whole.0, "{:?}", String::from_utf8_lossy(&value));
            stopped += usize::from(soon.1 != whole.1);
            attacks += usize::from(whole.0.is_some());
        }
    }
    assert!(stopped > 1_000 && attacks > 1_000, "{stopped} stopped early, {attacks} attacks");
}

/// Random values made of what attacks and prose are made of.
#[test]
fn agrees_with_the_crate() {
    let cases = std::env::var("PORTCULLIS_SQLI_CASES").map_or(150_000, |n| n.parse().expect("a number"));
    let (mut attacks, mut exact) = (0, 0);
    let mut generator = Generator::new(1);
    for _ in 0..cases {
        let value = generator.value();
        let ours = detect(&value).map(|fingerprint| fingerprint.as_bytes().to_vec());
        let theirs = by_the_crate(&value);
        attacks += usize::from(ours.is_some());
        exact += usize::from(ours == theirs);
        assert!(
            ours == theirs || the_crate_may_err(&value).is_some(),
            "{:?}: ours {:?}, theirs {:?}",
            String::from_utf8_lossy(&value),
            ours.as_deref().map(String::from_utf8_lossy),
            theirs.as_deref().map(String::from_utf8_lossy)
        );
    }
    assert!(attacks > cases / 20, "only {attacks} attacks");
    assert!(exact > cases - cases / 50, "only {exact} agree");
}

/// Where the crate differs from C, version 3.9.2: the value, what C and the crate say, and why.
#[test]
fn differs_from_the_crate_where_that_differs_from_c() {
    const NUL: &str = "it stops or goes on at NUL where C's strchr does not";
    const INTO: &str = "it compares INTO with regard to case";
    const SIGN: &str = "it takes the sign for a part of a variable's name";
    const PASSWORD: &str = "it compares sp_password without regard to case, and in UTF-8 only";
    const COLLATION: &str = "it looks for _ in collations in UTF-8 only";
    const NAME: &str = "it does not merge phrases which are names";
    /// A value, the fingerprints that we and the crate give it, and why they differ.
    type Case = (&'static [u8], Option<&'static str>, Option<&'static str>, &'static str);
    let cases: &[Case] = &[
        (b"1 or 0x\0=0x41", Some("1&1"), None, NUL),
        (b"1 union select @\0a", Some("1UEvn"), Some("1UEv"), NUL),
        (b"1 into outfile 'x'", Some("1ks"), None, INTO),
        (b"1 or @user()", Some("1&f()"), None, SIGN),
        (b"1;select @user(", Some("1;Ef("), None, SIGN),
        (b"abc -- \xff sp_password", Some("nc"), None, PASSWORD),
        (b"abc -- SP_PASSWORD", None, Some("nc"), PASSWORD),
        (b"x' at time zone 'y' or '1'", Some("sks&s"), None, NAME),
        (b"1 is distinct from 2 or 1", Some("1&1"), None, NAME),
        (b"1 or at time zone", None, Some("1&nkn"), NAME),
        (b"a collate latin1_bin\xff = 1 or 1=1", Some("nAto1"), None, COLLATION),
    ];
    for (value, wanted, crates, reason) in cases {
        let shown = String::from_utf8_lossy(value);
        assert_eq!(detect(value).map(|f| f.to_string()).as_deref(), *wanted, "{shown}");
        let theirs = by_the_crate(value).map(|f| String::from_utf8_lossy(&f).into_owned());
        assert_eq!(theirs.as_deref(), *crates, "{shown}");
        assert_eq!(the_crate_may_err(value), Some(*reason), "{shown}");
    }
}

fn by_the_crate(value: &[u8]) -> Option<Vec<u8>> {
    let mut state = SqliState::new(value, SqliFlags::FLAG_NONE);
    state.detect().then(|| state.fingerprint.into_iter().take_while(|byte| *byte != 0).collect())
}

/// Why the crate may differ from C for a value.
fn the_crate_may_err(value: &[u8]) -> Option<&'static str> {
    let text = value.to_ascii_uppercase();
    let has = |wanted: &str| memchr::memmem::find(&text, wanted.as_bytes()).is_some();
    if value.contains(&0) {
        return Some("it stops or goes on at NUL where C's strchr does not");
    }
    if memchr::memmem::find_iter(&text, b"INTO").any(|at| &value[at..at + 4] != b"INTO") {
        return Some("it compares INTO with regard to case");
    }
    if has("@") && has("(") {
        return Some("it takes the sign for a part of a variable's name");
    }
    if has("SP_PASSWORD") {
        return Some("it compares sp_password without regard to case, and in UTF-8 only");
    }
    if has("COLLATE") && std::str::from_utf8(value).is_err() {
        return Some("it looks for _ in collations in UTF-8 only");
    }
    let open = |phrase: &&str| phrase.split(' ').all(has);
    let names = SQL_KEYWORDS.iter().filter(|k| k.token_type == b'n' && k.word.contains(' '));
    names.map(|keyword| keyword.word).find(open).map(|_| "it does not merge phrases which are names")
}

/// Values from a seed.
struct Generator {
    state: u64,
    words: Vec<&'static [u8]>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let words = words().all().filter(|entry| entry.2 != Kind::None).map(|entry| entry.1).collect();
        Self { state: seed, words }
    }

    /// SplitMix64.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        // A sixth of all values are prose.
        let prose = self.below(6) == 0;
        for _ in 0..1 + self.below(12) {
            match self.below(if prose { 20 } else { 12 }) {
                0..=1 => {
                    let chosen = self.below(self.words.len());
                    let word = self.words[chosen];
                    let spaced = self.below(8) == 0;
                    let lower = self.below(3) > 0;
                    value.extend(word.iter().map(|byte| match byte {
                        b' ' if spaced => b'\n',
                        _ if lower => byte.to_ascii_lowercase(),
                        _ => *byte,
                    }));
                }
                2 => value.extend((0..1 + self.below(6)).map(|_| self.below(256) as u8)),
                3..=6 => value.extend(SIGNS[self.below(SIGNS.len())].bytes()),
                7..=10 => value.extend(PIECES[self.below(PIECES.len())].bytes()),
                11 => value.extend(self.below(1_000_000).to_string().bytes()),
                _ => value.extend(PROSE[self.below(PROSE.len())].bytes()),
            }
            if self.below(3) > 0 {
                value.push(
                    *[b' ', b' ', b' ', b'\t', b'+', 0xa0, b',', b'('].get(self.below(8)).unwrap_or(&b' '),
                );
            }
        }
        value
    }
}

const SIGNS: &[&str] = &[
    "'", "'", "'", "\"", "\"", "`", "(", ")", "((", "))", "{", "}", "[", "]", ",", ".", ";", ";;", ":", "::",
    ":=", "=", "==", "<>", "<=>", "<=", "!", "!!", "!=", "~", "~*", "+", "-", "*", "/", "%", "^", "&", "&&",
    "|", "||", "|/", "#", "--", "-- ", "--x", "/*", "*/", "/**/", "/*!", "/*x*/", "\\", "\\'", "\\\\'", "''",
    "\"\"", "?", "@", "@@", "$", "$$", "\n", "\r\n", " ", "  ",
];

const PIECES: &[&str] = &[
    "select",
    "union",
    "union all",
    "from",
    "where",
    "and",
    "or",
    "not",
    "in",
    "not in",
    "like",
    "not like",
    "in (",
    "if",
    "; if",
    "group by",
    "order by",
    "having",
    "limit",
    "case when",
    "user",
    "user(",
    "user()",
    "database",
    "password",
    "current_user",
    "sleep(5)",
    "benchmark(1,1)",
    "char(65)",
    "collate latin1_bin",
    "collate utf8",
    "binary",
    "date '1'",
    "int",
    "varchar(5)",
    "'a'='a",
    "1=1",
    "1 or 1=1",
    "' or '1'='1",
    "\" or \"\"=\"",
    "1e",
    "1.e",
    "1e5",
    "1e+",
    ".5",
    ".",
    "0x1f",
    "0x",
    "0b01",
    "0b",
    "1f",
    "1d;",
    "1fu",
    "12from",
    "x'1f'",
    "x'1g'",
    "b'01'",
    "b'2'",
    "n'a'",
    "e'a'",
    "q'(a)'",
    "q'xax'",
    "nq'[a]'",
    "u&'a'",
    "u&",
    "@a",
    "@@a",
    "@`a`",
    "@'a'",
    "$1,000.00",
    "$.",
    "$a$b$a$",
    "$$a$$",
    "$a",
    "\\N",
    "{a b}",
    "{ ``",
    "`a`",
    "`",
    "``",
    "a.b",
    "select.1",
    "select`a`",
    "union.x",
    "[a]",
    "[a b",
    "into outfile 'x'",
    "INTO DUMPFILE",
    "waitfor delay",
    "exec xp_cmdshell",
    "drop table",
    "1-- ",
    "1--",
    "1/*",
    "a/*",
    "a--",
    "1 #",
    "a'+'b",
    "foo' + 'bar",
    "1,-1",
    ",-a",
    ",-sin(1)",
    "1+(",
    "a.b.c",
    "1;2",
    "true",
    "null",
    "interval",
    "procedure analyse(",
];

const PROSE: &[&str] = &[
    "the ",
    "quick ",
    "brown ",
    "fox ",
    "it's ",
    "don't ",
    "and ",
    "or ",
    "a ",
    "of ",
    "to ",
    "is ",
    "like ",
    "where ",
    "select ",
    "he said \"no\" ",
    "(see below) ",
    "e.g. ",
    "50% ",
    "1,000 ",
    "2024-01-01 ",
    "a/b ",
    "caf\u{e9} ",
    "\u{4f60}\u{597d} ",
    "foo_bar ",
    "x=1 ",
    "a&b ",
    "- ",
    "-- ",
    "you; ",
    "me, ",
    "what? ",
    "yes! ",
    "#1 ",
    "user@example.com ",
    "https://x.y/z?a=b ",
];
