//! The words of command lines.

/// The words of each command: quotes, `$'…'`, backslashes, continued lines. A command ends where a shell ends it, but a
/// `;` or `&` within a word is of an address that nobody has put in quotes.
pub(super) fn commands(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut out: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a quote in the command has no end".to_owned()),
                    }
                }
            }
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some('\\') => match rest.next() {
                            Some('n') => word.push('\n'),
                            Some('r') => word.push('\r'),
                            Some('t') => word.push('\t'),
                            Some(c @ ('x' | 'u')) => {
                                let most = if c == 'x' { 2 } else { 4 };
                                let mut digits = String::new();
                                while digits.len() < most {
                                    match rest.next_if(char::is_ascii_hexdigit) {
                                        Some(digit) => digits.push(digit),
                                        None => break,
                                    }
                                }
                                word.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                            }
                            Some(c) => word.push(c),
                            None => return Err("a quote in the command has no end".to_owned()),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a quote in the command has no end".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some('\n') => {}
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a quote in the command has no end".to_owned()),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a quote in the command has no end".to_owned()),
                    }
                }
            }
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some('\r') => {
                    rest.next_if_eq(&'\n');
                }
                Some(c) => word.get_or_insert_default().push(c),
            },
            c if c.is_whitespace() => {
                if let Some(command) = out.last_mut() {
                    command.extend(word.take());
                }
                if c == '\n' {
                    out.push(Vec::new());
                }
            }
            '|' | '>' | '<' | ';' | '&'
                if word.is_none()
                    || rest.peek().is_none_or(|c| c.is_whitespace() || matches!(c, '|' | '&')) =>
            {
                if let Some(command) = out.last_mut() {
                    command.extend(word.take());
                }
                out.push(Vec::new());
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    if let Some(command) = out.last_mut() {
        command.extend(word);
    }
    out.retain(|command| !command.is_empty());
    Ok(out)
}

/// What the command line of Windows would hand on: `^` before a character, and at the end of a line.
pub(super) fn of_windows(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '^' {
            out.push(character);
            continue;
        }
        match rest.next() {
            Some('\r') => {
                rest.next_if_eq(&'\n');
                out.push(' ');
            }
            Some('\n') => out.push(' '),
            Some(c) => out.push(c),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_end_where_a_shell_ends_them() {
        let text = "curl 'http://h/?a=1|2' -d $'x\\ny' | jq . > out\ncurl http://h/?a=1&b=2;c \\\n -k && id";
        let found = commands(text).expect("it is sound");
        assert_eq!(
            found,
            [
                vec!["curl", "http://h/?a=1|2", "-d", "x\ny"],
                vec!["jq", "."],
                vec!["out"],
                vec!["curl", "http://h/?a=1&b=2;c", "-k"],
                vec!["id"],
            ]
        );
        assert_eq!(of_windows("curl ^\"http://h/^\" ^\r\n  -k"), "curl \"http://h/\"    -k");
    }
}
