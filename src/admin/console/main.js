// The page's frame: which view is shown, live updates, theme, keys, signing in.

import * as api from "./api.js";
import { Bans } from "./bans.js";
import { el, icon, ICONS, replace } from "./dom.js";
import { Overview } from "./overview.js";
import { Patches } from "./patches.js";
import { Posture } from "./posture.js";
import { openTransaction } from "./transaction.js";
import { Transactions } from "./transactions.js";
import { refresh } from "./words.js";

const byId = (id) => document.getElementById(id);
const main = byId("main"), sheet = byId("sheet");

// What views may use of the frame.
const frame = {
  access: null,
  tell,
  sites: [],
  failed,
};
const views = { overview: Overview, transactions: Transactions, posture: Posture, patches: Patches, bans: Bans };
let view = null, viewName = null, stop = null, paused = false, generation = null;

function tell(text, kind = "") {
  const toast = byId("toast");
  toast.textContent = text;
  toast.className = `toast on ${kind}`;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => toast.classList.remove("on"), 4_000);
}

// An error of the API: without a right to ask, the page asks for the token.
function failed(error) {
  if (error instanceof api.Refused && error.status === 401) return void start();
  tell(error.status === 429 ? `Too many requests; wait ${error.wait ?? "a few"} s` : `Not answered: ${error.message}`, "bad");
}

// `#/transactions?rule=942100` is a view with its parameters, `#/t/ID` a transaction above whatever is shown.
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  if (path.startsWith("t/")) {
    if (view === null) show("overview", new URLSearchParams());
    return openTransaction(sheet, decodeURIComponent(path.slice(2)), frame);
  }
  if (sheet.open) sheet.close();
  show(path in views ? path : "overview", new URLSearchParams(query));
}

function show(name, parameters) {
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · Portcullis`;
  if (viewName === name && view?.change) return view.change(parameters);
  view?.leave?.();
  viewName = name;
  view = new views[name](frame, parameters);
  replace(main, view.node);
  view.load();
}

// The hash that closes the sheet leads to.
let below = "#/";
addEventListener("hashchange", (event) => {
  const before = new URL(event.oldURL).hash;
  if (!before.startsWith("#/t/")) below = before || "#/";
  if (frame.access) route();
});
sheet.addEventListener("close", () => {
  if (location.hash.startsWith("#/t/")) location.hash = below;
});
sheet.addEventListener("click", (event) => {
  if (event.target === sheet) sheet.close();
});

// Live updates.

function state(name) {
  const pill = byId("live");
  pill.dataset.state = name;
  pill.querySelector(".label").textContent =
    { live: "Live", lost: "Reconnecting", paused: "Paused", refused: "Signed out" }[name] ?? name;
  if (name === "refused") start();
}

function run() {
  stop?.abort();
  stop = new AbortController();
  api.follow(stop.signal, heard, state);
}

function heard(tick) {
  if (generation !== null && tick.generation !== generation) {
    tell(`Generation ${tick.generation} is at work`);
    view?.load();
  }
  generation = tick.generation;
  view?.tick?.(tick);
}

function pause() {
  paused = !paused;
  byId("live").setAttribute("aria-pressed", String(!paused));
  if (paused) {
    stop?.abort();
    state("paused");
  } else {
    run();
    view?.load();
  }
}

// The theme: the system's, unless it is chosen.

const THEMES = ["auto", "light", "dark"];
let theme = localStorage.getItem("portcullis-theme") ?? "auto";

function paint() {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const name = { auto: "system", light: "light", dark: "dark" }[theme];
  replace(byId("theme"), icon(ICONS[theme]));
  byId("theme").setAttribute("aria-label", `Theme: ${name}`);
  byId("theme").title = `Theme: ${name} (t)`;
}

function turn() {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  localStorage.setItem("portcullis-theme", theme);
  paint();
}

// Keys. Not while something is written, and none with a modifier, which are the browser's.

const NAMES = Object.keys(views);

function step(by) {
  const scope = sheet.open ? sheet : main;
  const rows = [...scope.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  if (rows.length === 0) return;
  const at = rows.indexOf(document.activeElement?.closest("[data-row]"));
  const next = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey) return;
  if (event.target.closest?.("input, select, textarea") || !frame.access || byId("keys").open) return;
  const actions = {
    p: pause,
    t: turn,
    j: () => step(1),
    k: () => step(-1),
    "?": () => byId("keys").showModal(),
    "/": () => {
      if (viewName !== "transactions") location.hash = "#/transactions";
      setTimeout(() => main.querySelector("[data-filter]")?.focus());
    },
  };
  const view = NAMES[Number(event.key) - 1];
  if (view) location.hash = view === "overview" ? "#/" : `#/${view}`;
  else if (event.key in actions) actions[event.key]();
  else return;
  event.preventDefault();
});

byId("live").addEventListener("click", pause);
byId("theme").addEventListener("click", turn);
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("leave").addEventListener("click", async () => {
  stop?.abort();
  await api.signOut().catch(() => {});
  start();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
setInterval(() => refresh(document), 5_000);

// Signing in.

function gate(session) {
  if (session.refused === "remote") {
    return el("section", { class: "lone card" },
      el("h1", {}, "Only this machine may look"),
      el("p", {}, "No token is configured, so the console answers loopback only. Set one to use it from elsewhere:"),
      el("pre", { class: "code" }, "admin:\n  address: 0.0.0.0:9180\n  token_file: /etc/portcullis/admin-token\n"));
  }
  const field = el("input", { type: "password", id: "token", autocomplete: "current-password", required: true, spellcheck: "false" });
  const problem = el("p", { class: "problem", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      await api.signIn(field.value.trim());
      field.value = "";
      await start();
    } catch (error) {
      const words = { 401: "That is not the token.", 429: `Too many attempts. Wait ${error.wait ?? 10} seconds.` };
      problem.textContent = words[error.status] ?? `Not answered: ${error.message}`;
      field.select();
    }
  };
  setTimeout(() => field.focus());
  return el("section", { class: "lone card" },
    el("h1", {}, "Sign in"),
    el("p", {}, "With the token of ", el("code", {}, "admin.token"), " or ", el("code", {}, "admin.token_file"),
      ". The session stays in this tab and ends after twelve hours."),
    el("form", { class: "sign", onsubmit: submit },
      // For password managers, which keep a token by a name.
      el("input", { type: "text", autocomplete: "username", value: "portcullis", hidden: true, readonly: true }),
      el("label", { for: "token" }, "Token"), field,
      el("button", { class: "button main" }, "Sign in")),
    problem);
}

async function start() {
  stop?.abort();
  frame.access = null;
  let session;
  try {
    session = await api.get("/api/session");
  } catch (error) {
    replace(main, el("section", { class: "lone card" }, el("h1", {}, "No answer"), el("p", {}, String(error.message))));
    setTimeout(start, 3_000);
    return;
  }
  document.body.dataset.access = session.access ?? "none";
  byId("leave").hidden = !(session.token && session.access);
  if (!session.access) {
    api.forget();
    view?.leave?.();
    view = viewName = null;
    if (sheet.open) sheet.close();
    replace(main, gate(session));
    return;
  }
  frame.access = session.access;
  generation = null;
  if (!paused) run();
  route();
}

paint();
start();
