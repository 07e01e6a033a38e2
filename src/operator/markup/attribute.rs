//! What attributes do.

use super::tag::{Attribute, Tag};

/// What an attribute says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Nothing,
    /// Script.
    Runs,
    /// Script, unless it is JSX in program text.
    RunsOrCode,
    /// Another page, style or document is loaded in the place of this one.
    Loads,
    /// An animation changes an attribute that runs script (`attributeName=href`).
    Animates,
}

/// Judges `attribute` of `tag`.
pub(super) fn judge(tag: &Tag<'_>, attribute: &Attribute<'_>) -> Says {
    let mut buffer = [0; 24];
    let Some(name) = lower(attribute.name, &mut buffer) else { return Says::Nothing };
    let value = attribute.value;
    if let Some(event) = name.strip_prefix(b"on") {
        return handler(event, attribute);
    }
    let local = name.iter().rposition(|b| *b == b':').and_then(|colon| name.get(colon + 1..)).unwrap_or(name);
    let mut element = [0; 24];
    let element = lower(tag.name, &mut element).unwrap_or_default();
    match local {
        b"href" | b"src" | b"action" | b"formaction" | b"data" | b"to" | b"from" | b"by" | b"values"
        | b"poster" | b"background" | b"dynsrc" | b"lowsrc" | b"code" | b"codebase" | b"content"
        | b"folder" | b"ping" | b"manifest" | b"cite" | b"longdesc" => {
            if is_script(value) {
                return Says::Runs;
            }
            let loads = match (element, local) {
                (b"base", b"href")
                | (b"object", b"data")
                | (b"embed", b"src" | b"code")
                | (b"applet", b"code") => true,
                (b"use", b"href") => has(value, b"data:"),
                _ => false,
            };
            if loads && !value.is_empty() { Says::Loads } else { Says::Nothing }
        }
        b"srcdoc" if !value.is_empty() => Says::Runs,
        b"style" if is_script_style(value) => Says::Runs,
        b"attributename" if is_animation(element) && reaches(value) => Says::Animates,
        b"http-equiv" if [&b"refresh"[..], b"set-cookie", b"link"].iter().any(|v| equals(value, v)) => {
            Says::Loads
        }
        // In which script is written without `<`.
        b"charset" if has(value, b"utf-7") || has(value, b"x-imap") => Says::Loads,
        b"rel" if element == b"link" && (has(value, b"import") || has(value, b"stylesheet")) => Says::Loads,
        _ => Says::Nothing,
    }
}

/// `on…` with the event's name behind it.
fn handler(event: &[u8], attribute: &Attribute<'_>) -> Says {
    let known = is_event(event);
    let letters = event.len() >= 3 && event.iter().all(u8::is_ascii_lowercase);
    let value = attribute.value.trim_ascii();
    if !(known || letters && value.iter().any(|b| matches!(b, b'(' | b'`'))) {
        return Says::Nothing;
    }
    if value.is_empty() {
        // What follows has been cut off, or is put behind it by the application.
        return if attribute.cut && known { Says::Runs } else { Says::Nothing };
    }
    if !attribute.quoted && value.first() == Some(&b'{') { Says::RunsOrCode } else { Says::Runs }
}

/// What names of events begin with.
const EVENTS: &[&str] = &[
    "abort",
    "activate",
    "after",
    "animation",
    "auxclick",
    "before",
    "begin",
    "blur",
    "bounce",
    "cancel",
    "canplay",
    "change",
    "click",
    "close",
    "command",
    "contentvisibility",
    "contextmenu",
    "copy",
    "cuechange",
    "cut",
    "data",
    "dblclick",
    "drag",
    "drop",
    "durationchange",
    "emptied",
    "end",
    "error",
    "filterchange",
    "finish",
    "focus",
    "formdata",
    "fullscreen",
    "gesture",
    "gotpointer",
    "hashchange",
    "help",
    "input",
    "invalid",
    "key",
    "language",
    "layout",
    "load",
    "lostpointer",
    "losecapture",
    "message",
    "mouse",
    "move",
    "offline",
    "online",
    "page",
    "paste",
    "pause",
    "play",
    "pointer",
    "popstate",
    "progress",
    "propertychange",
    "ratechange",
    "readystate",
    "rejection",
    "repeat",
    "reset",
    "resize",
    "row",
    "scroll",
    "search",
    "security",
    "seek",
    "select",
    "show",
    "slotchange",
    "stalled",
    "start",
    "stop",
    "storage",
    "submit",
    "suspend",
    "timeupdate",
    "toggle",
    "touch",
    "transition",
    "unhandled",
    "unload",
    "volumechange",
    "waiting",
    "webkit",
    "wheel",
    "zoom",
];

/// What names of events begin with, without `on`.
pub(super) fn events() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().copied()
}

/// Whether `event`, in lower case and without `on`, is one. Some take what merely begins with a name for it.
pub(super) fn is_event(event: &[u8]) -> bool {
    EVENTS.iter().any(|name| event.starts_with(name.as_bytes()))
        && event.len() <= 24
        && event.iter().all(u8::is_ascii_lowercase)
}

fn is_animation(element: &[u8]) -> bool {
    element == b"set" || element.starts_with(b"animate")
}

fn reaches(attribute_name: &[u8]) -> bool {
    let name = attribute_name.trim_ascii();
    let name = name.iter().rposition(|b| *b == b':').and_then(|c| name.get(c + 1..)).unwrap_or(name);
    equals(name, b"href") || equals(name, b"src") || name.get(..2).is_some_and(|on| equals(on, b"on"))
}

/// Whether an address is script or a document of its own.
pub(super) fn is_script(value: &[u8]) -> bool {
    let mut text = Vec::with_capacity(SCHEME);
    plain(value, &mut text);
    let rest =
        [&b"javascript:"[..], b"vbscript:", b"livescript:", b"feed:javascript:", b"view-source:javascript:"]
            .iter()
            .find_map(|scheme| text.strip_prefix(*scheme));
    if let Some(rest) = rest {
        // Links that do nothing.
        return !matches!(rest, b"" | b";" | b"//" | b"void(0)" | b"void(0);" | b"void0" | b"void0;" | b"#");
    }
    // Animations list values.
    let listed = text.split(|b| *b == b';').skip(1).any(|part| part.starts_with(b"javascript:"));
    let document = [
        &b"data:text/html"[..],
        b"data:text/xml",
        b"data:image/svg+xml",
        b"data:application/xhtml",
        b"data:application/xml",
        b"data:text/javascript",
        b"data:application/javascript",
        b"data:,",
    ];
    listed || document.iter().any(|scheme| text.starts_with(scheme) && text.len() > scheme.len() + 4)
}

/// Bytes of an address that are looked at.
const SCHEME: usize = 64;

/// The beginning of an address as browsers read it: entities undone, without controls and white space, in lower case.
fn plain(value: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(byte) = value.get(at).filter(|_| out.len() < SCHEME) {
        let (byte, used) = match byte {
            b'&' => entity(value.get(at + 1..).unwrap_or_default()).map_or((b'&', 1), |(b, n)| (b, n + 1)),
            byte => (*byte, 1),
        };
        at += used;
        if byte > b' ' {
            out.push(byte.to_ascii_lowercase());
        }
        // A flood of white space says nothing.
        if at > 1024 {
            break;
        }
    }
}

/// The character of an entity behind its ampersand, and how many bytes it takes.
fn entity(text: &[u8]) -> Option<(u8, usize)> {
    let (base, start): (u32, usize) = match text {
        [b'#', b'x' | b'X', ..] => (16, 2),
        [b'#', ..] => (10, 1),
        _ => {
            const NAMES: &[(&str, u8)] =
                &[("colon;", b':'), ("tab;", b'\t'), ("newline;", b'\n'), ("amp;", b'&')];
            return NAMES.iter().find_map(|(name, byte)| {
                let found = text.get(..name.len())?.eq_ignore_ascii_case(name.as_bytes());
                found.then_some((*byte, name.len()))
            });
        }
    };
    let digits = text.get(start..)?.iter().take(12).take_while(|b| char::from(**b).is_digit(base)).count();
    let mut code: u32 = 0;
    for byte in text.get(start..start + digits)? {
        code = code.wrapping_mul(base).wrapping_add(char::from(*byte).to_digit(base)?);
    }
    let semicolon = usize::from(text.get(start + digits) == Some(&b';'));
    let byte = u8::try_from(code).ok().filter(|_| digits > 0)?;
    Some((byte, start + digits + semicolon))
}

/// Whether a style runs script in the browsers that do so.
pub(super) fn is_script_style(style: &[u8]) -> bool {
    let mut text = Vec::with_capacity(style.len().min(STYLE));
    let mut at = 0;
    let style = style.get(..style.len().min(STYLE)).unwrap_or_default();
    while let Some(byte) = style.get(at) {
        match style.get(at..) {
            Some([b'/', b'*', rest @ ..]) => {
                at += memchr::memmem::find(rest, b"*/").map_or(rest.len() + 2, |end| end + 4);
                continue;
            }
            Some([b'\\', rest @ ..]) => {
                let digits = rest.iter().take(6).take_while(|b| b.is_ascii_hexdigit()).count();
                let code = rest
                    .get(..digits)
                    .and_then(|d| std::str::from_utf8(d).ok())
                    .and_then(|d| u32::from_str_radix(d, 16).ok())
                    .and_then(|code| u8::try_from(code).ok());
                if let Some(code) = code {
                    text.push(code.to_ascii_lowercase());
                }
                let blank = usize::from(digits > 0 && rest.get(digits).is_some_and(u8::is_ascii_whitespace));
                at += 1 + digits + blank;
                continue;
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            text.push(byte.to_ascii_lowercase());
        }
        at += 1;
    }
    [&b"expression("[..], b"-moz-binding:", b"behavior:url", b"behaviour:url", b"javascript:", b"vbscript:"]
        .iter()
        .any(|word| memchr::memmem::find(&text, word).is_some())
}

/// Bytes of a style that are looked at.
const STYLE: usize = 2048;

fn equals(value: &[u8], name: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(name)
}

/// Whether `word` stands in the first bytes of `value`, in any case.
fn has(value: &[u8], word: &[u8]) -> bool {
    value
        .get(..value.len().min(64))
        .unwrap_or_default()
        .windows(word.len())
        .any(|w| w.eq_ignore_ascii_case(word))
}

/// `name` in lower case; `None` when it is longer than any that is known.
pub(super) fn lower<'a>(name: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let buffer = buffer.get_mut(..name.len())?;
    buffer.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    Some(buffer)
}
