//! Lists of rooms: one's own, and the public ones one could join.

use parlor_schema::{
    ErrorCode, RoomId, UserId,
    frame::{Ack, Refusal, ack::RoomsAck, client::RoomList},
    limits::HISTORY_BYTES_MAX,
    room::Room,
};

use super::{Front, Reply, done};
use crate::room::frames::page_limit;

/// Rooms asked at a time.
const STEP: usize = 100;

impl Front {
    pub(super) fn list(&self, user: UserId, ask: RoomList) -> Reply<Ack> {
        let after = match ask.after.as_deref().map(str::parse::<RoomId>) {
            None => None,
            Some(Ok(room)) => Some(room),
            Some(Err(_)) => return done(Err(Refusal::bad_field("after", "not a page"))),
        };
        let limit = match page_limit(ask.limit) {
            Ok(limit) => limit,
            Err(refusal) => return done(Err(refusal)),
        };
        let front = self.clone();
        let which = if ask.public == Some(true) {
            Which::Joinable
        } else {
            Which::Own
        };
        Box::pin(async move {
            let (mut rooms, mut next) = front.page(&user, which, after, limit).await?;
            cut(&mut rooms, &mut next, limit);
            Ok(Ack::Rooms(RoomsAck {
                rooms,
                next: next.map(|room| room.to_string()),
            }))
        })
    }

    /// Lists a user's rooms after `after`; the second value is where to go on, when there is more.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn page(
        &self,
        user: &UserId,
        which: Which,
        mut after: Option<RoomId>,
        limit: usize,
    ) -> Result<(Vec<Room>, Option<RoomId>), Refusal> {
        let mut rooms: Vec<Room> = Vec::new();
        loop {
            let directory = &self.ports.directory;
            let page = match which {
                Which::Own => directory.rooms_of(user, after, STEP).await?,
                Which::Joinable => directory.public_rooms(after, STEP).await?,
            };
            let looks: Vec<_> = page
                .rooms
                .iter()
                .map(|room| self.look(*room, user))
                .collect();
            for look in looks {
                match look.await {
                    Ok(seen) if seen.room.own.is_some() == (which == Which::Own) => {
                        if rooms.len() == limit {
                            return Ok((rooms.clone(), rooms.last().map(|room| room.room_id)));
                        }
                        rooms.push(seen.room);
                    }
                    Ok(_) => {}
                    Err(refusal)
                        if matches!(refusal.code, ErrorCode::NotFound | ErrorCode::Banned) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            if page.next.is_none() {
                return Ok((rooms, None));
            }
            after = page.next;
        }
    }
}

/// Cuts a list down to `limit` rooms and to what a frame holds, and moves `next` back to where it was cut.
pub(crate) fn cut(rooms: &mut Vec<Room>, next: &mut Option<RoomId>, limit: usize) {
    let mut left = HISTORY_BYTES_MAX;
    let fit = rooms
        .iter()
        .take(limit)
        .take_while(|room| {
            // The comma after it counts too.
            let bytes = serde_json::to_vec(room).map_or(left, |json| json.len() + 1);
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        })
        .count();
    if fit < rooms.len() {
        rooms.truncate(fit);
        *next = rooms.last().map(|room| room.room_id);
    }
}

/// Which rooms to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those the user is a member of.
    Own,
    /// Public ones the user is no member of, and may join.
    Joinable,
}
