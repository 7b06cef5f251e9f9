//! The container that a cgroup belongs to, recognized by the names that runtimes give to
//! cgroups.

/// How a runtime makes a container's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    /// 64 hexadecimal digits.
    Hex,
    /// 25 letters and digits (BuildKit's `identity.NewID`).
    BuildKit,
    /// A task's 32 hexadecimal digits, `-`, a decimal number (Fargate).
    Task,
    /// A name that the user gave.
    Name,
}

/// Where a runtime puts a container.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The cgroup's name is this and the id. A scope of systemd ends with `.scope`.
    Prefix(&'static str),
    /// The cgroup's name is the id. It is directly below a cgroup of this name.
    Below(&'static str),
    /// The cgroup's name is the id. It is somewhere below a cgroup or slice of this name.
    Within(&'static str),
    /// The cgroup's name is the id.
    Anywhere,
}

use Id::{BuildKit, Hex, Name, Task};
use Place::{Anywhere, Below, Prefix, Within};

/// A runtime, where it puts a container, and how it makes the id.
type Row = (&'static str, Place, Id);

/// Every runtime with its places; the first row that fits counts. The names are taken from the
/// runtimes' own sources:
///
/// - Docker: `daemon/oci_linux.go`. The agent of Amazon ECS runs Docker's containers in
///   `/ecs/TASK` or `ecstasks-TASK.slice` (`agent/api/task/task_linux.go`).
/// - Podman: `getOCICgroupPath` in `libpod/container_internal_linux.go`. Quadlet's containers
///   have `--cgroups=split`. The monitor, `libpod-conmon-ID`, is outside of the container.
/// - containerd: `getCgroupsPath` in its CRI plugin; `WithNamespacedCgroup` in `pkg/oci`
///   (`/NAMESPACE/ID`) for those without a manager; `run_cgroup_linux.go` in nerdctl.
/// - CRI-O: `internal/config/cgmgr`. The monitor is `crio-conmon-ID`.
/// - BuildKit: `executor/runcexecutor/executor.go`. Docker runs it in its own cgroups.
/// - Kubernetes, also within k3s and kind: `pkg/kubelet/cm/cgroup_manager_linux.go`. In bare
///   directories, the runtime is not known.
/// - LXC, and so LXD, Incus and Proxmox: `src/lxc/cgroups/cgfsng.c`. The monitor is
///   `lxc.monitor.NAME`.
const TABLE: &[Row] = &[
    ("docker", Prefix("docker-"), Hex),
    ("docker", Below("docker"), Hex),
    ("docker", Within("ecs"), Hex),
    ("ecs", Within("ecs"), Task),
    ("podman", Prefix("libpod-payload-"), Hex),
    ("podman", Prefix("libpod-"), Hex),
    ("containerd", Prefix("cri-containerd-"), Hex),
    ("containerd", Prefix("nerdctl-"), Hex),
    ("containerd", Below("default"), Hex),
    ("containerd", Below("k8s.io"), Hex),
    ("cri-o", Prefix("crio-"), Hex),
    ("buildkit", Prefix("docker-"), BuildKit),
    ("buildkit", Below("buildkit"), BuildKit),
    ("kubernetes", Within("kubepods"), Hex),
    ("lxc", Prefix("lxc.payload."), Name),
    ("lxc", Below("lxc.payload"), Name),
    ("lxc", Below("lxc"), Name),
    // For example after `docker run --cgroup-parent`. Nothing else has such a name.
    ("oci", Anywhere, Hex),
];

/// How many characters of an id are shown, as by `docker ps`.
const SHORT: usize = 12;

/// The innermost container of a cgroup's path, as `runtime:id`.
pub fn of(cgroup: &str) -> Option<String> {
    let names: Vec<&str> = cgroup.split('/').filter(|name| !name.is_empty()).collect();
    (0..names.len()).rev().find_map(|n| {
        let (name, above) = (names[n], &names[..n]);
        by_table(name, above).or_else(|| by_machine(name))
    })
}

fn by_table(name: &str, above: &[&str]) -> Option<String> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    // A runtime that is not told to use systemd takes `SLICE:PREFIX:ID`, which is meant for
    // systemd, as a path.
    let parts: Vec<&str> = name.split(':').collect();
    let name = match parts[..] {
        [_, prefix, id] => &format!("{prefix}-{id}"),
        _ => name,
    };
    TABLE.iter().find_map(|row| by_row(row, name, above))
}

fn by_row((runtime, place, id): &Row, name: &str, above: &[&str]) -> Option<String> {
    let text = match place {
        Prefix(prefix) => name.strip_prefix(prefix),
        Below(parent) => (above.last() == Some(parent)).then_some(name),
        Within(top) => {
            let is_top = |name: &&str| name.strip_suffix(".slice").unwrap_or(name) == *top;
            above.iter().any(is_top).then_some(name)
        }
        Anywhere => Some(name),
    };
    Some(format!("{runtime}:{}", id.shown(text?)?))
}

impl Id {
    /// An id as it is shown. `None` if this is not one.
    fn shown(self, text: &str) -> Option<&str> {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_alphanumeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match self {
            Hex => (text.len() == 64 && is_hex(text)).then(|| &text[..SHORT]),
            BuildKit => (text.len() == 25 && is_alphanumeric(text)).then(|| &text[..SHORT]),
            Task => {
                let (task, number) = text.split_once('-')?;
                let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                (task.len() == 32 && is_hex(task) && is_number).then_some(text)
            }
            // LXC keeps names with this prefix for itself.
            Name => (!text.is_empty() && !text.starts_with("lxc.")).then_some(text),
        }
    }
}

/// A machine of systemd: `machine-NAME.scope` (machined makes it: `src/machine/machine.c`) or
/// `systemd-nspawn@NAME.service`. libvirt's machines are called `DRIVER-NUMBER-NAME`
/// (`virDomainGenerateMachineName`), or without systemd `NAME.libvirt-DRIVER`. Its virtual
/// machines are no containers.
fn by_machine(name: &str) -> Option<String> {
    if let Some((name, driver)) = name.rsplit_once(".libvirt-") {
        let name = name.strip_prefix("lxc-").unwrap_or(name);
        return (driver == "lxc").then(|| format!("libvirt-lxc:{}", without_number(name)));
    }
    let scope = || name.strip_prefix("machine-")?.strip_suffix(".scope");
    let service = || {
        name.strip_prefix("systemd-nspawn@")?
            .strip_suffix(".service")
    };
    let machine = unescaped(scope().or_else(service)?);
    let by_libvirt = machine.split_once('-').filter(|(driver, rest)| {
        ["lxc", "qemu", "xen", "ch", "bhyve"].contains(driver) && without_number(rest) != *rest
    });
    match by_libvirt {
        Some(("lxc", rest)) => Some(format!("libvirt-lxc:{}", without_number(rest))),
        Some(_) => None,
        None => (!machine.is_empty()).then(|| format!("nspawn:{machine}")),
    }
}

/// The rest of `NUMBER-REST`.
fn without_number(text: &str) -> &str {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    match rest.strip_prefix('-') {
        Some(name) if rest.len() < text.len() && !name.is_empty() => name,
        _ => text,
    }
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

    const ID: &str = "4c01db0b339c1e2f4c01db0b339c1e2f4c01db0b339c1e2f4c01db0b339c1e2f";

    /// Cgroups, in which `ID` stands for 64 digits, `POD` for a pod's name and `UID` for its
    /// uid; and their containers. `*` stands for the id's first digits.
    const CGROUPS: &[(&str, Option<&str>)] = &[
        // Docker, with its two drivers, and rootless.
        ("/docker/ID", Some("docker:*")),
        ("/system.slice/docker-ID.scope", Some("docker:*")),
        ("/system.slice/docker-ID.scope/init.scope", Some("docker:*")),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/docker-ID.scope",
            Some("docker:*"),
        ),
        ("/system.slice/docker.service", None),
        ("/system.slice/docker-notanid.scope", None),
        ("/docker/notanid", None),
        // BuildKit, alone and as part of Docker.
        (
            "/docker/buildkit/lm9ve3uzpd3gd7ksdb4xrdaw6",
            Some("buildkit:lm9ve3uzpd3g"),
        ),
        (
            "/system.slice/docker-lm9ve3uzpd3gd7ksdb4xrdaw6.scope",
            Some("buildkit:lm9ve3uzpd3g"),
        ),
        // Amazon ECS, and Fargate.
        (
            "/ecs/a52246f2-daa7-47b4-9e84-0043331e1da0/ID",
            Some("docker:*"),
        ),
        (
            "/ecs/cluster/a52246f2daa747b49e840043331e1da0/ID",
            Some("docker:*"),
        ),
        (
            "/ecstasks.slice/ecstasks-a52246f2daa747b49e840043331e1da0.slice/docker-ID.scope",
            Some("docker:*"),
        ),
        (
            "/ecs/a52246f2daa747b49e840043331e1da0/a52246f2daa747b49e840043331e1da0-0123",
            Some("ecs:a52246f2daa747b49e840043331e1da0-0123"),
        ),
        ("/ecs/a52246f2-daa7-47b4-9e84-0043331e1da0", None),
        // Podman: systemd, cgroupfs, rootless, in a pod, and split, as Quadlet's services are.
        ("/machine.slice/libpod-ID.scope/container", Some("podman:*")),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            Some("podman:*"),
        ),
        (
            "/machine.slice/machine-libpod_pod_ID.slice/libpod-ID.scope",
            Some("podman:*"),
        ),
        ("/libpod_parent/libpod-ID", Some("podman:*")),
        ("/libpod_parent/ID/libpod-ID", Some("podman:*")),
        (
            "/system.slice/web.service/libpod-payload-ID",
            Some("podman:*"),
        ),
        (
            "/system.slice/web.service/libpod-payload-ID/init.scope",
            Some("podman:*"),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/libpod-payload-ID",
            Some("podman:*"),
        ),
        ("/system.slice/web.service/runtime", None),
        ("/machine.slice/libpod-conmon-ID.scope", None),
        ("/libpod_parent/conmon", None),
        // containerd: Kubernetes with systemd, the same path taken for a directory, ctr, nerdctl.
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-POD.slice/cri-containerd-ID.scope",
            Some("containerd:*"),
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-POD.slice/cri-containerd-ID.scope",
            Some("containerd:*"),
        ),
        (
            "/kubepods.slice/kubepods-POD.slice/cri-containerd-ID.scope",
            Some("containerd:*"),
        ),
        (
            "/system.slice/containerd.service/kubepods-burstable-POD.slice:cri-containerd:ID",
            Some("containerd:*"),
        ),
        (
            "/kubepods-besteffort-POD.slice:cri-containerd:ID",
            Some("containerd:*"),
        ),
        ("/k8s.io/ID", Some("containerd:*")),
        ("/default/ID", Some("containerd:*")),
        ("/system.slice/nerdctl-ID.scope", Some("containerd:*")),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-ID.scope",
            Some("containerd:*"),
        ),
        ("/system.slice/containerd.service", None),
        // CRI-O.
        (
            "/kubepods.slice/kubepods-POD.slice/crio-ID.scope",
            Some("cri-o:*"),
        ),
        (
            "/kubepods.slice/kubepods-POD.slice/crio-ID.scope/container",
            Some("cri-o:*"),
        ),
        ("/kubepods/burstable/podUID/crio-ID", Some("cri-o:*")),
        (
            "/kubepods.slice/kubepods-POD.slice/crio-conmon-ID.scope",
            None,
        ),
        // Kubernetes with cgroupfs, of each QoS class; with Docker; in kind, k3s and microk8s.
        ("/kubepods/podUID/ID", Some("kubernetes:*")),
        ("/kubepods/burstable/podUID/ID", Some("kubernetes:*")),
        ("/kubepods/besteffort/podUID/ID", Some("kubernetes:*")),
        (
            "/system.slice/k3s.service/kubepods/besteffort/podUID/ID",
            Some("kubernetes:*"),
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-POD.slice/docker-ID.scope",
            Some("docker:*"),
        ),
        (
            "/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-POD.slice/cri-containerd-ID.scope",
            Some("containerd:*"),
        ),
        (
            "/docker/OTHER/kubelet/kubepods/besteffort/podUID/ID",
            Some("kubernetes:*"),
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-POD.slice",
            None,
        ),
        ("/kubepods/besteffort/podUID", None),
        // LXC, LXD, Incus and Proxmox.
        ("/lxc/web1", Some("lxc:web1")),
        ("/lxc/101/ns/init.scope", Some("lxc:101")),
        (
            "/lxc.payload/web1/system.slice/cron.service",
            Some("lxc:web1"),
        ),
        ("/lxc.payload.web1/init.scope", Some("lxc:web1")),
        ("/lxc.payload.project_web1", Some("lxc:project_web1")),
        (
            "/system.slice/lxc@web1.service/lxc.payload.web1",
            Some("lxc:web1"),
        ),
        ("/lxc.monitor.web1", None),
        ("/lxc.monitor/web1", None),
        ("/lxc/lxc.pivot", None),
        ("/system.slice/lxc.service", None),
        // Machines of systemd, and libvirt's.
        (
            "/machine.slice/systemd-nspawn@web1.service/payload",
            Some("nspawn:web1"),
        ),
        ("/machine.slice/machine-a\\x2db.scope", Some("nspawn:a-b")),
        (
            "/machine.slice/machine-lxc\\x2db.scope",
            Some("nspawn:lxc-b"),
        ),
        (
            "/system.slice/machine-web1.scope/payload/system.slice/cron.service",
            Some("nspawn:web1"),
        ),
        (
            "/machine.slice/machine-lxc\\x2d123\\x2dweb\\x2d1.scope",
            Some("libvirt-lxc:web-1"),
        ),
        (
            "/machine/lxc-123-web1.libvirt-lxc",
            Some("libvirt-lxc:web1"),
        ),
        ("/machine/web1.libvirt-lxc", Some("libvirt-lxc:web1")),
        (
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator",
            None,
        ),
        ("/machine/qemu-1-vm.libvirt-qemu/emulator", None),
        ("/machine.slice", None),
        // The innermost of nested ones.
        (
            "/lxc.payload.outer/system.slice/docker-ID.scope",
            Some("docker:*"),
        ),
        ("/docker/OTHER/docker/ID", Some("docker:*")),
        (
            "/system.slice/docker-OTHER.scope/lxc.payload.inner",
            Some("lxc:inner"),
        ),
        // In a cgroup namespace.
        ("/../../docker-ID.scope", Some("docker:*")),
        ("/../ID", Some("oci:*")),
        // Any other directory for containers.
        ("/batch/ID", Some("oci:*")),
        ("/system.slice/cron.service", None),
        ("/user.slice/user-1000.slice/session-3.scope", None),
        ("/", None),
        ("", None),
    ];

    fn expanded(cgroup: &str) -> String {
        let texts = [
            ("UID", "1234abcd-12ab-34cd-56ef-123456abcdef".to_owned()),
            ("POD", "pod1234abcd_12ab_34cd_56ef_123456abcdef".to_owned()),
            ("ID", ID.to_owned()),
            ("OTHER", ID.replace('4', "5")),
        ];
        let replaced = |cgroup: String, (word, text): (&str, String)| cgroup.replace(word, &text);
        texts.into_iter().fold(cgroup.to_owned(), replaced)
    }

    #[test]
    fn each_runtime_is_recognized_by_its_cgroups() {
        for (cgroup, container) in CGROUPS {
            let container = container.map(|name| name.replace('*', &ID[..SHORT]));
            assert_eq!(of(&expanded(cgroup)), container, "{cgroup}");
        }
    }

    #[test]
    fn every_row_of_the_table_is_tested() {
        for row in TABLE {
            let is_tested = CGROUPS.iter().any(|(cgroup, _)| {
                let cgroup = expanded(cgroup);
                let names: Vec<&str> = cgroup.split('/').collect();
                let stem = |n: usize| names[n].strip_suffix(".scope").unwrap_or(names[n]);
                (0..names.len()).any(|n| by_row(row, stem(n), &names[..n]).is_some())
            });
            assert!(is_tested, "{row:?}");
        }
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        assert_eq!(unescaped("a\\x2db\\xzz\\x"), "a-b\\xzz\\x");
        assert_eq!(unescaped("a\\xé"), "a\\xé");
    }
}
