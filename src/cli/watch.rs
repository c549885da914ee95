//! `sallyport sessions watch`: a live session, as it is recorded.

use std::io::Write;
use std::time::Duration;

use crate::domain::{Action, Verb};
use crate::recording::{Item, Kept, Stream};

use super::data::{Data, Out, Source, open_recording, unreadable, unwritable};
use super::replay;
use super::{Exit, Failure};

/// Watch a live session until it ends
///
/// Terminals are shown as they are; decisions, files and ends as lines between. What is shown has been recorded before.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session's id, or the beginning of it.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    source: Source,
}

/// How often the recording is looked at for more.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.source.with(|data| watch(data, args))
}

fn watch(data: &Data<'_>, args: &Args) -> Result<(), Failure> {
    let row = data.session(&args.id)?;
    let id = row.facts.session;
    (data.authorise)(&Action::new(Verb::GatewayWatch, id.to_string()))?;
    if row.closed.is_some() {
        return Err(Failure::new(Exit::Failed, format!("session {id} has ended; `sallyport replay {id}` shows it")));
    }
    let path = data.recording(&row);
    let mut out = Out::stdout();
    let (mut shown, mut length) = (0_usize, 0_u64);
    loop {
        let now = std::fs::metadata(&path).map_err(|e| unreadable(&path, &e))?.len();
        if now == length {
            std::thread::sleep(LOOK);
            continue;
        }
        length = now;
        // Read from its beginning each time it has grown: it is chained from there.
        let mut reader = open_recording(&path)?;
        let mut seen = 0_usize;
        while let Some(item) = reader.next_item().map_err(|e| unreadable(&path, &e))? {
            match item {
                Item::Frame(stamped) => {
                    seen += 1;
                    if seen > shown {
                        show(&stamped.frame, &mut out)?;
                    }
                }
                Item::Mark(_) => {}
                Item::Seal(sealed) => {
                    writeln!(out, "\r\nsealed: {}", sealed.seal.outcome)
                        .and_then(|()| out.flush())
                        .map_err(unwritable)?;
                    return Ok(());
                }
                // The last block may be on its way into the file.
                Item::Torn { .. } | Item::Damage(_) => break,
            }
        }
        shown = shown.max(seen);
        out.flush().map_err(unwritable)?;
    }
}

fn show(frame: &Kept, out: &mut Out) -> Result<(), Failure> {
    match frame {
        Kept::Data { stream: Stream::Output | Stream::Error, data, .. } => out.write_all(data).map_err(unwritable),
        other => match replay::tell(other) {
            Some(line) => write!(out, "\r\n-- {line}\r\n").map_err(unwritable),
            None => Ok(()),
        },
    }
}
