//! The lines of a file or of the standard input, each with its number and none without an end.
//!
//! Not here: what a line holds. Invariant: memory is bounded by [`LINE_BYTES_MAX`]; a line that cannot be
//! read is an error that names the input and the line.

use std::io::{BufRead, Read as _};

use processing_core::error::CoreError;

/// What is longer is no line, and no row of a table.
pub(crate) const LINE_BYTES_MAX: u64 = 16 << 20;

/// The lines of `input`, which is called `name`, without their ends; empty ones are passed over.
pub(crate) fn lines(mut input: impl BufRead, name: String) -> impl Iterator<Item = Result<(u64, String), CoreError>> {
    let mut number = 0_u64;
    std::iter::from_fn(move || {
        loop {
            number += 1;
            let mut line = String::new();
            // Of a line that is too long, one byte more is enough to know it.
            match input.by_ref().take(LINE_BYTES_MAX + 1).read_line(&mut line) {
                Ok(0) => return None,
                Ok(bytes) if bytes as u64 > LINE_BYTES_MAX && !line.ends_with('\n') => {
                    return Some(Err(too_long(&name, number)));
                }
                Ok(_) => {
                    let text =
                        line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
                    if !text.is_empty() {
                        line.truncate(text.len());
                        return Some(Ok((number, line)));
                    }
                }
                Err(error) => return Some(Err(CoreError::Usage(format!("{name} line {number}: {error}")))),
            }
        }
    })
}

/// The error about a line, or a row that begins there, without an end.
pub(crate) fn too_long(name: &str, number: u64) -> CoreError {
    CoreError::Usage(format!("{name} line {number}: longer than {} MiB, which no record can be", LINE_BYTES_MAX >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Vec<Result<(u64, usize), String>> {
        let lines = lines(input, "x".into()).take(9);
        lines.map(|line| line.map(|(number, line)| (number, line.len())).map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn lines_are_numbered_and_bounded() {
        assert_eq!(read(b"a\r\n\nbcd"), [Ok((1, 1)), Ok((3, 3))]);
        let most = LINE_BYTES_MAX as usize;
        let mut input = vec![b'a'; most];
        input.extend(b"\nb\n");
        assert_eq!(read(&input), [Ok((1, most)), Ok((2, 1))]);
        input.insert(0, b'a');
        assert_eq!(read(&input)[0], Err("x line 1: longer than 16 MiB, which no record can be".to_owned()));
    }
}
