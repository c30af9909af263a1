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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::embedded::{group::Group, table::Table};

    const ID: [u8; ID_BYTES] = [7; ID_BYTES];
    /// Sectors of a half.
    const HALF: usize = 4;
    const HALVES: [Range<usize>; 2] = [
        SECTOR..(1 + HALF) * SECTOR,
        (1 + HALF) * SECTOR..(1 + 2 * HALF) * SECTOR,
    ];

    /// A log with a group of one sector under each number; none for 0.
    fn log(halves: [[u64; HALF]; 2]) -> Vec<u8> {
        let mut bytes = vec![0; SECTOR];
        for number in halves.into_iter().flatten() {
            let mut group = Group::new();
            group.push(Table::Users, b"key", Some(b"row"));
            match number {
                0 => bytes.extend([0; SECTOR]),
                _ => bytes.extend(group.seal(&ID, number)),
            }
        }
        bytes
    }

    /// The halves that are used in order, each with its groups.
    fn found(halves: [[u64; HALF]; 2], done: u64) -> Result<Vec<(usize, Vec<u64>)>, Gap> {
        let bytes = log(halves);
        let chain = follow(&ID, &bytes, &HALVES, done)?;
        let numbers = |run: &Run<'_>| run.groups.iter().map(|place| place.group.number).collect();
        Ok(chain.iter().map(|run| (run.region, numbers(run))).collect())
    }

    #[test]
    fn groups_follow_each_other_from_either_half_into_the_other() {
        let first = vec![(0, vec![5, 6, 7]), (1, vec![8, 9])];
        assert_eq!(found([[5, 6, 7, 0], [8, 9, 0, 0]], 4), Ok(first));
        let second = vec![(1, vec![5, 6, 7, 8]), (0, vec![9])];
        assert_eq!(found([[9, 2, 3, 4], [5, 6, 7, 8]], 4), Ok(second));
        // Its fold was done before the process ended.
        assert_eq!(
            found([[9, 2, 3, 4], [5, 6, 7, 8]], 8),
            Ok(vec![(0, vec![9])])
        );
        // Some of them are in the database.
        let rest = vec![(0, vec![7]), (1, vec![8])];
        assert_eq!(found([[5, 6, 7, 0], [8, 0, 0, 0]], 6), Ok(rest));
    }

    #[test]
    fn groups_of_earlier_use_are_nothing() {
        assert_eq!(found([[9, 2, 3, 4], [5, 6, 7, 8]], 9), Ok(Vec::new()));
        assert_eq!(found([[0; HALF]; 2], 9), Ok(Vec::new()));
        // The first of the other half was cut short by the power.
        let one = vec![(0, vec![9, 10, 11, 12])];
        assert_eq!(found([[9, 10, 11, 12], [0, 6, 7, 8]], 8), Ok(one));
    }

    #[test]
    fn a_number_that_is_missing_before_a_later_one_is_a_gap() {
        let gap = |missing, later| Err(Gap { missing, later });
        assert_eq!(found([[5, 0, 7, 0], [0; HALF]], 4), gap(6, 7));
        assert_eq!(found([[0, 6, 7, 0], [8, 9, 0, 0]], 4), gap(5, 6));
        assert_eq!(found([[5, 6, 0, 0], [8, 9, 0, 0]], 4), gap(7, 8));
        assert_eq!(found([[5, 6, 7, 0], [0, 9, 0, 0]], 4), gap(8, 9));
        assert_eq!(found([[9, 0, 11, 4], [5, 6, 7, 8]], 4), gap(10, 11));
        assert_eq!(found([[9, 2, 3, 4], [5, 0, 7, 8]], 4), gap(6, 9));
        // The database is older than the log.
        assert_eq!(found([[9, 2, 3, 4], [5, 6, 7, 8]], 3), gap(4, 9));
    }

    #[test]
    fn a_log_that_ends_anywhere_is_read_to_there() {
        let bytes = log([[5, 6, 7, 8], [9, 10, 0, 0]]);
        for end in 0..bytes.len() {
            let halves = HALVES.map(|half| half.start.min(end)..half.end.min(end));
            let chain = follow(&ID, &bytes[..end], &halves, 4).unwrap();
            let count: usize = chain.iter().map(|run| run.groups.len()).sum();
            assert!(count <= end.div_ceil(SECTOR).saturating_sub(1), "{end}");
        }
    }
}
