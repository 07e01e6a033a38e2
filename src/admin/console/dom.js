// Building the page. Text becomes text nodes and nothing else, so that no string can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "width%") node.style.width = `${value}%`;
    else if (name === "left%") node.style.left = `${value}%`;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : visible(String(child)));
  }
  return node;
}

export const el = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
export const svg = (tag, properties, ...children) =>
  fill(document.createElementNS(SVG, tag), properties, children);
export const replace = (node, ...children) => {
  node.replaceChildren();
  return fill(node, {}, children);
};

// Characters that are not seen, or that change how others are seen: controls, zero-width characters, and those that
// turn the direction of writing.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

// The text with such characters written out.
export const visible = (text) =>
  text.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

// The icon of a button: one stroke, 16 units wide.
export const icon = (path) =>
  svg("svg", { viewBox: "0 0 16 16", class: "glyph", "aria-hidden": "true" }, svg("path", { d: path }));

export const ICONS = {
  auto: "M8 1.8a6.2 6.2 0 1 0 0 12.4zM8 1.8a6.2 6.2 0 0 1 0 12.4",
  light: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1v1.4M8 13.6V15M1 8h1.4M13.6 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  dark: "M13.6 9.6A6 6 0 0 1 6.4 2.4a6 6 0 1 0 7.2 7.2",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
};

// Clipboards are given to secure contexts only: HTTPS, and this machine.
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// Elsewhere the text is selected, and the browser asked to copy the selection. It stands beside the button, since
// nothing outside an open dialog can have the focus.
function copySelected(button, text) {
  const area = el("textarea", { class: "unseen", readonly: true, "aria-label": "What is copied" });
  area.value = text;
  button.after(area);
  area.focus({ preventScroll: true });
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  button.focus({ preventScroll: true });
  return copied;
}

// A button that copies what `text` gives.
export function copyButton(label, text, tell) {
  const copy = async ({ currentTarget }) => {
    const copied = (await toClipboard(text())) || copySelected(currentTarget, text());
    tell(copied ? `Copied ${label}` : "The browser does not let this page copy; select the text instead");
  };
  return el("button", { type: "button", class: "copy", title: `Copy ${label}`, onclick: copy },
    icon(ICONS.copy), el("span", {}, "Copy"));
}
