//! A part of a backend as a backend of its own: how a test's one disk holds both log and database.

use std::io;

use redb::StorageBackend;

/// The bytes of a backend before a place, or from there on.
#[derive(Debug)]
pub(super) struct Part<B> {
    whole: B,
    from: u64,
    /// Where the part ends; it goes to the end of the whole when there is none.
    to: Option<u64>,
}

impl<B: StorageBackend> Part<B> {
    /// Makes the part before `place`.
    pub(super) const fn up_to(whole: B, place: u64) -> Self {
        let to = Some(place);
        Self { whole, from: 0, to }
    }

    /// Makes the part from `place` on.
    pub(super) const fn after(whole: B, place: u64) -> Self {
        let (from, to) = (place, None);
        Self { whole, from, to }
    }

    fn place(&self, offset: u64, len: usize) -> io::Result<u64> {
        let place = self.from + offset;
        match self.to {
            Some(to) if place + len as u64 > to => Err(io::ErrorKind::InvalidInput.into()),
            _ => Ok(place),
        }
    }
}

impl<B: StorageBackend> StorageBackend for Part<B> {
    fn len(&self) -> io::Result<u64> {
        let end = self.whole.len()?;
        Ok(self
            .to
            .map_or(end, |to| end.min(to))
            .saturating_sub(self.from))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.whole.read(self.place(offset, out.len())?, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let end = self.from + len;
        if self.to.is_some() && self.whole.len()? >= end {
            // What lies behind this part is another's.
            return Ok(());
        }
        self.whole.set_len(end)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.whole.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.whole.write(self.place(offset, data.len())?, data)
    }
}
