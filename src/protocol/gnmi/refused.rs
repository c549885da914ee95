//! Why the gateway answers a call itself, in the codes of gRPC. Pure.

/// The status codes that the gateway gives (gRPC status codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request cannot be decided.
    InvalidArgument,
    /// The client's own deadline has passed.
    DeadlineExceeded,
    /// Policy denies it.
    PermissionDenied,
    /// It is larger than a limit allows.
    ResourceExhausted,
    /// The gateway does not know the method.
    Unimplemented,
    /// The element broke the rules of gRPC.
    Internal,
    /// The element cannot be reached, or the gateway cannot take it.
    Unavailable,
}

impl Code {
    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
        }
    }

    /// Its name in the specification.
    pub fn as_str(self) -> &'static str {
        name(self.number().into()).unwrap_or("UNKNOWN")
    }
}

/// The names of the status codes, by number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a status code.
pub fn name(number: usize) -> Option<&'static str> {
    NAMES.get(number).copied()
}

/// A call that the element does not see, or sees no more of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its status.
    pub code: Code,
    /// What the client is told.
    pub text: String,
}

impl Refused {
    /// With a status and a text.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// A request that cannot be decided.
    pub(super) fn invalid(text: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidArgument, format!("{text}; the gateway forwards only what it can decide"))
    }
}
