//! The user who runs the program. Under sudo and pkexec that is not the user whose rights the
//! process has.

use std::{
    env,
    ffi::{CString, OsString},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use uzers::os::unix::UserExt as _;

/// A user, and the group of the files that the user creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoker {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// True if the process has root's rights, and the user has others.
    pub is_behind_root: bool,
}

/// The group of files that belong to nobody (overflowgid of proc_sys_kernel(5)).
const NOGROUP: u32 = 65534;

impl Invoker {
    /// The user behind this process.
    pub fn find() -> Invoker {
        // SAFETY: getuid and getgid take nothing and can't fail.
        let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
        Invoker::of(uid, gid, |name| env::var_os(name))
    }

    /// Only root can take another user's rights, so the variables count only for root. sudo
    /// and run0 set SUDO_UID and SUDO_GID, pkexec sets PKEXEC_UID.
    fn of(uid: u32, gid: u32, variable: impl Fn(&str) -> Option<OsString>) -> Invoker {
        let number = |name| variable(name)?.to_str()?.parse::<u32>().ok();
        let other = number("SUDO_UID").or_else(|| number("PKEXEC_UID"));
        match other.filter(|other| uid == 0 && *other != 0) {
            Some(other) => Invoker {
                uid: other,
                gid: number("SUDO_GID")
                    .or_else(|| Some(uzers::get_user_by_uid(other)?.primary_group_id()))
                    // There is no such user: the number of its own group is the best guess.
                    .unwrap_or(other),
                is_behind_root: true,
            },
            None => Invoker {
                uid,
                gid,
                is_behind_root: false,
            },
        }
    }

    /// The user with this number, whose rights root can take.
    pub fn of_uid(uid: u32) -> Invoker {
        let group = uzers::get_user_by_uid(uid).map(|user| user.primary_group_id());
        Invoker {
            uid,
            // There is no such user. A group with the user's number may be any.
            gid: group.unwrap_or(NOGROUP),
            is_behind_root: uid != 0,
        }
    }

    /// Takes the user's groups, group and id, for good.
    ///
    /// # Errors
    ///
    /// This process is not root.
    pub fn take_rights(&self) -> io::Result<()> {
        let Invoker { uid, gid, .. } = *self;
        // System calls take this number for "as it is".
        if uid == u32::MAX || gid == u32::MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let user = uzers::get_user_by_uid(uid);
        let name = user.and_then(|user| CString::new(user.name().as_bytes()).ok());
        let check = |result| match result {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        };
        // SAFETY: the name is a string that lives until the call returns, the rest are numbers.
        // All ids are set: none is left to go back to.
        unsafe {
            check(match name {
                Some(name) => libc::initgroups(name.as_ptr(), gid),
                None => libc::setgroups(0, std::ptr::null()),
            })?;
            check(libc::setresgid(gid, gid, gid))?;
            check(libc::setresuid(uid, uid, uid))
        }
    }

    /// The variables that say who the user is, as su(1) sets them.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let Some(user) = uzers::get_user_by_uid(self.uid) else {
            return Vec::new();
        };
        let name = user.name().to_owned();
        vec![
            ("HOME", user.home_dir().into()),
            ("SHELL", user.shell().into()),
            ("USER", name.clone()),
            ("LOGNAME", name),
        ]
    }

    /// The user's home directory. HOME is root's under sudo, so the user database has the word
    /// there.
    pub fn home(&self) -> Option<PathBuf> {
        match self.is_behind_root {
            true => Some(uzers::get_user_by_uid(self.uid)?.home_dir().to_owned()),
            false => env::var_os("HOME").map(PathBuf::from),
        }
        .filter(|home: &PathBuf| Path::is_absolute(home))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(uid: u32, variables: &[(&str, &str)]) -> Invoker {
        Invoker::of(uid, 7, |name| {
            let known = variables.iter().find(|(known, _)| *known == name)?;
            Some(known.1.into())
        })
    }

    #[test]
    fn the_user_behind_root_is_the_one_that_sudo_or_pkexec_names() {
        let sudo = [("SUDO_UID", "1000"), ("SUDO_GID", "1001")];
        let behind = |uid, gid| Invoker {
            uid,
            gid,
            is_behind_root: true,
        };
        assert_eq!(found(0, &sudo), behind(1000, 1001));
        let nobody = found(0, &[("PKEXEC_UID", "65534")]);
        assert_eq!((nobody.uid, nobody.is_behind_root), (65534, true));
        assert_eq!(found(0, &[("SUDO_UID", "3000000000")]).gid, 3_000_000_000);
    }

    #[test]
    fn without_root_or_another_user_the_rights_are_those_of_the_process() {
        let own = |uid| Invoker {
            uid,
            gid: 7,
            is_behind_root: false,
        };
        assert_eq!(found(5, &[("SUDO_UID", "1000")]), own(5));
        for wrong in ["", "0", "-1", "root", "99999999999"] {
            assert_eq!(found(0, &[("SUDO_UID", wrong)]), own(0), "{wrong:?}");
        }
        assert_eq!(found(0, &[]), own(0));
    }
}
