//! The shop's pages. They paste what visitors say into HTML as it is: that is the fault to be shown.

use super::pretend::{BOOKS, login_query};
use std::fmt::Write as _;

pub(super) fn home() -> String {
    page(
        "Welcome",
        r#"<p class="lead">New and second-hand books about the sea, its weather and its people. Do come in; mind the step.</p>
<div class="cards">
<a class="card" href="/search"><b>Search the shelves</b><span>by title or author</span></a>
<a class="card" href="/login"><b>Members</b><span>orders and reservations</span></a>
<a class="card" href="/guestbook"><b>Guest book</b><span>tell us how you liked it</span></a>
<a class="card" href="/photos"><b>Photographs</b><span>send us your harbour</span></a>
<a class="card" href="/leaflet?file=opening-hours.txt"><b>Opening hours</b><span>from our leaflet stand</span></a>
<a class="card" href="/api/books"><b>For machines</b><span>our stock as JSON</span></a>
</div>"#,
    )
}

pub(super) fn search(words: &str) -> String {
    let mut body = String::from(
        "<form action=\"/search\"><label>Title or author <input name=\"q\" autofocus></label><button>Search</button></form>",
    );
    if !words.is_empty() {
        let wanted = words.to_lowercase();
        let is_wanted = |text: &str| text.to_lowercase().contains(&wanted);
        let found: Vec<_> = BOOKS.iter().filter(|b| is_wanted(b.title) || is_wanted(b.author)).collect();
        // Infallible here and below: the target is a string.
        let _ = write!(body, "<p>{} found for <em>{words}</em>.</p><table>", found.len());
        for book in found {
            let (pounds, pence) = (book.pence / 100, book.pence % 100);
            let _ = write!(
                body,
                "<tr><td><b>{}</b><br>{}</td><td>{}</td><td class=\"price\">£{pounds}.{pence:02}</td></tr>",
                book.title, book.author, book.isbn
            );
        }
        body.push_str("</table>");
    }
    page("Search the shelves", &body)
}

pub(super) fn login(tried: Option<(&str, Option<&str>)>) -> String {
    let mut body = String::new();
    match tried {
        Some((_, Some(member))) => {
            let _ = write!(body, "<p class=\"good\">Welcome back, <b>{member}</b>.</p>");
        }
        Some((user, None)) => {
            let query = login_query(user, "…");
            let _ = write!(body, "<p class=\"bad\">No such member. We asked:<br><code>{query}</code></p>");
        }
        None => {}
    }
    body.push_str(
        "<form method=\"post\" action=\"/login\"><label>Name <input name=\"user\" autofocus></label>\
         <label>Password <input name=\"password\" type=\"password\"></label><button>Log in</button></form>\
         <p class=\"hint\">Alice's password is <code>wonderland</code>.</p>",
    );
    page("Members", &body)
}

pub(super) fn guest_book(entries: &[(String, String)]) -> String {
    let mut body = String::from(
        "<form method=\"post\" action=\"/guestbook\"><label>Your name <input name=\"name\"></label>\
         <label>Message <textarea name=\"message\" rows=\"3\"></textarea></label><button>Sign</button></form>",
    );
    for (name, message) in entries.iter().rev() {
        let _ = write!(body, "<blockquote><p>{message}</p><footer>{name}</footer></blockquote>");
    }
    page("Guest book", &body)
}

pub(super) fn photographs(list: &[(String, usize)]) -> String {
    let mut body = String::from(
        "<form method=\"post\" action=\"/photos\" enctype=\"multipart/form-data\">\
         <label>Photograph <input type=\"file\" name=\"photo\"></label><button>Send</button></form><table>",
    );
    for (name, size) in list.iter().rev() {
        let _ = write!(body, "<tr><td>{name}</td><td class=\"price\">{size} bytes</td></tr>");
    }
    body.push_str("</table>");
    page("Photographs", &body)
}

pub(super) fn leaflet(name: &str, content: &str) -> String {
    page(
        "Leaflets",
        &format!(
            "<p>{name}</p><pre>{content}</pre><p><a href=\"/leaflet?file=how-to-find-us.txt\">How to find us</a></p>"
        ),
    )
}

pub(super) fn ping(output: &str) -> String {
    page(
        "Is the lighthouse there?",
        &format!(
            "<form action=\"/ping\"><label>Host <input name=\"host\"></label><button>Ping</button></form><pre>{output}</pre>"
        ),
    )
}

pub(super) fn missing(path: &str) -> String {
    page("Not on our shelves", &format!("<p>There is no <code>{path}</code> here.</p>"))
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} · Harbour Lane Books</title><style>{STYLE}</style></head><body>\
         <header><a href=\"/\">Harbour Lane Books</a><nav><a href=\"/search\">Search</a>\
         <a href=\"/guestbook\">Guest book</a><a href=\"/photos\">Photographs</a>\
         <a href=\"/ping\">Lighthouse</a><a href=\"/login\">Members</a></nav></header>\
         <main><h1>{title}</h1>{body}</main>\
         <footer class=\"end\">A demonstration application. It trusts every word; do not put it on a network.</footer>\
         </body></html>\n"
    )
}

const STYLE: &str = "\
:root{--ink:#17324d;--sea:#2f6f8f;--sand:#f6f1e7;--line:#d9cfbb;--red:#a4342a}\
*{box-sizing:border-box}body{margin:0;background:var(--sand);color:var(--ink);font:17px/1.55 Georgia,serif}\
header{background:var(--ink);display:flex;flex-wrap:wrap;gap:.5rem 2rem;align-items:baseline;padding:1rem 6vw}\
header a{color:#fff;text-decoration:none}header>a{font-size:1.35rem;letter-spacing:.02em}\
nav{display:flex;flex-wrap:wrap;gap:1.2rem;font-size:.95rem;opacity:.85}\
main{max-width:46rem;margin:2.2rem auto;padding:0 6vw}h1{font-weight:normal;font-size:1.9rem;margin:0 0 1rem}\
.lead{font-size:1.1rem}a{color:var(--sea)}\
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:1rem;margin-top:1.6rem}\
.card{background:#fff;border:1px solid var(--line);border-radius:8px;padding:1rem;text-decoration:none;color:inherit}\
.card:hover{border-color:var(--sea)}.card span{display:block;font-size:.9rem;opacity:.75}\
form{background:#fff;border:1px solid var(--line);border-radius:8px;padding:1.2rem;margin-bottom:1.4rem;display:grid;gap:.8rem}\
label{display:grid;gap:.25rem;font-size:.95rem}input,textarea,button{font:inherit;padding:.45rem .6rem;border:1px solid var(--line);border-radius:5px}\
button{justify-self:start;background:var(--sea);border-color:var(--sea);color:#fff;cursor:pointer}\
table{width:100%;border-collapse:collapse}td{padding:.6rem .3rem;border-bottom:1px solid var(--line);vertical-align:top}\
.price{text-align:right;white-space:nowrap}blockquote{margin:0 0 1rem;padding:.2rem 1rem;border-left:3px solid var(--sea)}\
blockquote footer{font-style:italic;opacity:.75}pre{background:#fff;border:1px solid var(--line);padding:1rem;overflow:auto}\
.good{color:#20663a}.bad{color:var(--red)}.hint{font-size:.9rem;opacity:.75}code{font-size:.9em}\
.end{max-width:46rem;margin:3rem auto 2rem;padding:0 6vw;font-size:.85rem;opacity:.65}";
