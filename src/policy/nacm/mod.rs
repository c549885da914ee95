//! NACM rule sets (RFC 8341) as rows of ours.
//!
//! NACM takes the first rule that matches, we let every deny win. For each set of groups that somebody is in, what the rules decide in their
//! order is worked out as what is allowed less what is denied, and becomes the rows of one role. What rows cannot say is left out, so that
//! nobody may do by the rows what NACM denies, and is reported.
//!
//! Not here: reading XML or JSON (see the command), and what the models of an element mark as denied by default, which only they tell.

mod read;
mod region;
mod report;
mod translate;

pub use read::{Nacm, Node, Prefix};
pub use region::PathStep;
pub use report::{Accept, Imported, Unsaid};
pub use translate::{Options, import};
