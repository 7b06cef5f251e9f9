//! The container that a cgroup belongs to, recognized by the names that runtimes give to
//! cgroups.

/// Prefixes of systemd's scopes before the container's id, each with its runtime.
const SCOPES: [(&str, &str); 4] = [
    ("docker-", "docker"),
    ("libpod-", "podman"),
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
];

/// How many characters of an id are shown, as by `docker ps`.
const SHORT: usize = 12;

/// The innermost container of a cgroup's path, as `runtime:id`.
pub fn of(cgroup: &str) -> Option<String> {
    let names: Vec<&str> = cgroup.split('/').filter(|name| !name.is_empty()).collect();
    (0..names.len()).rev().find_map(|n| named(&names[..=n]))
}

/// The container that the last of these names belongs to.
fn named(names: &[&str]) -> Option<String> {
    let (name, above) = names.split_last()?;
    let parent = above.last().copied();
    by_scope(name)
        .or_else(|| by_machine(name, parent))
        .or_else(|| by_lxc(name, parent))
        .or_else(|| by_plain_id(name, above))
}

fn by_scope(name: &str) -> Option<String> {
    // The suffix is missing without systemd, and on podman's own cgroup below its scope.
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    let (runtime, id) = SCOPES
        .iter()
        .find_map(|(prefix, runtime)| Some((runtime, stem.strip_prefix(prefix)?)))?;
    is_id(id).then(|| short(runtime, id))
}

/// systemd-nspawn: `machine-NAME.scope`, `systemd-nspawn@NAME.service`.
fn by_machine(name: &str, parent: Option<&str>) -> Option<String> {
    if parent != Some("machine.slice") {
        return None;
    }
    let scope = || name.strip_prefix("machine-")?.strip_suffix(".scope");
    let service = || {
        name.strip_prefix("systemd-nspawn@")?
            .strip_suffix(".service")
    };
    let machine = unescaped(scope().or_else(service)?);
    // libvirt's virtual machines and containers are in the same slice.
    (!machine.starts_with("qemu-") && !machine.starts_with("lxc-"))
        .then(|| format!("nspawn:{machine}"))
}

/// lxc: `lxc/NAME`, `lxc.payload/NAME`, `lxc.payload.NAME`. `lxc.monitor` is outside the
/// container.
fn by_lxc(name: &str, parent: Option<&str>) -> Option<String> {
    let own = name.strip_prefix("lxc.payload.");
    let below = matches!(parent, Some("lxc" | "lxc.payload")).then_some(name);
    own.or(below)
        .filter(|name| !name.is_empty() && !name.starts_with("lxc."))
        .map(|name| format!("lxc:{name}"))
}

/// A bare id, as the cgroupfs driver uses it. The names above it tell the runtime.
fn by_plain_id(name: &str, above: &[&str]) -> Option<String> {
    if !is_id(name) {
        return None;
    }
    let runtime = if above.last() == Some(&"docker") {
        "docker"
    } else if above.iter().any(|name| name.starts_with("kubepods")) {
        "kubernetes"
    } else {
        return None;
    };
    Some(short(runtime, name))
}

fn short(runtime: &str, id: &str) -> String {
    format!("{runtime}:{}", &id[..SHORT])
}

fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Undoes escapes such as `\x2d` (systemd-escape(1)).
fn unescaped(name: &str) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        text.push_str(before);
        let code = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(byte) => {
                text.push(char::from(byte));
                rest = &after[2..];
            }
            None => {
                text.push_str("\\x");
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runtime_is_recognized_by_its_cgroups() {
        let id = "4c01db0b339c1e2f4c01db0b339c1e2f4c01db0b339c1e2f4c01db0b339c1e2f";
        let pod = "pod1234abcd-12ab-34cd-56ef-123456abcdef";
        for (cgroup, container) in [
            ("/docker/ID", Some("docker:4c01db0b339c")),
            ("/system.slice/docker-ID.scope", Some("docker:4c01db0b339c")),
            (
                "/system.slice/docker-ID.scope/init.scope",
                Some("docker:4c01db0b339c"),
            ),
            (
                "/machine.slice/libpod-ID.scope/container",
                Some("podman:4c01db0b339c"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
                Some("podman:4c01db0b339c"),
            ),
            ("/libpod_parent/libpod-ID", Some("podman:4c01db0b339c")),
            ("/machine.slice/libpod-conmon-ID.scope", None),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-POD.slice/cri-containerd-ID.scope",
                Some("containerd:4c01db0b339c"),
            ),
            (
                "/kubepods.slice/kubepods-POD.slice/crio-ID.scope",
                Some("cri-o:4c01db0b339c"),
            ),
            (
                "/kubepods.slice/kubepods-POD.slice/crio-conmon-ID.scope",
                None,
            ),
            (
                "/kubepods/besteffort/POD/ID",
                Some("kubernetes:4c01db0b339c"),
            ),
            ("/lxc/web1", Some("lxc:web1")),
            (
                "/lxc.payload/web1/system.slice/cron.service",
                Some("lxc:web1"),
            ),
            ("/lxc.payload.web1/init.scope", Some("lxc:web1")),
            ("/lxc.monitor.web1", None),
            ("/lxc.monitor/web1", None),
            (
                "/machine.slice/systemd-nspawn@web1.service/payload",
                Some("nspawn:web1"),
            ),
            ("/machine.slice/machine-a\\x2db.scope", Some("nspawn:a-b")),
            ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", None),
            (
                "/lxc.payload.outer/system.slice/docker-ID.scope",
                Some("docker:4c01db0b339c"),
            ),
            ("/system.slice/cron.service", None),
            ("/unknown/ID", None),
            ("/docker/notanid", None),
            ("/", None),
        ] {
            let cgroup = cgroup.replace("ID", id).replace("POD", pod);
            assert_eq!(of(&cgroup).as_deref(), container, "{cgroup}");
        }
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        assert_eq!(unescaped("a\\x2db\\xzz\\x"), "a-b\\xzz\\x");
        assert_eq!(unescaped("a\\xé"), "a\\xé");
    }
}
