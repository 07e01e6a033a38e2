//! Persistent collections as one transaction sees them: loaded by `initcol`, changed here and in the store.

use super::tx::{append_number, parse_number};
use super::world::{CollectionChange, World};
use crate::variable::Variable;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// The collections that are open.
#[derive(Default)]
pub(super) struct Persistent {
    open: Vec<Open>,
}

struct Open {
    variable: Variable,
    app: String,
    key: Vec<u8>,
    members: BTreeMap<String, Vec<u8>>,
}

impl Persistent {
    /// Opens a collection; the second opening of the same one is ignored, as in ModSecurity.
    pub(super) fn open(&mut self, variable: Variable, app: &str, key: &[u8], world: &dyn World) {
        if key.is_empty() || self.open.iter().any(|o| o.variable == variable) {
            return;
        }
        let members = world.collections().load(variable.name(), app, key, world.now());
        self.open.push(Open { variable, app: app.to_owned(), key: key.to_vec(), members });
    }

    /// The key of a collection; for `SESSIONID` and `USERID`, that of `SESSION` and `USER`.
    pub(super) fn key(&self, variable: Variable) -> Option<Vec<u8>> {
        let variable = match variable {
            Variable::Sessionid => Variable::Session,
            Variable::Userid => Variable::User,
            other => other,
        };
        self.open.iter().find(|o| o.variable == variable).map(|o| o.key.clone())
    }

    /// The members of a collection; none when it is not open.
    pub(super) fn members(&self, variable: Variable) -> impl Iterator<Item = (&str, &[u8])> + '_ {
        self.open
            .iter()
            .filter(move |o| o.variable == variable)
            .flat_map(|o| o.members.iter().map(|(k, v)| (k.as_str(), v.as_slice())))
    }

    /// Changes a member here and in the store; false when the collection is not open.
    pub(super) fn change(
        &mut self,
        variable: Variable,
        change: CollectionChange,
        timeout: Duration,
        now: SystemTime,
        world: &dyn World,
    ) -> bool {
        let Some(open) = self.open.iter_mut().find(|o| o.variable == variable) else { return false };
        match &change {
            CollectionChange::Set(name, value) => {
                open.members.insert(name.clone(), value.clone());
            }
            CollectionChange::Add(name, amount) => {
                let old = open.members.get(name).map_or(0, |v| parse_number(v));
                let mut text = Vec::new();
                append_number(old.saturating_add(*amount), &mut text);
                open.members.insert(name.clone(), text);
            }
            CollectionChange::Unset(name) => {
                open.members.remove(name);
            }
            CollectionChange::Expire(..) | CollectionChange::Deprecate(..) => {}
        }
        world.collections().update(variable.name(), &open.app, &open.key, change, now, timeout);
        true
    }
}
