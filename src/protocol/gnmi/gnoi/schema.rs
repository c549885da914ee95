//! The messages of gNOI that are known (openconfig/gnoi: file, os, system, factory_reset, common and types), as tables. Pure.

use crate::protocol::gnmi::schema::Kind::{
    Bool, Bytes, Enum, Message, Secret, Signed32, Signed64, Text, Unsigned32, Unsigned64,
};
use crate::protocol::gnmi::schema::{NOTHING, PATH_ELEM, choice, many, one, schemas};

pub(super) const PROTOCOLS: &[&str] = &["UNKNOWN", "SFTP", "HTTP", "HTTPS", "SCP"];
pub(super) const REBOOTS: &[&str] = &["UNKNOWN", "COLD", "POWERDOWN", "HALT", "WARM", "NSF", "", "POWERUP"];
pub(super) const SIGNALS: &[&str] = &["UNSPECIFIED", "TERM", "KILL", "HUP", "ABRT"];
const HASHES: &[&str] = &["UNSPECIFIED", "SHA256", "SHA512", "MD5"];
const L3: &[&str] = &["UNSPECIFIED", "IPV4", "IPV6"];
const L4: &[&str] = &["ICMP", "TCP", "UDP"];
const TRACES: &[&str] = &[
    "DEFAULT",
    "NONE",
    "UNKNOWN",
    "ICMP",
    "HOST_UNREACHABLE",
    "NETWORK_UNREACHABLE",
    "PROTOCOL_UNREACHABLE",
    "SOURCE_ROUTE_FAILED",
    "FRAGMENTATION_NEEDED",
    "PROHIBITED",
    "PRECEDENCE_VIOLATION",
    "PRECEDENCE_CUTOFF",
];
const REBOOT_STATES: &[&str] = &["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RETRIABLE_FAILURE", "STATUS_FAILURE"];

schemas! {
    pub(in crate::protocol::gnmi) GNOI_PATH = "Path" [one(2, "origin", Text), many(3, "elem", Message(&PATH_ELEM))];
    HASH = "HashType" [one(1, "method", Enum(HASHES)), one(2, "hash", Bytes)];
    CREDENTIALS = "Credentials" [one(1, "username", Text), choice(2, "cleartext", Secret), choice(3, "hashed", Message(&SECRET_HASH))];
    SECRET_HASH = "HashType" [one(1, "method", Enum(HASHES)), one(2, "hash", Secret)];
    REMOTE = "RemoteDownload" [
        one(1, "path", Text),
        one(2, "protocol", Enum(PROTOCOLS)),
        one(3, "credentials", Message(&CREDENTIALS)),
        one(4, "source_address", Text),
        one(5, "source_vrf", Text),
    ];

    pub(super) FILE_GET = "GetRequest" [one(1, "remote_file", Text)];
    pub(super) FILE_CONTENT = "GetResponse" [choice(1, "contents", Bytes), choice(2, "hash", Message(&HASH))];
    pub(super) FILE_PUT = "PutRequest" [
        choice(1, "open", Message(&FILE_DETAILS)),
        choice(2, "contents", Bytes),
        choice(3, "hash", Message(&HASH)),
    ];
    FILE_DETAILS = "Details" [one(1, "remote_file", Text), one(2, "permissions", Unsigned32)];
    pub(super) FILE_REMOVE = "RemoveRequest" [one(1, "remote_file", Text)];
    pub(super) FILE_STAT = "StatRequest" [one(1, "path", Text)];
    pub(super) FILE_STATS = "StatResponse" [many(1, "stats", Message(&STAT_INFO))];
    STAT_INFO = "StatInfo" [
        one(1, "path", Text),
        one(2, "last_modified", Unsigned64),
        one(3, "permissions", Unsigned32),
        one(4, "size", Unsigned64),
        one(5, "umask", Unsigned32),
    ];
    pub(super) FILE_TRANSFER = "TransferToRemoteRequest" [one(1, "local_path", Text), one(2, "remote_download", Message(&REMOTE))];
    pub(super) FILE_TRANSFERRED = "TransferToRemoteResponse" [one(1, "hash", Message(&HASH))];

    pub(super) OS_INSTALL = "InstallRequest" [
        choice(1, "transfer_request", Message(&OS_TRANSFER)),
        choice(2, "transfer_content", Bytes),
        choice(3, "transfer_end", Message(&NOTHING)),
    ];
    OS_TRANSFER = "TransferRequest" [one(1, "version", Text), one(2, "standby_supervisor", Bool), one(3, "package_size", Unsigned64)];
    pub(super) OS_INSTALLED = "InstallResponse" [
        choice(1, "transfer_ready", Message(&NOTHING)),
        choice(2, "transfer_progress", Message(&OS_PROGRESS)),
        choice(3, "sync_progress", Message(&OS_SYNC)),
        choice(4, "validated", Message(&OS_VALIDATED)),
        choice(5, "install_error", Message(&OS_ERROR)),
    ];
    OS_PROGRESS = "TransferProgress" [one(1, "bytes_received", Unsigned64)];
    OS_SYNC = "SyncProgress" [one(1, "percentage_transferred", Unsigned32)];
    OS_VALIDATED = "Validated" [one(1, "version", Text), one(2, "description", Text)];
    OS_ERROR = "InstallError" [one(1, "type", Unsigned32), one(2, "detail", Text)];
    pub(super) OS_ACTIVATE = "ActivateRequest" [one(1, "version", Text), one(2, "standby_supervisor", Bool), one(3, "no_reboot", Bool)];
    pub(super) OS_ACTIVATED = "ActivateResponse" [choice(1, "activate_ok", Message(&NOTHING)), choice(2, "activate_error", Message(&OS_ERROR))];
    pub(super) OS_VERIFIED = "VerifyResponse" [one(1, "version", Text), one(2, "activation_fail_message", Text)];

    pub(super) SYSTEM_PING = "PingRequest" [
        one(1, "destination", Text),
        one(2, "source", Text),
        one(3, "count", Signed32),
        one(4, "interval", Signed64),
        one(5, "wait", Signed64),
        one(6, "size", Signed32),
        one(7, "do_not_fragment", Bool),
        one(8, "do_not_resolve", Bool),
        one(9, "l3protocol", Enum(L3)),
        one(10, "network_instance", Text),
    ];
    pub(super) SYSTEM_PONG = "PingResponse" [
        one(1, "source", Text),
        one(2, "time", Signed64),
        one(3, "sent", Signed32),
        one(4, "received", Signed32),
        one(5, "min_time", Signed64),
        one(6, "avg_time", Signed64),
        one(7, "max_time", Signed64),
        one(8, "std_dev", Signed64),
        one(11, "bytes", Signed32),
        one(12, "sequence", Signed32),
        one(13, "ttl", Signed32),
    ];
    pub(super) SYSTEM_TRACE = "TracerouteRequest" [
        one(1, "source", Text),
        one(2, "destination", Text),
        one(3, "initial_ttl", Unsigned32),
        one(4, "max_ttl", Signed32),
        one(5, "wait", Signed64),
        one(6, "do_not_fragment", Bool),
        one(7, "do_not_resolve", Bool),
        one(8, "l3protocol", Enum(L3)),
        one(9, "l4protocol", Enum(L4)),
        one(10, "do_not_lookup_asn", Bool),
        one(11, "network_instance", Text),
    ];
    pub(super) SYSTEM_TRACED = "TracerouteResponse" [
        one(1, "destination_name", Text),
        one(2, "destination_address", Text),
        one(3, "hops", Signed32),
        one(4, "packet_size", Signed32),
        one(5, "hop", Signed32),
        one(6, "address", Text),
        one(7, "name", Text),
        one(8, "rtt", Signed64),
        one(9, "state", Enum(TRACES)),
        one(10, "icmp_code", Signed32),
    ];
    pub(super) SYSTEM_TIME = "TimeResponse" [one(1, "time", Unsigned64)];
    pub(super) SYSTEM_PACKAGE = "SetPackageRequest" [
        choice(1, "package", Message(&PACKAGE)),
        choice(2, "contents", Bytes),
        choice(3, "hash", Message(&HASH)),
    ];
    PACKAGE = "Package" [
        one(1, "filename", Text),
        one(4, "version", Text),
        one(5, "activate", Bool),
        one(6, "remote_download", Message(&REMOTE)),
    ];
    pub(super) SYSTEM_SWITCH = "SwitchControlProcessorRequest" [one(1, "control_processor", Message(&GNOI_PATH))];
    pub(super) SYSTEM_SWITCHED = "SwitchControlProcessorResponse" [
        one(1, "control_processor", Message(&GNOI_PATH)),
        one(2, "version", Text),
        one(3, "uptime", Signed64),
    ];
    pub(super) SYSTEM_REBOOT = "RebootRequest" [
        one(1, "method", Enum(REBOOTS)),
        one(2, "delay", Unsigned64),
        one(3, "message", Text),
        many(4, "subcomponents", Message(&GNOI_PATH)),
        one(5, "force", Bool),
    ];
    pub(super) SYSTEM_CANCEL = "CancelRebootRequest" [one(1, "message", Text), many(2, "subcomponents", Message(&GNOI_PATH))];
    pub(super) SYSTEM_STATUS = "RebootStatusRequest" [many(1, "subcomponents", Message(&GNOI_PATH))];
    pub(super) SYSTEM_REBOOTING = "RebootStatusResponse" [
        one(1, "active", Bool),
        one(2, "wait", Unsigned64),
        one(3, "when", Unsigned64),
        one(4, "reason", Text),
        one(5, "count", Unsigned32),
        one(6, "method", Enum(REBOOTS)),
        one(7, "status", Message(&REBOOT_STATUS)),
    ];
    REBOOT_STATUS = "RebootStatus" [one(1, "status", Enum(REBOOT_STATES)), one(2, "message", Text)];
    pub(super) SYSTEM_KILL = "KillProcessRequest" [
        one(1, "pid", Unsigned32),
        one(2, "name", Text),
        one(3, "signal", Enum(SIGNALS)),
        one(4, "restart", Bool),
    ];

    pub(super) RESET_START = "StartRequest" [one(1, "factory_os", Bool), one(2, "zero_fill", Bool), one(3, "retain_certs", Bool)];
    pub(super) RESET_STARTED = "StartResponse" [choice(1, "reset_success", Message(&NOTHING)), choice(2, "reset_error", Message(&RESET_ERROR))];
    RESET_ERROR = "ResetError" [
        one(1, "factory_os_unsupported", Bool),
        one(2, "zero_fill_unsupported", Bool),
        one(3, "other", Bool),
        one(4, "detail", Text),
    ];
}
