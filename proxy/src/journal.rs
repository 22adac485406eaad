//! What outlives the process, as an append-only journal of JSON lines.
//!
//! Takes entries, one line each, with a version: `{"v":1,…}`. Gives them back in order. A line is written with one
//! `write(2)` to a file opened with `O_APPEND`, and `fdatasync` follows, so a crash can tear the last line only; the
//! next line is written after a line feed, the torn one is passed over, and every line before it counts. It never
//! rewrites a line: a journal with many dead lines is replaced as a whole.

mod error;
pub(crate) mod line;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use error::JournalError;
use error::{io_error, not_a_file, not_an_entry};
use line::{Reading, read_line};

/// The longest line that is read, in bytes. An ID has at most 2048.
const MAX_LINE_BYTES: u64 = 4096;

/// What one kind of journal holds.
pub(crate) trait Entry: Sized {
    /// Whose file it is, in messages: `the … file`.
    const OWNER: &'static str;
    /// The members that tell its lines from others, in messages.
    const MEMBERS: &'static str;

    /// Reads a line whose version is known.
    ///
    /// # Errors
    /// What is wrong with the line.
    fn read(line: &[u8]) -> Result<Self, String>;
}

/// What was read from some place in the journal to its end.
#[derive(Debug)]
pub(crate) struct Contents<E> {
    /// The entries, oldest first.
    pub(crate) entries: Vec<E>,
    /// How many lines there were, torn and empty ones too.
    lines: u64,
    /// Offset after the last line that is whole.
    end: u64,
}

/// What has happened to the journal since it was last read.
#[derive(Debug)]
pub(crate) enum News<E> {
    /// These entries were appended, some of them perhaps by ourselves.
    Appended(Vec<E>),
    /// Another file stands there now, and this is all of it.
    Replaced(Vec<E>),
}

/// What becomes of a last line without a line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Somebody may be writing it: it is read next time.
    Leave,
    /// Whoever wrote it is gone: it counts if it is whole.
    Take,
}

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct Journal<E> {
    path: PathBuf,
    file: File,
    /// Everything before this offset has been read.
    read_to: u64,
    /// The file was at least this long once; it never gets shorter by our doing.
    len: u64,
    holds: PhantomData<fn() -> E>,
}

impl<E: Entry> Journal<E> {
    /// Opens the journal, and makes an empty one with mode 0600 if there is none.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be read and appended to, or is no journal of this version.
    pub(crate) fn open(path: &Path) -> Result<(Self, Contents<E>), JournalError> {
        let failed = |doing| io_error::<E>(doing, path);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed("open"))?;
        let path = fs::canonicalize(path).map_err(failed("find"))?;
        let contents = read_from(&file, &path, 0, Tail::Take)?;
        if contents.lines == 0 {
            // Perhaps it was made just now.
            sync_directory(&path).map_err(failed("make durable"))?;
        }
        let journal = Self {
            path,
            file,
            read_to: contents.end,
            len: contents.end,
            holds: PhantomData,
        };
        Ok((journal, contents))
    }

    /// Writes lines, one `write(2)` each, and waits until the disk has them.
    ///
    /// # Errors
    /// When some may not have reached the disk. They may all be written again: an entry counts once.
    pub(crate) fn append(&mut self, lines: &[String]) -> Result<(), JournalError> {
        let written = lines
            .iter()
            .try_for_each(|line| self.write(line.as_bytes()));
        let synced = written.and_then(|()| {
            self.file.sync_data()?;
            self.len = self.file.metadata()?.len();
            Ok(())
        });
        synced.map_err(io_error::<E>("append to", &self.path))
    }

    /// Writes one line, after a line feed if a crash or a full disk has left half a line before it.
    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        if self.ends_in_half_a_line()? {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line);
        let mut file = &self.file;
        let written = loop {
            match file.write(&bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => break written,
            }
        };
        match written? {
            written if written < bytes.len() => Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{written} of {} bytes were written", bytes.len()),
            )),
            _ => Ok(()),
        }
    }

    fn ends_in_half_a_line(&self) -> io::Result<bool> {
        let Some(last) = self.file.metadata()?.len().checked_sub(1) else {
            return Ok(false);
        };
        let mut byte = [b'\n'];
        self.file.read_at(&mut byte, last)?;
        Ok(byte != [b'\n'])
    }

    /// Whether the path no longer leads to the file that is open, or that file was cut short.
    pub(crate) fn is_replaced(&self) -> bool {
        let Ok(open) = self.file.metadata() else {
            return true;
        };
        match fs::metadata(&self.path) {
            Ok(there) => {
                (there.dev(), there.ino()) != (open.dev(), open.ino()) || there.len() < self.len
            }
            Err(_) => true,
        }
    }

    /// Reads what was appended since the last look, up to the last line feed; or all of the file that has taken
    /// the place of this one.
    ///
    /// # Errors
    /// As [`Journal::open`]; what could not be read is read again next time.
    pub(crate) fn news(&mut self) -> Result<News<E>, JournalError> {
        if self.is_replaced() {
            let (journal, contents) = Self::open(&self.path)?;
            *self = journal;
            return Ok(News::Replaced(contents.entries));
        }
        let contents = read_from(&self.file, &self.path, self.read_to, Tail::Leave)?;
        self.read_to = contents.end;
        self.len = self.len.max(contents.end);
        Ok(News::Appended(contents.entries))
    }

    /// Puts a journal of these lines in the place of this one: written beside it, flushed, renamed over it, and
    /// the directory flushed. Whenever the system stops, one of the two stands there whole.
    ///
    /// # Errors
    /// [`JournalError::Io`] at any step; the old journal then stays in use.
    pub(crate) fn compact(&mut self, lines: &[String]) -> Result<(), JournalError> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        let beside = PathBuf::from(name);
        let replace = || -> io::Result<File> {
            // Left by a crash.
            if let Err(error) = fs::remove_file(&beside)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let mut file = OpenOptions::new()
                .read(true)
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(lines.concat().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            sync_directory(&self.path)?;
            Ok(file)
        };
        self.file = replace().map_err(io_error::<E>("compact", &self.path))?;
        self.read_to = lines.iter().map(|line| line.len() as u64).sum();
        self.len = self.read_to;
        Ok(())
    }
}

impl<E> Contents<E> {
    /// Whether more than half of the lines say nothing any more.
    pub(crate) fn is_worth_compacting(&self, live: usize) -> bool {
        self.lines > 2 * live as u64
    }
}

/// Reads a journal without changing it.
///
/// # Errors
/// [`JournalError`] when there is none, or it cannot be read or understood.
pub(crate) fn read<E: Entry>(path: &Path) -> Result<Vec<E>, JournalError> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path)
        .map_err(io_error::<E>("find", path))?
        .is_file()
    {
        return Err(not_a_file::<E>(path));
    }
    let file = File::open(path).map_err(io_error::<E>("open", path))?;
    read_from(&file, path, 0, Tail::Take).map(|contents| contents.entries)
}

fn read_from<E: Entry>(
    file: &File,
    path: &Path,
    from: u64,
    tail: Tail,
) -> Result<Contents<E>, JournalError> {
    let failed = |doing| io_error::<E>(doing, path);
    if !file.metadata().map_err(failed("look at"))?.is_file() {
        return Err(not_a_file::<E>(path));
    }
    let mut file = file;
    file.seek(SeekFrom::Start(from)).map_err(failed("read"))?;
    let mut reader = BufReader::new(file);
    let mut contents = Contents {
        entries: Vec::new(),
        lines: 0,
        end: from,
    };
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let mut bounded = (&mut reader).take(MAX_LINE_BYTES + 1);
        let len = bounded
            .read_until(b'\n', &mut bytes)
            .map_err(failed("read"))?;
        let (line, whole) = match bytes.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (bytes.as_slice(), false),
        };
        if len == 0 || (!whole && tail == Tail::Leave && len as u64 <= MAX_LINE_BYTES) {
            return Ok(contents);
        }
        contents.lines += 1;
        if line.len() as u64 > MAX_LINE_BYTES {
            let what = format!("longer than {MAX_LINE_BYTES} bytes");
            return Err(not_an_entry::<E>(path, contents.lines, what));
        }
        let entries = contents.entries.len();
        take_line(line, path, &mut contents)?;
        if whole || contents.entries.len() > entries {
            contents.end += len as u64;
        }
    }
}

fn take_line<E: Entry>(
    line: &[u8],
    path: &Path,
    contents: &mut Contents<E>,
) -> Result<(), JournalError> {
    let number = contents.lines;
    match read_line(line) {
        Reading::Entry(entry) => contents.entries.push(entry),
        Reading::Empty => {}
        Reading::Torn => tracing::warn!(
            path = %path.display(),
            line = number,
            "a torn line in the {} file is passed over",
            E::OWNER
        ),
        Reading::Foreign(what) => {
            return Err(not_an_entry::<E>(path, number, what));
        }
        Reading::OtherVersion(version) => {
            return Err(JournalError::UnknownVersion {
                owner: E::OWNER,
                path: path.to_owned(),
                line: number,
                version,
            });
        }
    }
    Ok(())
}

/// Makes a new name in the file's directory survive a power cut.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
