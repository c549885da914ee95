//! How a command ends.

use std::fmt;
use std::process::ExitCode;

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The thing asked about failed: a verification, a policy test.
    Failed = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Denied by policy.
    Denied = 3,
    /// Something could not be reached.
    Unreachable = 4,
}

/// A command that did not do what was asked: the code for scripts, the text for people.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened and how to mend it; may have several lines.
    pub text: String,
}

impl Failure {
    /// A failure with this code and text.
    pub fn new(exit: Exit, text: impl fmt::Display) -> Self {
        Self { exit, text: text.to_string() }
    }

    /// Shorthand for usage and configuration mistakes.
    pub fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, text)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
