//! Reading files that an operator names: bounded, and never waiting for a writer.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a regular file, of at most so many bytes. Never waits for the writer of a pipe.
pub(crate) fn read_file(path: &Path, at_most: usize) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        let not_a_file = "not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, not_a_file));
    }
    let beyond = at_most.saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)?
        .take(u64::try_from(beyond).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)?;
    match bytes.len() > at_most {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {at_most} bytes, the most that is read"),
        )),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_files_up_to_their_bound_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read_file(&path, 4).unwrap(), b"1234");
        assert_eq!(
            read_file(&path, 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(
            read_file(directory.path(), 4).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
