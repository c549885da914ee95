//! The messages of gNMI 0.10 and its extensions (openconfig/gnmi, `gnmi.proto` and `gnmi_ext.proto`), as tables. Pure.
//!
//! Fields that the specification has withdrawn are here too: they are known, so that what decides can refuse them by name.

/// A kind of message.
#[derive(Debug)]
pub struct Schema {
    /// Its name in the specification.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// Its name in the specification.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be there more than once.
    pub many: bool,
    /// Whether it is a member of the message's `oneof`; none of ours has two.
    pub choice: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `bool`.
    Bool,
    /// `bytes`.
    Bytes,
    /// `double`.
    Double,
    /// An enumeration, with the names of its numbers from 0 on; an empty name is a number that is not in use.
    Enum(&'static [&'static str]),
    /// `float`.
    Float,
    /// `bytes` that are JSON.
    Json,
    /// Another message.
    Message(&'static Schema),
    /// `string` that recordings do not keep.
    Secret,
    /// `int32`.
    Signed32,
    /// `int64`.
    Signed64,
    /// `string`.
    Text,
    /// `uint32`.
    Unsigned32,
    /// `uint64`.
    Unsigned64,
}

impl Schema {
    /// The field with this number.
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

impl Field {
    /// Whether only one of the two may be there.
    pub(super) fn excludes(&self, other: Option<&Self>) -> bool {
        self.choice && other.is_some_and(|other| other.choice)
    }
}

pub(super) const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, many: false, choice: false }
}

pub(super) const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, many: true, choice: false }
}

pub(super) const fn choice(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, many: false, choice: true }
}

macro_rules! schemas {
    ($($(#[$doc:meta])* $visibility:vis $name:ident = $text:literal [$($field:expr),* $(,)?];)*) => {
        $($(#[$doc])* $visibility static $name: $crate::protocol::gnmi::schema::Schema =
            $crate::protocol::gnmi::schema::Schema { name: $text, fields: &[$($field),*] };)*
    };
}
pub(super) use schemas;

use Kind::{Bool, Bytes, Double, Enum, Float, Json, Message, Signed64, Text, Unsigned32, Unsigned64};

const ENCODING: Kind = Enum(&["JSON", "BYTES", "PROTO", "ASCII", "JSON_IETF"]);
/// The number of `POLL` in [`LIST_MODE`].
pub(super) const POLL: u64 = 2;
const LIST_MODE: Kind = Enum(&["STREAM", "ONCE", "POLL"]);
const MODE: Kind = Enum(&["TARGET_DEFINED", "ON_CHANGE", "SAMPLE"]);
const TYPE: Kind = Enum(&["ALL", "CONFIG", "STATE", "OPERATIONAL"]);
const OPERATION: Kind = Enum(&["INVALID", "DELETE", "REPLACE", "UPDATE", "UNION_REPLACE"]);

schemas! {
    /// `Path`: an origin and elements from the root down.
    pub PATH = "Path" [many(1, "element", Text), one(2, "origin", Text), many(3, "elem", Message(&PATH_ELEM)), one(4, "target", Text)];
    pub(super) PATH_ELEM = "PathElem" [one(1, "name", Text), many(2, "key", Message(&KEY))];
    KEY = "KeyEntry" [one(1, "key", Text), one(2, "value", Text)];
    UPDATE = "Update" [
        one(1, "path", Message(&PATH)),
        one(2, "value", Message(&OLD_VALUE)),
        one(3, "val", Message(&TYPED_VALUE)),
        one(4, "duplicates", Unsigned32),
    ];
    OLD_VALUE = "Value" [one(1, "value", Bytes), one(2, "type", ENCODING)];
    TYPED_VALUE = "TypedValue" [
        choice(1, "string_val", Text),
        choice(2, "int_val", Signed64),
        choice(3, "uint_val", Unsigned64),
        choice(4, "bool_val", Bool),
        choice(5, "bytes_val", Bytes),
        choice(6, "float_val", Float),
        choice(7, "decimal_val", Message(&DECIMAL)),
        choice(8, "leaflist_val", Message(&SCALARS)),
        choice(9, "any_val", Message(&ANY)),
        choice(10, "json_val", Json),
        choice(11, "json_ietf_val", Json),
        choice(12, "ascii_val", Text),
        choice(13, "proto_bytes", Bytes),
        choice(14, "double_val", Double),
    ];
    DECIMAL = "Decimal64" [one(1, "digits", Signed64), one(2, "precision", Unsigned32)];
    SCALARS = "ScalarArray" [many(1, "element", Message(&TYPED_VALUE))];
    ANY = "Any" [one(1, "type_url", Text), one(2, "value", Bytes)];
    MODEL = "ModelData" [one(1, "name", Text), one(2, "organization", Text), one(3, "version", Text)];
    ERROR = "Error" [one(1, "code", Unsigned32), one(2, "message", Text), one(3, "data", Message(&ANY))];
    NOTIFICATION = "Notification" [
        one(1, "timestamp", Signed64),
        one(2, "prefix", Message(&PATH)),
        one(3, "alias", Text),
        many(4, "update", Message(&UPDATE)),
        many(5, "delete", Message(&PATH)),
        one(6, "atomic", Bool),
    ];

    pub(super) CAPABILITY_REQUEST = "CapabilityRequest" [many(1, "extension", Message(&EXTENSION))];
    pub(super) CAPABILITY_RESPONSE = "CapabilityResponse" [
        many(1, "supported_models", Message(&MODEL)),
        many(2, "supported_encodings", ENCODING),
        one(3, "gNMI_version", Text),
        many(4, "extension", Message(&EXTENSION)),
    ];
    pub(super) GET_REQUEST = "GetRequest" [
        one(1, "prefix", Message(&PATH)),
        many(2, "path", Message(&PATH)),
        one(3, "type", TYPE),
        one(5, "encoding", ENCODING),
        many(6, "use_models", Message(&MODEL)),
        many(7, "extension", Message(&EXTENSION)),
    ];
    pub(super) GET_RESPONSE = "GetResponse" [
        many(1, "notification", Message(&NOTIFICATION)),
        one(2, "error", Message(&ERROR)),
        many(3, "extension", Message(&EXTENSION)),
    ];
    pub(super) SET_REQUEST = "SetRequest" [
        one(1, "prefix", Message(&PATH)),
        many(2, "delete", Message(&PATH)),
        many(3, "replace", Message(&UPDATE)),
        many(4, "update", Message(&UPDATE)),
        many(5, "extension", Message(&EXTENSION)),
        many(6, "union_replace", Message(&UPDATE)),
    ];
    pub(super) SET_RESPONSE = "SetResponse" [
        one(1, "prefix", Message(&PATH)),
        many(2, "response", Message(&UPDATE_RESULT)),
        one(3, "message", Message(&ERROR)),
        one(4, "timestamp", Signed64),
        many(5, "extension", Message(&EXTENSION)),
    ];
    UPDATE_RESULT = "UpdateResult" [
        one(1, "timestamp", Signed64),
        one(2, "path", Message(&PATH)),
        one(3, "message", Message(&ERROR)),
        one(4, "op", OPERATION),
    ];
    pub(super) SUBSCRIBE_REQUEST = "SubscribeRequest" [
        choice(1, "subscribe", Message(&SUBSCRIPTION_LIST)),
        choice(3, "poll", Message(&NOTHING)),
        choice(4, "aliases", Message(&ALIASES)),
        many(5, "extension", Message(&EXTENSION)),
    ];
    pub(super) SUBSCRIBE_RESPONSE = "SubscribeResponse" [
        choice(1, "update", Message(&NOTIFICATION)),
        choice(3, "sync_response", Bool),
        choice(4, "error", Message(&ERROR)),
        many(5, "extension", Message(&EXTENSION)),
    ];
    SUBSCRIPTION_LIST = "SubscriptionList" [
        one(1, "prefix", Message(&PATH)),
        many(2, "subscription", Message(&SUBSCRIPTION)),
        one(3, "use_aliases", Bool),
        one(4, "qos", Message(&QOS)),
        one(5, "mode", LIST_MODE),
        one(6, "allow_aggregation", Bool),
        many(7, "use_models", Message(&MODEL)),
        one(8, "encoding", ENCODING),
        one(9, "updates_only", Bool),
    ];
    SUBSCRIPTION = "Subscription" [
        one(1, "path", Message(&PATH)),
        one(2, "mode", MODE),
        one(3, "sample_interval", Unsigned64),
        one(4, "suppress_redundant", Bool),
        one(5, "heartbeat_interval", Unsigned64),
    ];
    QOS = "QOSMarking" [one(1, "marking", Unsigned32)];
    ALIASES = "AliasList" [many(1, "alias", Message(&ALIAS))];
    ALIAS = "Alias" [one(1, "path", Message(&PATH)), one(2, "alias", Text)];
    pub(super) NOTHING = "an empty message" [];

    EXTENSION = "Extension" [
        choice(1, "registered_ext", Message(&REGISTERED)),
        choice(2, "master_arbitration", Message(&ARBITRATION)),
        choice(3, "history", Message(&HISTORY)),
        choice(4, "commit", Message(&COMMIT)),
        choice(5, "depth", Message(&DEPTH)),
        choice(6, "config_subscription", Message(&CONFIG_SUBSCRIPTION)),
    ];
    REGISTERED = "RegisteredExtension" [one(1, "id", Unsigned32), one(2, "msg", Bytes)];
    ARBITRATION = "MasterArbitration" [one(1, "role", Message(&ROLE)), one(2, "election_id", Message(&UINT128))];
    ROLE = "Role" [one(1, "id", Text)];
    UINT128 = "Uint128" [one(1, "high", Unsigned64), one(2, "low", Unsigned64)];
    HISTORY = "History" [choice(1, "snapshot_time", Signed64), choice(2, "range", Message(&RANGE))];
    RANGE = "TimeRange" [one(1, "start", Signed64), one(2, "end", Signed64)];
    COMMIT = "Commit" [
        one(1, "id", Text),
        choice(2, "commit", Message(&ROLLBACK)),
        choice(3, "confirm", Message(&NOTHING)),
        choice(4, "cancel", Message(&NOTHING)),
        choice(5, "set_rollback_duration", Message(&ROLLBACK)),
    ];
    ROLLBACK = "CommitRequest" [one(1, "rollback_duration", Message(&DURATION))];
    DURATION = "Duration" [one(1, "seconds", Signed64), one(2, "nanos", Kind::Signed32)];
    DEPTH = "Depth" [one(1, "level", Unsigned32)];
    CONFIG_SUBSCRIPTION = "ConfigSubscription" [choice(1, "start", Message(&NOTHING)), choice(2, "sync_done", Message(&SYNC_DONE))];
    SYNC_DONE = "ConfigSubscriptionSyncDone" [one(1, "commit_confirm_id", Text), one(2, "server_commit_id", Text), one(3, "done", Bool)];
}
