//! The table of `docs/SCALING.md`: what clusters of several sizes need by the formulas. The document must have its very lines.

use crate::{
    figure::{Figure, Figures},
    formula::Formula,
    load::{CHECK_READS, CHECKED_PER_S, KINDS, LOAD_READS, QUIET, SAYS_PER_S},
    sizes::Sizes,
};

/// Sessions of a node.
const SESSIONS: usize = 10_000;
/// Nodes of each cluster.
const NODES: [usize; 6] = [1, 3, 10, 30, 100, 1_000];
/// The document.
const DOCUMENT: &str = include_str!("../../docs/SCALING.md");

/// Writes a number in three digits.
pub(crate) fn short(number: f64) -> String {
    let (scaled, unit) = match number {
        1e9.. => (number / 1e9, " G"),
        1e6.. => (number / 1e6, " M"),
        1e4.. => (number / 1e3, " k"),
        _ => (number, ""),
    };
    match scaled {
        99.95.. => format!("{scaled:.0}{unit}"),
        9.995.. => format!("{scaled:.1}{unit}"),
        0.0 => "0".to_owned(),
        _ => format!("{scaled:.2}{unit}"),
    }
}

/// What a row says of a cluster.
type Says = fn(&Formula<'_>, &Figures) -> f64;

/// The rows.
const ROWS: [(&str, Says); 21] = [
    ("sessions", |of, _| of.sessions as f64),
    ("messages/s", |_, at| at[Figure::Messages]),
    ("appends/s", |_, at| at[Figure::Appends]),
    ("deliveries/s of a node", |of, at| {
        at[Figure::Deliveries] / of.nodes as f64
    }),
    ("receipt frames/s of a node", |of, at| {
        at[Figure::ReceiptFrames] / of.nodes as f64
    }),
    ("rooms running on a node", |of, at| {
        at[Figure::Running] / of.nodes as f64
    }),
    ("leases held by a node", |of, at| {
        at[Figure::Leases] / of.nodes as f64
    }),
    ("envelopes/s about events", |_, at| {
        at[Figure::EventEnvelopes]
    }),
    ("envelopes/s about receipts", |_, at| {
        at[Figure::ReceiptEnvelopes]
    }),
    ("envelopes/s about presence", |_, at| {
        at[Figure::PresenceEnvelopes]
    }),
    ("envelopes/s of interest", |_, at| {
        at[Figure::InterestEnvelopes]
    }),
    ("packets/s of envelopes", |_, at| at[Figure::Packets]),
    ("packets/s of heads", |_, at| at[Figure::HeadPackets]),
    ("heartbeats/s", |_, at| at[Figure::Beats]),
    ("messages/s over Redis", |_, at| at[Figure::RedisMessages]),
    ("the same without receipts in channels", |of, _| {
        let quiet = Formula {
            kinds: &QUIET,
            ..*of
        };
        quiet.figures()[Figure::RedisMessages]
    }),
    ("bytes/s into Redis, and again out", |_, at| {
        at[Figure::RedisBytes]
    }),
    ("commands/s of membership", |_, at| at[Figure::Commands]),
    (
        "one dies: requests to the store for rooms that start",
        |of, _| of.alone(of.starts() * LOAD_READS),
    ),
    ("the view changes: requests/s to the store", |of, at| {
        let at_once = CHECKED_PER_S * of.nodes as f64;
        of.alone(at[Figure::Running].min(at_once) * CHECK_READS)
    }),
    (
        "the view changes: envelopes/s about events, 10 s",
        |of, at| of.alone(at[Figure::Appends] * (of.nodes as f64 - 1.0)),
    ),
];

impl Formula<'_> {
    /// Returns 0 for a cluster of one node, which has no others.
    fn alone(&self, number: f64) -> f64 {
        match self.nodes {
            1 => 0.0,
            _ => number,
        }
    }
}

/// Prints the table, and asserts that the document has each of its lines.
pub(crate) fn check(sizes: &Sizes) {
    println!("\nsizing: {SESSIONS} sessions a node, {SAYS_PER_S} messages/s each\n");
    let columns: Vec<(Formula<'_>, Figures)> = NODES
        .iter()
        .map(|nodes| {
            let formula = Formula {
                nodes: *nodes,
                sessions: nodes * SESSIONS,
                kinds: &KINDS,
                sizes,
            };
            let figures = formula.figures();
            (formula, figures)
        })
        .collect();
    let mut lines = vec![format!(
        "| nodes | {} |",
        NODES.map(|n| n.to_string()).join(" | ")
    )];
    for (name, says) in ROWS {
        let cells: Vec<String> = columns
            .iter()
            .map(|(formula, figures)| short(says(formula, figures)))
            .collect();
        lines.push(format!("| {name} | {} |", cells.join(" | ")));
    }
    let mut missing = Vec::new();
    for line in &lines {
        println!("{line}");
        if !DOCUMENT.lines().any(|known| known == line) {
            missing.push(line.as_str());
        }
    }
    assert!(
        missing.is_empty(),
        "docs/SCALING.md lacks:\n{}",
        missing.join("\n")
    );
}
