// One transaction, explained, in a sheet beside the view that it was opened from.

import { get, Refused } from "./api.js";
import { copyButton, el, icon, ICONS, replace } from "./dom.js";
import { absolute, category, exact, plural, relative } from "./words.js";

const section = (title, ...children) => el("section", {}, el("h3", {}, title), children);
const fact = (name, ...value) => value.flat().some((v) => v) && el("div", {}, el("dt", {}, name), el("dd", {}, value));

// A value in pieces, of which those that matched are marked.
const pieces = (list) => el("bdi", { class: "value" }, list.map((piece) =>
  piece.match ? el("mark", {}, piece.text) : piece.redacted ? el("span", { class: "hidden" }, piece.text) : piece.text));

// The same from a text and the bytes of it that matched.
function marked(text, range) {
  if (!range) return pieces([{ text }]);
  const bytes = new TextEncoder().encode(text), decoder = new TextDecoder();
  const part = (from, to) => decoder.decode(bytes.slice(from, to));
  const list = [
    { text: part(0, range[0]) }, { text: part(...range), match: true }, { text: part(range[1], bytes.length) },
  ];
  return pieces(list.filter((piece) => piece.text));
}

let turn = 0;

export async function openTransaction(sheet, id, frame) {
  const mine = ++turn;
  const close = el("button", { type: "button", class: "icon", "aria-label": "Close", title: "Close (Esc)", onclick: () => sheet.close() }, icon(ICONS.close));
  replace(sheet, el("header", {}, el("h2", { id: "sheet-title" }, "Transaction"), close), el("div", { class: "waiting" }, "Looking it up"));
  if (!sheet.open) sheet.showModal();
  let found;
  try {
    found = await get(`/api/transactions/${encodeURIComponent(id)}`);
  } catch (error) {
    if (mine !== turn) return;
    const gone = error instanceof Refused && error.status === 404;
    if (!gone) frame.failed(error);
    replace(sheet, el("header", {}, el("h2", { id: "sheet-title" }, "Not in memory"), close),
      el("div", { class: "empty tall" }, el("p", {}, "This transaction is not, or no longer, among the recent ones."),
        el("p", {}, "If it was recorded, the audit log explains it:"),
        el("pre", { class: "code" }, `portcullis explain ${id}`)));
    return;
  }
  if (mine !== turn) return;
  const explained = el("div", {});
  draw(sheet, found, explained, close, frame);
  if (!found.explained) {
    replace(explained, matchedRules(found.record));
    return;
  }
  try {
    const explanation = await get(`/api/explain/${encodeURIComponent(id)}`);
    if (mine === turn) replace(explained, explain(explanation, frame));
  } catch {
    if (mine === turn) replace(explained, matchedRules(found.record));
  }
}

function draw(sheet, { summary: t, record, is_cut: isCut }, explained, close, frame) {
  const kind = category(t.category);
  const why = { blocked: "Blocked", detected: "Would have been blocked", passed: "Passed", refused: "Refused", failed: "Failed", abandoned: "The client left" }[t.outcome];
  const moment = new Date(t.time);
  const filter = (name, value) => el("a", { href: `#/transactions?${name}=${encodeURIComponent(value)}` }, value);
  replace(sheet,
    el("header", {}, el("div", {},
      el("h2", { id: "sheet-title" }, why, kind && `: ${kind}`),
      el("p", { class: "identity" }, el("code", {}, t.id), copyButton("the id", () => t.id, frame.tell))), close),
    el("div", { class: "body" },
      el("pre", { class: "code asked" }, el("b", {}, record.request.method), " ", el("bdi", {}, record.request.uri), el("span", { class: "hint" }, ` ${record.request.protocol}`)),
      t.threshold > 0 && meter(t.score, t.threshold, t.outcome),
      el("dl", { class: "facts" },
        fact("When", absolute(moment), el("small", {}, relative(moment))),
        fact("Client", t.client && filter("client", t.client)),
        fact("Site", t.site === "-" ? "none" : filter("site", t.site)),
        fact("Answered", t.status === 0 ? "nothing" : String(t.status), record.response.upstream_status && el("small", {}, `upstream ${record.response.upstream_status}`)),
        fact("Mode", record.mode), fact("Took", `${record.duration_ms} ms`),
        fact("Upstream", record.upstream?.address)),
      isCut && el("p", { class: "note" }, "The request is too large to be kept in memory: its rules are named here, and the audit log has the rest."),
      replace(explained, el("div", { class: "waiting" }, "Explaining")),
      record.events?.length > 0 && section("What else happened", el("ul", { class: "plain" },
        record.events.map((e) => el("li", {}, el("code", {}, e.kind), " ", e.detail)))),
      headers("Request headers", record.request.headers), headers("Upstream's headers", record.response.headers),
      el("details", {}, el("summary", { "data-row": "record" }, "Audit record"),
        el("pre", { class: "code" }, JSON.stringify(record, null, 2)),
        copyButton("the record", () => JSON.stringify(record), frame.tell))));
}

function headers(title, list) {
  return list?.length > 0 && el("details", {}, el("summary", { "data-row": title }, title, el("span", { class: "hint" }, ` ${list.length}`)),
    el("dl", { class: "headers" }, list.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, el("bdi", {}, value))))));
}

function meter(total, threshold, outcome) {
  const most = Math.max(total, threshold) * 1.15;
  return el("div", { class: `meter ${outcome}`, role: "img", "aria-label": `Score ${total}, blocked from ${threshold}` },
    el("div", { class: "track" },
      el("div", { class: "level", "width%": Math.max(0, Math.min(100, (100 * total) / most)) }),
      el("div", { class: "limit", "left%": (100 * threshold) / most })),
    el("span", {}, "Score ", el("b", {}, exact(total)), ` against a threshold of ${exact(threshold)}`));
}

// From the audit record alone: what it names, without what rules are for and without an exclusion.
function matchedRules(record) {
  const rules = (record.rules ?? []).map((rule) => card({
    ...rule,
    matches: rule.variable ? [{ variable: rule.variable, value: marked(rule.value ?? "", rule.match), steps: [] },
      ...(rule.further ?? []).map((m) => ({ variable: m.variable, value: marked(m.value, m.match), steps: [] }))] : [],
  }));
  return section("What matched", rules.length === 0 ? el("p", { class: "empty" }, "No rule that logs has matched.") : el("ol", { class: "rules" }, rules));
}

function card(rule) {
  const points = rule.score ? el("b", { class: "points", title: rule.counted === false ? "not counted: its paranoia level is only watched" : "added to the score" }, rule.counted === false ? `(+${rule.score})` : `+${rule.score}`) : null;
  return el("li", { class: "rule" },
    el("header", {}, el("a", { class: "number", href: `#/transactions?rule=${rule.id}` }, String(rule.id)),
      el("span", { class: "what" }, rule.message || "No message"),
      rule.severity && el("span", { class: `severity ${rule.severity.toLowerCase()}` }, rule.severity.toLowerCase()), points),
    rule.purpose && el("p", { class: "purpose" }, rule.purpose),
    told(rule.matches).map((m, at, all) => el("div", { class: "match" },
      m.operator && m.operator !== all[at - 1]?.operator && el("p", { class: "operator" }, "and ", el("code", {}, m.operator)),
      el("code", { class: "variable" }, m.variable),
      m.received && m.steps.length > 0 && el("div", { class: "step" }, el("span", {}, "as received"), pieces(m.received)),
      m.steps.filter((s) => s.value).map((s) => el("div", { class: "step" }, el("span", {}, s.transformation), pieces(s.value))),
      m.decoded && el("div", { class: "step" }, el("span", {}, "shown by undoing"), m.decoded.join(" → ")),
      m.value instanceof Node ? m.value : pieces(m.value))),
    el("p", { class: "operator" }, el("code", {}, rule.operator), el("span", {}, `${rule.file.split("/").at(-1)}:${rule.line}`)));
}

// What a chain goes on with has been shown where it came from, unless it was decoded there.
function told(matches) {
  const own = matches.filter((m) => !m.variable.startsWith("MATCHED_VAR") || m.decoded);
  return own.length > 0 ? own : matches;
}

function explain(x, frame) {
  const proposal = x.proposal;
  return [
    el("p", { class: "told" }, x.decision.told),
    x.remedy && el("p", { class: "note" }, x.remedy),
    x.rules.length > 0 && section("What matched", el("ol", { class: "rules" }, x.rules.map(card)),
      x.bookkeeping?.length > 0 && el("p", { class: "hint" }, `${x.bookkeeping.join(", ")} only compare or tell the score.`)),
    x.others?.length > 0 && el("details", {}, el("summary", { "data-row": "others" }, "Matched without scoring", el("span", { class: "hint" }, ` ${x.others.length}`)),
      el("ol", { class: "rules" }, x.others.map(card))),
    proposal && section("If this was legitimate",
      el("p", {}, `The narrowest exclusion that lets it pass: ${plural(proposal.exclusions.length, "rule")}. `,
        el("span", { class: proposal.proof.proven ? "proven" : "unproven" }, proposal.proof.told)),
      proposal.warnings.map((warning) => el("p", { class: "note" }, warning)),
      tabs({ SecLang: proposal.seclang, YAML: proposal.yaml }, frame)),
    (x.basis?.gaps?.length > 0 || x.basis?.missing?.length > 0) && el("details", {}, el("summary", { "data-row": "basis" }, "What this rests on"),
      el("ul", { class: "plain" }, x.basis.gaps.map((gap) => el("li", {}, gap)),
        x.basis.missing.length > 0 && el("li", {}, `Matched then and not now: ${x.basis.missing.join(", ")}`),
        x.basis.surplus.length > 0 && el("li", {}, `Match now and did not then: ${x.basis.surplus.join(", ")}`))),
  ];
}

let chosen = "SecLang";

function tabs(texts, frame) {
  const body = el("pre", { class: "code exclusion", tabindex: "0" });
  const show = (name) => {
    chosen = name;
    replace(body, texts[name]);
  };
  show(chosen);
  return el("div", { class: "tabs" },
    el("header", {}, el("fieldset", { class: "segments" }, el("legend", { class: "unseen" }, "Syntax"),
      Object.keys(texts).map((name) => el("label", {}, el("input", { type: "radio", name: "syntax", value: name, checked: name === chosen, onchange: () => show(name) }), el("span", {}, name)))),
    copyButton("the exclusion", () => texts[chosen], frame.tell)), body);
}
