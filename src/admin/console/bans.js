// Clients that are banned: why, until when; and the end of it for whoever may change things.

import { get, post } from "./api.js";
import { el, replace } from "./dom.js";
import { ago, exact, plural } from "./words.js";

export class Bans {
  constructor(frame) {
    this.frame = frame;
    this.summary = el("p", { class: "hint" });
    this.body = el("div", { class: "card list" });
    this.node = el("div", { class: "bans" },
      el("header", { class: "heading" }, el("h1", {}, "Bans"), this.summary), this.body);
  }

  async load() {
    try {
      const [{ bans }, posture] = await Promise.all([get("/api/bans"), get("/api/overview")]);
      this.loaded = Date.now();
      this.draw(bans, posture.sites.length > 1);
    } catch (error) {
      this.frame.failed(error);
    }
  }

  // A ban begins with a request and ends by itself.
  tick() {
    if (Date.now() - this.loaded > 5_000) this.load();
  }

  async lift(client, button) {
    button.disabled = true;
    try {
      const { lifted } = await post(`/api/bans/lift?client=${encodeURIComponent(client)}`);
      this.frame.tell(lifted.length ? `${client} may come back` : `${client} was not banned any more`);
    } catch (error) {
      this.frame.failed(error);
    }
    this.load();
  }

  draw(bans, severalSites) {
    const may = this.frame.access === "change";
    const told = bans.filter((ban) => !ban.enforced).length;
    replace(this.summary, bans.length === 0 ? "" : plural(bans.length, "client"), told > 0 && `, ${told} only told because of the mode`,
      !may && bans.length > 0 && [". Read-only: lifting one needs ", el("code", {}, "admin.token")]);
    const focused = document.activeElement?.dataset?.row;
    if (bans.length === 0) {
      replace(this.body, el("div", { class: "empty tall" }, el("strong", {}, "Nobody is banned"),
        el("p", {}, "Who is blocked again and again can be kept out for a while, longer each time:"),
        el("pre", { class: "code" }, "bans:\n  count: blocks\n  threshold: 10\n  period: 10m\n  duration: 15m\n")));
      return;
    }
    const heads = ["Client", "State", ...(severalSites ? ["Site"] : []), "Since", "Ends", "Times", ...(may ? [""] : [])];
    replace(this.body, el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", class: head === "Times" ? "n" : "" }, head)))),
      el("tbody", {}, bans.map((ban) => el("tr", {},
        el("td", { class: "mono" }, el("a", { href: `#/transactions?client=${encodeURIComponent(ban.client)}`, "data-row": ban.client }, ban.client)),
        el("td", {}, el("span", { class: ban.enforced ? "mode off" : "mode detection" }, ban.enforced ? "Kept out" : "Only told")),
        severalSites && el("td", {}, ban.site),
        el("td", {}, ago(ban.since)), el("td", {}, ago(ban.until)),
        el("td", { class: "n", title: "How often it was banned lately; each ban is longer than the one before" }, exact(ban.number)),
        may && el("td", { class: "n" }, el("button", {
          type: "button", class: "button small", "aria-label": `Lift the ban of ${ban.client}`,
          onclick: (event) => this.lift(ban.client, event.currentTarget),
        }, "Lift")))))));
    if (focused) this.body.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus();
  }
}
