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

const COLUMN: f64 = 50.0;
const ROW: f64 = 30.0;
const TOP: f64 = 56.0;
const COLOURS: [&str; 10] = [
    "#3b7dd8", "#d9822b", "#2f9e6e", "#c0392b", "#8e5bd0", "#1aa3b8", "#b8a11a", "#d04f8f", "#6b7a8f",
    "#7a4f2a",
];

/// The dashboard with the data of each of its panels, between two times.
pub fn draw(dashboard: &Dashboard, data: &[Vec<Series>], from: f64, to: f64) -> String {
    let places = dashboard.places();
    let bottom = places.iter().map(|(_, [_, y, _, h])| y + h).max().unwrap_or(0);
    let (width, height) = (24.0 * COLUMN, TOP + f64::from(bottom) * ROW + 12.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#f4f5f7\"/>\n\
         <text x=\"10\" y=\"26\" font-size=\"18\" font-weight=\"bold\" fill=\"#24292e\">{}</text>\n\
         <text x=\"10\" y=\"45\" font-size=\"11\" fill=\"#5b6570\">Drawn by a test from what Prometheus answered to \
         the panels' queries: {:.0} seconds of made-up traffic and attacks. Not a screenshot of Grafana.</text>\n",
        escape(dashboard.title),
        to - from
    );
    for (title, y) in dashboard.headings() {
        let y = TOP + f64::from(y) * ROW + 21.0;
        let _ = writeln!(
            out,
            "<text x=\"10\" y=\"{y}\" font-size=\"13\" font-weight=\"bold\" fill=\"#24292e\">{}</text>",
            escape(title)
        );
    }
    for ((panel, [x, y, w, h]), series) in places.into_iter().zip(data) {
        let area = Area {
            x: f64::from(x) * COLUMN + 4.0,
            y: TOP + f64::from(y) * ROW + 3.0,
            w: f64::from(w) * COLUMN - 8.0,
            h: f64::from(h) * ROW - 6.0,
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
    let _ = writeln!(
        out,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"3\" fill=\"#ffffff\" stroke=\"#d8dce1\"/>"
    );
    text(out, x + 8.0, y + 17.0, 11.5, "#24292e", "start", &fit(panel.title, w - 16.0, 11.5));
    match panel.kind {
        Kind::Number => {
            let value = series
                .first()
                .and_then(|s| s.points.last())
                .map_or("no data".to_owned(), |p| value(p.1, panel.unit));
            text(out, x + w / 2.0, y + h / 2.0 + 20.0, 28.0, "#24292e", "middle", &value);
        }
        Kind::Bars => bars(out, panel, area, series),
        Kind::Heat => heat(out, area, series, time),
        Kind::Lines | Kind::Stack => lines(out, panel, area, series, time),
    }
}

fn bars(out: &mut String, panel: &Panel, Area { x, y, w, h }: Area, series: &[Series]) {
    // What has left the list since is not shown.
    let newest = series.iter().filter_map(|s| s.points.last()).map(|p| p.0).fold(0.0, f64::max);
    let series = series.iter().filter(|s| s.points.last().is_some_and(|p| p.0 >= newest));
    let mut rows: Vec<(&str, f64)> =
        series.filter_map(|s| Some((s.legend.as_str(), s.points.last()?.1))).collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = rows.iter().map(|r| r.1).fold(f64::MIN_POSITIVE, f64::max);
    let step = ((h - 34.0) / rows.len().max(1) as f64).min(22.0);
    let label = (w * 0.42).min(200.0);
    for (index, (name, n)) in rows.iter().enumerate() {
        let top = y + 28.0 + step * index as f64;
        let long = (w - label - 80.0) * n / most;
        text(out, x + label, top + step * 0.7, 10.0, "#24292e", "end", &fit(name, label - 10.0, 10.0));
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{long:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            x + label + 6.0,
            top + step * 0.15,
            step * 0.7,
            COLOURS[0]
        );
        text(
            out,
            x + label + 12.0 + long,
            top + step * 0.7,
            10.0,
            "#24292e",
            "start",
            &value(*n, panel.unit),
        );
    }
}

/// The drawing area of a course, with its axes.
fn axes(out: &mut String, Area { x, y, w, h }: Area, most: f64, unit: &str, time: (f64, f64)) -> Area {
    let inner = Area { x: x + 62.0, y: y + 28.0, w: w - 74.0, h: h - 28.0 - 46.0 };
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let at = inner.y + inner.h * (1.0 - share);
        let _ = writeln!(
            out,
            "<line x1=\"{:.1}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#e6e9ed\"/>",
            inner.x,
            inner.x + inner.w
        );
        if !unit.is_empty() {
            text(out, inner.x - 6.0, at + 3.5, 9.5, "#5b6570", "end", &value(most * share, unit));
        }
        let seconds = (time.1 - time.0) * share;
        text(
            out,
            inner.x + inner.w * share,
            inner.y + inner.h + 13.0,
            9.5,
            "#5b6570",
            "middle",
            &format!("{seconds:.0} s"),
        );
    }
    inner
}

fn lines(out: &mut String, panel: &Panel, area: Area, series: &[Series], time: (f64, f64)) {
    let stacked = panel.kind == Kind::Stack;
    let at =
        |points: &[(f64, f64)], t: f64| points.iter().find(|p| (p.0 - t).abs() < 0.5).map_or(0.0, |p| p.1);
    let mut times: Vec<f64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
    times.sort_by(f64::total_cmp);
    times.dedup_by(|a, b| (*a - *b).abs() < 0.5);
    let sum = |t: f64| series.iter().map(|s| at(&s.points, t)).sum::<f64>();
    let most = if stacked {
        times.iter().map(|t| sum(*t)).fold(0.0, f64::max)
    } else {
        series.iter().flat_map(|s| s.points.iter().map(|p| p.1)).filter(|v| v.is_finite()).fold(0.0, f64::max)
    };
    let most = if most > 0.0 { most * 1.1 } else { 1.0 };
    let inner = axes(out, area, most, panel.unit, time);
    let px = |t: f64| inner.x + inner.w * ((t - time.0) / (time.1 - time.0)).clamp(0.0, 1.0);
    let py = |v: f64| inner.y + inner.h * (1.0 - (v / most).clamp(0.0, 1.0));
    let mut floor = vec![0.0; times.len()];
    for (index, s) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        if stacked {
            let top: Vec<f64> =
                times.iter().zip(&floor).map(|(t, below)| below + at(&s.points, *t)).collect();
            let up = times.iter().zip(&top).map(|(t, v)| format!("{:.1},{:.1}", px(*t), py(*v)));
            let down = times.iter().zip(&floor).rev().map(|(t, v)| format!("{:.1},{:.1}", px(*t), py(*v)));
            let path: Vec<String> = up.chain(down).collect();
            let _ = writeln!(
                out,
                "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.55\" stroke=\"{colour}\"/>",
                path.join(" ")
            );
            floor = top;
        } else {
            let path: Vec<String> = s
                .points
                .iter()
                .filter(|p| p.1.is_finite())
                .map(|(t, v)| format!("{:.1},{:.1}", px(*t), py(*v)))
                .collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>",
                path.join(" ")
            );
        }
    }
    let (mut lx, ly) = (area.x + 10.0, area.y + area.h - 9.0);
    for (index, s) in series.iter().enumerate() {
        let room = area.x + area.w - lx - 14.0;
        let name = fit(&s.legend, 150.0, 9.5);
        let long = name.chars().count() as f64 * 5.9 + 24.0;
        if long > room {
            text(out, lx, ly, 9.5, "#5b6570", "start", &format!("+{}", series.len() - index));
            break;
        }
        let _ = writeln!(
            out,
            "<rect x=\"{lx:.1}\" y=\"{:.1}\" width=\"9\" height=\"3\" fill=\"{}\"/>",
            ly - 5.0,
            COLOURS[index % COLOURS.len()]
        );
        text(out, lx + 13.0, ly, 9.5, "#24292e", "start", &name);
        lx += long;
    }
}

/// Buckets are cumulative; what is drawn is what each holds by itself.
fn heat(out: &mut String, area: Area, series: &[Series], time: (f64, f64)) {
    let inner = axes(out, area, 1.0, "", time);
    let bound = |s: &Series| if s.legend == "+Inf" { f64::INFINITY } else { s.legend.parse().unwrap_or(0.0) };
    let mut buckets: Vec<&Series> = series.iter().collect();
    buckets.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
    let tall = inner.h / buckets.len().max(1) as f64;
    let mut cells = Vec::new();
    for (index, bucket) in buckets.iter().enumerate() {
        let below = index.checked_sub(1).and_then(|i| buckets.get(i));
        for (t, v) in &bucket.points {
            let less =
                below.and_then(|b| b.points.iter().find(|p| (p.0 - t).abs() < 0.5)).map_or(0.0, |p| p.1);
            cells.push((index, *t, (v - less).max(0.0)));
        }
        let top = inner.y + inner.h - tall * (index as f64 + 1.0);
        text(out, inner.x - 6.0, top + tall / 2.0 + 3.5, 9.5, "#5b6570", "end", &bucket.legend);
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
            "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\" fill=\"#d9622b\" fill-opacity=\"{depth:.2}\"/>",
            left.max(inner.x)
        );
    }
    text(
        out,
        area.x + 10.0,
        area.y + area.h - 9.0,
        9.5,
        "#24292e",
        "start",
        "requests by score up to; darker: more (logarithmic)",
    );
}

fn text(out: &mut String, x: f64, y: f64, size: f64, colour: &str, anchor: &str, what: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{}</text>",
        escape(what)
    );
}

fn fit(text: &str, width: f64, size: f64) -> String {
    let room = (width / (size * 0.6)) as usize;
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
        _ if n.fract() == 0.0 => format!("{n:.0}"),
        a if a >= 100.0 => format!("{n:.0}"),
        a if a >= 10.0 => format!("{n:.1}"),
        _ => format!("{n:.2}"),
    };
    match unit {
        "percentunit" => format!("{:.1} %", n * 100.0),
        "s" => match n.abs() {
            0.0 => "0 s".to_owned(),
            a if a < 0.001 => format!("{} µs", short(n * 1e6)),
            a if a < 1.0 => format!("{} ms", short(n * 1e3)),
            _ => format!("{} s", short(n)),
        },
        "bytes" | "Bps" => {
            let end = if unit == "Bps" { "/s" } else { "" };
            match n.abs() {
                a if a >= 1_048_576.0 => format!("{} MiB{end}", short(n / 1_048_576.0)),
                a if a >= 1_024.0 => format!("{} KiB{end}", short(n / 1_024.0)),
                _ => format!("{} B{end}", short(n)),
            }
        }
        "reqps" => format!("{}/s", short(n)),
        _ => short(n),
    }
}
