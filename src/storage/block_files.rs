//! The chain's blocks as files: `blocks/`, each file named by the height of its first block, append-only.
//!
//! This is where blocks are; the index only says where to find them and what they add up to, so it can be made anew
//! from these files.
//!
//! Invariants: blocks stand in order of height, without a gap, from the first file on; the index never holds a block
//! that is not synced here before. So at the end a block may be torn that the index does not have (the journal has it),
//! and is cut off; anything else that is damaged was synced once, and is refused.

use super::block_record::{
    self, BlockHead, Encoded, RECORD_HEADER_BYTES, RecordError, RecordHeader, StoredBlock, StoredTransaction,
};
use super::files::{Append, FileError, Files, list_numbered, numbered};
use crate::types::number::Height;
use bincode::{Decode, Encode};
use std::sync::Arc;

/// Where the files are.
pub const BLOCKS_DIRECTORY: &str = "blocks";

/// Why a block cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BlockFilesError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A block that was synced is not what was written.
    #[error(
        "{file} is damaged at byte {offset}, block {height}: {reason}. Stop the node and run `timed db verify --repair`: it \
         says what is damaged and repairs what has a second copy"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it the block starts.
        offset: u64,
        /// Which block should stand there.
        height: Height,
        /// What is wrong with it.
        reason: RecordError,
    },
    /// A file starts with another block than the one that should follow.
    #[error(
        "a file of blocks is missing: block {found} comes where block {expected} belongs. `timed db verify --repair` says \
         what is left and repairs what has a second copy"
    )]
    Gap {
        /// The block that should come.
        expected: Height,
        /// The block that comes.
        found: Height,
    },
}

/// Where a block stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct BlockLocation {
    /// Height of the first block of the file: its name.
    pub file: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes of the record.
    pub length: u32,
    /// Bytes from the start of the record to the end of its head.
    pub head_end: u32,
}

impl BlockLocation {
    fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }

    fn name(&self) -> String {
        numbered(BLOCKS_DIRECTORY, self.file)
    }
}

/// Where the index ends, and so where the blocks that it lacks begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexEnd {
    /// Its tip is this block, which stands there.
    Block(Height, BlockLocation),
    /// Its tip is genesis, or the block of a snapshot: the files need not have it.
    Base(Height),
}

impl IndexEnd {
    fn height(&self) -> Height {
        match self {
            Self::Block(height, _) | Self::Base(height) => *height,
        }
    }

    fn location(&self) -> Option<&BlockLocation> {
        match self {
            Self::Block(_, location) => Some(location),
            Self::Base(_) => None,
        }
    }
}

/// A block in the files that the index does not have.
#[derive(Debug)]
pub(super) struct Unindexed {
    pub(super) stored: StoredBlock,
    pub(super) location: BlockLocation,
}

/// Reads blocks that are known to be there.
#[derive(Clone)]
pub(super) struct BlockReader {
    files: Arc<dyn Files>,
}

impl BlockReader {
    pub(super) fn new(files: Arc<dyn Files>) -> Self {
        Self { files }
    }

    /// The block at `height`.
    pub(super) fn block(&self, height: Height, at: &BlockLocation) -> Result<StoredBlock, BlockFilesError> {
        let bytes = self.files.read_at(&at.name(), at.offset, at.length as usize)?;
        let stored =
            block_record::decode_record(&bytes).map_err(|reason| BlockFilesError::damaged(at, height, reason))?;
        if stored.block.header.height != height {
            return Err(BlockFilesError::damaged(at, height, RecordError::Damaged));
        }
        Ok(stored)
    }

    /// The block at `height` without its transactions.
    pub(super) fn head(&self, height: Height, at: &BlockLocation) -> Result<BlockHead, BlockFilesError> {
        let bytes = self.files.read_at(&at.name(), at.offset, at.head_end as usize)?;
        block_record::decode_head(&bytes).map_err(|reason| BlockFilesError::damaged(at, height, reason))
    }

    /// One transaction of the block at `height`: `length` bytes from `offset` in its record.
    pub(super) fn transaction(
        &self,
        height: Height,
        at: &BlockLocation,
        (offset, length): (u32, u32),
    ) -> Result<StoredTransaction, BlockFilesError> {
        let start = at.offset.saturating_add(u64::from(offset));
        let bytes = self.files.read_at(&at.name(), start, length as usize)?;
        block_record::decode_transaction(&bytes).map_err(|reason| BlockFilesError::damaged(at, height, reason))
    }
}

impl BlockFilesError {
    /// The block at `height`, which stands `at`, is not what was written.
    pub(super) fn damaged(at: &BlockLocation, height: Height, reason: RecordError) -> Self {
        Self::Damaged { file: at.name(), offset: at.offset, height, reason }
    }
}

/// Adds blocks at the end.
pub(super) struct BlockFiles {
    files: Arc<dyn Files>,
    /// A file takes no further block once it has this many bytes.
    file_bytes: u64,
    next: Height,
    /// The file written to. `None` before the first block.
    current: Option<CurrentFile>,
    is_directory_unsynced: bool,
}

struct CurrentFile {
    number: u64,
    bytes: u64,
    handle: Box<dyn Append>,
}

impl BlockFiles {
    /// Finds the end of the files.
    ///
    /// Hands every whole block behind the end of the index to `take`, in order and synced, and cuts off what is torn after
    /// them. Without an index nobody can say whether that had been synced, so it is set aside and not dropped.
    ///
    /// # Errors
    /// [`BlockFilesError`], or what `take` says.
    pub(super) fn open<E: From<BlockFilesError>>(
        files: Arc<dyn Files>,
        file_bytes: u64,
        index: IndexEnd,
        mut take: impl FnMut(Unindexed) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut scan = Scan::start(&*files, &index)?;
        let numbers = list_numbered(&*files, BLOCKS_DIRECTORY).map_err(BlockFilesError::from)?;
        let behind = match index {
            IndexEnd::Block(_, at) => at.file,
            // The last file that begins no later than the first block wanted.
            IndexEnd::Base(height) => {
                numbers.iter().rfind(|number| **number <= height.next().get()).copied().unwrap_or(0)
            }
        };
        let numbers: Vec<u64> = numbers.into_iter().filter(|number| *number >= behind).collect();
        for number in &numbers {
            scan.enter(&*files, *number)?;
            while let Some(found) = scan.next_block(&*files)? {
                if found.stored.block.header.height > index.height() {
                    take(found)?;
                }
            }
            scan.leave(&*files, numbers.last() == Some(number), index.location().is_none())?;
        }
        // Blocks that end below a snapshot are no part of what goes on from it.
        let current = scan.end.filter(|_| scan.next > index.height()).map(|(number, bytes)| {
            let handle = files.append(&numbered(BLOCKS_DIRECTORY, number))?;
            Ok::<_, BlockFilesError>(CurrentFile { number, bytes, handle })
        });
        let next = scan.next.max(index.height().next());
        Ok(Self { current: current.transpose()?, files, file_bytes, next, is_directory_unsynced: false })
    }

    /// Adds the record of the next block; it is on disk after [`BlockFiles::sync`].
    ///
    /// # Errors
    /// [`BlockFilesError`]; what the file holds is unknown then.
    pub(super) fn append(&mut self, height: Height, record: &Encoded) -> Result<BlockLocation, BlockFilesError> {
        let header = RecordHeader::read(&record.bytes).filter(|_| height == self.next);
        let header = header.ok_or(BlockFilesError::Gap { expected: self.next, found: height })?;
        let current = match self.current.take() {
            Some(current) if current.bytes < self.file_bytes => current,
            full => self.start_file(height, full)?,
        };
        let current = self.current.insert(current);
        current.handle.append(&record.bytes)?;
        let (length, head_end) = (header.length, header.head_end);
        let at = BlockLocation { file: current.number, offset: current.bytes, length, head_end };
        current.bytes = at.end();
        self.next = height.next();
        Ok(at)
    }

    /// Everything appended is on disk when this returns.
    ///
    /// # Errors
    /// [`BlockFilesError`]; what the file holds is unknown then.
    pub(super) fn sync(&mut self) -> Result<(), BlockFilesError> {
        if let Some(current) = &mut self.current {
            current.handle.sync()?;
        }
        if self.is_directory_unsynced {
            self.files.sync_directory(BLOCKS_DIRECTORY)?;
            self.is_directory_unsynced = false;
        }
        Ok(())
    }

    /// A full file is synced before the next one is begun, so only the last one can have a torn end.
    fn start_file(&mut self, first: Height, full: Option<CurrentFile>) -> Result<CurrentFile, BlockFilesError> {
        if let Some(mut full) = full {
            full.handle.sync()?;
        }
        let handle = self.files.append(&numbered(BLOCKS_DIRECTORY, first.get()))?;
        self.is_directory_unsynced = true;
        Ok(CurrentFile { number: first.get(), bytes: 0, handle })
    }
}

/// Goes through the blocks that the index does not have.
struct Scan {
    /// The block that should come.
    next: Height,
    /// The file that the end of the last whole block is in, and that end.
    end: Option<(u64, u64)>,
    /// The file gone through: its number, its bytes, and where the next block starts.
    file: (u64, u64, u64),
}

impl Scan {
    fn start(files: &dyn Files, index: &IndexEnd) -> Result<Self, BlockFilesError> {
        files.create_directory(BLOCKS_DIRECTORY)?;
        files.sync_directory("")?;
        files.sync_directory(BLOCKS_DIRECTORY)?;
        if let Some(at) = index.location() {
            // What the index points at was synced: that its file ends before means that the file was changed.
            if files.length(&at.name())? < at.end() {
                return Err(BlockFilesError::damaged(at, index.height(), RecordError::Damaged));
            }
        }
        let end = index.location().map(|at| (at.file, at.end()));
        Ok(Self { next: index.height().next(), end, file: (0, 0, 0) })
    }

    fn enter(&mut self, files: &dyn Files, number: u64) -> Result<(), BlockFilesError> {
        let name = numbered(BLOCKS_DIRECTORY, number);
        // The index will hold these blocks: a killed process may have left them in the page cache only.
        files.sync(&name)?;
        let start = self.end.filter(|(file, _)| *file == number).map_or(0, |(_, end)| end);
        if self.end.is_none() && number <= self.next.get() {
            // The first file after a snapshot may begin below its block.
            self.next = Height::new(number);
        }
        if start == 0 && number != self.next.get() {
            return Err(BlockFilesError::Gap { expected: self.next, found: Height::new(number) });
        }
        self.file = (number, files.length(&name)?, start);
        Ok(())
    }

    /// The next block, if it is there whole.
    fn next_block(&mut self, files: &dyn Files) -> Result<Option<Unindexed>, BlockFilesError> {
        let (number, length, offset) = self.file;
        let name = numbered(BLOCKS_DIRECTORY, number);
        let here = length.saturating_sub(offset);
        if here < RECORD_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let start = files.read_at(&name, offset, RECORD_HEADER_BYTES)?;
        let header = RecordHeader::read(&start);
        let header = header.filter(|header| header.height == self.next && u64::from(header.length) <= here);
        let Some(header) = header else { return Ok(None) };
        let bytes = files.read_at(&name, offset, header.length as usize)?;
        let location = BlockLocation { file: number, offset, length: header.length, head_end: header.head_end };
        let stored = match block_record::decode_record(&bytes) {
            Err(RecordError::Damaged) => return Ok(None),
            Err(reason) => return Err(BlockFilesError::damaged(&location, self.next, reason)),
            Ok(stored) => stored,
        };
        self.next = self.next.next();
        self.file.2 = location.end();
        self.end = Some((number, location.end()));
        Ok(Some(Unindexed { stored, location }))
    }

    /// Deals with what is no whole block at the end of the file.
    fn leave(&mut self, files: &dyn Files, is_last: bool, set_aside: bool) -> Result<(), BlockFilesError> {
        let (number, length, offset) = self.file;
        if offset == length {
            return Ok(());
        }
        let file = numbered(BLOCKS_DIRECTORY, number);
        if !is_last {
            return Err(BlockFilesError::Damaged { file, offset, height: self.next, reason: RecordError::Damaged });
        }
        if set_aside {
            let torn = format!("{file}.torn-{offset}");
            let rest = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
            let mut aside = files.append(&torn)?;
            aside.append(&files.read_at(&file, offset, rest)?)?;
            aside.sync()?;
            files.sync_directory(BLOCKS_DIRECTORY)?;
        }
        if offset == 0 {
            files.remove(&file)?;
            files.sync_directory(BLOCKS_DIRECTORY)?;
        } else {
            files.truncate(&file, offset)?;
            files.sync(&file)?;
        }
        Ok(())
    }
}
