// Words, numbers and times as people read them.

import { el } from "./dom.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const number = (n) => (n < 100_000 ? whole.format(n) : compact.format(n));
export const exact = (n) => whole.format(n);
export const rate = (n) => (n < 10 ? fine.format(n) : number(n));
export const share = (part, all) => (all === 0 ? "0%" : `${fine.format((100 * part) / all)}%`);
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

const STEPS = [
  [60, "second", 1], [3600, "minute", 60], [86_400, "hour", 3600], [7 * 86_400, "day", 86_400],
];

export function relative(date, now = Date.now()) {
  const seconds = Math.round((now - date.getTime()) / 1000);
  if (Math.abs(seconds) < 2) return "now";
  const past = seconds >= 0;
  for (const [limit, unit, size] of STEPS) {
    if (Math.abs(seconds) < limit) {
      const n = Math.floor(Math.abs(seconds) / size);
      const short = `${n} ${{ second: "s", minute: "min", hour: "h", day: "d" }[unit]}`;
      return past ? `${short} ago` : `in ${short}`;
    }
  }
  return absolute(date).slice(0, 10);
}

const two = (n) => String(n).padStart(2, "0");

// In the browser's time zone, to the second.
export const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
export const minutes = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
export const absolute = (date) =>
  `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;

// A time that says how long ago it is, and on hovering when.
export function ago(text, prefix = "") {
  const date = new Date(text);
  return el("time", { datetime: text, title: absolute(date), class: "ago", "data-prefix": prefix },
    prefix + relative(date));
}

// Brings the relative times below `root` up to date.
export function refresh(root) {
  for (const time of root.querySelectorAll("time.ago")) {
    time.textContent = (time.dataset.prefix ?? "") + relative(new Date(time.dateTime));
  }
}

export const OUTCOMES = {
  blocked: "Blocked",
  detected: "Detected",
  passed: "Passed",
  refused: "Refused",
  failed: "Failed",
  abandoned: "Abandoned",
};

export const OUTCOME_HELP = {
  blocked: "Rules decided against it",
  detected: "Rules would have blocked it; the mode let it pass",
  passed: "It passed",
  refused: "Not acceptable as HTTP, or for no site",
  failed: "Something failed inside or upstream",
  abandoned: "The client left",
};

// A request target with what is percent-encoded decoded where it is text. For reading; the sheet has it as it came.
export const readable = (uri) =>
  uri.replace(/(?:%[0-9a-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run);
    } catch {
      return run;
    }
  });

// A category's name, and its colour among those of the style sheet.
const CATEGORIES = {
  "sqli": ["SQL injection", 0],
  "xss": ["Cross-site scripting", 1],
  "rce": ["Command execution", 2],
  "lfi": ["Local files", 3],
  "rfi": ["Remote files", 4],
  "ssrf": ["Request forgery", 5],
  "ssti": ["Template injection", 6],
  "injection-php": ["PHP injection", 6],
  "injection-java": ["Java injection", 6],
  "injection-nodejs": ["Node.js injection", 6],
  "injection-generic": ["Code injection", 6],
  "ldap": ["LDAP injection", 7],
  "nosql": ["NoSQL injection", 7],
  "xxe": ["XML entities", 7],
  "fixation": ["Session fixation", 4],
  "protocol": ["Protocol", 8],
  "multipart-header": ["Multipart headers", 8],
  "deprecated-header": ["Deprecated headers", 8],
  "disclosure": ["Disclosure", 5],
  "reputation-scanner": ["Scanners", 9],
  "reputation-ip": ["Bad addresses", 9],
  "dos": ["Denial of service", 9],
  "generic": ["Generic attacks", 10],
  "other": ["Other", 10],
};

export const categories = Object.keys(CATEGORIES);
export const category = (name) => CATEGORIES[name]?.[0] ?? name ?? "";
export const hue = (name) => CATEGORIES[name]?.[1] ?? 10;

export const badge = (outcome) =>
  el("span", { class: `badge ${outcome}`, title: OUTCOME_HELP[outcome] }, OUTCOMES[outcome] ?? outcome);

export const tag = (name) => name && el("span", { class: `tag hue-${hue(name)}` }, category(name));

export const sum = (counts) => Object.values(counts ?? {}).reduce((a, b) => a + b, 0);
