//! What gNMI requests do, as actions. Pure.
//!
//! Every action that a request gives must be allowed before any of it is forwarded. Configuration is read and written in `running`, state in
//! `operational`; what asks for both is decided in both. gNOI is in [`super::gnoi`].

use std::collections::HashSet;

use crate::domain::data::{Change, DataPath, DataTarget, Datastore, EditOperation};
use crate::domain::{Action, Verb};

use super::path::{Place, View, commands};
use super::refused::{Code, Refused};
use super::schema::POLL;
use super::value;
use super::wire::Message;

/// Actions of one request.
const ACTIONS_MAX: usize = 20_000;

/// Fields of the requests.
mod field {
    pub(super) const PREFIX: u32 = 1;
    pub(super) mod capability {
        pub(in super::super) const EXTENSION: u32 = 1;
    }
    pub(super) mod get {
        pub(in super::super) const PATH: u32 = 2;
        pub(in super::super) const TYPE: u32 = 3;
        pub(in super::super) const EXTENSION: u32 = 7;
    }
    pub(super) mod set {
        pub(in super::super) const DELETE: u32 = 2;
        pub(in super::super) const REPLACE: u32 = 3;
        pub(in super::super) const UPDATE: u32 = 4;
        pub(in super::super) const EXTENSION: u32 = 5;
        pub(in super::super) const UNION_REPLACE: u32 = 6;
    }
    pub(super) mod update {
        pub(in super::super) const PATH: u32 = 1;
        pub(in super::super) const OLD_VALUE: u32 = 2;
        pub(in super::super) const VALUE: u32 = 3;
    }
    pub(super) mod subscribe {
        pub(in super::super) const LIST: u32 = 1;
        pub(in super::super) const POLL: u32 = 3;
        pub(in super::super) const EXTENSION: u32 = 5;
        pub(in super::super) const SUBSCRIPTION: u32 = 2;
        pub(in super::super) const USE_ALIASES: u32 = 3;
        pub(in super::super) const MODE: u32 = 5;
        pub(in super::super) const PATH: u32 = 1;
    }
    pub(super) mod extension {
        pub(in super::super) const REGISTERED: u32 = 1;
        pub(in super::super) const ARBITRATION: u32 = 2;
        pub(in super::super) const HISTORY: u32 = 3;
        pub(in super::super) const COMMIT: u32 = 4;
        pub(in super::super) const DEPTH: u32 = 5;
        pub(in super::super) const CONFIG_SUBSCRIPTION: u32 = 6;
        pub(in super::super) const COMMIT_ID: u32 = 1;
        pub(in super::super) const COMMIT_BEGIN: u32 = 2;
    }
}

/// Both of what an element has.
const ALL: &[Datastore] = &[Datastore::Running, Datastore::Operational];

/// The actions of a request, each once, in its order.
#[derive(Debug, Default)]
pub(super) struct Actions {
    all: Vec<Action>,
    seen: HashSet<Action>,
}

impl Actions {
    pub(super) fn push(&mut self, verb: Verb, object: impl Into<String>) -> Result<(), Refused> {
        let action = Action::new(verb, object);
        if self.seen.insert(action.clone()) {
            if self.all.len() >= ACTIONS_MAX {
                let text = format!("a request may name {ACTIONS_MAX} nodes at most");
                return Err(Refused::new(Code::ResourceExhausted, text));
            }
            self.all.push(action);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Action> {
        self.all
    }

    fn data(&mut self, verb: Verb, datastore: Datastore, path: DataPath) -> Result<(), Refused> {
        self.push(verb, DataTarget::whole(datastore, path).to_string())
    }

    fn reading(&mut self, verb: Verb, stores: &[Datastore], place: Place) -> Result<(), Refused> {
        match place {
            Place::Command(Some(line)) => self.push(Verb::CliRun, line),
            Place::Command(None) => Err(Refused::invalid("a path of origin `cli` lacks its command line")),
            Place::Data(path) => stores.iter().try_for_each(|store| self.data(verb, *store, path.clone())),
        }
    }

    fn changes(&mut self, changes: Vec<Change>) -> Result<(), Refused> {
        changes.into_iter().try_for_each(|Change { operation, path }| {
            let verb = match operation {
                EditOperation::Create | EditOperation::Merge => Verb::GnmiUpdate,
                EditOperation::Delete | EditOperation::Remove => Verb::GnmiDelete,
                EditOperation::Replace => Verb::GnmiReplace,
            };
            self.data(verb, Datastore::Running, path)
        })
    }
}

/// What `CapabilityRequest` does.
///
/// # Errors
/// It cannot be decided.
pub fn capabilities(request: &Message<'_>, _: &View<'_>) -> Result<Vec<Action>, Refused> {
    let mut actions = Actions::default();
    actions.push(Verb::GnmiCapabilities, "")?;
    extensions(request, field::capability::EXTENSION, &mut actions)?;
    Ok(actions.finish())
}

/// What `GetRequest` does.
///
/// # Errors
/// It cannot be decided.
pub fn get(request: &Message<'_>, view: &View<'_>) -> Result<Vec<Action>, Refused> {
    let stores = match request.number(field::get::TYPE) {
        0 => ALL,
        1 => &[Datastore::Running][..],
        2 | 3 => &[Datastore::Operational],
        _ => return Err(Refused::invalid("the type of data is not known")),
    };
    let mut actions = Actions::default();
    let prefix = request.message(field::PREFIX);
    for path in request.messages(field::get::PATH) {
        actions.reading(Verb::GnmiGet, stores, view.place(prefix, Some(path))?)?;
    }
    if !request.has(field::get::PATH) {
        actions.reading(Verb::GnmiGet, stores, view.place(prefix, None)?)?;
    }
    extensions(request, field::get::EXTENSION, &mut actions)?;
    Ok(actions.finish())
}

/// What `SetRequest` does.
///
/// # Errors
/// It cannot be decided.
pub fn set(request: &Message<'_>, view: &View<'_>) -> Result<Vec<Action>, Refused> {
    let mut actions = Actions::default();
    let prefix = request.message(field::PREFIX);
    for path in request.messages(field::set::DELETE) {
        match view.place(prefix, Some(path))? {
            Place::Data(path) => actions.data(Verb::GnmiDelete, Datastore::Running, path)?,
            Place::Command(_) => return Err(Refused::invalid("a command line cannot be deleted")),
        }
    }
    for number in [field::set::REPLACE, field::set::UNION_REPLACE] {
        for update in request.messages(number) {
            if number == field::set::UNION_REPLACE {
                // What none of them says goes, wherever it is.
                actions.data(Verb::GnmiReplace, Datastore::Running, DataPath::root())?;
            }
            let (place, value) = update_of(prefix, update, view)?;
            match place {
                Place::Data(path) => actions.changes(value::replaced(&path, value, view.models)?)?,
                Place::Command(_) => {
                    // What the command lines do not say goes.
                    actions.data(Verb::GnmiReplace, Datastore::Running, DataPath::root())?;
                    lines(value, &mut actions)?;
                }
            }
        }
    }
    for update in request.messages(field::set::UPDATE) {
        let (place, value) = update_of(prefix, update, view)?;
        match place {
            Place::Data(path) => actions.changes(value::merged(&path, value, view.models)?)?,
            Place::Command(_) => lines(value, &mut actions)?,
        }
    }
    extensions(request, field::set::EXTENSION, &mut actions)?;
    if actions.all.is_empty() {
        match view.place(prefix, None)? {
            Place::Data(path) => actions.data(Verb::GnmiUpdate, Datastore::Running, path)?,
            Place::Command(_) => return Err(Refused::invalid("the request has no command line")),
        }
    }
    Ok(actions.finish())
}

fn update_of<'m, 'b>(
    prefix: Option<&Message<'b>>,
    update: &'m Message<'b>,
    view: &View<'_>,
) -> Result<(Place, Option<&'m Message<'b>>), Refused> {
    if update.has(field::update::OLD_VALUE) {
        return Err(Refused::invalid("the update uses the withdrawn field `value`"));
    }
    let place = view.place(prefix, update.message(field::update::PATH))?;
    if let Place::Command(Some(_)) = place {
        return Err(Refused::invalid("command lines stand in the value of an update, not in its path"));
    }
    Ok((place, update.message(field::update::VALUE)))
}

/// Each command line of a value is one action.
fn lines(value: Option<&Message<'_>>, actions: &mut Actions) -> Result<(), Refused> {
    let text = match value {
        Some(value) if value.has(value::field::ASCII) => value.text(value::field::ASCII),
        Some(value) if value.has(value::field::STRING) => value.text(value::field::STRING),
        _ => return Err(Refused::invalid("command lines are sent as ascii_val")),
    };
    let lines = commands(text)?;
    if lines.is_empty() {
        return Err(Refused::invalid("the value has no command line"));
    }
    lines.into_iter().try_for_each(|line| actions.push(Verb::CliRun, line))
}

/// What the first message of a Subscribe call does.
///
/// # Errors
/// It cannot be decided.
pub fn subscribe(request: &Message<'_>, view: &View<'_>) -> Result<Vec<Action>, Refused> {
    let Some(list) = request.message(field::subscribe::LIST) else {
        return Err(Refused::invalid("the first message of a Subscribe call is a list of subscriptions"));
    };
    if list.number(field::subscribe::USE_ALIASES) != 0 {
        return Err(Refused::invalid("aliases, which the specification has withdrawn, would hide what a path names"));
    }
    if !list.has(field::subscribe::SUBSCRIPTION) {
        return Err(Refused::invalid("the list has no subscription"));
    }
    let mut actions = Actions::default();
    let prefix = list.message(field::PREFIX);
    for subscription in list.messages(field::subscribe::SUBSCRIPTION) {
        let place = view.place(prefix, subscription.message(field::subscribe::PATH))?;
        actions.reading(Verb::GnmiSubscribe, ALL, place)?;
    }
    extensions(request, field::subscribe::EXTENSION, &mut actions)?;
    Ok(actions.finish())
}

/// Whether a later message of a Subscribe call whose first was `first` changes nothing of what was decided: only a poll does not, where it was asked for.
///
/// # Errors
/// It is anything else.
pub fn subscribe_later(first: &Message<'_>, later: &Message<'_>) -> Result<(), Refused> {
    let polls = first.message(field::subscribe::LIST).is_some_and(|list| list.number(field::subscribe::MODE) == POLL);
    if polls && later.numbers().eq([field::subscribe::POLL]) {
        return Ok(());
    }
    Err(Refused::invalid("after its first message a Subscribe call takes polls only, and those in mode POLL only"))
}

/// Extensions that change nothing of what is decided pass; a commit that is confirmed or cancelled is decided; others are refused.
fn extensions(request: &Message<'_>, number: u32, actions: &mut Actions) -> Result<(), Refused> {
    use field::extension;
    for one in request.messages(number) {
        let kind = one.numbers().next();
        match kind {
            Some(extension::ARBITRATION | extension::HISTORY | extension::DEPTH | extension::CONFIG_SUBSCRIPTION) => {}
            Some(extension::COMMIT) => {
                let begins = |commit: &Message<'_>| {
                    commit.has(extension::COMMIT_BEGIN)
                        && commit.numbers().all(|n| matches!(n, extension::COMMIT_ID | extension::COMMIT_BEGIN))
                };
                // Confirming, cancelling and prolonging are about a commit that anybody may have begun.
                if !one.message(extension::COMMIT).is_some_and(begins) {
                    actions.data(Verb::GnmiReplace, Datastore::Running, DataPath::root())?;
                }
            }
            Some(extension::REGISTERED) | Some(_) | None => {
                return Err(Refused::invalid("the request has an extension that the gateway does not know"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
