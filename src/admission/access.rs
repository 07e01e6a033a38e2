//! Access rules: the first that holds decides.

use super::request::{Reading, Subject};
use super::ruling::{Control, Ruling};
use crate::config::{AccessAction, AccessRule};
use crate::ruleset::Mode;

/// What `rules` say of a request under `mode`, the site's.
///
/// Rules that only tell decide nothing: the list goes on behind them, and the first of them that holds is told of.
pub(super) fn rule(rules: &[AccessRule], subject: &Subject<'_>, mode: Mode, out: &mut Vec<Ruling>) {
    let mut is_told = false;
    for rule in rules {
        let Some(enforced) = is_enforced(rule.scope.mode, mode) else { continue };
        if is_told && !enforced {
            continue;
        }
        let reading = match rule.action {
            AccessAction::Allow => Reading::Every,
            AccessAction::Deny(_) => Reading::Any,
        };
        if !subject.is_within(&rule.scope, reading) {
            continue;
        }
        if let AccessAction::Deny(status) = rule.action {
            let name = rule.name.clone();
            out.push(Ruling { control: Control::Access, name, status, retry_after: None, enforced });
        }
        if enforced {
            return;
        }
        is_told = true;
    }
}

/// Whether something is carried out, by its own mode or else the site's; none when it is not even looked at.
pub(super) fn is_enforced(own: Option<Mode>, site: Mode) -> Option<bool> {
    match own.unwrap_or(site) {
        Mode::On => Some(true),
        Mode::DetectionOnly => Some(false),
        Mode::Off => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Condition, NetworkSet, Scope};
    use crate::http::RequestHead;
    use std::sync::Arc;

    fn allow(name: &str, scope: Scope) -> AccessRule {
        AccessRule { name: name.to_owned(), action: AccessAction::Allow, scope }
    }

    fn deny(name: &str, scope: Scope) -> AccessRule {
        AccessRule { name: name.to_owned(), action: AccessAction::Deny(403), scope }
    }

    fn from(networks: &str) -> Condition {
        let set = NetworkSet::parse(networks).expect("sound");
        Condition { addresses: vec![Arc::new(set)], ..Condition::default() }
    }

    fn when(when: Condition) -> Scope {
        Scope { when, ..Scope::default() }
    }

    fn told(rules: &[AccessRule], address: &str, mode: Mode) -> String {
        let head = RequestHead { method: b"GET".to_vec(), ..RequestHead::default() };
        let address = address.parse().expect("an address");
        let subject = Subject::new(&head, "a.test".to_owned(), "/admin/x".to_owned(), address);
        let mut out = Vec::new();
        rule(rules, &subject, mode, &mut out);
        let names = out.iter().map(|r| format!("{}{}", r.name, if r.enforced { "!" } else { "?" }));
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_first_rule_that_holds_decides() {
        let rules = [
            deny("blocked", when(from("10.0.0.66"))),
            allow("office", when(from("10.0.0.0/8"))),
            deny("rest", Scope::default()),
        ];
        assert_eq!(told(&rules, "10.0.0.66", Mode::On), "blocked!");
        assert_eq!(told(&rules, "10.0.0.1", Mode::On), "");
        assert_eq!(told(&rules, "192.0.2.1", Mode::On), "rest!");
        assert_eq!(told(&rules, "192.0.2.1", Mode::DetectionOnly), "rest?");
        assert_eq!(told(&rules, "10.0.0.1", Mode::DetectionOnly), "");
        assert_eq!(told(&rules, "192.0.2.1", Mode::Off), "");
    }

    #[test]
    fn exceptions_keep_a_rule_from_holding() {
        let methods = |m: &str| Condition { methods: vec![m.to_owned()], ..Condition::default() };
        let scope = |except| Scope { except, ..Scope::default() };
        assert_eq!(told(&[deny("a", scope(vec![methods("GET")]))], "192.0.2.1", Mode::On), "");
        assert_eq!(told(&[deny("a", scope(vec![methods("POST")]))], "192.0.2.1", Mode::On), "a!");
        let both = Condition { methods: vec!["GET".to_owned()], ..from("10.0.0.0/8") };
        assert_eq!(told(&[deny("a", scope(vec![both.clone()]))], "192.0.2.1", Mode::On), "a!");
        assert_eq!(told(&[deny("a", scope(vec![both]))], "10.0.0.1", Mode::On), "");
    }

    #[test]
    fn a_rule_of_its_own_mode_keeps_it() {
        let own =
            |mode, rule: AccessRule| AccessRule { scope: Scope { mode: Some(mode), ..rule.scope }, ..rule };
        let tried = own(Mode::DetectionOnly, deny("tried", Scope::default()));
        let firm = own(Mode::On, deny("firm", Scope::default()));
        let rules = [tried, firm];
        assert_eq!(told(&rules, "192.0.2.1", Mode::On), "tried? firm!");
        assert_eq!(told(&rules, "192.0.2.1", Mode::DetectionOnly), "tried? firm!");
        assert_eq!(told(&rules, "192.0.2.1", Mode::Off), "tried? firm!");
    }
}
