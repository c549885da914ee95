//! What gNOI operations do, as actions. Pure.
//!
//! Each is `gnoi.rpc` on `/service/Method`, with what its arguments name as further segments, percent-encoded where they are not plain. Operations on
//! files are decided as `file.*` on the path too, and what is sent to another host or fetched from it names that host. In a call that streams, the first
//! message carries what is decided, and none may follow that would change it.

mod schema;
#[cfg(test)]
mod tests;

use crate::domain::data::{Keys, NodeName, Step};
use crate::domain::{Action, Verb};

use super::actions::Actions;
use super::method::Method;
use super::path::{Place, View};
use super::refused::Refused;
use super::schema::NOTHING;
use super::wire::Message;

pub(super) use schema::GNOI_PATH;
use schema::*;

type Decided = Result<Vec<Action>, Refused>;

/// The operations that are known.
pub(super) static METHODS: &[Method] = &[
    once("/gnoi.factory_reset.FactoryReset/Start", "gnoi.FactoryReset.Start", [&RESET_START, &RESET_STARTED], reset),
    once("/gnoi.file.File/Get", "gnoi.File.Get", [&FILE_GET, &FILE_CONTENT], file_get),
    streams("/gnoi.file.File/Put", "gnoi.File.Put", [&FILE_PUT, &NOTHING], file_put),
    once("/gnoi.file.File/Remove", "gnoi.File.Remove", [&FILE_REMOVE, &NOTHING], file_remove),
    once("/gnoi.file.File/Stat", "gnoi.File.Stat", [&FILE_STAT, &FILE_STATS], file_stat),
    once(
        "/gnoi.file.File/TransferToRemote",
        "gnoi.File.TransferToRemote",
        [&FILE_TRANSFER, &FILE_TRANSFERRED],
        transfer,
    ),
    once("/gnoi.os.OS/Activate", "gnoi.OS.Activate", [&OS_ACTIVATE, &OS_ACTIVATED], activate),
    streams("/gnoi.os.OS/Install", "gnoi.OS.Install", [&OS_INSTALL, &OS_INSTALLED], install),
    once("/gnoi.os.OS/Verify", "gnoi.OS.Verify", [&NOTHING, &OS_VERIFIED], plain),
    once("/gnoi.system.System/CancelReboot", "gnoi.System.CancelReboot", [&SYSTEM_CANCEL, &NOTHING], cancel_reboot),
    once("/gnoi.system.System/KillProcess", "gnoi.System.KillProcess", [&SYSTEM_KILL, &NOTHING], kill),
    once("/gnoi.system.System/Ping", "gnoi.System.Ping", [&SYSTEM_PING, &SYSTEM_PONG], ping),
    once("/gnoi.system.System/Reboot", "gnoi.System.Reboot", [&SYSTEM_REBOOT, &NOTHING], reboot),
    once(
        "/gnoi.system.System/RebootStatus",
        "gnoi.System.RebootStatus",
        [&SYSTEM_STATUS, &SYSTEM_REBOOTING],
        reboot_status,
    ),
    streams("/gnoi.system.System/SetPackage", "gnoi.System.SetPackage", [&SYSTEM_PACKAGE, &NOTHING], set_package),
    once(
        "/gnoi.system.System/SwitchControlProcessor",
        "gnoi.System.SwitchControlProcessor",
        [&SYSTEM_SWITCH, &SYSTEM_SWITCHED],
        switch,
    ),
    once("/gnoi.system.System/Time", "gnoi.System.Time", [&NOTHING, &SYSTEM_TIME], plain),
    once("/gnoi.system.System/Traceroute", "gnoi.System.Traceroute", [&SYSTEM_TRACE, &SYSTEM_TRACED], trace),
];

type Schemas = [&'static super::schema::Schema; 2];

const fn once(
    path: &'static str,
    name: &'static str,
    [request, response]: Schemas,
    decide: super::method::Decide,
) -> Method {
    Method::once(path, name, request, response, decide)
}

const fn streams(
    path: &'static str,
    name: &'static str,
    [request, response]: Schemas,
    decide: super::method::Decide,
) -> Method {
    Method::streams(path, name, request, response, decide, content_follows)
}

/// In every call of ours that streams, field 1 is what is decided, and the others are content.
fn content_follows(_: &Message<'_>, later: &Message<'_>) -> Result<(), Refused> {
    if later.has(1) || later.numbers().next().is_none() {
        return Err(Refused::invalid("after the first message only content may follow"));
    }
    Ok(())
}

fn first<'m, 'b>(request: &'m Message<'b>, what: &str) -> Result<&'m Message<'b>, Refused> {
    request.message(1).ok_or_else(|| Refused::invalid(format!("the first message must be `{what}`")))
}

fn plain(method: &Method, _: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).alone()
}

fn reset(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).flags(request, &[(1, "factory-os"), (2, "zero-fill"), (3, "retain-certs")]).alone()
}

fn file_get(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).on_file(&[Verb::FileRead], request.text(1))
}

fn file_put(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).on_file(&[Verb::FileWrite], first(request, "open")?.text(1))
}

fn file_remove(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).on_file(&[Verb::FileDelete], request.text(1))
}

/// Of a folder it lists what is in it.
fn file_stat(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).on_file(&[Verb::FileStat, Verb::FileList], request.text(1))
}

fn transfer(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    let Some(remote) = request.message(2) else { return Err(Refused::invalid("the transfer names no destination")) };
    Rpc::of(method).remote(remote)?.on_file(&[Verb::FileRead], request.text(1))
}

fn activate(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).with(request.text(1)).flags(request, &[(2, "standby"), (3, "no-reboot")]).alone()
}

fn install(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    let transfer = first(request, "transfer_request")?;
    Rpc::of(method).with(transfer.text(1)).flags(transfer, &[(2, "standby")]).alone()
}

fn cancel_reboot(method: &Method, request: &Message<'_>, view: &View<'_>) -> Decided {
    Rpc::of(method).each_component(request, 2, view)
}

fn reboot_status(method: &Method, request: &Message<'_>, view: &View<'_>) -> Decided {
    Rpc::of(method).each_component(request, 1, view)
}

fn reboot(method: &Method, request: &Message<'_>, view: &View<'_>) -> Decided {
    let how = named(REBOOTS, request.number(1))?;
    Rpc::of(method).with(how).flags(request, &[(5, "force")]).each_component(request, 4, view)
}

fn switch(method: &Method, request: &Message<'_>, view: &View<'_>) -> Decided {
    Rpc::of(method).each_component(request, 1, view)
}

fn kill(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    let (pid, name) = (request.number(1), request.text(2));
    let rpc = Rpc::of(method).with(named(SIGNALS, request.number(3))?);
    match (pid, name) {
        (0, "") => Err(Refused::invalid("no process is named")),
        (0, name) => rpc.with("name").with(name).alone(),
        (pid, "") => rpc.with("pid").with(&pid.to_string()).alone(),
        _ => Err(Refused::invalid("a process is named by its number or by its name, not by both")),
    }
}

fn ping(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).with(request.text(1)).alone()
}

fn trace(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    Rpc::of(method).with(request.text(2)).alone()
}

fn set_package(method: &Method, request: &Message<'_>, _: &View<'_>) -> Decided {
    let package = first(request, "package")?;
    let mut actions = Actions::default();
    let rpc = Rpc::of(method).with(package.text(4)).flags(package, &[(5, "activate")]);
    actions.push(Verb::GnoiRpc, rpc.0)?;
    if let Some(remote) = package.message(6) {
        actions.push(Verb::GnoiRpc, Rpc::of(method).remote(remote)?.0)?;
    }
    actions.push(Verb::FileWrite, package.text(1))?;
    Ok(actions.finish())
}

/// A number that has a name.
fn named(names: &[&'static str], number: u64) -> Result<&'static str, Refused> {
    let name = usize::try_from(number).ok().and_then(|number| names.get(number));
    name.copied()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Refused::invalid(format!("{number} has no meaning there")))
}

/// The object of a `gnoi.rpc`.
struct Rpc(String);

impl Rpc {
    fn of(method: &Method) -> Self {
        Self(method.path.to_owned())
    }

    /// With one more segment; none for what is not given.
    fn with(mut self, argument: &str) -> Self {
        if !argument.is_empty() {
            self.0.push('/');
            push_encoded(&mut self.0, argument);
        }
        self
    }

    /// With a segment for each flag that is set.
    fn flags(self, request: &Message<'_>, flags: &[(u32, &str)]) -> Self {
        let set = flags.iter().filter(|(number, _)| request.number(*number) != 0);
        set.fold(self, |rpc, (_, name)| rpc.with(name))
    }

    fn alone(self) -> Decided {
        Ok(vec![Action::new(Verb::GnoiRpc, self.0)])
    }

    /// The operation, and what it does to a file.
    fn on_file(self, verbs: &[Verb], path: &str) -> Decided {
        let on_file = verbs.iter().map(|verb| Action::new(*verb, path));
        Ok([Action::new(Verb::GnoiRpc, self.0)].into_iter().chain(on_file).collect())
    }

    /// The operation on each component that a field names, or on the element where it names none.
    fn each_component(self, request: &Message<'_>, number: u32, view: &View<'_>) -> Decided {
        let mut actions = Actions::default();
        for component in request.messages(number) {
            let Place::Data(path) = view.place(None, Some(component))? else {
                return Err(Refused::invalid("a component is named by a path"));
            };
            let mut object = self.0.clone();
            path.steps().iter().for_each(|step| push_step(&mut object, step));
            actions.push(Verb::GnoiRpc, object)?;
        }
        if !request.has(number) {
            actions.push(Verb::GnoiRpc, self.0)?;
        }
        Ok(actions.finish())
    }

    /// With the protocol, host and path of what is fetched or sent.
    fn remote(self, remote: &Message<'_>) -> Result<Self, Refused> {
        let protocol = named(PROTOCOLS, remote.number(2))?;
        let (host, path) = destination(protocol, remote.text(1))?;
        Ok(path.split('/').fold(self.with(protocol).with(&host), Self::with))
    }
}

/// Host and path of a remote file: a URL with or without its scheme for HTTP, `host:/path` for SFTP and SCP.
fn destination(protocol: &str, text: &str) -> Result<(String, String), Refused> {
    let bad = |why: &str| Refused::invalid(format!("the remote file: {why}"));
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    if scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case(protocol)) {
        return Err(bad("its URL is of another protocol"));
    }
    let web = match protocol {
        "HTTP" | "HTTPS" => true,
        "SCP" | "SFTP" => scheme.is_some(),
        _ => return Err(bad("its protocol is not known")),
    };
    let split = if web { rest.split_once('/') } else { rest.split_once(":/") };
    let Some((host, path)) = split else { return Err(bad("it names no path")) };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(plain) {
        return Err(bad("its host is not a name or an address"));
    }
    if path.chars().any(char::is_control) || path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(bad("its path is not canonical"));
    }
    Ok((host.to_ascii_lowercase(), path.to_owned()))
}

fn push_step(object: &mut String, step: &Step) {
    object.push('/');
    match &step.name {
        NodeName::Any => push_encoded(object, "*"),
        NodeName::Many => push_encoded(object, "**"),
        NodeName::Named { module, name } => {
            let module = module.as_ref().map(|module| format!("{module}:")).unwrap_or_default();
            push_encoded(object, &format!("{module}{name}"));
        }
    }
    if let Keys::Named(keys) = &step.keys {
        for (key, value) in keys {
            object.push_str(&format!("[{key}="));
            push_encoded(object, value.as_deref().unwrap_or("*"));
            object.push(']');
        }
    }
}

/// Appends an argument as (part of) one segment: nothing in it parts segments, names another folder or stands for anything but itself.
fn push_encoded(object: &mut String, argument: &str) {
    let dots = matches!(argument, "." | "..");
    for byte in argument.bytes() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b':' | b'@' | b'+' | b',' | b'=');
        if plain || byte == b'.' && !dots {
            object.push(char::from(byte));
        } else {
            object.push_str(&format!("%{byte:02X}"));
        }
    }
}
