// A site's candidate ruleset: what it would have done otherwise, and making it the one that decides.

import { post } from "./api.js";
import { el, replace } from "./dom.js";
import { ago, exact, number, share } from "./words.js";

const MIN_REQUESTS = 1_000, MAX_NEW_BLOCKS = 0.001;

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

// The section of a site's card; `done` is called when something has changed.
export function candidate(frame, shadow, done) {
  const { seen } = shadow;
  const count = (name, value, kind, below) => el("div", { class: kind },
    el("dt", {}, name), el("dd", {}, number(value), below && el("small", {}, below)));
  const weight = (n) => seen.decided > 0 && n > 0 && share(n, seen.decided);
  return el("div", { class: "candidate" },
    el("header", {}, el("h3", {}, "Candidate ruleset"),
      el("span", { class: "hint" }, `${exact(shadow.rules)} rules, tried on ${share(shadow.sample, 1)} of the requests since `, ago(seen.since)),
      frame.access === "change" && el("button", { type: "button", class: "button small", onclick: () => ask(frame, shadow, done) }, "Promote…")),
    el("dl", { class: "facts" },
      count("Tried", seen.decided), count("Newly blocked", seen.newly_blocked, seen.newly_blocked > 0 ? "is-worse" : "", weight(seen.newly_blocked)),
      count("No longer blocked", seen.newly_passed, seen.newly_passed > 0 ? "is-other" : "", weight(seen.newly_passed)),
      count("Undecided", seen.undecided, "", seen.undecided > 0 && "a body was missing"), count("Dropped", seen.dropped)),
    shadow.alarms.length > 0 && el("div", { class: "alarm" }, el("ul", {}, shadow.alarms.map((a) => el("li", {}, a)))));
}

// Asks before it is done, with the evidence; a refusal says why, and whether it can be forced.
function ask(frame, shadow, done) {
  const { site, seen } = shadow;
  const enough = seen.decided >= MIN_REQUESTS, few = seen.new_blocks <= MAX_NEW_BLOCKS;
  const said = el("p", { class: "problem", role: "alert" });
  const close = () => dialog.close();
  const go = el("button", { type: "button", class: "button main", onclick: () => promote(false) }, "Promote");
  const force = el("button", { type: "button", class: "button danger", hidden: true, onclick: () => promote(true) }, "Promote all the same");
  const dialog = el("dialog", { class: "keys ask", "aria-labelledby": "ask-title", onclose: () => dialog.remove() },
    el("h2", { id: "ask-title" }, `Let the candidate decide for ${site}?`),
    el("p", {}, "It becomes the site's ruleset in the configuration file, of which a copy is kept, and is at work from then on."),
    el("ul", { class: "checks" },
      el("li", { class: enough ? "up" : "down" }, `${exact(seen.decided)} of ${exact(MIN_REQUESTS)} requests tried`),
      el("li", { class: few ? "up" : "down" }, `${share(seen.newly_blocked, seen.decided)} newly blocked; at most ${share(MAX_NEW_BLOCKS, 1)} are allowed`)),
    said,
    el("div", { class: "buttons" }, el("button", { type: "button", class: "button", onclick: close }, "Cancel"), force, go));

  async function promote(forced) {
    go.disabled = force.disabled = true;
    try {
      const answer = await post(`/api/promote?site=${encodeURIComponent(site)}${forced ? "&force=true" : ""}`);
      if (answer.result === "promoted") {
        frame.tell(`The candidate decides for ${site} now, in generation ${answer.generation}`);
        close();
        done();
        return;
      }
      replace(said, sentence(answer.error), answer.change && el("pre", { class: "code" }, answer.change));
      force.hidden = !answer.forcible;
      go.hidden = answer.forcible;
    } catch (error) {
      replace(said, error.message);
    }
    go.disabled = force.disabled = false;
    (force.hidden ? go : force).focus();
  }

  document.body.append(dialog);
  dialog.showModal();
}
