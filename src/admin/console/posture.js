// Whether the sites are protected, by what, and since when; what was changed through the admin listener.

import { get, post } from "./api.js";
import { candidate } from "./candidate.js";
import { el, replace } from "./dom.js";
import { absolute, ago, exact } from "./words.js";

const MODES = { On: ["Blocking", "on"], DetectionOnly: ["Detecting only", "detection"], Off: ["Off", "off"] };
const RESULTS = { success: "done", unchanged: "nothing had changed", failed: "not taken", refused: "refused" };

export class Posture {
  constructor(frame) {
    this.frame = frame;
    this.work = el("section", { class: "card at-work" });
    this.sites = el("div", { class: "sites" });
    this.changes = el("section", { class: "card" });
    this.node = el("div", { class: "posture" },
      el("header", { class: "heading" }, el("h1", {}, "Posture"), el("p", { class: "hint" }, "What the rules at work amount to.")),
      this.work, this.sites, this.changes);
  }

  async load() {
    try {
      const [generation, posture, changes, upstreams, shadow] = await Promise.all([
        get("/api/generation"), get("/api/posture"), get("/api/changes"), get("/api/upstreams"), get("/api/shadow"),
      ]);
      this.draw(generation, posture.sites, changes.changes, upstreams.upstreams, shadow.sites);
    } catch (error) {
      this.frame.failed(error);
    }
  }

  async reload(button) {
    button.disabled = true;
    try {
      const done = await post("/api/reload");
      this.frame.tell({
        success: `Generation ${done.generation} is at work`,
        unchanged: "Nothing has changed",
        refused: "Refused: the old generation stays",
      }[done.result], done.result === "refused" ? "bad" : "");
    } catch (error) {
      this.frame.failed(error);
    }
    button.disabled = false;
    this.load();
  }

  draw(generation, sites, changes, upstreams, shadows) {
    const attempt = generation.last_attempt;
    const may = this.frame.access === "change";
    const button = may && el("button", { type: "button", class: "button", onclick: (event) => this.reload(event.currentTarget) }, "Reload");
    replace(this.work,
      el("header", {}, el("h2", {}, `Generation ${generation.number}`), button ||
        el("span", { class: "hint" }, "Read-only: changes need ", el("code", {}, "admin.token"))),
      el("dl", { class: "facts wide" },
        fact("Loaded", absolute(new Date(generation.loaded_at)), el("small", {}, ago(generation.loaded_at))),
        fact("Last attempt", attempt.refusal ? "refused" : "sound", el("small", {}, ago(attempt.at))),
        fact("Hash", el("code", { title: generation.hash }, generation.hash.slice(0, 12))),
        fact("Version", generation.version)),
      attempt.refusal && el("div", { class: "alarm" }, el("strong", {}, "The last configuration was refused; this generation stays"),
        el("pre", { class: "code" }, attempt.refusal)));
    replace(this.sites, sites.map(({ site, posture }) => this.site(site, posture, upstreams.filter((u) => u.site === site), shadows.find((s) => s.site === site))));
    replace(this.changes, el("header", {}, el("h2", {}, "Changes"), el("span", { class: "hint" }, "through this listener, since the start")),
      changes.length === 0 ? el("p", { class: "empty" }, "Nothing was changed, and no attempt refused.")
        : el("table", {}, el("thead", {}, el("tr", {}, ["When", "What", "By", "Result"].map((h) => el("th", { scope: "col" }, h)))),
          el("tbody", {}, changes.map((c) => el("tr", {}, el("td", {}, ago(c.at)), el("td", {}, c.action), el("td", { class: "mono" }, c.client),
            el("td", { class: c.result }, RESULTS[c.result] ?? c.result))))));
  }

  site(name, p, upstreams, shadow) {
    const [words, kind] = MODES[p.mode ?? "On"] ?? [p.mode, ""];
    const levels = Object.entries(p.rules_by_paranoia);
    const most = Math.max(1, ...levels.map(([, n]) => n));
    const ids = (title, list) => list.length > 0 && el("details", {}, el("summary", { "data-row": title }, title, el("span", { class: "hint" }, ` ${list.length}`)),
      el("p", { class: "mono ids" }, list.join("  ")));
    const threshold = (side, what) => p[side].threshold === null ? "not set" : `${p[side].threshold}${p[side].blocked_by === null ? `, but no rule blocks ${what}` : ""}`;
    return el("section", { class: "card site" },
      el("header", {}, el("h2", {}, name), el("span", { class: `mode ${kind}` }, words)),
      p.alarms.length > 0 && el("div", { class: "alarm" }, el("ul", {}, p.alarms.map((a) => el("li", {}, a)))),
      el("dl", { class: "facts wide" },
        fact("Active rules", exact(p.rules)),
        p.paranoia.blocking !== null && fact("Paranoia level", String(p.paranoia.blocking), p.paranoia.detection !== null && el("small", {}, `${p.paranoia.detection} only watches`)),
        p.scores && fact("Threshold", threshold("inbound", "requests"), el("small", {}, `responses ${threshold("outbound", "responses")}`)),
        fact("Bodies", `requests ${p.request_body ? "inspected" : "not inspected"}`, el("small", {}, `responses ${p.response_body ? "inspected" : "not inspected"}`)),
        fact("Virtual patches", p.patches.length === 0 ? "none" : el("a", { href: "#/patches" }, exact(p.patches.length)))),
      levels.length > 0 && el("div", { class: "levels" }, levels.map(([level, n]) => el("div", {},
        el("span", {}, `PL ${level}`), el("div", { class: "track" }, el("div", { class: "level", "width%": (100 * n) / most })), el("b", {}, exact(n))))),
      upstreams.length > 0 && el("table", {}, el("thead", {}, el("tr", {}, ["Upstream", "State", "Active", "Requests", "Failures"].map((h, i) => el("th", { scope: "col", class: i > 1 ? "n" : "" }, h)))),
        el("tbody", {}, upstreams.map((u) => el("tr", {}, el("td", { class: "mono" }, u.url), el("td", {}, el("span", { class: u.up ? "up" : "down" }, u.up ? "up" : "down")),
          el("td", { class: "n" }, exact(u.active)), el("td", { class: "n" }, exact(u.requests)), el("td", { class: "n" }, exact(u.failures)))))),
      shadow && candidate(this.frame, shadow, () => this.load()),
      p.components.length > 0 && el("p", { class: "hint" }, p.components.join(" · ")),
      ids("Removed rules", p.removed), ids("Changed rules", p.updated), ids("Rules that may backtrack", p.backtracking));
  }
}

const fact = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
