//! The systemd unit that a cgroup belongs to. The rules are systemd's own: `cg_path_get_unit`
//! and `cg_path_get_user_unit` of src/basic/cgroup-util.c.

/// Suffixes of the unit types that have a cgroup of their own, except slices
/// (systemd.unit(5)).
const KINDS: [&str; 5] = ["service", "scope", "socket", "mount", "swap"];

/// The unit of a cgroup's path: the first cgroup below the machine's slices. What comes
/// further down is the unit's own, for example a container with units of the same names. Units
/// of a user's manager follow it: `user@1000.service/app.service`. A slice counts only if there
/// is no unit.
pub fn of(cgroup: &str) -> Option<String> {
    let mut names = cgroup
        .split('/')
        .filter(|name| !name.is_empty())
        .map(unescaped);
    let (slice, unit) = below_slices(&mut names);
    let Some(unit) = unit else {
        return slice.map(str::to_owned);
    };
    if !is_user_manager(unit) {
        return Some(unit.to_owned());
    }
    match below_slices(&mut names) {
        (_, Some(own)) => Some(format!("{unit}/{own}")),
        _ => Some(unit.to_owned()),
    }
}

/// Skips slices. Returns the last one, and the unit after it.
fn below_slices<'a>(
    names: &mut impl Iterator<Item = &'a str>,
) -> (Option<&'a str>, Option<&'a str>) {
    let mut slice = None;
    for name in names {
        match kind(name) {
            Some("slice") => slice = Some(name),
            Some(kind) if KINDS.contains(&kind) => return (slice, Some(name)),
            _ => break,
        }
    }
    (slice, None)
}

/// The type of a valid unit name (`unit_name_is_valid` of src/basic/unit-name.c).
fn kind(name: &str) -> Option<&str> {
    let (stem, kind) = name.rsplit_once('.')?;
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    // A template, `user@.service`, is not a unit.
    let is_unit = !stem.is_empty() && !stem.starts_with('@') && !stem.ends_with('@');
    (is_unit && stem.bytes().all(is_valid)).then_some(kind)
}

/// `user@UID.service` or `capsule@NAME.service`.
fn is_user_manager(unit: &str) -> bool {
    unit.ends_with(".service") && (unit.starts_with("user@") || unit.starts_with("capsule@"))
}

/// Removes the `_` that systemd puts before a name which could clash with one of the
/// kernel's own files (`cg_escape` of src/basic/cgroup-util.c).
fn unescaped(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_first_cgroup_below_the_slices() {
        for (cgroup, unit) in [
            ("/system.slice/cron.service", Some("cron.service")),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                Some("getty@tty1.service"),
            ),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                Some("session-3.scope"),
            ),
            (
                "/system.slice/postgresql.service/workers",
                Some("postgresql.service"),
            ),
            ("/system.slice/_cpu.service/sub", Some("cpu.service")),
            ("/user.slice/user-0.slice", Some("user-0.slice")),
            ("/init.scope", Some("init.scope")),
            ("/docker/4c01db0b339c", None),
            (
                "/system.slice/getty####@tty6.service/xxx",
                Some("system.slice"),
            ),
            (
                "/user.slice/user-1000.slice/user@.service/server.service",
                Some("user-1000.slice"),
            ),
            ("/.service", None),
            ("/", None),
        ] {
            assert_eq!(of(cgroup).as_deref(), unit, "{cgroup}");
        }
    }

    #[test]
    fn a_units_own_cgroups_are_not_units() {
        for (cgroup, unit) in [
            (
                "/machine.slice/machine-web.scope/payload/system.slice/cron.service",
                Some("machine-web.scope"),
            ),
            (
                "/machine.slice/machine-web.scope/system.slice/cron.service",
                Some("machine-web.scope"),
            ),
            (
                "/system.slice/docker-4c01db0b339c.scope/system.slice/cron.service",
                Some("docker-4c01db0b339c.scope"),
            ),
            (
                "/system.slice/web.service/libpod-payload-4c01db0b339c/init.scope",
                Some("web.service"),
            ),
            ("/lxc.payload.web1/system.slice/cron.service", None),
            ("/lxc/101/ns/system.slice/cron.service", None),
        ] {
            assert_eq!(of(cgroup).as_deref(), unit, "{cgroup}");
        }
    }

    #[test]
    fn a_users_unit_has_its_manager_before_it() {
        for (cgroup, unit) in [
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/cron.service",
                "user@1000.service/cron.service",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                "user@1000.service/init.scope",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice",
                "user@1000.service",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/x.service",
                "user@1000.service/web.service",
            ),
            (
                "/capsule.slice/capsule@x.service/app.slice/cron.service",
                "capsule@x.service/cron.service",
            ),
        ] {
            assert_eq!(of(cgroup).as_deref(), Some(unit), "{cgroup}");
        }
    }
}
