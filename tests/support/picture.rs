//! Draws a dashboard from what Prometheus answers, as SVG: the places, titles and legends are the dashboard's, the
//! curves are real; the looks are ours.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use super::dashboards::{Dashboard, Kind, Panel};
use std::fmt::Write;

/// A series: its legend, and its points in time.
pub struct Series {
    pub legend: String,
    pub points: Vec<(f64, f64)>,
}

impl Series {
    fn last(&self) -> Option<(f64, f64)> {
        self.points.last().copied()
    }

    fn most(&self) -> f64 {
        self.points.iter().map(|p| p.1).filter(|v| v.is_finite()).fold(0.0, f64::max)
    }

    /// Its value at about that time; 0 where it has none.
    fn at(&self, time: f64) -> f64 {
        self.points.iter().find(|p| (p.0 - time).abs() < 0.5).map_or(0.0, |p| p.1)
    }
}

const COLUMN: f64 = 50.0;
const ROW: f64 = 30.0;
const TOP: f64 = 66.0;
const MARGIN: f64 = 12.0;
/// Colours of series in their order.
const COLOURS: usize = 10;
/// No line is drawn over a longer time without a value, in seconds.
const GAP: f64 = 4.0;

const STYLE: &str = "\
text { font: 11px system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; fill: #1f2328 }
.h1 { font-size: 20px; font-weight: 600 } .h2 { font-size: 13px; font-weight: 600 }
.title { font-size: 12px; font-weight: 600 } .number { font-size: 30px; font-weight: 600 }
.quiet { fill: #656d76; font-size: 10px } .wide { font-size: 12px }
.page { fill: #f4f5f7 } .panel { fill: #ffffff; stroke: #dfe3e8 } .track { fill: #eff1f4 } .heat { fill: #d9622b }
.grid { stroke: #eceff2 } .base { stroke: #c9d0d8 } polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round }
polygon { stroke: none; fill-opacity: .72 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9198a1 } .page { fill: #0d1117 } .panel { fill: #161b22; stroke: #2a313a }
  .track { fill: #21272f } .grid { stroke: #232a33 } .base { stroke: #3d444d } .heat { fill: #f0883e }
}
";

/// A light and a dark shade of each.
const SHADES: [(&str, &str); COLOURS] = [
    ("#2f6fd0", "#5b9bf5"),
    ("#d9822b", "#f0a04b"),
    ("#2a9168", "#3fb68b"),
    ("#b8433a", "#f0736a"),
    ("#7c53c3", "#a98ae8"),
    ("#178ea1", "#39bcd0"),
    ("#a8921a", "#d4bb3e"),
    ("#c2478a", "#ec7ab8"),
    ("#6b7a8f", "#93a3b8"),
    ("#7a5230", "#b98a60"),
];

/// The dashboard with the data of each of its panels, between two times.
pub fn draw(dashboard: &Dashboard, data: &[Vec<Series>], (from, to): (f64, f64)) -> String {
    let places = dashboard.places();
    let bottom = places.iter().map(|(_, [_, y, _, h])| y + h).max().unwrap_or(0);
    let (width, height) = (24.0 * COLUMN + 2.0 * MARGIN, TOP + f64::from(bottom) * ROW + MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{}\">\n<style>\n{STYLE}",
        escape(dashboard.title)
    );
    for (dark, wrap) in [(false, ("", "")), (true, ("@media (prefers-color-scheme: dark) {\n", "}\n"))] {
        out.push_str(wrap.0);
        for (index, shades) in SHADES.iter().enumerate() {
            let shade = if dark { shades.1 } else { shades.0 };
            let _ = writeln!(out, ".f{index} {{ fill: {shade} }} .s{index} {{ stroke: {shade} }}");
        }
        out.push_str(wrap.1);
    }
    let _ = writeln!(out, "</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>");
    text(&mut out, "h1", (MARGIN + 4.0, 30.0), "start", dashboard.title);
    let about = format!(
        "Drawn by a test from what Prometheus answered to the panels’ queries: {:.0} seconds of made-up traffic and \
         attacks. Not a screenshot of Grafana.",
        to - from
    );
    text(&mut out, "quiet", (MARGIN + 4.0, 50.0), "start", &about);
    for (title, y) in dashboard.headings() {
        text(&mut out, "h2", (MARGIN + 4.0, TOP + f64::from(y) * ROW + 21.0), "start", title);
    }
    for ((panel, [x, y, w, h]), series) in places.into_iter().zip(data) {
        let area = Area {
            x: MARGIN + f64::from(x) * COLUMN + 4.0,
            y: TOP + f64::from(y) * ROW + 4.0,
            w: f64::from(w) * COLUMN - 8.0,
            h: f64::from(h) * ROW - 8.0,
        };
        one(&mut out, panel, area, series, (from, to));
    }
    out.push_str("</svg>\n");
    out
}

#[derive(Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

fn one(out: &mut String, panel: &Panel, area: Area, series: &[Series], time: (f64, f64)) {
    let Area { x, y, w, h } = area;
    let _ =
        writeln!(out, "<rect class=\"panel\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"4\"/>");
    text(out, "title", (x + 12.0, y + 20.0), "start", &fit(panel.title, w - 24.0, 12.0));
    match panel.kind {
        Kind::Number => {
            let last = series.first().and_then(Series::last);
            let value = last.map_or("no data".to_owned(), |p| value(p.1, panel.unit));
            text(out, "number", (x + 12.0, y + h - 28.0), "start", &value);
        }
        Kind::Bars => bars(out, panel, area, series),
        Kind::Heat => heat(out, area, series, time),
        Kind::Lines | Kind::Stack => lines(out, panel, area, series, time),
    }
}

fn bars(out: &mut String, panel: &Panel, Area { x, y, w, h }: Area, series: &[Series]) {
    // What has left the list since is not shown.
    let newest = series.iter().filter_map(Series::last).map(|p| p.0).fold(0.0, f64::max);
    let mut rows: Vec<(&str, f64)> = series
        .iter()
        .filter_map(|s| s.last().filter(|p| p.0 >= newest).map(|p| (s.legend.as_str(), p.1)))
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = rows.iter().map(|r| r.1).fold(f64::MIN_POSITIVE, f64::max);
    let step = ((h - 42.0) / rows.len().max(1) as f64).min(22.0);
    let longest = rows.iter().map(|r| r.0.chars().count()).max().unwrap_or(0) as f64;
    let label = (longest * 7.0 + 12.0).min(w * 0.48);
    let (left, room) = (x + 12.0 + label, w - 24.0 - label - 56.0);
    for (index, (name, n)) in rows.iter().enumerate() {
        let top = y + 34.0 + step * index as f64;
        text(out, "plain", (x + 12.0, top + step * 0.68), "start", &fit(name, label - 6.0, 11.0));
        for (class, long) in [("track", room), ("f0", room * n / most)] {
            let _ = writeln!(
                out,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{long:.1}\" height=\"{:.1}\" rx=\"2\"/>",
                top + step * 0.18,
                step * 0.64,
            );
        }
        text(out, "plain", (x + w - 12.0, top + step * 0.68), "end", &value(*n, panel.unit));
    }
}

/// A round number, at least a quarter of `most`: the distance of the lines of a grid.
fn step(most: f64) -> f64 {
    let rough = most / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power).find(|n| *n >= rough * 0.999).unwrap_or(rough)
}

/// The drawing area of a course up to `most`, with its axes; without a unit, the one of time alone.
fn axes(
    out: &mut String,
    Area { x, y, w, h }: Area,
    most: f64,
    unit: Option<&str>,
    time: (f64, f64),
) -> Area {
    let inner = Area { x: x + 62.0, y: y + 34.0, w: w - 78.0, h: h - 34.0 - 46.0 };
    if let Some(unit) = unit {
        let distance = step(most);
        let lines = (most / distance + 1e-6).floor() as usize;
        for part in 0..=lines {
            let level = distance * part as f64;
            let at = inner.y + inner.h * (1.0 - level / most);
            let class = if part == 0 { "base" } else { "grid" };
            let _ = writeln!(
                out,
                "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>",
                inner.x,
                inner.x + inner.w
            );
            text(out, "quiet", (inner.x - 8.0, at + 3.5), "end", &value(level, unit));
        }
    }
    let long = (time.1 - time.0).max(1.0);
    let every = [5.0, 10.0, 15.0, 20.0, 30.0, 60.0].into_iter().find(|n| long / n <= inner.w / 60.0);
    let every = every.unwrap_or(60.0);
    let mut seconds = 0.0;
    while seconds <= long {
        let at = inner.x + inner.w * seconds / long;
        text(out, "quiet", (at, inner.y + inner.h + 15.0), "middle", &format!("{seconds:.0} s"));
        seconds += every;
    }
    inner
}

fn lines(out: &mut String, panel: &Panel, area: Area, series: &[Series], time: (f64, f64)) {
    let stacked = panel.kind == Kind::Stack;
    let mut times: Vec<f64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
    times.sort_by(f64::total_cmp);
    times.dedup_by(|a, b| (*a - *b).abs() < 0.5);
    // Where no series has a value, a stack is empty.
    let gaps: Vec<f64> =
        times.windows(2).filter(|w| w[1] - w[0] > 1.5).flat_map(|w| [w[0] + 1.0, w[1] - 1.0]).collect();
    times.extend(gaps);
    times.sort_by(f64::total_cmp);
    let most = if stacked {
        times.iter().map(|t| series.iter().map(|s| s.at(*t)).sum::<f64>()).fold(0.0, f64::max)
    } else {
        series.iter().map(Series::most).fold(0.0, f64::max)
    };
    let most = if most > 0.0 { most * 1.06 } else { 1.0 };
    // A share is of one.
    let most = if panel.unit == "percentunit" { most.min(1.0) } else { most };
    let inner = axes(out, area, most, Some(panel.unit), time);
    let px = |t: f64| inner.x + inner.w * ((t - time.0) / (time.1 - time.0)).clamp(0.0, 1.0);
    let py = |v: f64| inner.y + inner.h * (1.0 - (v / most).clamp(0.0, 1.0));
    let mut floor = vec![0.0; times.len()];
    for (index, s) in series.iter().enumerate() {
        let colour = colour(&s.legend, index);
        if stacked {
            let top: Vec<f64> = times.iter().zip(&floor).map(|(t, below)| below + s.at(*t)).collect();
            let up = times.iter().zip(&top).map(|(t, v)| format!("{:.1},{:.1}", px(*t), py(*v)));
            let down = times.iter().zip(&floor).rev().map(|(t, v)| format!("{:.1},{:.1}", px(*t), py(*v)));
            let path: Vec<String> = up.chain(down).collect();
            let _ = writeln!(out, "<polygon class=\"f{colour}\" points=\"{}\"/>", path.join(" "));
            floor = top;
            continue;
        }
        let points: Vec<_> = s.points.iter().filter(|p| p.1.is_finite()).collect();
        for part in points.chunk_by(|a, b| b.0 - a.0 <= GAP) {
            let path: Vec<String> =
                part.iter().map(|(t, v)| format!("{:.1},{:.1}", px(*t), py(*v))).collect();
            let _ = writeln!(out, "<polyline class=\"s{colour}\" points=\"{}\"/>", path.join(" "));
        }
    }
    legend(out, area, series);
}

/// The shade of a series: its own where its name has a meaning that a colour carries, or else by its order.
fn colour(legend: &str, index: usize) -> usize {
    let own = OWN.iter().find(|(name, _)| *name == legend);
    own.map_or(index % COLOURS, |(_, colour)| *colour)
}

/// Of [`SHADES`]: what passes is green, what is blocked red.
const OWN: [(&str, usize); 10] = [
    ("passed", 2),
    ("detected", 1),
    ("blocked", 3),
    ("refused", 4),
    ("failed", 9),
    ("abandoned", 8),
    ("2xx", 2),
    ("3xx", 0),
    ("4xx", 1),
    ("5xx", 3),
];

/// The series with the greatest values first, as many as there is room for.
fn legend(out: &mut String, area: Area, series: &[Series]) {
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by(|a, b| series[*b].most().total_cmp(&series[*a].most()));
    let (mut x, y) = (area.x + 12.0, area.y + area.h - 10.0);
    for (place, index) in order.iter().enumerate() {
        let room = area.x + area.w - 12.0 - x;
        let name = fit(&series[*index].legend, 190.0, 10.0);
        let long = name.chars().count() as f64 * 5.6 + 26.0;
        let rest = series.len() - place;
        if long + if rest > 1 { 24.0 } else { 0.0 } > room && rest > 0 {
            text(out, "quiet", (x, y), "start", &format!("+{rest}"));
            return;
        }
        let _ = writeln!(
            out,
            "<rect class=\"f{}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"4\" rx=\"2\"/>",
            colour(&series[*index].legend, *index),
            y - 6.0
        );
        text(out, "quiet", (x + 14.0, y), "start", &name);
        x += long;
    }
}

/// Buckets are cumulative; what is drawn is what each holds by itself.
fn heat(out: &mut String, area: Area, series: &[Series], time: (f64, f64)) {
    let inner = axes(out, area, 1.0, None, time);
    let bound = |s: &Series| if s.legend == "+Inf" { f64::INFINITY } else { s.legend.parse().unwrap_or(0.0) };
    let mut buckets: Vec<&Series> = series.iter().collect();
    buckets.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
    let tall = inner.h / buckets.len().max(1) as f64;
    let mut cells = Vec::new();
    for (index, bucket) in buckets.iter().enumerate() {
        let below = index.checked_sub(1).and_then(|i| buckets.get(i));
        for (t, v) in &bucket.points {
            cells.push((index, *t, (v - below.map_or(0.0, |b| b.at(*t))).max(0.0)));
        }
        let top = inner.y + inner.h - tall * (index as f64 + 1.0);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            inner.x,
            top + tall,
            inner.x + inner.w,
            top + tall
        );
        text(out, "quiet", (inner.x - 8.0, top + tall / 2.0 + 3.5), "end", &bucket.legend);
    }
    let most = cells.iter().map(|c| c.2).fold(f64::MIN_POSITIVE, f64::max);
    let wide = inner.w / (time.1 - time.0).max(1.0);
    for (index, t, n) in cells.into_iter().filter(|c| c.2 > 0.05) {
        // Few requests show beside many.
        let depth = ((1.0 + n).ln() / (1.0 + most).ln()).clamp(0.08, 1.0);
        let left = inner.x + inner.w * (t - time.0) / (time.1 - time.0) - wide;
        let top = inner.y + inner.h - tall * (index as f64 + 1.0);
        let _ = writeln!(
            out,
            "<rect class=\"heat\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\" fill-opacity=\"{depth:.2}\"/>",
            left.max(inner.x)
        );
    }
    let about = "requests by their score, up to; darker: more (logarithmic)";
    text(out, "quiet", (area.x + 12.0, area.y + area.h - 10.0), "start", about);
}

fn text(out: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, what: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escape(what)
    );
}

fn fit(text: &str, width: f64, size: f64) -> String {
    let room = (width / (size * 0.56)) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A number with its unit, as short as can be.
fn value(n: f64, unit: &str) -> String {
    if !n.is_finite() {
        return "–".to_owned();
    }
    let short = |n: f64| match n.abs() {
        0.0 => "0".to_owned(),
        a if a >= 1_000_000.0 => format!("{:.1} M", n / 1e6),
        a if a >= 10_000.0 => format!("{:.1} k", n / 1e3),
        a if a >= 100.0 => format!("{n:.0}"),
        a if a >= 10.0 => trimmed(format!("{n:.1}")),
        _ => trimmed(format!("{n:.2}")),
    };
    match unit {
        "percentunit" => format!("{} %", trimmed(format!("{:.1}", n * 100.0))),
        "s" => match n.abs() {
            0.0 => "0".to_owned(),
            a if a < 0.001 => format!("{} µs", short(n * 1e6)),
            a if a < 1.0 => format!("{} ms", short(n * 1e3)),
            _ => format!("{} s", short(n)),
        },
        "bytes" | "Bps" => {
            let end = if unit == "Bps" { "/s" } else { "" };
            match n.abs() {
                0.0 => "0".to_owned(),
                a if a >= 1_000_000.0 => format!("{} MB{end}", short(n / 1e6)),
                a if a >= 1_000.0 => format!("{} kB{end}", short(n / 1e3)),
                _ => format!("{} B{end}", short(n)),
            }
        }
        "reqps" if n == 0.0 => "0".to_owned(),
        "reqps" => format!("{}/s", short(n)),
        _ => short(n),
    }
}

/// Without zeros behind the point.
fn trimmed(number: String) -> String {
    if number.contains('.') {
        return number.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    number
}
