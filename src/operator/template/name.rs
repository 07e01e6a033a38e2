//! Names that say what an expression is after.

/// What a name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Nobody's ordinary template has it: a way from any object to all classes, or to a process.
    Reaches,
    /// It runs or reads when it is called with a text.
    Runs,
    /// A filter that runs what it is given.
    Filters,
    /// What the server knows of itself: an attack where the expression is the whole value.
    Root,
    Other,
}

/// Of Python's special names, those by which one object leads to others.
const SPECIAL: &[&str] = &[
    "base",
    "bases",
    "builtins",
    "call",
    "class",
    "closure",
    "code",
    "dict",
    "func",
    "getattribute",
    "getitem",
    "globals",
    "import",
    "init",
    "loader",
    "mro",
    "reduce",
    "self",
    "spec",
    "subclasses",
];

const REACHES: &[&str] = &[
    "_memberaccess",
    "_templatereference__context",
    "allowstaticmethodaccess",
    "child_process",
    "classloader",
    "defineclass",
    "forname",
    "getclass",
    "getclassloader",
    "getdeclaredconstructor",
    "getdeclaredfield",
    "getdeclaredmethod",
    "getdeclaredmethods",
    "getenginebyname",
    "getruntime",
    "getstreamvariable",
    "mainmodule",
    "processbuilder",
    "protectiondomain",
    "registerundefinedfiltercallback",
    "scriptenginemanager",
    "setallowstaticmethodaccess",
    "shell_exec",
    "smarty_internal_write_file",
    "subclasses",
    "templatesimpl",
];

const RUNS: &[&str] = &[
    "assert",
    "backticks",
    "check_output",
    "eval",
    "evaluate",
    "exec",
    "execfile",
    "execsync",
    "execute",
    "file_get_contents",
    "file_put_contents",
    "fetch",
    "fopen",
    "getoutput",
    "include",
    "open",
    "passthru",
    "phpinfo",
    "popen",
    "proc_open",
    "readfile",
    "render",
    "require",
    "require_once",
    "shell",
    "source",
    "spawn",
    "spawnsync",
    "system",
];

/// Of those, the ones that do harm whatever the text is.
const ALWAYS: &[&str] = &[
    "assert",
    "check_output",
    "eval",
    "exec",
    "execfile",
    "execsync",
    "getoutput",
    "passthru",
    "popen",
    "proc_open",
    "spawn",
    "spawnsync",
    "system",
];

const FILTERS: &[&str] = &["attr", "exec", "passthru", "shell_exec", "system"];

/// Functions that take a function's name.
const TAKES: &[&str] =
    &["arraymap", "filter", "find", "getfilter", "map", "reduce", "some", "sort", "usort", "call"];

const ROOTS: &[&str] = &[
    "_context",
    "_self",
    "applicationscope",
    "config",
    "cycler",
    "dump",
    "facescontext",
    "joiner",
    "lipsum",
    "pagecontext",
    "phpinfo",
    "requestscope",
    "self",
    "sessionscope",
    "settings",
    "smarty",
];

/// Looks a name up, in any case.
pub(super) fn lookup(name: &[u8]) -> Name {
    let mut lower = [0; 32];
    let Some(text) = lower_case(name, &mut lower) else { return Name::Other };
    if is_special(text) || has(REACHES, text) {
        return Name::Reaches;
    }
    if has(FILTERS, text) && !has(RUNS, text) {
        return Name::Filters;
    }
    if has(RUNS, text) {
        return Name::Runs;
    }
    if has(ROOTS, text) { Name::Root } else { Name::Other }
}

/// Whether a call of `name` with any text does harm.
pub(super) fn always(name: &[u8]) -> bool {
    in_list(ALWAYS, name)
}

/// Whether `name`, as a filter, runs what it is given.
pub(super) fn filters(name: &[u8]) -> bool {
    in_list(FILTERS, name)
}

/// Whether `text` names what runs or reads.
pub(super) fn runs(text: &[u8]) -> bool {
    in_list(RUNS, text) || in_list(FILTERS, text)
}

/// Whether a statement that begins with `name` includes a file.
pub(super) fn includes(name: &[u8]) -> bool {
    in_list(&["include", "extends", "import", "from", "embed", "use", "source", "fetch", "parse"], name)
}

/// Whether `by` loads modules, and `text` is one that reaches the machine.
pub(super) fn is_module(by: &[u8], text: &[u8]) -> bool {
    let text = text.strip_prefix(b"node:").unwrap_or(text);
    in_list(&["require"], by) && in_list(&["child_process", "fs", "vm", "net", "os", "cluster"], text)
}

/// Whether `name` takes a function by its name.
pub(super) fn takes(name: &[u8]) -> bool {
    in_list(TAKES, name)
}

/// Whether `text`, in quotes and decoded, reaches or names what runs: `'__class__'`, `"java.lang.Runtime"`.
pub(super) fn text_reaches(text: &[u8]) -> bool {
    let mut lower = [0; 128];
    let Some(text) = lower_case(text.get(..text.len().min(128)).unwrap_or_default(), &mut lower) else {
        return false;
    };
    const PARTS: &[&str] = &[
        "__class__",
        "__globals__",
        "__builtins__",
        "__subclasses__",
        "__import__",
        "__mro__",
        "__base__",
        "__init__",
        "__getattribute__",
        "java.lang.",
        "javax.script",
        "javax.naming",
        "freemarker.template.utility",
        "child_process",
        "process.mainmodule",
        "java.util.scanner",
        "java.io.file",
        "java.net.url",
        "ognl.ognlcontext",
        "com.opensymphony",
        "return process",
        "return this.process",
        "return global.process",
    ];
    PARTS.iter().any(|part| memchr::memmem::find(text, part.as_bytes()).is_some())
}

/// Whether `text` is a file or an address of the server's own.
pub(super) fn is_inside(text: &[u8]) -> bool {
    let mut lower = [0; 24];
    let Some(text) = lower_case(text.get(..text.len().min(24)).unwrap_or_default(), &mut lower) else {
        return false;
    };
    const PLACES: &[&str] = &[
        "/etc/", "/proc/", "/root/", "/var/log", "/dev/tcp", "file:", "c:\\", "c:/", "../../", "..\\",
        "php://", "/flag", "web-inf/",
    ];
    PLACES.iter().any(|place| text.starts_with(place.as_bytes()))
}

fn is_special(name: &[u8]) -> bool {
    name.strip_prefix(b"__").and_then(|n| n.strip_suffix(b"__")).is_some_and(|n| has(SPECIAL, n))
}

fn in_list(list: &[&str], name: &[u8]) -> bool {
    let mut lower = [0; 32];
    lower_case(name, &mut lower).is_some_and(|name| has(list, name))
}

fn has(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|n| n.as_bytes() == name)
}

/// `name` in lower case; `None` when it is longer than any that is known.
fn lower_case<'a>(name: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let buffer = buffer.get_mut(..name.len())?;
    buffer.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    Some(buffer)
}
