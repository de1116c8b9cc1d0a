//! Files that large rows of an ordered store are appended to, each row once.
//!
//! Not here: which rows there are (the ordered store has a [`Place`] for each), the layout of a row in a file ([`entry`]),
//! and which files can go (`rocks/collection.rs`).
//! Invariant: a row is on stable storage before anybody has its place, and what is read there is that row or an error.

pub(crate) mod entry;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use self::entry::{Head, Place, SegmentId, Walked};
use crate::error::StoreError;

const ENDING: &str = "segment";
/// Rows of less than this go to a file together.
const BUFFER: usize = 64 << 10;

/// The segments of one folder. Appending is for one at a time; reading for all.
pub(crate) struct Segments {
    folder: PathBuf,
    /// At this size the next row begins another segment, in bytes.
    segment_bytes: u64,
    files: RwLock<Files>,
    end: Mutex<End>,
}

/// Segments that are open. Who has it can read them even when they are removed meanwhile.
pub(crate) type Files = Arc<BTreeMap<SegmentId, Segment>>;

/// A file of rows.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    file: Arc<File>,
}

/// Where the next row goes.
#[derive(Debug)]
struct End {
    /// `None` before the first row, and after a write that failed: what it left behind is nobody's.
    open: Option<Open>,
    next: SegmentId,
}

#[derive(Debug)]
struct Open {
    id: SegmentId,
    file: Arc<File>,
    length: u64,
}

/// The last segment does not end with a whole entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Torn {
    pub(crate) id: SegmentId,
    /// Where its last whole entry ends.
    pub(crate) from: u64,
}

/// Why a row cannot be had from its place.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Its segment is gone: removed since the place was read, or lost.
    Gone(SegmentId),
    /// Its segment holds something else there.
    Damaged(String),
    /// The operating system refused.
    Failed(StoreError),
}

impl Segments {
    /// Opens the segments in `folder` to read and to append. Tells of a last one that does not end with a whole entry;
    /// nothing is appended to that unless it is [cut](Self::cut).
    pub(crate) fn open(folder: &Path, segment_bytes: u64) -> Result<(Self, Option<Torn>), StoreError> {
        let mut files = BTreeMap::new();
        let listed = std::fs::read_dir(folder).map_err(|error| StoreError::io(folder, "list the folder", &error))?;
        for found in listed {
            let path = found.map_err(|error| StoreError::io(folder, "list the folder", &error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('.'));
            if let Some((number, ENDING)) = name
                && let Ok(number) = number.parse()
            {
                let file = File::options().read(true).append(true).open(&path);
                let file = Arc::new(file.map_err(|error| StoreError::io(&path, "open the file", &error))?);
                files.insert(SegmentId(number), Segment { file });
            }
        }
        let mut end = End { open: None, next: SegmentId(0) };
        let mut torn = None;
        if let Some((&id, segment)) = files.last_key_value() {
            end.next = id.next();
            let walked = segment.walk(id, 0, |_, _| ControlFlow::Continue(()));
            match walked.map_err(|error| StoreError::io(&path_of(folder, id), "read the file", &error))? {
                Walked::To(length) | Walked::End(length) => {
                    end.open = Some(Open { id, file: Arc::clone(&segment.file), length });
                }
                Walked::Torn(from) => torn = Some(Torn { id, from }),
            }
        }
        let (files, end) = (RwLock::new(Arc::new(files)), Mutex::new(end));
        Ok((Self { folder: folder.to_path_buf(), segment_bytes, files, end }, torn))
    }

    /// Takes off what lies behind the last whole entry. For a caller that has no place there: a crash has left it while it
    /// was written.
    pub(crate) fn cut(&self, torn: Torn) -> Result<(), StoreError> {
        let Some(Segment { file }) = self.files().get(&torn.id).cloned() else { return Ok(()) };
        let io = |error| StoreError::io(&self.path(torn.id), "cut the file", &error);
        file.set_len(torn.from).and_then(|()| file.sync_all()).map_err(io)?;
        self.end().open = Some(Open { id: torn.id, file, length: torn.from });
        Ok(())
    }

    /// The segments of `folder`, which another process appends to. They are opened as they are read.
    pub(crate) fn beside(folder: &Path) -> Self {
        let end = End { open: None, next: SegmentId(0) };
        let files = RwLock::default();
        Self { folder: folder.to_path_buf(), segment_bytes: 0, files, end: Mutex::new(end) }
    }

    /// Those that are open. To be had before the places are read that are sought in them.
    pub(crate) fn files(&self) -> Files {
        Arc::clone(&self.files.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts rows on stable storage; answers their places in the same order.
    pub(crate) fn append<'r>(
        &self,
        rows: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    ) -> Result<Vec<Place>, StoreError> {
        let mut end = self.end();
        // Given back only when all is well.
        let mut open = end.open.take();
        let mut places = Vec::new();
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let mut segment = match open.take().filter(|open| open.length < self.segment_bytes) {
                Some(segment) => segment,
                None => self.begin(&mut end)?,
            };
            let begun = segment.length;
            if let Err(error) = self.append_some(&mut segment, &mut rows, &mut places) {
                let io = StoreError::io(&self.path(segment.id), "append rows", &error);
                // What it has left behind is nobody's. If it stays, it is cut off when the segments are opened again.
                drop(segment.file.set_len(begun));
                return Err(io);
            }
            open = Some(segment);
        }
        end.open = open;
        Ok(places)
    }

    /// Appends rows until the segment is full.
    fn append_some<'r>(
        &self,
        segment: &mut Open,
        rows: &mut impl Iterator<Item = (&'r [u8], &'r [u8])>,
        places: &mut Vec<Place>,
    ) -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(BUFFER, &*segment.file);
        while segment.length < self.segment_bytes
            && let Some((key, row)) = rows.next()
        {
            let head = Head::of(key, row);
            places.push(Place::at(segment.id, segment.length, &head));
            head.write(&mut file, key, row)?;
            segment.length += head.entry_bytes();
        }
        file.flush()?;
        segment.file.sync_data()
    }

    fn begin(&self, end: &mut End) -> Result<Open, StoreError> {
        let id = end.next;
        let path = self.path(id);
        let io = |error| StoreError::io(&path, "make the file", &error);
        let file = Arc::new(File::options().read(true).append(true).create_new(true).open(&path).map_err(io)?);
        end.next = id.next();
        // Else a loss of power could take the file and leave the places in it.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        self.know(id, &file);
        Ok(Open { id, file, length: 0 })
    }

    fn know(&self, id: SegmentId, file: &Arc<File>) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut files).insert(id, Segment { file: Arc::clone(file) });
    }

    /// Reads the row of `key` at `place` into `buffer`; answers its part of it.
    pub(crate) fn read<'b>(
        &self,
        files: &Files,
        place: Place,
        key: &[u8],
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Unread> {
        let file = self.file(files, place.segment)?;
        buffer.resize(place.length as usize, 0);
        let path = || self.path(place.segment);
        match file.read_exact_at(buffer, u64::from(place.offset)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Unread::Damaged(format!("{} ends before {place}", path().display())));
            }
            Err(error) => return Err(Unread::Failed(StoreError::io(&path(), "read a row", &error))),
        }
        entry::row(buffer, key)
            .ok_or_else(|| Unread::Damaged(format!("{} does not hold the row at {place}", path().display())))
    }

    fn file(&self, files: &Files, id: SegmentId) -> Result<Arc<File>, Unread> {
        if let Some(segment) = files.get(&id).or(self.files().get(&id)) {
            return Ok(Arc::clone(&segment.file));
        }
        let path = self.path(id);
        match File::open(&path) {
            Ok(file) => {
                let file = Arc::new(file);
                self.know(id, &file);
                Ok(file)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Unread::Gone(id)),
            Err(error) => Err(Unread::Failed(StoreError::io(&path, "open the file", &error))),
        }
    }

    /// Closes what the process that appends has removed: for as long as it is open, it takes its room.
    pub(crate) fn close_removed(&self) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let is_there = |segment: &Segment| segment.file.metadata().is_ok_and(|file| file.nlink() > 0);
        if !files.values().all(is_there) {
            Arc::make_mut(&mut files).retain(|_, segment| is_there(segment));
        }
    }

    /// The first segment from `from` on that nothing is appended to any more.
    pub(crate) fn ended_from(&self, from: SegmentId) -> Option<(SegmentId, Segment)> {
        let end = self.end();
        let newest = end.open.as_ref().map_or(end.next, |open| open.id);
        let files = self.files();
        let (id, segment) = files.range(from..newest).next()?;
        Some((*id, segment.clone()))
    }

    /// Deletes a segment in which no place lies any more.
    pub(crate) fn remove(&self, id: SegmentId) -> Result<(), StoreError> {
        let path = self.path(id);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io(&path, "delete the file", &error));
            }
            _ => {}
        }
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut files).remove(&id);
        Ok(())
    }

    pub(crate) fn path(&self, id: SegmentId) -> PathBuf {
        path_of(&self.folder, id)
    }

    fn end(&self) -> MutexGuard<'_, End> {
        // It is empty while something is written, and so after a panic.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    /// Calls `visit` with key and place of the rows from `offset` on, until it breaks. Answers where it stopped.
    pub(crate) fn walk(
        &self,
        id: SegmentId,
        offset: u64,
        visit: impl FnMut(&[u8], Place) -> ControlFlow<()>,
    ) -> std::io::Result<Walked> {
        entry::walk(&self.file, id, offset, visit)
    }
}

fn path_of(folder: &Path, id: SegmentId) -> PathBuf {
    folder.join(format!("{:08}.{ENDING}", id.0))
}
