//! Who may ask for what: of each verb and project, what somebody lacks and who has it.

use super::command::Verb;
use super::id::{Login, TeamName};
use super::pull::{Actor, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Proof that an apply was allowed: it can only be made by [`super::requirement::authorize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MayApply(pub(super) ());

/// Somebody whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Who {
    /// Everybody with this role in the repository, or a higher one.
    Role(Role),
    /// Everybody in this team of the forge, as the forge names it: `sre`, or `org/sre` of another organisation.
    Team(TeamName),
    User(Login),
}

impl Who {
    #[must_use]
    pub fn is(&self, actor: &Actor) -> bool {
        match self {
            Self::Role(least) => actor.role >= *least,
            Self::Team(team) => actor.teams.contains(team),
            Self::User(login) => actor.login.same_as(login),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(f, "role:{}", role.as_str()),
            Self::Team(team) => write!(f, "team:{team}"),
            Self::User(login) => write!(f, "user:{login}"),
        }
    }
}

impl From<Who> for String {
    fn from(who: Who) -> Self {
        who.to_string()
    }
}

impl TryFrom<String> for Who {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is nobody: write `role:read`, `role:write`, `role:maintain`, `role:admin`, `team:NAME` or `user:NAME`"
            )
        };
        match text.split_once(':') {
            Some(("role", role)) => {
                let roles = [Role::Read, Role::Triage, Role::Write, Role::Maintain, Role::Admin];
                roles.into_iter().find(|known| known.as_str() == role).map(Self::Role).ok_or_else(wrong)
            }
            Some(("team", team)) => team.parse().map(Self::Team).map_err(|_| wrong()),
            Some(("user", login)) => {
                let login = login.parse().ok().filter(|_| !login.contains(char::is_whitespace));
                login.map(Self::User).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// Who may do what to a project, as the rules say it. A verb that is not in it is left to the defaults.
///
/// Of each verb several lists, which all have to name whoever asks: where nobody knows yet which rule is meant for a
/// project, every rule's list counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rights(pub BTreeMap<Verb, Vec<Vec<Who>>>);

impl Rights {
    /// The rule's word on a verb. Without one of its own, `approve` and `lock` are for those who may apply, and `thaw`
    /// for those who may freeze.
    fn lists(&self, verb: Verb) -> Option<&[Vec<Who>]> {
        let stands_for = match verb {
            Verb::Approve | Verb::Lock => Some(Verb::Apply),
            Verb::Thaw => Some(Verb::Freeze),
            _ => None,
        };
        let own = self.0.get(&verb).or_else(|| self.0.get(&stands_for?));
        own.map(Vec::as_slice)
    }

    /// The teams that have to be asked about.
    pub fn teams(&self) -> impl Iterator<Item = &TeamName> {
        self.0.values().flatten().flatten().filter_map(|who| match who {
            Who::Team(team) => Some(team),
            Who::Role(_) | Who::User(_) => None,
        })
    }

    /// Whether somebody without the right to write might be named: to be asked before anything is looked up for them.
    #[must_use]
    pub fn may_name(&self, actor: &Actor) -> bool {
        self.0.values().flatten().flatten().any(|who| match who {
            Who::Team(_) => true,
            who => who.is(actor),
        })
    }
}

/// The least role that a verb needs where no rule says otherwise; `None`: anybody may.
#[must_use]
pub const fn needed_role(verb: Verb) -> Option<Role> {
    match verb {
        Verb::Help | Verb::Version => None,
        Verb::Why | Verb::Locks => Some(Role::Read),
        Verb::Plan | Verb::Apply | Verb::Approve | Verb::Lock | Verb::Unlock | Verb::Cancel => Some(Role::Write),
        Verb::Freeze | Verb::Thaw => Some(Role::Maintain),
    }
}

/// What this person lacks for the verb, and who has it, a sentence each. What has to be true of the project besides is
/// [`super::requirement`]'s, whose `authorize` is the one door.
pub(super) fn lacks(verb: Verb, actor: &Actor, can: &Rights) -> Vec<String> {
    let asked = verb.as_str();
    if let Some(lists) = can.lists(verb) {
        let refusing = lists.iter().filter(|list| !list.iter().any(|who| who.is(actor)));
        return refusing.map(|list| for_others(asked, list, actor)).collect();
    }
    match needed_role(verb) {
        Some(needed) if actor.role < needed => vec![lacks_role(asked, needed, actor)],
        _ => Vec::new(),
    }
}

/// The same for freeing what another pull request holds, or what was applied in one that is not theirs.
pub(super) fn lacks_to_unlock_others(actor: &Actor, can: &Rights) -> Vec<String> {
    match can.lists(Verb::Unlock) {
        Some(_) => lacks(Verb::Unlock, actor, can),
        None if actor.role < Role::Maintain => {
            vec![format!("{}, because it is not yours", lacks_role("unlock", Role::Maintain, actor))]
        }
        None => Vec::new(),
    }
}

fn lacks_role(asked: &str, needed: Role, actor: &Actor) -> String {
    let has = actor.role.as_str();
    format!("`{asked}` needs the role `{}` in this repository, and you have `{has}`", needed.as_str())
}

fn for_others(asked: &str, list: &[Who], actor: &Actor) -> String {
    let has = actor.role.as_str();
    if list.is_empty() {
        return format!("a rule lets nobody `{asked}`");
    }
    let names: Vec<String> = list.iter().map(|who| format!("`{who}`")).collect();
    format!("`{asked}` is for {}, and you have the role `{has}`", one_of(&names))
}

/// `a`, `a or b`, `a, b or c`.
#[must_use]
pub fn one_of(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::fixture;

    fn actor(role: Role, teams: &[&str]) -> Actor {
        let teams = teams.iter().map(|team| team.parse().unwrap()).collect();
        Actor { teams, ..fixture::actor("ana", role) }
    }

    fn rights(verb: Verb, lists: &[&[&str]]) -> Rights {
        let list = |list: &&[&str]| list.iter().map(|who| who.parse().unwrap()).collect();
        Rights(BTreeMap::from([(verb, lists.iter().map(list).collect())]))
    }

    #[test]
    fn without_a_rule_the_role_decides() {
        let none = Rights::default();
        for (verb, least) in [
            (Verb::Help, Role::None),
            (Verb::Version, Role::None),
            (Verb::Why, Role::Read),
            (Verb::Locks, Role::Read),
            (Verb::Plan, Role::Write),
            (Verb::Apply, Role::Write),
            (Verb::Approve, Role::Write),
            (Verb::Lock, Role::Write),
            (Verb::Unlock, Role::Write),
            (Verb::Cancel, Role::Write),
            (Verb::Freeze, Role::Maintain),
            (Verb::Thaw, Role::Maintain),
        ] {
            for role in [Role::None, Role::Read, Role::Triage, Role::Write, Role::Maintain, Role::Admin] {
                let allowed = lacks(verb, &actor(role, &[]), &none).is_empty();
                assert_eq!(allowed, role >= least, "{verb:?} by {role:?}");
            }
        }
        assert_eq!(
            lacks(Verb::Plan, &actor(Role::Read, &[]), &none),
            ["`plan` needs the role `write` in this repository, and you have `read`"]
        );
        assert!(!lacks_to_unlock_others(&actor(Role::Write, &[]), &none).is_empty());
        assert!(lacks_to_unlock_others(&actor(Role::Maintain, &[]), &none).is_empty());
    }

    #[test]
    fn a_rule_names_roles_teams_and_users_and_says_who_they_are() {
        let sre = rights(Verb::Apply, &[&["role:maintain", "team:sre", "user:Lee"]]);
        for (who, allowed) in [
            (actor(Role::Write, &[]), false),
            (actor(Role::Maintain, &[]), true),
            (actor(Role::Read, &["sre"]), true),
            (actor(Role::Admin, &["dba"]), true),
            (Actor { login: fixture::login("lee"), ..actor(Role::Read, &[]) }, true),
        ] {
            assert_eq!(lacks(Verb::Apply, &who, &sre).is_empty(), allowed, "{who:?}");
        }
        assert_eq!(
            lacks(Verb::Apply, &actor(Role::Write, &[]), &sre),
            ["`apply` is for `role:maintain`, `team:sre` or `user:Lee`, and you have the role `write`"]
        );
    }

    #[test]
    fn approve_and_lock_are_for_those_who_may_apply_unless_a_rule_says_otherwise() {
        let writer = actor(Role::Write, &[]);
        let apply = rights(Verb::Apply, &[&["role:admin"]]);
        for verb in [Verb::Approve, Verb::Lock] {
            assert!(!lacks(verb, &writer, &apply).is_empty(), "{verb:?}");
        }
        assert!(lacks(Verb::Plan, &writer, &apply).is_empty());
        assert!(lacks(Verb::Approve, &writer, &rights(Verb::Approve, &[&["role:write"]])).is_empty());
        let freeze = rights(Verb::Freeze, &[&["role:write"]]);
        assert!(lacks(Verb::Thaw, &writer, &freeze).is_empty());
    }

    #[test]
    fn of_several_lists_each_has_to_name_whoever_asks() {
        let both = rights(Verb::Apply, &[&["role:write"], &["team:sre"]]);
        assert!(!lacks(Verb::Apply, &actor(Role::Write, &[]), &both).is_empty());
        assert!(!lacks(Verb::Apply, &actor(Role::Read, &["sre"]), &both).is_empty());
        assert!(lacks(Verb::Apply, &actor(Role::Write, &["sre"]), &both).is_empty());
        assert_eq!(lacks(Verb::Apply, &actor(Role::Read, &[]), &both).len(), 2, "all that is missing is said at once");
        assert_eq!(
            lacks(Verb::Apply, &actor(Role::Admin, &[]), &rights(Verb::Apply, &[&[]])),
            ["a rule lets nobody `apply`"]
        );
    }

    #[test]
    fn nobody_is_named_by_what_is_not_understood() {
        for text in ["", "sre", "role:", "role:owner", "team:", "team:../x", "team:a b", "user:", "user:a b", "group:x"]
        {
            assert!(text.parse::<Who>().is_err(), "{text}");
        }
        for text in ["role:triage", "team:acme/sre", "user:lee[bot]"] {
            assert_eq!(text.parse::<Who>().unwrap().to_string(), text);
        }
    }
}
