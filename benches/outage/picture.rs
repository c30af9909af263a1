//! The picture of an outage: p50 and p99 of each second, as plain SVG with colours for light and dark.

use std::{fmt::Write as _, ops::Range, time::Duration};

/// Sizes in user units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 640.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 56.0;
const TOP: f64 = 56.0;
const PANEL: f64 = 224.0;
const BETWEEN: f64 = 52.0;

const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .back { fill: #ffffff }
  .away { fill: #d1242f; fill-opacity: .12 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .p50 { stroke: #0969da } .p99 { stroke: #bc4c00; stroke-dasharray: 5 3 }
  text.n50 { fill: #0969da } text.n99 { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .back { fill: #0d1117 } .grid { stroke: #30363d }
    .away { fill: #ff7b72; fill-opacity: .18 }
    .p50 { stroke: #58a6ff } .p99 { stroke: #f0883e }
    text.n50 { fill: #58a6ff } text.n99 { fill: #f0883e }
  }
";

/// What is drawn.
pub(crate) struct Picture {
    /// While Redis was away.
    pub(crate) away: Range<Duration>,
    /// The end of the time axis.
    pub(crate) end: Duration,
    /// p50 and p99 of each second from send to ack, in milliseconds.
    pub(crate) acked: Vec<[f64; 2]>,
    /// The same from send to delivery on the other node.
    pub(crate) crossed: Vec<[f64; 2]>,
}

/// The decades of the vertical axis, as powers of ten of a millisecond.
struct Decades {
    low: i32,
    high: i32,
}

impl Decades {
    /// Takes in all that is drawn.
    fn over<'a>(all: impl Iterator<Item = &'a [f64; 2]>) -> Self {
        let drawn = all.flatten().copied().filter(|ms| *ms > 0.0);
        let (least, most) = drawn.fold((1.0_f64, 10.0_f64), |(least, most), ms| {
            (least.min(ms), most.max(ms))
        });
        Self {
            low: least.log10().floor() as i32,
            high: most.log10().ceil() as i32,
        }
    }

    /// Returns how far below the top of a panel a time is.
    fn y(&self, ms: f64) -> f64 {
        let part = (ms.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        PANEL * (1.0 - part)
    }
}

impl Picture {
    /// Returns the file.
    pub(crate) fn draw(&self) -> String {
        let decades = Decades::over(self.acked.iter().chain(&self.crossed));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>Latency while Redis is away, and before and after</title>\n<style>{STYLE}</style>\n\
             <rect class=\"back\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
        );
        let panels = [
            ("From send to ack", &self.acked),
            ("From send to delivery on the other node", &self.crossed),
        ];
        for (nth, (title, seconds)) in panels.into_iter().enumerate() {
            let top = TOP + nth as f64 * (PANEL + BETWEEN);
            self.panel(&mut svg, top, title, seconds, &decades);
        }
        self.time_axis(&mut svg, TOP + 2.0 * PANEL + BETWEEN);
        svg.push_str("</svg>\n");
        svg
    }

    fn x(&self, at: Duration) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * at.as_secs_f64() / self.end.as_secs_f64()
    }

    fn panel(
        &self,
        svg: &mut String,
        top: f64,
        title: &str,
        seconds: &[[f64; 2]],
        decades: &Decades,
    ) {
        let right = WIDTH - RIGHT;
        let (from, to) = (self.x(self.away.start), self.x(self.away.end));
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"{LEFT}\" y=\"{:.1}\">{title}</text>\n\
             <rect class=\"away\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{PANEL}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">Redis away</text>",
            top - 12.0,
            to - from,
            f64::midpoint(from, to),
            top + 18.0
        );
        for power in decades.low..=decades.high {
            let ms = 10_f64.powi(power);
            let y = top + decades.y(ms);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{ms}</text>",
                LEFT - 8.0,
                y + 4.5
            );
        }
        let (x, y) = (20.0, top + PANEL / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y:.1})\">milliseconds, logarithmic</text>"
        );
        for (at, name) in [(0, "50"), (1, "99")] {
            self.line(svg, top, seconds, decades, (at, name));
        }
    }

    /// Draws one quantile, each second's at its middle, and its name at the end, each name on its side of the other.
    fn line(
        &self,
        svg: &mut String,
        top: f64,
        seconds: &[[f64; 2]],
        decades: &Decades,
        (at, name): (usize, &str),
    ) {
        let points: Vec<(f64, f64)> = (0_u32..)
            .zip(seconds)
            .filter(|(_, second)| second[at] > 0.0)
            .map(|(number, second)| {
                let middle = Duration::from_millis(500) + Duration::from_secs(1) * number;
                (self.x(middle), top + decades.y(second[at]))
            })
            .collect();
        let Some((x, y)) = points.last() else { return };
        let _ = write!(svg, "<polyline class=\"line p{name}\" points=\"");
        for (x, y) in &points {
            let _ = write!(svg, "{x:.1},{y:.1} ");
        }
        let below = if at == 0 { 10.0 } else { -1.0 };
        let _ = writeln!(
            svg,
            "\"/>\n<text class=\"n{name}\" x=\"{:.1}\" y=\"{:.1}\">p{name}</text>",
            x + 10.0,
            y + below
        );
    }

    fn time_axis(&self, svg: &mut String, bottom: f64) {
        let mut at = 0;
        while at <= self.end.as_secs() {
            let x = self.x(Duration::from_secs(at));
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom:.1}\" y2=\"{:.1}\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at}</text>",
                bottom + 6.0,
                bottom + 22.0
            );
            at += 10;
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">seconds since the beginning; each point is what was sent within one second</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            bottom + 44.0
        );
    }
}
