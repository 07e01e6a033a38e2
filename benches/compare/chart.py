"""The chart of docs/performance.md: bars of CPU time on a logarithmic scale."""
import math
from html import escape

LEFT, WIDTH, RIGHT = 250, 480, 110
BAR, GAP, GROUP_GAP = 13, 2, 12
# Microseconds at the two ends.
LOW, HIGH = 10, 100_000

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.quiet { fill: #59636e }
.strong { font-weight: 600 }
.paper { fill: #ffffff }
.grid { stroke: #d1d9e0 }
.ours { fill: #1a7f5a } .off { fill: #7fbfa5 } .newest { fill: #c2571a } .debian { fill: #e3a47c } .nginx { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .quiet { fill: #9198a1 } .paper { fill: #0d1117 } .grid { stroke: #3d444d }
  .ours { fill: #3fb68b } .off { fill: #2a6f57 } .newest { fill: #e0763a } .debian { fill: #8f512e } .nginx { fill: #656c76 }
}
"""

ENGINES = [("newest", "libmodsecurity 3.0.15, JIT"), ("debian", "libmodsecurity of Debian"), ("ours", "Portcullis")]
PROXIES = [("newest", "nginx + libmodsecurity"), ("ours", "Portcullis + CRS"), ("off", "Portcullis, engine off"),
           ("nginx", "nginx, plain")]


def draw(engines, proxies, crs):
    """`engines` and `proxies` are groups of bars: a label and microseconds in the order of ENGINES and PROXIES."""
    out, y = [], 26
    out.append(text(12, y, f"CPU time for each request with OWASP CRS {crs}, logarithmic: ten times more at each line",
                    "title"))
    y = panel(out, y + 16, "In the engine alone", ENGINES, engines, legend=True)
    y = panel(out, y + 16, "In the whole proxy: W1, a GET of a browser", PROXIES, proxies, legend=False)
    width, height = LEFT + WIDTH + RIGHT, y + 8
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" aria-label="CPU time for each request, Portcullis and others">\n'
            f"<style>{STYLE}</style>\n"
            f'<rect class="paper" width="{width}" height="{height}" rx="6"/>\n' + "\n".join(out) + "\n</svg>\n")


def panel(out, y, title, kinds, groups, legend):
    out.append(text(12, y + 12, title, "strong"))
    if legend:
        x = LEFT
        for kind, name in kinds:
            out.append(f'<rect class="{kind}" x="{x}" y="{y + 3}" width="11" height="11" rx="2"/>')
            out.append(text(x + 16, y + 13, name, "quiet"))
            x += 30 + 6.4 * len(name)
    y += 26
    top = y
    bars = []
    for label, values in groups:
        height = len(values) * (BAR + GAP)
        if legend:
            place = y + height / 2 + 3
            bars += [text(12, place + at * 14 - (len(lines(label)) - 1) * 7, line) for at, line in enumerate(lines(label))]
        ours = values[[kind for kind, _ in kinds].index("ours")]
        for (kind, name), value in zip(kinds, values):
            length = max(1, (math.log10(value) - math.log10(LOW)) / (math.log10(HIGH) - math.log10(LOW)) * WIDTH)
            bars.append(f'<rect class="{kind}" x="{LEFT}" y="{y:g}" width="{length:.1f}" height="{BAR}" rx="2"/>')
            if not legend:
                bars.append(text(12, y + 11, name))
            told = f"{value / 1000:.1f} ms" if value >= 1000 else f"{value:.0f} µs"
            if kind == "newest":
                told += f", {value / ours:.0f} times ours"
            bars.append(text(LEFT + length + 6, y + 11, told, "strong" if kind == "ours" else "quiet"))
            y += BAR + GAP
        y += GROUP_GAP
    value = LOW
    while value <= HIGH:
        x = LEFT + math.log10(value / LOW) / math.log10(HIGH / LOW) * WIDTH
        out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 4}" y2="{y - GROUP_GAP + 4:g}"/>')
        out.append(text(x, y + 6, f"{value // 1000} ms" if value >= 1000 else f"{value} µs", "quiet", "middle"))
        value *= 10
    out += bars
    return y + 12


def lines(label):
    """A label in lines that fit beside the bars."""
    found = [""]
    for word in label.split(" "):
        if len(found[-1]) + len(word) > 34:
            found.append("")
        found[-1] = (found[-1] + " " + word).strip()
    return found


def text(x, y, what, kind="", anchor="start"):
    kind = f' class="{kind}"' if kind else ""
    anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}"{anchor}>{escape(what)}</text>'
