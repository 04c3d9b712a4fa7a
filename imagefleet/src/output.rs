//! Data goes to stdout, everything said to people to stderr.

use std::io::{self, Write as _};

use console::style;
use serde::Serialize;

/// Write one line of data.
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    bytes(format!("{}\n", text.as_ref()).as_bytes())
}

/// Write one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(value)?)?)
}

/// Write data as it is.
pub(crate) fn bytes(data: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data)?;
    stdout.flush()
}

/// Say something to people. Nobody listening is no reason to fail.
pub(crate) fn say(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Say what went wrong.
pub(crate) fn error(error: &anyhow::Error) {
    say(format!(
        "{} {error:#}",
        style("error:").for_stderr().red().bold()
    ));
}

/// Whether this is about a reader of our output who went away.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|link| {
        link.downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Text from outside, made fit for a terminal: what could move the cursor, change colours or turn
/// the reading direction is replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                '\u{fffd}'
            }
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\n\u{202e}gpj"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}gpj"
        );
        assert_eq!(printable("Größe 🌋.jpg"), "Größe 🌋.jpg");
    }
}
