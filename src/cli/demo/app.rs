//! Requests → pages.

use super::pages;
use super::pretend::{self, BOOKS};
use crate::cli::{Origin, OriginReply, OriginRequest};
use crate::http::{DEFAULT_SEPARATOR, Pairs, parse_query};
use serde_json::{Value, json};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// Starts the shop on a free loopback port.
///
/// # Errors
///
/// As [`Origin::start`].
pub fn start() -> io::Result<Origin> {
    let shop = Shop::default();
    Origin::start((Ipv4Addr::LOCALHOST, 0).into(), move |request| shop.answer(&request))
}

/// The shop with what visitors left in it.
#[derive(Default)]
pub struct Shop {
    guest_book: Mutex<Vec<(String, String)>>,
    photographs: Mutex<Vec<(String, usize)>>,
}

impl Shop {
    /// Answers one request.
    pub fn answer(&self, request: &OriginRequest) -> OriginReply {
        let query = arguments(request.query.as_bytes());
        let form = arguments(&request.body);
        let is_post = request.method == "POST";
        match request.path.as_str() {
            "/" => html(200, pages::home()),
            "/search" => html(200, pages::search(&text(&query, b"q"))),
            "/login" if is_post => {
                let (user, password) = (text(&form, b"user"), text(&form, b"password"));
                let member = pretend::log_in(&user, &password);
                html(if member.is_some() { 200 } else { 401 }, pages::login(Some((&user, member))))
            }
            "/login" => html(200, pages::login(None)),
            "/guestbook" if is_post => {
                let mut entries = self.guest_book.lock().unwrap_or_else(PoisonError::into_inner);
                keep(&mut entries, (short(text(&form, b"name")), short(text(&form, b"message"))));
                redirect("/guestbook")
            }
            "/guestbook" => {
                html(200, pages::guest_book(&self.guest_book.lock().unwrap_or_else(PoisonError::into_inner)))
            }
            "/photos" if is_post => {
                let mut photographs = self.photographs.lock().unwrap_or_else(PoisonError::into_inner);
                keep(&mut photographs, (short(file_name(&request.body)), request.body.len()));
                redirect("/photos")
            }
            "/photos" => html(
                200,
                pages::photographs(&self.photographs.lock().unwrap_or_else(PoisonError::into_inner)),
            ),
            "/leaflet" => {
                let name = text(&query, b"file");
                match pretend::read_file(&name) {
                    Some(content) => html(200, pages::leaflet(&name, content)),
                    None => html(404, pages::leaflet(&name, "No such leaflet.")),
                }
            }
            "/ping" => html(200, pages::ping(&pretend::ping(&text(&query, b"host")))),
            "/api/books" => {
                let books = BOOKS
                    .iter()
                    .map(|b| json!({"isbn": b.isbn, "title": b.title, "author": b.author, "pence": b.pence}));
                json_reply(200, &books.collect())
            }
            "/api/orders" if is_post => match serde_json::from_slice::<Value>(&request.body) {
                Ok(order) => json_reply(201, &json!({"accepted": true, "order": order})),
                Err(error) => json_reply(400, &json!({"accepted": false, "error": error.to_string()})),
            },
            "/api/orders" => json_reply(405, &json!({"error": "POST an order"})),
            path => html(404, pages::missing(path)),
        }
    }
}

/// What visitors leave is kept in memory; the oldest goes first.
const KEPT: usize = 50;
/// Characters of a name or message that are kept.
const KEPT_CHARACTERS: usize = 2_000;
/// Arguments that a page looks at.
const ARGUMENTS: usize = 100;

fn keep<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= KEPT {
        list.remove(0);
    }
    list.push(item);
}

fn short(text: String) -> String {
    text.chars().take(KEPT_CHARACTERS).collect()
}

fn arguments(encoded: &[u8]) -> Pairs {
    let mut pairs = Pairs::new();
    parse_query(encoded, DEFAULT_SEPARATOR, ARGUMENTS, &mut pairs);
    pairs
}

fn text(pairs: &Pairs, name: &[u8]) -> String {
    pairs.values(name).next().map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default()
}

/// What follows the first `filename="`, as a hasty programmer would look for it.
fn file_name(body: &[u8]) -> String {
    let head = String::from_utf8_lossy(body.get(..2_048).unwrap_or(body));
    let after = head.split_once("filename=\"").map_or("", |(_, after)| after);
    after.split('"').next().unwrap_or_default().to_owned()
}

fn html(status: u16, body: String) -> OriginReply {
    let headers = vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())];
    OriginReply { status, headers, body: body.into_bytes() }
}

fn redirect(to: &str) -> OriginReply {
    OriginReply { status: 303, headers: vec![("Location".to_owned(), to.to_owned())], body: Vec::new() }
}

fn json_reply(status: u16, value: &Value) -> OriginReply {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    OriginReply { status, headers, body: value.to_string().into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(shop: &Shop, method: &str, target: &str, body: &str) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = OriginRequest {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            body: body.as_bytes().to_vec(),
            ..OriginRequest::default()
        };
        let reply = shop.answer(&request);
        (reply.status, String::from_utf8(reply.body).unwrap())
    }

    #[test]
    fn honest_visitors_find_what_they_look_for() {
        let shop = Shop::default();
        for page in [
            "/",
            "/search?q=sea",
            "/login",
            "/guestbook",
            "/photos",
            "/leaflet?file=opening-hours.txt",
            "/ping?host=localhost",
        ] {
            assert_eq!(ask(&shop, "GET", page, "").0, 200, "{page}");
        }
        assert!(ask(&shop, "GET", "/search?q=lighthouse", "").1.contains("Lighthouse"));
        assert_eq!(ask(&shop, "POST", "/login", "user=alice&password=wrong").0, 401);
        assert_eq!(ask(&shop, "POST", "/login", "user=alice&password=wonderland").0, 200);
        assert_eq!(ask(&shop, "POST", "/guestbook", "name=Bob&message=Nice+shop").0, 303);
        assert!(ask(&shop, "GET", "/guestbook", "").1.contains("Nice shop"));
        let upload =
            "--x\r\nContent-Disposition: form-data; name=\"p\"; filename=\"cat.jpg\"\r\n\r\nmeow\r\n--x--";
        assert_eq!(ask(&shop, "POST", "/photos", upload).0, 303);
        assert!(ask(&shop, "GET", "/photos", "").1.contains("cat.jpg"));
        assert!(ask(&shop, "GET", "/api/books", "").1.contains("\"isbn\""));
        assert_eq!(ask(&shop, "POST", "/api/orders", "{\"isbn\":\"1\"}").0, 201);
        assert_eq!(ask(&shop, "POST", "/api/orders", "{").0, 400);
        assert_eq!(ask(&shop, "GET", "/nowhere", "").0, 404);
    }

    #[test]
    fn unprotected_it_falls_for_everything() {
        let shop = Shop::default();
        assert!(ask(&shop, "GET", "/search?q=<script>alert(1)</script>", "").1.contains("<script>alert(1)"));
        assert_eq!(ask(&shop, "POST", "/login", "user=admin%27+OR+1%3D1+--+&password=x").0, 200);
        assert!(ask(&shop, "GET", "/leaflet?file=../../../etc/passwd", "").1.contains("root:"));
        assert!(ask(&shop, "GET", "/ping?host=localhost;id", "").1.contains("uid="));
        ask(&shop, "POST", "/guestbook", "name=x&message=<img+src%3Dx+onerror%3Dalert(1)>");
        assert!(ask(&shop, "GET", "/guestbook", "").1.contains("<img src=x onerror"));
    }

    #[test]
    fn what_visitors_leave_is_bounded() {
        let shop = Shop::default();
        for n in 0..200 {
            ask(&shop, "POST", "/guestbook", &format!("name=n{n}&message={}", "x".repeat(5_000)));
        }
        let entries = shop.guest_book.lock().unwrap();
        assert_eq!((entries.len(), entries[49].1.len()), (KEPT, KEPT_CHARACTERS));
        assert_eq!(entries[49].0, "n199");
    }

    #[test]
    fn it_listens_on_loopback() {
        assert!(start().unwrap().address().ip().is_loopback());
    }
}
