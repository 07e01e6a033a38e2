//! `Content-Disposition` of a part, read as strictly as ModSecurity does, and on behind the first error.

/// What the header said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// `name`; `None` when there is none, empty when it is empty.
    pub(super) name: Option<Vec<u8>>,
    /// `filename`, or what `filename*` (RFC 5987) decodes to when there is no `filename`.
    pub(super) filename: Option<Vec<u8>>,
    /// Further names and file names: of repeated parameters, of `name*` and `filename*` beside the plain ones, and of
    /// parameters in pieces (RFC 2231 §3). Which one a recipient takes is its own affair.
    pub(super) other_names: Vec<Vec<u8>>,
    pub(super) other_filenames: Vec<Vec<u8>>,
    /// The pieces of a name and of a file name so far.
    pieces: [Vec<u8>; 2],
    /// It was quoted with `'`, or had a `'` outside double quotes.
    pub(super) invalid_quoting: bool,
    /// ModSecurity's number of the first error.
    pub(super) error: Option<i8>,
}

/// Reads the header's value.
///
/// ModSecurity stops at the first error. What follows it is read here all the same wherever that is possible:
/// the body is refused if rules say so, and if they do not, the file name should not be hidden behind a
/// parameter that ModSecurity does not know. `filename*` is such a parameter (error -11), though browsers and some
/// libraries send it.
pub(super) fn read_disposition(value: &[u8]) -> Disposition {
    let mut out = Disposition::default();
    let mut rest = match value.strip_prefix(b"form-data") {
        Some(rest) => skip_blanks(rest),
        None => {
            out.fail(-1);
            let at = memchr::memchr(b';', value).unwrap_or(value.len());
            value.get(at..).unwrap_or_default()
        }
    };
    match rest {
        [] => return out,
        [b';', after @ ..] => rest = after,
        _ => {
            out.fail(-2);
            if let Some(at) = rest.iter().position(|b| matches!(b, b';' | b'='))
                && rest.get(at) == Some(&b';')
            {
                rest = rest.get(at + 1..).unwrap_or_default();
            }
        }
    }
    while !rest.is_empty() {
        match read_param(rest, &mut out) {
            Some(after) => rest = after,
            None => break,
        }
    }
    out.join_pieces();
    out
}

impl Disposition {
    fn fail(&mut self, code: i8) {
        self.error.get_or_insert(code);
    }

    /// Adds one more name. Beyond a few they are one together, so that a header of nothing but names does not grow
    /// into many files.
    fn add(others: &mut Vec<Vec<u8>>, name: Vec<u8>) {
        let is_full = others.len() >= MAX_OTHERS;
        match others.last_mut() {
            Some(last) if is_full => {
                last.push(b'\n');
                last.extend_from_slice(&name);
            }
            _ => others.push(name),
        }
    }

    fn join_pieces(&mut self) {
        let [name, filename] = std::mem::take(&mut self.pieces);
        for (whole, first, others) in [
            (name, &mut self.name, &mut self.other_names),
            (filename, &mut self.filename, &mut self.other_filenames),
        ] {
            if whole.is_empty() {
                continue;
            }
            match first {
                None => *first = Some(whole),
                Some(_) => Self::add(others, whole),
            }
        }
    }

    fn set(&mut self, name: &[u8], value: Vec<u8>, quote: Option<u8>) {
        // A single quote within double quotes is part of many people's names.
        let has_quote = || quote != Some(b'"') && memchr::memchr(b'\'', &value).is_some();
        let lower = name.to_ascii_lowercase();
        let (base, star) = match memchr::memchr(b'*', &lower) {
            Some(at) => lower.split_at(at),
            None => (lower.as_slice(), &[][..]),
        };
        let [name_pieces, filename_pieces] = &mut self.pieces;
        let (first, others, pieces, code) = match base {
            b"name" => (&mut self.name, &mut self.other_names, name_pieces, -14),
            b"filename" => (&mut self.filename, &mut self.other_filenames, filename_pieces, -15),
            _ => {
                self.fail(-11);
                return;
            }
        };
        // The quotes of `charset'language'value` are no quoting.
        let is_plain = star.is_empty();
        self.invalid_quoting |= is_plain && has_quote();
        let value = if star.ends_with(b"*") { decode_extended(&value) } else { value };
        let is_taken = first.as_ref().is_some_and(|n| !n.is_empty());
        match star {
            [b'*', b'0'..=b'9', ..] => pieces.extend_from_slice(&value),
            _ if is_taken => Self::add(others, value),
            _ => *first = Some(value),
        }
        if is_taken && is_plain {
            self.fail(code);
        }
        if name != b"name" && name != b"filename" {
            self.fail(-11);
        }
    }
}

/// Reads one parameter and its semicolon; gives what follows, or `None` when nothing more can be read.
fn read_param<'a>(input: &'a [u8], out: &mut Disposition) -> Option<&'a [u8]> {
    let rest = skip_blanks(input);
    if rest.is_empty() {
        out.fail(-3);
        return None;
    }
    let Some(end) = rest.iter().position(|b| matches!(b, b'=' | b'\t' | b' ')) else {
        out.fail(-4);
        return None;
    };
    let name = rest.get(..end)?;
    let rest = skip_blanks(rest.get(end..)?);
    let rest = match rest {
        [] => {
            out.fail(-5);
            return None;
        }
        [b'=', after @ ..] => skip_blanks(after),
        _ => {
            out.fail(-13);
            return None;
        }
    };
    let mut quote = None;
    let mut value = Vec::new();
    let rest = match rest {
        [] => {
            out.fail(-6);
            return None;
        }
        [q @ (b'"' | b'\''), after @ ..] => {
            quote = Some(*q);
            out.invalid_quoting |= *q == b'\'';
            read_quoted(after, *q, &mut value, out)
        }
        bare => {
            // `filename*` has characters that are no token's.
            let is_value = |b: &u8| is_token_byte(*b) || (name.ends_with(b"*") && *b == b'%');
            let end = bare.iter().position(|b| !is_value(b)).unwrap_or(bare.len());
            value.extend_from_slice(bare.get(..end)?);
            bare.get(end..)?
        }
    };
    let last = input.len().checked_sub(rest.len() + 1).and_then(|at| input.get(at)).copied();
    out.set(name, value, quote);
    match skip_blanks(rest) {
        [] => None,
        [b';', after @ ..] => Some(after),
        other => {
            if matches!(last, Some(b'"' | b'\'')) {
                out.invalid_quoting = true;
            }
            out.fail(-12);
            let at = memchr::memchr(b';', other)?;
            other.get(at + 1..)
        }
    }
}

/// Reads up to the closing quote into `value`; gives what follows it. Only the quote and the backslash can be
/// escaped: old Internet Explorers send `C:\path` with plain backslashes.
fn read_quoted<'a>(input: &'a [u8], quote: u8, value: &mut Vec<u8>, out: &mut Disposition) -> &'a [u8] {
    if input.is_empty() {
        out.fail(-7);
    }
    let mut rest = input;
    loop {
        match rest {
            [] => {
                out.fail(-10);
                return rest;
            }
            [b'\\'] => {
                out.fail(-8);
                value.push(b'\\');
                return &[];
            }
            [b'\\', escaped, after @ ..] if *escaped == quote || *escaped == b'\\' => {
                value.push(*escaped);
                rest = after;
            }
            [byte, after @ ..] if *byte == quote => return after,
            [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
        }
    }
}

/// `charset'language'value` with the value percent-decoded; the whole value decoded when it has no such form.
fn decode_extended(value: &[u8]) -> Vec<u8> {
    let mut parts = value.splitn(3, |b| *b == b'\'');
    let text = match (parts.next(), parts.next(), parts.next()) {
        (_, _, Some(text)) => text,
        _ => value,
    };
    crate::http::percent_decode(text).into_owned()
}

/// Further names of one part, and further file names, that are kept apart.
const MAX_OTHERS: usize = 3;

fn skip_blanks(input: &[u8]) -> &[u8] {
    let at = input.iter().position(|b| !matches!(b, b'\t' | b' ')).unwrap_or(input.len());
    input.get(at..).unwrap_or_default()
}

/// RFC 2616's token, as ModSecurity has it.
fn is_token_byte(byte: u8) -> bool {
    byte > 32 && byte < 127 && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_modsecurity_s() {
        let cases: &[(&[u8], Option<i8>)] = &[
            (b"form-data", None),
            (b"form-data; name=\"a\";", None),
            (b"attachment; name=a", Some(-1)),
            (b"form-data name=a", Some(-2)),
            (b"form-data; name=a; ", Some(-3)),
            (b"form-data; name", Some(-4)),
            (b"form-data; name ", Some(-5)),
            (b"form-data; name= ", Some(-6)),
            (b"form-data; name=\"", Some(-7)),
            (b"form-data; name=\"a\\", Some(-8)),
            (b"form-data; name=\"a", Some(-10)),
            (b"form-data; x=a", Some(-11)),
            (b"form-data; name=a b", Some(-12)),
            (b"form-data; name a", Some(-13)),
            (b"form-data; name=a; name=b", Some(-14)),
            (b"form-data; filename=a; filename=b", Some(-15)),
        ];
        for (value, error) in cases {
            assert_eq!(read_disposition(value).error, *error, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn values_survive_errors() {
        let d = read_disposition(b"form-data; x=y; NAME=a; filename*=UTF-8''%e2%82%ac.php");
        assert_eq!(d.error, Some(-11));
        assert_eq!(d.name.as_deref(), Some(&b"a"[..]));
        assert_eq!(d.filename.as_deref(), Some("€.php".as_bytes()));
        let d = read_disposition(br#"form-data; name="O'Neil"; filename="C:\a\"b\\c""#);
        assert!(!d.invalid_quoting && d.error.is_none());
        assert_eq!(d.filename.as_deref(), Some(&br#"C:\a"b\c"#[..]));
        let d = read_disposition(
            b"form-data; name=a; name=b; name=c; name=d; name=e; filename*0=x; filename*1*=%2Ephp; filename=y",
        );
        assert_eq!(d.other_names, [&b"b"[..], b"c", b"d\ne"]);
        assert_eq!((d.filename.as_deref(), d.other_filenames), (Some(&b"y"[..]), vec![b"x.php".to_vec()]));
        assert!(read_disposition(b"form-data; name=file'data").invalid_quoting);
        assert!(read_disposition(b"form-data; name='a'").invalid_quoting);
    }
}
