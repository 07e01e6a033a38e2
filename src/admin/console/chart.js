// The chart of the overview: requests as an area, and below it blocks by category as stacked columns on the same axis of
// time. Drawn anew from its buckets whenever something changes.

import { el, replace, svg } from "./dom.js";
import { absolute, category, exact, hue, minutes, number, sum } from "./words.js";

const LEFT = 44, RIGHT = 8, AREA = 44, GAP = 18, COLUMNS = 168, AXIS = 22;
const HEIGHT = AREA + GAP + COLUMNS + AXIS;

export class Chart {
  constructor() {
    this.buckets = [];
    this.seconds = 60;
    this.cursor = null;
    this.drawing = el("div", { class: "drawing" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.said = el("span", { class: "unseen", "aria-live": "polite" });
    this.node = el("div", {
      class: "chart", tabindex: "0", role: "group",
      onkeydown: (event) => this.key(event),
      onpointermove: (event) => this.point(event),
      onpointerleave: () => this.move(null),
      onblur: () => this.move(null),
    }, this.drawing, this.tip, this.said);
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  // `counted` names what is stacked: `blocked`, or `detected` where only that happens.
  show(history, counted) {
    this.buckets = history.buckets;
    this.seconds = history.seconds;
    this.counted = counted;
    this.draw();
  }

  // The categories that occur, the commonest first, with their sums.
  series() {
    const sums = new Map();
    for (const bucket of this.buckets) {
      for (const [name, n] of Object.entries(bucket[this.counted])) sums.set(name, (sums.get(name) ?? 0) + n);
    }
    return [...sums].sort((a, b) => b[1] - a[1]);
  }

  draw() {
    const width = this.node.clientWidth;
    if (width < 60 || this.buckets.length === 0) return;
    const { buckets } = this;
    const step = (width - LEFT - RIGHT) / buckets.length;
    const series = this.series();
    const requests = buckets.map((b) => sum(b.outcomes));
    const stacked = buckets.map((b) => sum(b[this.counted]));
    const topRequests = nice(Math.max(1, ...requests));
    const topStack = nice(Math.max(4, ...stacked));
    const base = AREA + GAP + COLUMNS;
    const y = (n) => base - (n / topStack) * COLUMNS;
    const parts = [];

    for (const n of [topStack / 2, topStack]) {
      parts.push(svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(n), y2: y(n), class: "grid" }));
      parts.push(svg("text", { x: LEFT - 8, y: y(n) + 4, class: "scale" }, number(n)));
    }
    parts.push(svg("line", { x1: LEFT, x2: width - RIGHT, y1: base, y2: base, class: "base" }));
    parts.push(svg("text", { x: LEFT - 8, y: base + 4, class: "scale" }, "0"));

    const x = (index) => LEFT + index * step;
    const level = (n) => AREA - (n / topRequests) * (AREA - 8);
    const line = requests.map((n, i) => `${(x(i) + step / 2).toFixed(1)} ${level(n).toFixed(1)}`).join("L");
    const last = x(buckets.length - 1) + step / 2;
    parts.push(svg("path", { d: `M${x(0) + step / 2} ${AREA}L${line}L${last} ${AREA}Z`, class: "area" }));
    parts.push(svg("path", { d: `M${line}`, class: "line" }));
    parts.push(svg("line", { x1: LEFT, x2: width - RIGHT, y1: AREA, y2: AREA, class: "base" }));
    parts.push(svg("text", { x: LEFT - 8, y: 12, class: "scale" }, number(topRequests)));

    const thick = Math.max(1, Math.min(step - (step > 5 ? 2 : 0.5), 22));
    buckets.forEach((bucket, index) => {
      let under = 0;
      for (const [name] of series) {
        const n = bucket[this.counted][name];
        if (!n) continue;
        const high = Math.max((n / topStack) * COLUMNS, 1);
        const at = x(index) + (step - thick) / 2;
        parts.push(svg("rect", {
          x: at.toFixed(1), y: (y(under) - high).toFixed(1), width: thick.toFixed(1), height: high.toFixed(1),
          class: `hue-${hue(name)}`,
        }));
        under += n;
      }
    });

    for (const [index, text] of this.labels(width)) {
      parts.push(svg("text", { x: x(index) + step / 2, y: HEIGHT - 4, class: "moment" }, text));
    }
    this.mark = svg("rect", { x: 0, y: 0, width: Math.max(step, 1), height: base, class: "cursor" });
    this.geometry = { step, width };
    replace(this.drawing, svg("svg", { width, height: HEIGHT, "aria-hidden": "true" }, this.mark, parts));
    this.node.setAttribute("aria-label",
      `${exact(requests.reduce((a, b) => a + b, 0))} requests and ${exact(stacked.reduce((a, b) => a + b, 0))} ` +
      `${this.counted}. Arrow keys move along the chart.`);
    this.move(this.cursor);
  }

  // Moments on the axis: at round times, and no closer than they can be read.
  labels(width) {
    const wanted = Math.max(2, Math.floor((width - LEFT) / 90));
    const span = this.buckets.length * this.seconds;
    const every = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600].find((s) => span / s <= wanted) ?? 43_200;
    const offset = new Date().getTimezoneOffset() * 60;
    const found = [];
    this.buckets.forEach((bucket, index) => {
      if ((bucket.at - offset) % every < this.seconds && index > 0) {
        found.push([index, minutes(new Date(bucket.at * 1000))]);
      }
    });
    return found.filter(([index]) => index < this.buckets.length - 1);
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    const last = this.buckets.length - 1;
    if (last < 0) return;
    if (event.key in steps) {
      this.move(Math.min(last, Math.max(0, (this.cursor ?? last + (event.key === "ArrowLeft" ? 1 : 0)) + steps[event.key])));
      this.said.textContent = this.tip.textContent;
    } else if (event.key === "Home") this.move(0);
    else if (event.key === "End") this.move(last);
    else return;
    event.preventDefault();
  }

  point(event) {
    if (!this.geometry) return;
    const x = event.clientX - this.node.getBoundingClientRect().left - LEFT;
    const index = Math.floor(x / this.geometry.step);
    this.move(index >= 0 && index < this.buckets.length ? index : null);
  }

  move(index) {
    this.cursor = index;
    const bucket = index === null ? undefined : this.buckets[index];
    this.tip.hidden = bucket === undefined;
    this.mark?.classList.toggle("on", bucket !== undefined);
    if (!bucket || !this.geometry) return;
    const { step, width } = this.geometry;
    const at = LEFT + index * step;
    this.mark.setAttribute("x", at);
    const from = new Date(bucket.at * 1000), to = new Date((bucket.at + this.seconds) * 1000);
    const rows = Object.entries(bucket[this.counted]).sort((a, b) => b[1] - a[1]);
    replace(this.tip,
      el("div", { class: "when" }, `${absolute(from).slice(0, 16)}–${minutes(to)}`),
      el("div", { class: "row total" }, el("span", {}, "Requests"), el("b", {}, exact(sum(bucket.outcomes)))),
      rows.map(([name, n]) => el("div", { class: "row" },
        el("i", { class: `swatch hue-${hue(name)}` }), el("span", {}, category(name)), el("b", {}, exact(n)))),
      rows.length === 0 && el("div", { class: "row none" }, el("span", {}, `Nothing ${this.counted}`)));
    const room = this.tip.offsetWidth + 16;
    this.tip.style.left = `${at + step + room > width ? at - room + 8 : at + step + 8}px`;
  }
}

// The least of 1, 2, 4, 5, 10, 20, … that is not below `n`.
function nice(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  const factor = [1, 2, 4, 5, 10].find((f) => f * power >= n);
  return Math.max(2, factor * power);
}

// A small line without axes.
export function sparkline(values) {
  const top = Math.max(1, ...values), width = 96, height = 26;
  if (values.length < 2) return svg("svg", { class: "spark", width, height, "aria-hidden": "true" });
  const points = values.map((n, i) =>
    `${((i * width) / (values.length - 1)).toFixed(1)} ${(height - 2 - (n / top) * (height - 4)).toFixed(1)}`);
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    svg("path", { d: `M0 ${height}L${points.join("L")}L${width} ${height}Z`, class: "area" }),
    svg("path", { d: `M${points.join("L")}`, class: "line" }));
}
