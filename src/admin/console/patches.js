// Virtual patches: what they are for, who answers for them, and when somebody should look at them again.

import { get } from "./api.js";
import { el, replace } from "./dom.js";
import { plural } from "./words.js";

const SOON = 30;

function state(patch) {
  const days = patch.days_to_review;
  if (days < 0) return el("span", { class: "review past" }, `past review by ${plural(-days, "day")}`);
  if (days <= SOON) return el("span", { class: "review soon" }, days === 0 ? "review today" : `review in ${plural(days, "day")}`);
  return el("span", { class: "review" }, `review in ${plural(days, "day")}`);
}

export class Patches {
  constructor(frame) {
    this.frame = frame;
    this.summary = el("p", { class: "hint" });
    this.body = el("div", { class: "patches-list" });
    this.node = el("div", { class: "patches" }, el("header", { class: "heading" }, el("h1", {}, "Virtual patches"), this.summary), this.body);
  }

  async load() {
    try {
      const { patches } = await get("/api/patches");
      const past = patches.filter((p) => p.days_to_review < 0).length;
      replace(this.summary, patches.length === 0 ? "" : `${plural(patches.length, "patch", "patches")} in force${past ? `, ${past} past review` : ""}. They go on blocking until they are removed.`);
      replace(this.body, patches.length === 0
        ? el("div", { class: "card empty tall" }, el("strong", {}, "No virtual patch is in force"),
          el("p", {}, "A patch keeps a known flaw of an application from being used until the application is mended:"),
          el("pre", { class: "code" }, "sites:\n  - name: shop\n    patches:\n      - '@virtual-patches/*'\n"))
        : el("div", { class: "card list" }, patches.map((p) => this.patch(p))));
    } catch (error) {
      this.frame.failed(error);
    }
  }

  patch(p) {
    return el("details", { class: "patch" },
      el("summary", { "data-row": p.name },
        el("span", { class: `severity ${p.severity}` }, p.severity),
        el("span", { class: "what" }, el("b", {}, p.name), el("span", {}, p.title)),
        el("span", { class: "mono cve", title: p.cve.join(", ") }, p.cve[0] ?? "", p.cve.length > 1 && el("small", {}, ` +${p.cve.length - 1}`)),
        el("span", { class: p.mode === "On" ? "mode on" : "mode detection" }, p.mode === "On" ? "Blocking" : "Detecting"),
        state(p)),
      el("dl", { class: "facts wide" },
        [["CVE", p.cve.join(", ")], ["Product", p.product], ["Affected", p.affected], ["Site", p.site], ["Owner", p.owner], ["Written", p.created], ["Review by", p.review_by]]
          .filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
      el("p", {}, el("b", {}, "Blocks "), p.blocks),
      p.misses && el("p", {}, el("b", {}, "Misses "), p.misses),
      p.references.length > 0 && el("ul", { class: "plain references" }, p.references.map((r) => el("li", { class: "mono" }, r))));
  }
}
