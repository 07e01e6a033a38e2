//! Grafana Alloy's configuration syntax, as much of it as the example uses: blocks, attributes, strings, numbers, lists,
//! objects, and references to what another component exports.

/// A block or an attribute.
#[derive(Debug)]
pub enum Item {
    Block { name: String, label: Option<String>, body: Vec<Item> },
    Attribute { name: String, value: Value },
}

#[derive(Debug, PartialEq)]
pub enum Value {
    Text(String),
    Number(String),
    Reference(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(String),
    Sign(char),
    Line,
}

/// Reads a file.
///
/// # Panics
///
/// When it is faulty; the message says where.
pub fn read(text: &str) -> Vec<Item> {
    let tokens = tokens(text);
    let mut at = 0;
    let items = body(&tokens, &mut at);
    assert_eq!(at, tokens.len(), "it goes on: {:?}", &tokens[at..]);
    items
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with("//") {
            let first = rest.chars().next().expect("not empty");
            let length = if first == '"' {
                // A backslash takes what follows with it.
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find(|(_, c)| {
                    let ends = *c == '"' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    ends
                });
                let (end, _) = end.unwrap_or_else(|| panic!("line {}: a string without an end", number + 1));
                let text: String = serde_json::from_str(&rest[..=end]).expect("escapes as in JSON");
                out.push(Token::Text(text));
                end + 1
            } else if first.is_ascii_alphabetic() || first == '_' {
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                out.push(Token::Name(rest[..end].to_owned()));
                end
            } else if first.is_ascii_digit() {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                out.push(Token::Number(rest[..end].to_owned()));
                end
            } else {
                assert!("{}[]=,".contains(first), "line {}: {first}", number + 1);
                out.push(Token::Sign(first));
                1
            };
            rest = rest[length..].trim_start();
        }
        if !matches!(out.last(), None | Some(Token::Line)) {
            out.push(Token::Line);
        }
    }
    out
}

/// Statements, one on a line, to the end or to a brace.
fn body(tokens: &[Token], at: &mut usize) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        skip_lines(tokens, at);
        let Some(Token::Name(name)) = tokens.get(*at) else { return items };
        *at += 1;
        if tokens.get(*at) == Some(&Token::Sign('=')) {
            *at += 1;
            items.push(Item::Attribute { name: name.clone(), value: value(tokens, at) });
        } else {
            let label = match tokens.get(*at) {
                Some(Token::Text(label)) => {
                    *at += 1;
                    Some(label.clone())
                }
                _ => None,
            };
            expect(tokens, at, '{');
            let inner = body(tokens, at);
            expect(tokens, at, '}');
            items.push(Item::Block { name: name.clone(), label, body: inner });
        }
        let ends = matches!(tokens.get(*at), None | Some(Token::Line | Token::Sign('}')));
        assert!(ends, "behind {name} a line has to end: {:?}", &tokens[*at..]);
    }
}

fn value(tokens: &[Token], at: &mut usize) -> Value {
    let token = tokens.get(*at).expect("a value").clone();
    *at += 1;
    match token {
        Token::Text(text) => Value::Text(text),
        Token::Number(number) => Value::Number(number),
        Token::Name(name) => Value::Reference(name),
        Token::Sign('[') => {
            let mut list = Vec::new();
            while !ends_with(tokens, at, ']') {
                list.push(value(tokens, at));
                separate(tokens, at, ']');
            }
            Value::List(list)
        }
        Token::Sign('{') => {
            let mut members = Vec::new();
            while !ends_with(tokens, at, '}') {
                let key = match tokens.get(*at) {
                    Some(Token::Name(key) | Token::Text(key)) => key.clone(),
                    other => panic!("no key: {other:?}"),
                };
                *at += 1;
                expect(tokens, at, '=');
                members.push((key, value(tokens, at)));
                separate(tokens, at, '}');
            }
            Value::Object(members)
        }
        other => panic!("no value: {other:?}"),
    }
}

/// Whether a list ends here; then its end is taken.
fn ends_with(tokens: &[Token], at: &mut usize, end: char) -> bool {
    skip_lines(tokens, at);
    let ends = tokens.get(*at) == Some(&Token::Sign(end));
    *at += usize::from(ends);
    ends
}

/// A comma, which the last element may do without when the end stands on its line.
fn separate(tokens: &[Token], at: &mut usize, end: char) {
    match tokens.get(*at) {
        Some(Token::Sign(',')) => *at += 1,
        Some(Token::Sign(sign)) if *sign == end => {}
        other => panic!("no comma: {other:?}"),
    }
}

fn skip_lines(tokens: &[Token], at: &mut usize) {
    while tokens.get(*at) == Some(&Token::Line) {
        *at += 1;
    }
}

fn expect(tokens: &[Token], at: &mut usize, sign: char) {
    assert_eq!(tokens.get(*at), Some(&Token::Sign(sign)), "before {:?}", tokens.get(*at + 1));
    *at += 1;
}
