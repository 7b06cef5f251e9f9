//! Whether /proc hides other users' processes (`hidepid` of proc(5)).

use std::{fs, io, path::Path};

use caps::Capability;

use super::kernel::capabilities::Capabilities;

/// The mount option by which /proc hides other users' processes from this process. `None`: it
/// does not hide them (`has_pid_permissions` of fs/proc/base.c).
pub fn hiding(proc_root: &Path, capabilities: &Capabilities) -> Option<String> {
    if capabilities.has(Capability::CAP_SYS_PTRACE) {
        return None;
    }
    let mounts = fs::read(proc_root.join("self/mountinfo")).ok()?;
    let status = fs::read(proc_root.join("self/status")).ok()?;
    let options = options(&String::from_utf8_lossy(&mounts), proc_root)?.to_owned();
    let option = |name| options.split(',').find(|option| option.starts_with(name));
    let hidepid = option("hidepid=").filter(|option| !OFF.contains(option))?;
    // The group whose members see all processes. It is not shown if it is 0.
    let gid = option("gid=").and_then(|option| option["gid=".len()..].parse().ok());
    let sees_all = |gid| groups(&String::from_utf8_lossy(&status)).any(|group| group == gid);
    let hidden = !counts_groups(hidepid) || !sees_all(gid.unwrap_or(0));
    hidden.then(|| hidepid.to_owned())
}

/// Before 5.8 the values are numbers.
const OFF: [&str; 2] = ["hidepid=off", "hidepid=0"];

/// True if members of the group of `gid=` see all processes.
fn counts_groups(hidepid: &str) -> bool {
    !["hidepid=ptraceable", "hidepid=4"].contains(&hidepid)
}

/// What to do if this option hides processes.
pub fn way_out(hidepid: &str) -> &'static str {
    if counts_groups(hidepid) {
        "give iotop-trace CAP_SYS_PTRACE too, or mount /proc with gid= and a group that it is in"
    } else {
        "give iotop-trace CAP_SYS_PTRACE too"
    }
}

/// True if there is a task with this number. Does not depend on what /proc shows.
pub fn exists(proc_root: &Path, tid: u32) -> bool {
    if proc_root.join(tid.to_string()).exists() {
        return true;
    }
    let Some(tid) = libc::pid_t::try_from(tid).ok().filter(|tid| *tid > 0) else {
        return false;
    };
    // SAFETY: kill takes plain numbers. Signal 0 is not sent, it only checks the number.
    let found = unsafe { libc::kill(tid, 0) } == 0;
    found || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// The options of the proc that is mounted here. The last mount hides earlier ones.
pub(crate) fn options<'a>(mountinfo: &'a str, proc_root: &Path) -> Option<&'a str> {
    let options = |line: &'a str| {
        let (mount, file_system) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        let is_here = Path::new(point) == proc_root && file_system.starts_with("proc ");
        is_here.then(|| file_system.split(' ').nth(2)).flatten()
    };
    mountinfo.lines().rev().find_map(options)
}

/// The groups that the kernel looks for a file's group in: the one for file systems, and the
/// supplementary ones.
pub(crate) fn groups(status: &str) -> impl Iterator<Item = u32> {
    let line = |name| status.lines().find_map(move |line| line.strip_prefix(name));
    let own = line("Gid:")
        .into_iter()
        .flat_map(|ids| ids.split_whitespace().skip(3));
    let others = line("Groups:").into_iter().flat_map(str::split_whitespace);
    own.chain(others).filter_map(|gid| gid.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Below a proc root that is mounted with these options. The process's groups are 7, 8 and
    /// 9; its real group is 0.
    fn hidden(options: &str) -> Option<String> {
        let root = tempfile::tempdir().expect("a directory");
        let (own, point) = (root.path().join("self"), root.path().display());
        fs::create_dir(&own).expect("made");
        let mounts = format!(
            "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             23 22 0:5 / {point} rw shared:5 - proc proc rw,hidepid=invisible\n\
             24 23 0:6 / {point} rw - proc proc {options}\n\
             25 24 0:7 / {point}/sys rw - proc proc rw,hidepid=invisible\n"
        );
        fs::write(own.join("mountinfo"), mounts).expect("written");
        fs::write(
            own.join("status"),
            "Name:\tx\nGid:\t0\t0\t0\t7\nGroups:\t8 9 \n",
        )
        .expect("written");
        let nothing = Capabilities::default();
        hiding(root.path(), &nothing)
    }

    #[test]
    fn hidepid_hides_unless_a_group_or_a_capability_shows() {
        for (options, by) in [
            ("rw", None),
            ("rw,hidepid=off", None),
            ("rw,hidepid=invisible", Some("hidepid=invisible")),
            ("rw,hidepid=2", Some("hidepid=2")),
            ("rw,gid=5,hidepid=noaccess", Some("hidepid=noaccess")),
            ("rw,gid=7,hidepid=invisible", None),
            ("rw,gid=9,hidepid=1", None),
            ("rw,gid=9,hidepid=ptraceable", Some("hidepid=ptraceable")),
        ] {
            assert_eq!(hidden(options).as_deref(), by, "{options}");
        }
        assert!(!way_out("hidepid=4").contains("gid=") && way_out("hidepid=2").contains("gid="));
    }

    #[test]
    fn a_task_exists_even_if_proc_does_not_show_it() {
        let nowhere = Path::new("/nonexistent");
        assert!(exists(nowhere, std::process::id()) && exists(nowhere, 1));
        assert!(!exists(nowhere, 0) && !exists(nowhere, u32::MAX));
    }
}
