//! Where in an element's data tree, and what a message would change there: the one vocabulary of NETCONF, RESTCONF and gNMI.
//!
//! A [`DataTarget`] is the object of every data action: a datastore (RFC 8342) and a path. Its text form is what policy, logs and recordings
//! show: `running:/ietf-interfaces:interfaces/interface[name='eth0']/mtu`. A path that ends in `/...` asks for whatever part of the
//! subtree may be read; every other path means its node and all that is below.

mod changes;
mod json;
mod models;
mod path;
mod target;
mod tree;

pub use changes::{Change, DefaultOperation, EditOperation, changes};
pub use json::{JsonData, Naming};
pub use models::{Model, Models};
pub use path::{DataPath, Keys, NodeName, Step};
pub use target::{DataTarget, Datastore, Extent};
pub use tree::DataNode;
