//! `sallyport sessions watch`: a live session, as it is recorded.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use crate::domain::plain::escaped;
use crate::domain::{Action, Verb};
use crate::recording::reader::{Item, Reader};
use crate::recording::tame::{RESET, Tame};
use crate::recording::verify::is_open;
use crate::recording::{Kept, Stream};

use super::data::{Data, Out, Source, open_recording, unreadable, unwritable};
use super::export::tell_damage;
use super::mask::View;
use super::replay;
use super::{Exit, Failure};

/// Watch a live session until it ends
///
/// Terminals are shown as they are, but for what would do more to yours than show something; decisions, files and ends as lines between. What is
/// shown has been recorded before.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session's id, or the beginning of it.
    #[arg(value_name = "ID")]
    id: String,
    /// Write the recorded bytes as they are: they can do to your terminal whatever it lets them.
    #[arg(long)]
    raw: bool,
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
    let ended = follow(&path, args.raw, &data.view, &mut out);
    if !args.raw && io::stdout().is_terminal() {
        write!(out, "{RESET}").map_err(unwritable)?;
    }
    out.flush().map_err(unwritable)?;
    let outcome = ended?;
    write!(out, "\r\nsealed: {outcome}\r\n").and_then(|()| out.flush()).map_err(unwritable)
}

/// Shows what is recorded until there is a seal; what it says.
fn follow(path: &Path, raw: bool, view: &View, out: &mut Out) -> Result<String, Failure> {
    let mut reader: Reader = open_recording(path)?;
    let (mut tame, mut alive) = (Tame::default(), true);
    loop {
        match reader.next_written().map_err(|e| unreadable(path, &e))? {
            Some(Item::Frame(stamped)) => show(&view.of(stamped.frame), raw, &mut tame, out)?,
            Some(Item::Mark(_)) => {}
            Some(Item::Seal(sealed)) => return Ok(sealed.seal.outcome.to_string()),
            Some(item @ (Item::Damage(_) | Item::Torn { .. })) => tell_damage(&item),
            None if alive => {
                out.flush().map_err(unwritable)?;
                std::thread::sleep(LOOK);
                // Asked before the next look: what is written until then is seen by it.
                alive = is_open(path).map_err(|e| unreadable(path, &e))?;
            }
            None => {
                let text = "the gateway has gone without an end of the session; its next start seals the recording";
                return Err(Failure::new(Exit::Failed, text));
            }
        }
    }
}

fn show(frame: &Kept, raw: bool, tame: &mut Tame, out: &mut Out) -> Result<(), Failure> {
    let written = match frame {
        Kept::Data { stream: Stream::Output | Stream::Error, data, .. } if raw => out.write_all(data),
        Kept::Data { stream: Stream::Output | Stream::Error, data, .. } => {
            let mut shown = String::new();
            tame.push(data, &mut shown);
            out.write_all(shown.as_bytes())
        }
        other => match replay::tell(other) {
            Some(line) => write!(out, "\r\n-- {}\r\n", escaped(&line)),
            None => Ok(()),
        },
    };
    written.map_err(unwritable)
}
