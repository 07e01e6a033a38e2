// What goes on: numbers, the chart, the last blocks, live traffic, what occurs most.

import { get } from "./api.js";
import { Chart, sparkline } from "./chart.js";
import { el, replace } from "./dom.js";
import { line, liveLine } from "./transactions.js";
import { ago, category, hue, number, plural, rate, relative, share, sum } from "./words.js";

const RANGES = { "15m": "15 min", "1h": "1 hour", "24h": "24 hours" };
const SPANS = { "15m": "last 15 minutes", "1h": "last hour", "24h": "last 24 hours" };
const LIVE_ROWS = 20, BLOCK_ROWS = 10;

export class Overview {
  constructor(frame) {
    this.frame = frame;
    this.range = sessionStorage.getItem("portcullis-range");
    this.site = sessionStorage.getItem("portcullis-site") ?? "";
    this.rates = [];
    this.live = [];
    this.chart = new Chart();
    this.alarms = el("div", { class: "alarms" });
    this.tiles = el("dl", { class: "tiles card" });
    this.legend = el("ul", { class: "legend" });
    this.title = el("h2", {}, "Blocks by category");
    this.blocks = el("div", { class: "rows" });
    this.feed = el("div", { class: "rows live" });
    this.tops = el("div", { class: "thirds" });
    const ranges = Object.entries(RANGES).map(([name, words]) =>
      el("label", {}, el("input", {
        type: "radio", name: "range", value: name, checked: name === this.range, onchange: () => this.choose(name),
      }), el("span", {}, words)));
    this.sites = el("select", { "aria-label": "Site", hidden: true, onchange: (event) => this.chooseSite(event.target.value) });
    this.node = el("div", { class: "overview" },
      el("h1", { class: "unseen" }, "Overview"), this.alarms, this.tiles,
      el("section", { class: "card" },
        el("header", {}, this.title, this.sites, el("fieldset", { class: "segments" }, el("legend", { class: "unseen" }, "Time"), ranges)),
        this.chart.node, this.legend),
      el("div", { class: "halves" },
        el("section", { class: "card" },
          el("header", {}, el("h2", {}, "Recent blocks"), el("a", { href: "#/transactions?outcome=blocked" }, "All")), this.blocks),
        el("section", { class: "card" }, el("header", {}, el("h2", {}, "Live traffic"), el("span", { class: "hint" }, "a sample of what passes, and all that does not")), this.feed)),
      this.tops);
  }

  choose(range) {
    this.range = range;
    sessionStorage.setItem("portcullis-range", range);
    this.load();
  }

  chooseSite(site) {
    this.site = site;
    sessionStorage.setItem("portcullis-site", site);
    this.rates = [];
    this.live = this.live.filter((row) => this.isShown(row));
    this.load();
  }

  isShown(row) {
    return !this.site || row.site === this.site;
  }

  // The sites to choose among, once there are several. One that is gone is not chosen any more.
  offerSites(names) {
    if (this.site && !names.includes(this.site)) this.chooseSite("");
    this.sites.hidden = names.length < 2;
    if (this.sites.options.length === names.length + 1) return;
    replace(this.sites, el("option", { value: "" }, "All sites"),
      names.map((name) => el("option", { value: name, selected: name === this.site }, name)));
  }

  // Answers that come late do not take the place of those to a later question.
  async load() {
    const attempt = this.attempt = (this.attempt ?? 0) + 1;
    try {
      if (!this.range) {
        const { started, now } = await get("/api/overview");
        this.range = new Date(now) - new Date(started) < 1_500_000 ? "15m" : "1h";
        this.node.querySelector(`input[value="${this.range}"]`).checked = true;
      }
      const of = this.site && `&site=${encodeURIComponent(this.site)}`;
      const [overview, history, recent] = await Promise.all([
        get("/api/overview"), get(`/api/history?range=${this.range}${of}`), get(`/api/transactions?limit=${BLOCK_ROWS * 4}${of}`),
      ]);
      if (attempt !== this.attempt) return;
      this.overview = overview;
      this.history = history;
      this.loaded = Date.now();
      this.offerSites(overview.sites.map((s) => s.site));
      this.recent = recent.transactions.filter((t) => t.outcome === "blocked" || t.outcome === "detected");
      this.draw();
    } catch (error) {
      if (attempt === this.attempt) this.frame.failed(error);
    }
  }

  tick(tick) {
    const counts = this.site ? tick.sites[this.site] ?? { outcomes: {}, blocked: {}, detected: {} } : tick;
    const rows = tick.rows.filter((row) => this.isShown(row));
    this.rates = [...this.rates, sum(counts.outcomes)].slice(-5);
    const decided = rows.filter((row) => row.outcome === "blocked" || row.outcome === "detected");
    this.live = [...rows, ...this.live].slice(0, LIVE_ROWS);
    if (!this.history) return;
    if (rows.length > 0) this.drawLive(new Set(rows.map((row) => row.id)));
    if (decided.length > 0) {
      this.recent = [...decided, ...this.recent].slice(0, BLOCK_ROWS);
      this.drawBlocks(new Set(decided.map((row) => row.id)));
    }
    // The newest bucket is counted on here; everything is asked for anew now and then.
    const last = this.history.buckets.at(-1);
    for (const kind of ["outcomes", "blocked", "detected"]) {
      for (const [name, n] of Object.entries(counts[kind])) last[kind][name] = (last[kind][name] ?? 0) + n;
    }
    if (Date.now() - this.loaded > 10_000) this.load();
    else this.drawNumbers();
  }

  draw() {
    const alarms = this.overview.alarms;
    replace(this.alarms, alarms.length > 0 && el("section", { class: "alarm", role: "alert" },
      el("strong", {}, plural(alarms.length, "alarm")),
      el("ul", {}, alarms.map((a) => el("li", {}, el("b", {}, a.site), " ", a.alarm)))));
    this.drawNumbers();
    this.drawBlocks(new Set());
    this.drawLive(new Set());
    const top = this.overview.top;
    replace(this.tops,
      this.list("Top rules", top.rules, (rule) => [
        el("a", { href: `#/transactions?rule=${rule.id}`, class: "number", "data-row": true }, String(rule.id)),
        el("span", { class: "what" }, rule.message ?? "", rule.category && el("i", { class: `swatch hue-${hue(rule.category)}`, title: category(rule.category) })),
      ], "No rule has matched in the last half hour."),
      this.list("Top paths", top.paths, (path) => [
        el("a", { href: `#/transactions?path=${encodeURIComponent(path.path)}`, class: "mono what", "data-row": true, title: path.path }, el("bdi", {}, path.path)),
        this.overview.sites.length > 1 && el("span", { class: "hint" }, path.site),
      ], "Nothing was blocked in the last half hour."),
      this.list("Top clients", top.clients, (client) => [
        el("a", { href: `#/transactions?client=${encodeURIComponent(client.client)}`, class: "mono what", "data-row": true }, client.client),
      ], "Nothing was blocked in the last half hour."));
  }

  list(title, rows, what, empty) {
    const most = rows[0]?.count ?? 1;
    return el("section", { class: "card top" },
      el("header", {}, el("h2", {}, title), el("span", { class: "hint" }, "last 30–60 min")),
      rows.length === 0 ? el("p", { class: "empty" }, empty) :
        el("ol", {}, rows.map((row) => el("li", {},
          el("div", { class: "share", "width%": (100 * row.count) / most }), what(row),
          el("b", { class: "count" }, number(row.count))))));
  }

  drawNumbers() {
    const { history, overview } = this;
    const count = (name) => history.buckets.reduce((all, b) => all + (b.outcomes[name] ?? 0), 0);
    const line = (name) => history.buckets.map((b) => (name ? b.outcomes[name] ?? 0 : sum(b.outcomes)));
    const all = history.buckets.reduce((n, b) => n + sum(b.outcomes), 0);
    const now = this.rates.length ? this.rates.reduce((a, b) => a + b, 0) / this.rates.length : 0;
    const span = SPANS[this.range];
    const tile = (name, value, below, mark, values) => el("div", { class: `tile ${mark ?? ""}` },
      el("dt", {}, name), el("dd", {}, el("b", {}, value), el("small", {}, below)), values?.some((v) => v > 0) && sparkline(values));
    const generation = overview.generation;
    const sites = overview.sites.filter((s) => !this.site || s.site === this.site);
    const modes = [...new Set(sites.map((s) => s.mode))];
    const rules = sites.reduce((n, s) => Math.max(n, s.rules), 0);
    replace(this.tiles,
      tile("Requests", [rate(now), el("span", { class: "unit" }, "/s")], `${number(all)} in the ${span}`, "", line()),
      tile("Blocked", number(count("blocked")), `${share(count("blocked"), all)} of requests`, "is-blocked", line("blocked")),
      tile("Detected", number(count("detected")), "let through by the mode", "is-detected", line("detected")),
      tile("Refused", number(count("refused")), "turned away, or not sound HTTP", "is-refused", line("refused")),
      tile("Failed", number(count("failed")), "inside or upstream", "is-failed", line("failed")),
      el("div", { class: "tile at-work" }, el("dt", {}, "At work"),
        el("dd", {}, el("b", {}, modes.length === 1 ? { On: "Blocking", DetectionOnly: "Detecting", Off: "Off" }[modes[0]] ?? modes[0] : "Mixed"),
          el("small", {}, `${this.site || plural(sites.length, "site")}, ${plural(rules, "rule")}`),
          el("small", {}, `Generation ${generation.number}, `, ago(generation.loaded_at, "loaded ")))));
    const counted = count("blocked") === 0 && count("detected") > 0 ? "detected" : "blocked";
    this.title.textContent = counted === "blocked" ? "Blocks by category" : "Detections by category";
    this.chart.show(history, counted);
    const series = this.chart.series();
    replace(this.legend, el("li", { class: "key" }, el("i", { class: "swatch requests" }), "Requests", el("b", {}, number(all))),
      series.slice(0, 8).map(([name, n]) => el("li", {}, el("i", { class: `swatch hue-${hue(name)}` }), category(name), el("b", {}, number(n)))),
      series.length > 8 && el("li", {}, plural(series.length - 8, "more", "more")));
    document.getElementById("foot").textContent =
      `Portcullis ${generation.version} · started ${relative(new Date(overview.started))}`;
  }

  drawBlocks(fresh) {
    const focused = document.activeElement?.dataset?.row;
    replace(this.blocks, this.recent.length === 0
      ? el("p", { class: "empty" }, "Nothing has been blocked yet. What is blocked, or would be, appears here at once.")
      : this.recent.slice(0, BLOCK_ROWS).map((t) => line(t, fresh.has(t.id))));
    if (focused) this.blocks.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus();
  }

  drawLive(fresh) {
    replace(this.feed, this.live.length === 0
      ? el("p", { class: "empty" }, "Waiting for requests.")
      : this.live.map((t) => liveLine(t, fresh.has(t.id))));
  }
}
