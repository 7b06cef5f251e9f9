//! The systemd unit that a cgroup belongs to.

/// Suffixes of the unit types that have a cgroup of their own, except slices
/// (systemd.unit(5)).
const KINDS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// The innermost unit of a cgroup's path: a user's service wins over the manager that it
/// runs under. A slice counts only if there is no other unit.
pub fn of(cgroup: &str) -> Option<String> {
    let names = || cgroup.split('/').map(unescaped);
    let innermost = |is_unit: fn(&str) -> bool| names().rfind(|name| is_unit(name));
    innermost(is_unit)
        .or_else(|| innermost(is_slice))
        .map(str::to_owned)
}

fn is_unit(name: &str) -> bool {
    KINDS.iter().any(|kind| has_suffix(name, kind))
}

fn is_slice(name: &str) -> bool {
    has_suffix(name, ".slice")
}

fn has_suffix(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
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
    fn the_innermost_unit_is_chosen() {
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
                "/user.slice/user-1000.slice/user@1000.service/app.slice/firefox.service",
                Some("firefox.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                Some("init.scope"),
            ),
            (
                "/system.slice/postgresql.service/workers",
                Some("postgresql.service"),
            ),
            ("/system.slice/_cpu.service", Some("cpu.service")),
            ("/user.slice/user-0.slice", Some("user-0.slice")),
            ("/init.scope", Some("init.scope")),
            ("/docker/4c01db0b339c", None),
            ("/.service", None),
            ("/", None),
        ] {
            assert_eq!(of(cgroup).as_deref(), unit, "{cgroup}");
        }
    }
}
