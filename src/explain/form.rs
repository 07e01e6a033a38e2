//! Bodies made up from the fields and files that are known of one.

use crate::http::percent_decode;

/// An uploaded file of which all but the contents is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upload {
    /// The field's name.
    pub(super) field: Vec<u8>,
    /// The file's name.
    pub(super) name: Vec<u8>,
    /// Its type as declared; empty when it was not.
    pub(super) content_type: Vec<u8>,
}

/// A form with these fields.
pub(super) fn urlencoded<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push(b'&');
        }
        encode(name, &mut out);
        out.push(b'=');
        encode(value, &mut out);
    }
    out
}

fn encode(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

/// The fields of a form.
pub(super) fn fields(form: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decoded = |text: &[u8]| {
        let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        percent_decode(&spaced).into_owned()
    };
    let pairs = form.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            (decoded(&pair[..at]), decoded(pair.get(at + 1..).unwrap_or_default()))
        })
        .collect()
}

/// A multipart body with these fields, and files without contents.
pub(super) fn multipart(boundary: &[u8], fields: &[(Vec<u8>, Vec<u8>)], files: &[Upload]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut part = |name: &[u8], file: Option<&Upload>, value: &[u8]| {
        out.extend_from_slice(b"--");
        out.extend_from_slice(boundary);
        out.extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"");
        quote(name, &mut out);
        out.push(b'"');
        if let Some(file) = file {
            out.extend_from_slice(b"; filename=\"");
            quote(&file.name, &mut out);
            out.push(b'"');
            if !file.content_type.is_empty() {
                out.extend_from_slice(b"\r\nContent-Type: ");
                out.extend(file.content_type.iter().filter(|b| !b.is_ascii_control()));
            }
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    for (name, value) in fields {
        part(name, None, value);
    }
    for file in files {
        part(&file.field, Some(file), b"");
    }
    out.extend_from_slice(b"--");
    out.extend_from_slice(boundary);
    out.extend_from_slice(b"--\r\n");
    out
}

/// A name as browsers write it into a parameter in quotes, but for backslashes, which they leave alone.
fn quote(name: &[u8], out: &mut Vec<u8>) {
    for &byte in name {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\r' | b'\n' => out.push(b' '),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_from_the_form_that_they_made() {
        let pairs = [(&b"a b"[..], &b"1&2=3+%"[..]), (b"", b"x")];
        let form = urlencoded(pairs.into_iter());
        assert_eq!(form, b"a%20b=1%262%3D3%2B%25&=x");
        let read = fields(&form);
        assert_eq!(read, pairs.map(|(n, v)| (n.to_vec(), v.to_vec())));
        assert_eq!(fields(b"&a=1+2&b"), [(b"a".to_vec(), b"1 2".to_vec()), (b"b".to_vec(), Vec::new())]);
    }

    #[test]
    fn files_stand_behind_fields() {
        let file = Upload { field: b"up".to_vec(), name: b"a\".php".to_vec(), content_type: b"x/y".to_vec() };
        let body = multipart(b"B", &[(b"n".to_vec(), b"v".to_vec())], &[file]);
        let expected = "--B\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\nv\r\n--B\r\n\
                        Content-Disposition: form-data; name=\"up\"; filename=\"a\\\".php\"\r\nContent-Type: x/y\r\n\r\n\r\n--B--\r\n";
        assert_eq!(String::from_utf8_lossy(&body), expected);
    }
}
