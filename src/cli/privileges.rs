//! Giving up the rights that only binding low ports needed.

use nix::unistd::{Gid, Group, Uid, User, setgid, setgroups, setuid};

/// Becomes `user` and `group`; the user's own group when none is named. Nothing happens when both are absent.
///
/// # Errors
///
/// When they do not exist, or this process may not become them.
pub(super) fn change(user: Option<&str>, group: Option<&str>) -> Result<(), String> {
    let user = user.map(find_user).transpose()?;
    let group = group.map(find_group).transpose()?;
    let Some(gid) = group.or(user.map(|(_, gid)| gid)) else { return Ok(()) };
    let may_not = |what: &str| {
        let what = what.to_owned();
        move |error| format!("error: process.{what}: {error}; only root may change it\n")
    };
    // The user goes last: without it the rest would not be permitted any more.
    if Uid::effective().is_root() {
        setgroups(&[gid]).map_err(may_not("group"))?;
    }
    setgid(gid).map_err(may_not("group"))?;
    if let Some((uid, _)) = user {
        setuid(uid).map_err(may_not("user"))?;
    }
    Ok(())
}

fn find_user(name: &str) -> Result<(Uid, Gid), String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid, user.gid)),
        Ok(None) => Err(format!("error: process.user: there is no user `{name}`\n")),
        Err(error) => Err(format!("error: process.user: {error}\n")),
    }
}

fn find_group(name: &str) -> Result<Gid, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(format!("error: process.group: there is no group `{name}`\n")),
        Err(error) => Err(format!("error: process.group: {error}\n")),
    }
}
