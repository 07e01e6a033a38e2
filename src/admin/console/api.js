// The API, with the session that stands for the token. It lives in this tab only: no cookie, which a browser would
// send to every other port of the host as well.

const KEY = "portcullis-session";

let session = sessionStorage.getItem(KEY);

export class Refused extends Error {
  constructor(status, message, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

function headers(bearer) {
  return bearer ? { authorization: `Bearer ${bearer}` } : {};
}

async function call(path, options = {}, bearer = session) {
  const answer = await fetch(path, { ...options, headers: headers(bearer), credentials: "omit", cache: "no-store" });
  const body = await answer.json().catch(() => ({}));
  // A refused configuration (422) or promotion (409) is an answer.
  if (!answer.ok && answer.status !== 422 && answer.status !== 409) {
    throw new Refused(answer.status, body.error ?? `status ${answer.status}`, answer.headers.get("retry-after"));
  }
  return body;
}

export const get = (path) => call(path);
export const post = (path) => call(path, { method: "POST" });

export async function signIn(token) {
  const opened = await call("/api/session", { method: "POST" }, token);
  session = opened.session;
  sessionStorage.setItem(KEY, session);
}

export async function signOut() {
  try {
    await call("/api/session", { method: "DELETE" });
  } finally {
    forget();
  }
}

export function forget() {
  session = null;
  // With what was chosen: names of sites are nobody else's business.
  sessionStorage.clear();
}

export const hasSession = () => session !== null;

// Follows the events until `signal` is aborted; tells `state` "live" or "lost", and each event's data to `heard`. A lost
// stream is opened again after a while that grows.
export async function follow(signal, heard, state) {
  let patience = 1_000;
  while (!signal.aborted) {
    try {
      await listen(signal, heard, () => {
        patience = 1_000;
        state("live");
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
        state("refused");
        return;
      }
    }
    if (signal.aborted) return;
    state("lost");
    await new Promise((done) => setTimeout(done, patience));
    patience = Math.min(patience * 2, 15_000);
  }
}

async function listen(signal, heard, begun) {
  const answer = await fetch("/api/stream", { signal, headers: headers(session), credentials: "omit", cache: "no-store" });
  if (!answer.ok) throw new Refused(answer.status, "no stream");
  begun();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const event = rest.slice(0, end).split("\n");
      rest = rest.slice(end + 2);
      const field = (name) => event.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (field("event") === "tick") heard(JSON.parse(field("data")));
    }
  }
}
