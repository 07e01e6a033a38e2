// The list of recent transactions, and the rows in which other views show them.

import { get } from "./api.js";
import { el, replace } from "./dom.js";
import { ago, badge, category, clock, hue, number, OUTCOMES, readable, tag } from "./words.js";

const score = (t) => t.threshold > 0 && el("span", { class: t.score >= t.threshold ? "score over" : "score", title: `score ${t.score}, threshold ${t.threshold}` },
  el("b", {}, number(t.score)), el("span", {}, `/${t.threshold}`));

const request = (t) => el("span", { class: "request" }, el("span", { class: "method" }, t.method), el("bdi", { class: "uri", title: t.uri }, readable(t.uri)));

// A row of two lines.
export function line(t, isFresh) {
  return el("a", { class: isFresh ? "line fresh" : "line", href: `#/t/${encodeURIComponent(t.id)}`, "data-row": t.id },
    el("i", { class: `edge hue-${hue(t.category)}`, title: category(t.category) }),
    el("span", { class: "first" }, request(t), ago(t.time)),
    el("span", { class: "second" },
      t.outcome !== "blocked" && badge(t.outcome),
      el("span", { class: "why" }, t.rule?.message || (t.rule ? `Rule ${t.rule.id}` : category(t.category))),
      el("span", { class: "client mono" }, t.client), score(t)));
}

// A row of one line; what passed and was not kept has nothing to open.
export function liveLine(t, isFresh) {
  const parts = [
    el("time", { class: "mono", datetime: t.time }, clock(new Date(t.time))),
    el("span", { class: `status s${String(t.status)[0]}` }, t.status === 0 ? "—" : String(t.status)),
    request(t),
    t.outcome === "passed" ? el("span", { class: "took" }, `${number(Math.round(t.duration_ms))} ms`) : badge(t.outcome),
  ];
  const name = `flash${isFresh ? " fresh" : ""}`;
  return el("a", { class: name, href: `#/t/${encodeURIComponent(t.id)}`, "data-row": t.id }, parts);
}

export class Transactions {
  constructor(frame, parameters) {
    this.frame = frame;
    this.parameters = parameters;
    this.rows = [];
    this.node = el("div", { class: "transactions" },
      el("header", { class: "heading" }, el("h1", {}, "Transactions"),
        el("p", { class: "hint" }, "The last ones in which rules matched, or that were refused. The audit log has all.")),
      (this.filters = el("form", { class: "filters", onsubmit: (event) => event.preventDefault() })),
      (this.body = el("div", { class: "card list" })),
      (this.more = el("button", { type: "button", class: "button", hidden: true, onclick: () => this.older() }, "Older")));
  }

  change(parameters) {
    this.parameters = parameters;
    this.load();
  }

  query(more = {}) {
    const query = new URLSearchParams();
    for (const name of ["outcome", "site", "rule", "client", "path"]) {
      if (this.parameters.get(name)) query.set(name, this.parameters.get(name));
    }
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return query;
  }

  set(name, value) {
    const query = this.query();
    if (value) query.set(name, value);
    else query.delete(name);
    location.hash = `#/transactions${query.size ? `?${query}` : ""}`;
  }

  async load() {
    this.drawFilters();
    try {
      const [found, overview] = await Promise.all([get(`/api/transactions?${this.query({ limit: 100 })}`), get("/api/overview")]);
      this.sites = overview.sites.map((s) => s.site);
      this.rows = found.transactions;
      this.more.hidden = found.transactions.length < 100;
      this.drawFilters();
      this.draw(new Set());
    } catch (error) {
      this.frame.failed(error);
    }
  }

  async older() {
    try {
      const found = await get(`/api/transactions?${this.query({ limit: 100, before: this.rows.at(-1).number })}`);
      this.rows.push(...found.transactions);
      this.more.hidden = found.transactions.length < 100;
      this.draw(new Set());
    } catch (error) {
      this.frame.failed(error);
    }
  }

  tick(tick) {
    const get = (name) => this.parameters.get(name);
    if (get("rule")) return;
    const fits = (t) =>
      (t.outcome !== "passed" || t.rules > 0) && t.outcome !== "failed" && t.outcome !== "abandoned" &&
      (!get("outcome") || t.outcome === get("outcome")) && (!get("site") || t.site === get("site")) &&
      (!get("client") || t.client === get("client")) && (!get("path") || t.uri.split("?")[0] === get("path"));
    const fresh = tick.rows.filter(fits).filter((t) => !this.rows.some((row) => row.id === t.id));
    if (fresh.length === 0) return;
    this.rows = [...fresh, ...this.rows].slice(0, 600);
    this.draw(new Set(fresh.map((t) => t.id)));
  }

  drawFilters() {
    const outcome = this.parameters.get("outcome") ?? "";
    const choice = (value, words) => el("label", {}, el("input", {
      type: "radio", name: "outcome", value, checked: value === outcome, onchange: () => this.set("outcome", value),
    }), el("span", {}, words));
    const chips = ["rule", "client", "path"].filter((name) => this.parameters.get(name)).map((name) =>
      el("button", { type: "button", class: "chip", title: `Remove the filter by ${name}`, onclick: () => this.set(name, "") },
        el("span", {}, name), el("bdi", { class: "mono" }, this.parameters.get(name)), el("i", { "aria-hidden": "true" }, "×")));
    const typed = el("input", {
      type: "search", "data-filter": true, placeholder: "Rule id, client or /path", "aria-label": "Filter by rule id, client or path",
      onkeydown: (event) => {
        if (event.key === "Enter") {
          const text = event.target.value.trim();
          // The keys are the rows' again.
          event.target.blur();
          this.typed(text);
        }
        if (event.key === "Escape") event.target.blur();
      },
    });
    const had = this.filters.contains(document.activeElement) && document.activeElement.matches("[data-filter]");
    replace(this.filters,
      el("fieldset", { class: "segments" }, el("legend", { class: "unseen" }, "Outcome"),
        choice("", "All"), ["blocked", "detected", "passed", "refused"].map((o) => choice(o, OUTCOMES[o]))),
      (this.sites?.length ?? 0) > 1 && el("select", { "aria-label": "Site", onchange: (event) => this.set("site", event.target.value) },
        el("option", { value: "" }, "All sites"),
        this.sites.map((site) => el("option", { value: site, selected: site === this.parameters.get("site") }, site))),
      typed, chips);
    if (had) typed.focus();
  }

  typed(text) {
    if (text.startsWith("/")) this.set("path", text);
    else if (/^\d+$/.test(text)) this.set("rule", text);
    else if (text) this.set("client", text);
  }

  draw(fresh) {
    const focused = document.activeElement?.dataset?.row;
    const filtered = this.query().size > 0;
    replace(this.body, this.rows.length === 0
      ? el("div", { class: "empty tall" }, el("strong", {}, filtered ? "Nothing fits these filters" : "Nothing to show yet"),
        el("p", {}, filtered ? "What is kept in memory has no such transaction; the audit log may have." : "Requests in which rules match, or that are refused, appear here at once."))
      : [el("div", { class: "columns", "aria-hidden": "true" },
        ["Time", "Outcome", "Category", "Client", "Request", "Rule", "Score", "Status"].map((c) => el("span", {}, c))),
      this.rows.map((t) => el("a", { class: fresh.has(t.id) ? "record fresh" : "record", href: `#/t/${encodeURIComponent(t.id)}`, "data-row": t.id },
        ago(t.time), el("span", { class: "c-outcome" }, badge(t.outcome)), el("span", { class: "c-category" }, tag(t.category)),
        el("span", { class: "mono client" }, t.client), request(t),
        el("span", { class: "why" }, t.rule ? [el("b", {}, String(t.rule.id)), " ", t.rule.message] : ""),
        el("span", { class: "c-score" }, score(t)), el("span", { class: "c-status" }, t.status === 0 ? "—" : String(t.status))))]);
    if (focused) this.body.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus();
  }
}
