//! Where the text of a configuration came from.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::problem::{ConfigError, FieldProblem, Place};

/// Where the text of a configuration came from; finds lines and resolves relative paths.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    CommandLine,
    File { path: &'a Path, text: &'a str },
}

impl Origin<'_> {
    fn place(&self, offset: usize) -> Place {
        match self {
            Self::CommandLine => Place::CommandLine,
            Self::File { path, text } => {
                let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
                Place::File {
                    path: path.to_path_buf(),
                    line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
                }
            }
        }
    }

    /// Where a key of a table stands: at the table, if it is not written.
    pub(super) fn find(&self, table: Range<usize>, key: &str) -> usize {
        let Self::File { text, .. } = self else {
            return 0;
        };
        let start = table.start;
        let rest = text.get(start..).unwrap_or_default();
        let lines = rest.split_inclusive('\n').scan(start, |offset, line| {
            let at = *offset;
            *offset += line.len();
            Some((at, line))
        });
        lines
            .filter(|(_, line)| line.trim_start().starts_with(key))
            .map(|(at, _)| at)
            .next()
            .unwrap_or(start)
    }

    /// How an option that permits something is written here.
    pub(super) fn option(&self, name: &str) -> String {
        match self {
            Self::CommandLine => format!("give --{}", name.replace('_', "-")),
            Self::File { .. } => format!("set `{name} = true`"),
        }
    }

    pub(super) fn resolve(&self, path: PathBuf) -> PathBuf {
        match self {
            Self::CommandLine => path,
            Self::File { path: file, .. } => match file.parent() {
                Some(directory) => directory.join(path),
                None => path,
            },
        }
    }

    pub(super) fn error(
        &self,
        offset: usize,
        field: impl Into<String>,
        problem: FieldProblem,
    ) -> ConfigError {
        let field = field.into();
        ConfigError::Field {
            place: self.place(offset),
            field: match self {
                Self::CommandLine => flag_of(&field),
                Self::File { .. } => field,
            },
            problem,
        }
    }

    pub(super) fn at<T>(
        &self,
        value: &Spanned<T>,
        field: &str,
        problem: FieldProblem,
    ) -> ConfigError {
        self.error(value.span().start, field, problem)
    }
}

/// The flag that stands for a field.
fn flag_of(field: &str) -> String {
    match field {
        "kx_groups" => "--kx-group".to_owned(),
        "peers" => "--peer".to_owned(),
        field => format!("--{}", field.replace('_', "-")),
    }
}
