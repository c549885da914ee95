//! `sallyport export`: takes a recording out in a form that other tools read.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::domain::plain::escaped;
use crate::domain::{Action, Verb};
use crate::recording::export;
use crate::recording::reader::Item;

use super::data::{Data, Out, Source, open_recording, unreadable, unwritable};
use super::{Exit, Failure};

/// Take a recording out, in a form that other tools read
///
/// `cast` is asciicast v2: `asciinema play FILE`. `text` is what the terminal showed, without control sequences. `jsonl` is every frame as one JSON object.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session's id, or the beginning of it.
    #[arg(value_name = "ID")]
    id: String,
    /// The form.
    #[arg(long, value_enum, default_value = "cast")]
    format: Format,
    /// The channel, when a session has several. By default the first with a terminal; jsonl: all.
    #[arg(long)]
    channel: Option<u32>,
    /// Where to; standard output when absent. An existing file is not written over.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// cast: keep sequences that do more to a terminal than show something. A player writes them to the terminal it runs on.
    #[arg(long)]
    raw: bool,
    /// jsonl: show passwords, keys and other secrets in messages of the management plane: decided by policy as gateway.replay-unmasked, too.
    #[arg(long)]
    unmasked: bool,
    /// Export what survives of a damaged recording.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Cast,
    Text,
    Jsonl,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    args.source.with(|data| export(data, &args))
}

fn export(data: &Data<'_>, args: &Args) -> Result<(), Failure> {
    let row = data.session(&args.id)?;
    let id = row.facts.session;
    (data.authorise)(&Action::new(Verb::GatewayExport, id.to_string()))?;
    let path = data.recording(&row);
    refuse_damage(&path, args.force)?;
    let form = match args.format {
        Format::Cast => "cast",
        Format::Text => "text",
        Format::Jsonl => "jsonl",
    };
    let view = data.begin_reading(id, &format!("export --format {form}"), args.unmasked)?;
    let mut out = Out::to(args.output.as_deref())?;
    let mut damage = |item: &Item| tell_damage(item);
    let mut reader = open_recording(&path)?;
    if args.format == Format::Jsonl {
        return export::jsonl(&mut reader, args.channel, &|frame| view.of(frame), &mut out, &mut damage)
            .and_then(|()| out.flush())
            .map_err(unwritable);
    }
    let shown = export::shown_channel(&mut open_recording(&path)?, args.channel).map_err(|e| unreadable(&path, &e))?;
    let Some((channel, terminal)) = shown else {
        return Err(Failure::new(
            Exit::Failed,
            "nothing was shown in this session; --format jsonl has all that happened",
        ));
    };
    let written = match args.format {
        Format::Cast => export::cast(&mut reader, channel, terminal.as_ref(), args.raw, &mut out, &mut damage),
        Format::Text | Format::Jsonl => export::text(&mut reader, channel, &mut out, &mut damage),
    };
    written.and_then(|()| out.flush()).map_err(unwritable)
}

/// Reads the whole recording once and refuses one whose chain is broken, unless it is to be read all the same.
pub(super) fn refuse_damage(path: &std::path::Path, force: bool) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    let mut reader = open_recording(path)?;
    while let Some(item) = reader.next_item().map_err(|e| unreadable(path, &e))? {
        if let Item::Damage(damage) = item {
            let text = format!(
                "{} is damaged: {damage}\nit is evidence of nothing as it stands; --force shows what survives",
                path.display()
            );
            return Err(Failure::new(Exit::Failed, text));
        }
    }
    Ok(())
}

/// Says on standard error what could not be read.
pub(super) fn tell_damage(item: &Item) {
    let told = match item {
        Item::Damage(damage) => writeln!(io::stderr(), "[damaged: {}]", escaped(&damage.to_string())),
        Item::Torn { offset, bytes } => {
            writeln!(io::stderr(), "[the recording ends within a frame: {bytes} bytes at byte {offset}]")
        }
        Item::Frame(_) | Item::Mark(_) | Item::Seal(_) => Ok(()),
    };
    // There is nobody else to tell.
    told.ok();
}
