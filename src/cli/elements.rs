//! `sallyport elements`: the inventory, the host keys that elements show, and pinning one of them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;

use super::{Exit, Failure};
use crate::config;
use crate::domain::ElementName;
use crate::element::inventory::{Address, FILE, pin};
use crate::element::ssh::scan::{Scanned, scan};
use crate::element::{Element, Inventory, host_key};

/// List elements, look at their host keys, pin one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the elements of the inventory
    List {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// As an array of JSON objects
        #[arg(long)]
        json: bool,
    },
    /// Show the host keys of elements and compare them with those pinned; changes nothing
    ///
    /// A scan proves nothing by itself: whoever answers is shown. Compare the fingerprint with the element's own console before
    /// you pin it. Ends with 1 when an element shows a key that is not pinned, with 4 when one cannot be reached.
    Scan {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Elements of the inventory, or addresses (host:port) that are not in it yet; all elements when none is given
        #[arg(value_name = "NAME|HOST:PORT")]
        what: Vec<String>,
    },
    /// Pin a host key that you have compared
    ///
    /// Appends it to the element's `host_keys` in elements.toml and leaves the rest of the file as it is. A running gateway takes
    /// it over with the next reload of its policies.
    Pin {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The element
        name: ElementName,
        /// `SHA256:…`, or the whole public key in quotes
        fingerprint: String,
    },
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List { config, json } => list(&inventory_of(&load(&config)?)?, json),
        Command::Scan { config, what } => scan_all(&load(&config)?, &what),
        Command::Pin { config, name, fingerprint } => {
            pin_one(&load(&config)?.policies_dir.join(FILE), &name, &fingerprint)
        }
    }
}

pub(super) fn load(file: &Path) -> Result<config::Config, Failure> {
    config::load(file).map_err(|problems| Failure::usage(problems.join("\n")))
}

fn inventory_of(config: &config::Config) -> Result<Inventory, Failure> {
    let file = config.policies_dir.join(FILE);
    Inventory::load(&file).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|p| format!("{}:{}: {}", file.display(), p.line, p.text)).collect();
        Failure::usage(lines.join("\n"))
    })
}

fn list(inventory: &Inventory, json: bool) -> Result<(), Failure> {
    if json {
        let rows: Vec<serde_json::Value> = inventory.iter().map(|element| facts(element)).collect();
        let text = serde_json::to_string_pretty(&rows).map_err(|error| Failure::new(Exit::Failed, error))?;
        return print(&format!("{text}\n"));
    }
    let mut rows = vec![
        ["ELEMENT", "PLATFORM", "CLASS", "SITE", "ACCOUNT", "CREDENTIAL", "CRYPTO", "ADDRESSES"].map(str::to_owned),
    ];
    for element in inventory.iter() {
        let word = |text: Option<&str>| text.unwrap_or("-").to_owned();
        rows.push([
            element.name().to_string(),
            word(element.platform()),
            word(element.class()),
            word(element.site()),
            element.default_account().to_string(),
            element.credential().kind().to_owned(),
            element
                .crypto()
                .map_or_else(|| "strict".to_owned(), |profile| format!("{} until {}", profile.name, profile.expires)),
            addresses(element).join(", "),
        ]);
    }
    print(&table(&rows))
}

fn facts(element: &Element) -> serde_json::Value {
    let crypto = element.crypto().map(|profile| {
        serde_json::json!({
            "profile": profile.name, "reason": profile.reason, "owner": profile.owner, "expires": profile.expires.to_string(),
        })
    });
    let pinned: Vec<String> = element.host_trust().pinned.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "name": element.name().as_str(),
        "addresses": addresses(element),
        "groups": element.tags().groups,
        "accounts": element.accounts().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "credential": element.credential().kind(),
        "protocols": element.protocols(),
        "host_keys": pinned,
        "host_ca": element.host_trust().authorities.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "crypto": crypto,
        "sessions_max": element.sessions_max(),
        "dials_max": element.dials_max(),
    })
}

fn addresses(element: &Element) -> Vec<String> {
    element.addresses().iter().map(ToString::to_string).collect()
}

/// What one argument of `scan` means.
enum Wanted<'a> {
    Known(&'a Element),
    New(Address),
}

fn scan_all(config: &config::Config, what: &[String]) -> Result<(), Failure> {
    // An address can be scanned before the inventory is complete: that is what a scan is for.
    let only_addresses = !what.is_empty() && what.iter().all(|text| text.contains(':'));
    let inventory = if only_addresses { Inventory::default() } else { inventory_of(config)? };
    let wanted = if what.is_empty() {
        inventory.iter().map(|element| Wanted::Known(element)).collect()
    } else {
        what.iter().map(|text| wanted(&inventory, text)).collect::<Result<Vec<_>, Failure>>()?
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    let (mut strange, mut silent) = (Vec::new(), Vec::new());
    for wanted in &wanted {
        let (name, addresses) = match wanted {
            Wanted::Known(element) => (element.name().to_string(), element.addresses().to_vec()),
            Wanted::New(address) => (address.to_string(), vec![address.clone()]),
        };
        for address in &addresses {
            let scanned = runtime.block_on(scan(address, &config.element.own, timeout(config)));
            let element = if let Wanted::Known(element) = wanted { Some(*element) } else { None };
            let (text, is_strange) = report(&name, element, &scanned);
            print(&text)?;
            if is_strange {
                strange.push(address.to_string());
            }
            if scanned.error.is_some() {
                silent.push(address.to_string());
            }
        }
    }
    match (strange.as_slice(), silent.as_slice()) {
        ([], []) => Ok(()),
        ([], silent) => Err(Failure::new(Exit::Unreachable, format!("no host key from {}", silent.join(", ")))),
        (strange, _) => {
            Err(Failure::new(Exit::Failed, format!("host keys that nobody pinned: {}", strange.join(", "))))
        }
    }
}

fn timeout(config: &config::Config) -> Duration {
    config.element.connect_timeout
}

fn wanted<'a>(inventory: &'a Inventory, text: &str) -> Result<Wanted<'a>, Failure> {
    if text.contains(':') {
        return text.parse().map(Wanted::New).map_err(Failure::usage);
    }
    let name: ElementName = text.parse().map_err(Failure::usage)?;
    let found = inventory
        .find(&name)
        .ok_or_else(|| Failure::usage(format!("there is no element `{name}` in the inventory")))?;
    Ok(Wanted::Known(found))
}

/// The text for people, and whether a key is shown that the inventory would refuse.
fn report(name: &str, element: Option<&Element>, scanned: &Scanned) -> (String, bool) {
    let mut text = format!("{name}  {}\n", scanned.address);
    let mut pinned_any = false;
    for key in &scanned.keys {
        let pinned = element.is_some_and(|e| e.host_trust().check_key(key).is_ok());
        pinned_any |= pinned;
        // Writing to a text cannot fail, here and below.
        let mark = if pinned { "pinned" } else { "NOT PINNED" };
        let line = key.to_openssh().unwrap_or_default();
        text.push_str(&format!("  {mark:<11} {}\n              {line}\n", host_key::describe(key)));
    }
    for certificate in &scanned.certificates {
        let authority = certificate.signature_key().fingerprint(ssh_key::HashAlg::Sha256);
        let known = element.is_some_and(|e| e.host_trust().authorities.contains(&authority));
        pinned_any |= known;
        let mark = if known { "authority" } else { "certificate" };
        text.push_str(&format!("  {mark:<11} by {authority} for {:?}\n", certificate.valid_principals()));
    }
    if let Some(error) = &scanned.error {
        text.push_str(&format!("  no host key: {error}\n"));
    }
    let strange = !scanned.keys.is_empty() && !pinned_any;
    if strange {
        text.push_str(&proposal(element, scanned));
    }
    (text, strange)
}

fn proposal(element: Option<&Element>, scanned: &Scanned) -> String {
    let mut text = String::from("  Compare a fingerprint with the element's own console, then\n");
    let Some(first) = scanned.keys.first() else { return String::new() };
    let written = match element {
        Some(element) => writeln!(
            text,
            "    sallyport elements pin {} {} --config FILE",
            element.name(),
            first.fingerprint(ssh_key::HashAlg::Sha256)
        ),
        None => writeln!(
            text,
            "  write it into policies/elements.toml:\n    [[element]]\n    name = \"\"\n    addresses = [\"{}\"]\n    account = \"\"\n    host_keys = [{:?}]\n    credential = {{ kind = \"certificate\" }}",
            scanned.address,
            first.to_openssh().unwrap_or_default()
        ),
    };
    if written.is_ok() { text } else { String::new() }
}

fn pin_one(file: &Path, name: &ElementName, key: &str) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    let edited = pin(&text, name, key).map_err(|error| failed(&error))?;
    replace(file, &edited).map_err(|error| failed(&error))?;
    print(&format!("pinned for {name} in {}\n", file.display()))
}

/// The new text appears whole or not at all, with the file's own permissions.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let fresh = file.with_extension("toml.new");
    let mut out = std::fs::File::create(&fresh)?;
    out.set_permissions(std::fs::metadata(file)?.permissions())?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    std::fs::rename(&fresh, file)
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A reader that goes away (`| head`) is no failure of the command.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Failed, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["A", "BB"], ["long", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "A     BB\nlong  x\n");
    }

    #[test]
    fn a_pin_keeps_the_file_and_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        std::fs::write(&file, "# ours\n[[element]]\nname = \"a\"\nhost_keys = []\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let key = "SHA256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8";
        pin_one(&file, &"a".parse().unwrap(), key).unwrap();
        assert!(
            std::fs::read_to_string(&file).unwrap().starts_with("# ours\n")
                && std::fs::read_to_string(&file).unwrap().contains(key)
        );
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        for (name, key) in [("a", key), ("b", key), ("a", "MD5:x")] {
            assert_eq!(pin_one(&file, &name.parse().unwrap(), key).unwrap_err().exit, Exit::Usage, "{name} {key}");
        }
    }
}
