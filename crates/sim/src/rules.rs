//! Who may write the next entry of a log, as far as the entries before tell.
//!
//! Invariant: nothing here comes from the server's own notes of roles, bans and mutes, so that those
//! can be wrong and be caught (P7: authorization is checked when the command commits). Deliberately
//! absent: whatever no entry tells, such as the size of a group.

use std::collections::BTreeMap;

use hubbub_proto::{Timestamp, UserId};
use serde_json::Value;

use crate::log::{Committed, Log, one, users};

/// Until when something holds; never ending where nothing is said.
type Until = Option<Timestamp>;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Role {
    Member,
    Admin,
    Owner,
}

/// What the entries of a group say about its members.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    roles: BTreeMap<UserId, Role>,
    bans: BTreeMap<UserId, Until>,
    mutes: BTreeMap<UserId, Until>,
    all_muted: Option<Until>,
    /// `open`, `approval` or `invite`.
    join: String,
}

fn holds(until: Until, now: Timestamp) -> bool {
    until.is_none_or(|end| now < end)
}

fn until(content: &Value) -> Until {
    content["until"].as_u64().map(Timestamp)
}

/// Who enters by this entry.
fn entering(content: &Value) -> Vec<UserId> {
    users(&content["users"]).into_iter().chain(one(&content["user"])).collect()
}

impl Rules {
    /// Takes in what an entry changes.
    pub(crate) fn follow(&mut self, entry: &Committed) {
        let content = entry.value();
        let user = one(&content["user"]);
        match (entry.kind.as_str(), user) {
            ("group_created", _) => {
                for member in users(&content["members"]) {
                    self.roles.insert(member, Role::Member);
                }
                self.roles.insert(entry.sender.clone(), Role::Owner);
                self.join = content["join"].as_str().unwrap_or_default().to_owned();
            }
            ("member_joined", _) => {
                for member in entering(&content) {
                    self.roles.insert(member, Role::Member);
                }
            }
            ("member_role", Some(user)) => {
                let role = match content["role"].as_str() {
                    Some("owner") => Role::Owner,
                    Some("admin") => Role::Admin,
                    _ => Role::Member,
                };
                // Who rises may write again; who hands the group over stays as an admin.
                if self.roles.insert(user.clone(), role).is_none_or(|before| role > before) {
                    self.mutes.remove(&user);
                }
                if role == Role::Owner {
                    self.roles.insert(entry.sender.clone(), Role::Admin);
                }
            }
            ("member_banned", Some(user)) => {
                self.bans.insert(user, until(&content));
            }
            ("member_unbanned", Some(user)) => {
                self.bans.remove(&user);
            }
            ("member_muted", Some(user)) if content["muted"] == Value::Bool(true) => {
                self.mutes.insert(user, until(&content));
            }
            ("member_muted", Some(user)) => {
                self.mutes.remove(&user);
            }
            ("group_updated", _) => {
                if let Some(join) = content["join"].as_str() {
                    join.clone_into(&mut self.join);
                }
                if let Some(muted) = content["muted"].as_bool() {
                    self.all_muted = muted.then(|| until(&content));
                }
            }
            _ => {}
        }
    }

    /// Who is kept out, or was.
    pub(crate) fn banned(&self) -> Vec<UserId> {
        self.bans.keys().cloned().collect()
    }

    /// Whether anybody has a role here.
    fn is_group(&self) -> bool {
        !self.roles.is_empty()
    }

    fn at_least(&self, user: &UserId, role: Role) -> Result<(), &'static str> {
        let enough = self.roles.get(user).is_some_and(|held| *held >= role);
        if enough { Ok(()) } else { Err("their role does not allow it") }
    }

    fn may_speak(&self, user: &UserId, now: Timestamp) -> Result<(), &'static str> {
        let all = self.all_muted.is_some_and(|until| holds(until, now));
        if self.mutes.get(user).is_some_and(|until| holds(*until, now)) {
            Err("they are muted")
        } else if all && self.at_least(user, Role::Admin).is_err() {
            Err("all but owner and admins are muted")
        } else {
            Ok(())
        }
    }
}

impl Log {
    /// Whether the next entry may be written.
    pub(crate) fn permits(&self, entry: &Committed) -> Result<(), &'static str> {
        let (rules, sender) = (&self.rules, &entry.sender);
        if entry.is_update() {
            return self.permits_update(entry);
        }
        let content = entry.value();
        match entry.kind.as_str() {
            "member_joined" => {
                let entering = entering(&content);
                let banned = |user: &UserId| {
                    rules.bans.get(user).is_some_and(|until| holds(*until, entry.at))
                };
                let alone = entering.as_slice() == [sender.clone()];
                let open = rules.join == "open";
                match one(&content["by"]) {
                    _ if entering.iter().any(banned) => Err("who is banned does not enter"),
                    _ if entering.iter().any(|user| self.is_member(user)) => Err("they are in"),
                    None if alone && open => Ok(()),
                    None => Err("nobody enters by themself"),
                    Some(_) if open && self.is_member(sender) => Ok(()),
                    Some(_) if !self.is_member(sender) => Err("who invites is a member"),
                    Some(_) => rules.at_least(sender, Role::Admin),
                }
            }
            "member_kicked" | "member_banned" | "member_muted" => {
                rules.at_least(sender, Role::Admin)?;
                let target = one(&content["user"]).filter(|user| self.is_member(user));
                match (target.and_then(|user| rules.roles.get(&user)), rules.roles.get(sender)) {
                    (Some(target), Some(own)) if target >= own => Err("the other is not below"),
                    _ => Ok(()),
                }
            }
            "member_unbanned" | "group_updated" => rules.at_least(sender, Role::Admin),
            "member_role" => rules.at_least(sender, Role::Owner),
            _ if self.dissolved => Err("the group is dissolved"),
            _ if entry.head.mention_all => {
                rules.at_least(sender, Role::Admin)?;
                rules.may_speak(sender, entry.at)
            }
            _ if entry.kind.is_message() => rules.may_speak(sender, entry.at),
            _ => Ok(()),
        }
    }

    fn permits_update(&self, entry: &Committed) -> Result<(), &'static str> {
        let about = entry.head.about.unwrap_or_default();
        let Some(target) = self.entry(about) else { return Err("there is no target") };
        let theirs = target.sender == entry.sender;
        let in_this_stay = self.end_of(&entry.sender, about) == Some(self.head());
        match entry.kind.as_str() {
            _ if !in_this_stay => Err("the target is outside of the stay"),
            _ if !target.kind.is_message() => Err("the target is no message"),
            _ if self.removal(about).is_some() => Err("the target was removed"),
            _ if self.is_over(about, entry.at) => Err("the target has expired"),
            _ if about <= self.cleared(&entry.sender) => Err("they cleared the target away"),
            "message_edited" | "message_recalled" if !theirs => Err("it is another's message"),
            "message_recalled" => Ok(()),
            "message_deleted" => {
                let author = self.rules.roles.get(&target.sender);
                let author = author.filter(|_| self.is_member(&target.sender) && !theirs);
                self.rules.at_least(&entry.sender, Role::Admin)?;
                match (author, self.rules.roles.get(&entry.sender)) {
                    (Some(author), Some(own)) if author >= own => Err("its author is not below"),
                    _ => Ok(()),
                }
            }
            "message_pin" if self.rules.is_group() => {
                self.rules.at_least(&entry.sender, Role::Admin)?;
                self.rules.may_speak(&entry.sender, entry.at)
            }
            _ => self.rules.may_speak(&entry.sender, entry.at),
        }
    }
}
