//! Which groups of a log hold: those that follow the database, each under the number after the last, from region to region.
//!
//! Owns the rule by which groups of earlier use, and half a group at the end, are told from damage. It reads bytes and touches nothing.
//!
//! Invariants:
//! - C-1: each region is read from its beginning, as far as numbers follow each other; what is behind is of an earlier use.
//! - C-2: a number after the last that follows, at any sector of any region, is damage: a group is written only after the one before it
//!   is durable, whichever region that is in.

use std::ops::Range;

use super::group::{self, Found, ID_BYTES, SECTOR};

/// A group and where it is.
pub(super) struct Place<'a> {
    pub(super) group: Found<'a>,
    pub(super) at: usize,
}

impl Place<'_> {
    /// Where the next group goes.
    pub(super) const fn end(&self) -> usize {
        self.at + self.group.length
    }
}

/// Groups that follow each other in one region, at least one.
pub(super) struct Run<'a> {
    pub(super) region: usize,
    pub(super) groups: Vec<Place<'a>>,
}

/// A group is missing, though a later one is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) missing: u64,
    pub(super) later: u64,
}

/// Finds the groups after commit `done`, in order, in runs from region to region.
pub(super) fn follow<'a>(
    id: &[u8; ID_BYTES],
    bytes: &'a [u8],
    regions: &[Range<usize>],
    done: u64,
) -> Result<Vec<Run<'a>>, Gap> {
    let mut left: Vec<Run<'_>> = (0..regions.len())
        .map(|region| Run {
            region,
            groups: read(id, bytes, &regions[region]),
        })
        .collect();
    let (mut chain, mut last) = (Vec::<Run<'_>>::new(), done);
    while let Some(next) = left
        .iter()
        .position(|run| follows(&run.groups, last, chain.is_empty()))
    {
        let mut run = left.swap_remove(next);
        // The database holds these.
        run.groups.retain(|place| place.group.number > last);
        last = run.groups.last().map_or(last, |place| place.group.number);
        chain.push(run);
    }
    let unread = regions.iter().enumerate().map(|(region, whole)| {
        let run = chain.iter().find(|run| run.region == region);
        let from = run.and_then(|run| run.groups.last()).map(Place::end);
        from.unwrap_or(whole.start)..whole.end
    });
    match unread
        .filter_map(|range| later(id, bytes, range, last))
        .next()
    {
        Some(later) => Err(Gap {
            missing: last + 1,
            later,
        }),
        None => Ok(chain),
    }
}

/// Tells whether the groups of a region go on after commit `last`. The first may begin with some that the database holds.
fn follows(groups: &[Place<'_>], last: u64, is_first: bool) -> bool {
    let (Some(from), Some(to)) = (groups.first(), groups.last()) else {
        return false;
    };
    let next = last + 1;
    match is_first {
        true => (from.group.number..=to.group.number).contains(&next),
        false => from.group.number == next,
    }
}

fn read<'a>(id: &[u8; ID_BYTES], bytes: &'a [u8], region: &Range<usize>) -> Vec<Place<'a>> {
    let (mut groups, mut at) = (Vec::<Place<'_>>::new(), region.start);
    while let Some(group) = group::find(id, bytes.get(at..region.end).unwrap_or_default()) {
        let last = groups.last().map(|place| place.group.number);
        if last.is_some_and(|last| group.number != last + 1) {
            break;
        }
        let place = Place { group, at };
        at = place.end();
        groups.push(place);
    }
    groups
}

/// Finds a group after commit `last`.
fn later(id: &[u8; ID_BYTES], bytes: &[u8], range: Range<usize>, last: u64) -> Option<u64> {
    let end = range.end;
    range
        .step_by(SECTOR)
        .filter_map(|at| group::find(id, &bytes[at..end]))
        .map(|found| found.number)
        .find(|number| *number > last)
}
