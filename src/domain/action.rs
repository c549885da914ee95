//! What is done to an element: a verb and its object.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ParseError;

macro_rules! verbs {
    ($($variant:ident = $text:literal, $doc:literal;)*) => {
        /// Every action the gateway can name. What is not here cannot be asked for, so it is denied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Verb {
            $(#[doc = $doc] $variant,)*
        }

        impl Verb {
            /// Every verb, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that policy, logs and recordings use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl FromStr for Verb {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(ParseError::new(format!("`{}` is not a verb", text.escape_debug()))),
                }
            }
        }
    };
}

verbs! {
    SshShell = "ssh.shell", "An interactive shell whose line editor the gateway owns. The object is empty.";
    SshRawShell = "ssh.raw-shell", "An interactive shell relayed as it is: recorded, not controlled. The object is empty.";
    SshExec = "ssh.exec", "One command without a shell of the gateway. The object is the whole command line.";
    SshSubsystem = "ssh.subsystem", "A subsystem that no adapter polices. The object is its name.";
    SshForward = "ssh.forward", "A connection from the client through the element. The object is `host:port` or a socket path.";
    SshListen = "ssh.listen", "A listener on the element whose connections come to the client. The object is `host:port` or a socket path.";
    SshAgent = "ssh.agent", "The client's key agent made usable on the element. The object is empty.";
    SshX11 = "ssh.x11", "The client's display made usable on the element. The object is empty.";
    FileTransfer = "file.transfer", "Opening a file transfer (`sftp` or `scp`): allowed when any file action could be. Rows do not name it.";
    FileRead = "file.read", "Reading a file. The object is its path.";
    FileWrite = "file.write", "Creating or changing a file. The object is its path.";
    FileList = "file.list", "Reading a folder. The object is its path.";
    FileDelete = "file.delete", "Removing a file or folder. The object is its path.";
    FileRename = "file.rename", "Renaming or linking. Asked once for the old and once for the new path.";
    FileMkdir = "file.mkdir", "Making a folder. The object is its path.";
    FileAttributes = "file.attributes", "Changing mode, owner, times or size. The object is the path.";
    FileStat = "file.stat", "Reading attributes or resolving a path. The object is the path.";
    FileLink = "file.link", "Making a symbolic or hard link. Asked for the link and for what it points to.";
    CliRun = "cli.run", "One command line on an element, however it travels. The object is the whole line.";
    NetconfSession = "netconf.session", "Opening a NETCONF session (RFC 6241). The object is empty.";
    NetconfGet = "netconf.get", "Reading configuration and state. The object is a data target.";
    NetconfGetConfig = "netconf.get-config", "Reading a configuration. The object is a data target.";
    NetconfGetData = "netconf.get-data", "Reading a datastore (RFC 8526). The object is a data target.";
    NetconfCreate = "netconf.create", "Creating a node. The object is a data target.";
    NetconfMerge = "netconf.merge", "Merging a node. The object is a data target.";
    NetconfReplace = "netconf.replace", "Replacing a node and all below it. The object is a data target.";
    NetconfDelete = "netconf.delete", "Deleting a node that is there. The object is a data target.";
    NetconfRemove = "netconf.remove", "Removing a node if it is there. The object is a data target.";
    NetconfAction = "netconf.action", "An action of a node (RFC 7950 §7.15). The object is a data target.";
    NetconfPartialLock = "netconf.partial-lock", "Locking part of a datastore (RFC 5717). The object is a data target.";
    NetconfPartialUnlock = "netconf.partial-unlock", "Releasing a partial lock. The object is empty.";
    NetconfCopyConfig = "netconf.copy-config", "Copying a configuration. The object is the datastore that is overwritten.";
    NetconfDeleteConfig = "netconf.delete-config", "Deleting a configuration. The object is the datastore.";
    NetconfLock = "netconf.lock", "Locking a datastore. The object is its name.";
    NetconfUnlock = "netconf.unlock", "Releasing a lock. The object is the datastore.";
    NetconfCommit = "netconf.commit", "Making the candidate the running configuration. The object is empty, or `confirmed`.";
    NetconfCancelCommit = "netconf.cancel-commit", "Cancelling a confirmed commit. The object is empty.";
    NetconfDiscardChanges = "netconf.discard-changes", "Reverting the candidate. The object is empty.";
    NetconfValidate = "netconf.validate", "Validating a configuration. The object is the datastore.";
    NetconfSubscribe = "netconf.subscribe", "Asking for notifications (RFC 5277, RFC 8639). The object is the stream.";
    NetconfKillSession = "netconf.kill-session", "Ending another session of the element. The object is its number.";
    NetconfGetSchema = "netconf.get-schema", "Reading a model (RFC 6022). The object is its name.";
    NetconfRpc = "netconf.rpc", "Another operation. The object is `module:name`.";
    RestconfGet = "restconf.get", "Reading a resource (RFC 8040). The object is a data target.";
    RestconfPost = "restconf.post", "Creating a resource. The object is a data target.";
    RestconfPut = "restconf.put", "Creating or replacing a resource. The object is a data target.";
    RestconfPatch = "restconf.patch", "Merging into a resource. The object is a data target.";
    RestconfDelete = "restconf.delete", "Deleting a resource. The object is a data target.";
    RestconfAction = "restconf.action", "An action of a node (RFC 7950 §7.15). The object is a data target.";
    RestconfOperation = "restconf.operation", "An operation of the model. The object is `module:name`.";
    RestconfStream = "restconf.stream", "Following an event stream. The object is its name.";
    HttpGet = "http.get", "Reading over HTTP. The object is a canonical path.";
    HttpHead = "http.head", "Reading headers. The object is a canonical path.";
    HttpOptions = "http.options", "Asking what is possible. The object is a canonical path.";
    HttpPost = "http.post", "Sending to a resource. The object is a canonical path.";
    HttpPut = "http.put", "Storing a resource. The object is a canonical path.";
    HttpPatch = "http.patch", "Changing a resource. The object is a canonical path.";
    HttpDelete = "http.delete", "Deleting a resource. The object is a canonical path.";
    HttpUpgrade = "http.upgrade", "Leaving HTTP for a WebSocket. The object is a canonical path.";
    GnmiCapabilities = "gnmi.capabilities", "Asking what a gNMI target can do. The object is empty.";
    GnmiGet = "gnmi.get", "Reading by gNMI. The object is a data target.";
    GnmiUpdate = "gnmi.update", "Merging a node by gNMI. The object is a data target.";
    GnmiReplace = "gnmi.replace", "Replacing a node by gNMI. The object is a data target.";
    GnmiDelete = "gnmi.delete", "Deleting a node by gNMI. The object is a data target.";
    GnmiSubscribe = "gnmi.subscribe", "Following a node by gNMI. The object is a data target.";
    GnoiRpc = "gnoi.rpc", "A gNOI operation. The object is a path: `/service/Method`, with what its arguments name as further segments.";
    GatewayWatch = "gateway.watch", "Seeing live sessions. The object is a session id or empty.";
    GatewayTerminate = "gateway.terminate", "Ending a live session. The object is its id.";
    GatewayReplay = "gateway.replay", "Reading a recording. The object is the session id.";
    GatewayReplayUnmasked = "gateway.replay-unmasked", "Reading or taking out a recording with its secrets. The object is the session id.";
    GatewayExport = "gateway.export", "Taking a recording out. The object is the session id.";
    GatewayAudit = "gateway.audit", "Reading the audit log. The object is empty.";
    GatewayLock = "gateway.lock", "Adding or removing a lock. The object is the locked identity, device or element.";
    GatewayApprove = "gateway.approve", "Approving a request.";
    GatewayEditPolicy = "gateway.edit-policy", "Changing policy.";
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Verb {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One thing that is done to an element.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Action {
    /// What kind of thing.
    pub verb: Verb,
    /// What it is done to: a command line, a path, a destination; what each verb's documentation says.
    pub object: String,
}

impl Action {
    /// The action `verb` on `object`.
    pub fn new(verb: Verb, object: impl Into<String>) -> Self {
        Self { verb, object: object.into() }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_empty() {
            write!(f, "{}", self.verb)
        } else {
            write!(f, "{} {}", self.verb, super::plain::one_line(&self.object))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_reads_back() {
        for verb in Verb::ALL {
            assert_eq!(verb.as_str().parse(), Ok(*verb));
        }
        for text in ["", "ssh", "ssh.", "SSH.shell", "ssh.shell ", "file.*"] {
            assert!(text.parse::<Verb>().is_err(), "{text}");
        }
    }
}
