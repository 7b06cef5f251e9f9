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
    /// Like `Below`, but LXC's own process may be in a cgroup beside the container's, as in
    /// `lxc/web1/monitor` and `lxc/web1/payload`.
    Shared(&'static str),
    /// The cgroup's name is the id. It is somewhere below a cgroup or slice of this name.
    Within(&'static str),
    /// The cgroup's name is the id.
    Anywhere,
}

use Id::{BuildKit, Hex, Name, Task};
use Place::{Anywhere, Below, Prefix, Shared, Within};

/// A runtime, where it puts a container, and how it makes the id.
type Row = (&'static str, Place, Id);

/// Every runtime with its places; the first row that fits counts. The names are taken from the
/// runtimes' own sources:
///
/// - Docker: `withCgroups` in `daemon/oci_linux.go`: `/docker/ID`, or `docker-ID.scope`.
/// - Amazon ECS runs Docker's containers in `/ecs/TASK`, or with version 2 in
///   `ecstasks-TASK.slice` (`BuildCgroupRoot` in `agent/api/task/task_linux.go` and
///   `agent/config/config_unix.go` of its agent). The source of Fargate is not public. Since
///   platform 1.4 its containers are `/ecs/TASK/TASK-NUMBER` or `/ecs/TASK-NUMBER`, in the
///   samples of Datadog's tracers (`ContainerInfoTest.groovy`) and AWS's `DockerId`.
/// - Podman: `getOCICgroupPath` in `libpod/container_internal_linux.go`. Quadlet's containers
///   have `--cgroups=split`. The monitor is outside of the container: `libpod-conmon-ID.scope`,
///   `conmon` (`libpod/oci_conmon_linux.go`), or `runtime` beside a split one.
/// - containerd: `getCgroupsPath` in `internal/cri/server/helpers.go`, and
///   `WithNamespacedCgroup` in `pkg/oci/spec_opts.go` (`/NAMESPACE/ID`), which ctr and nerdctl
///   use without systemd. nerdctl with it: `pkg/cmd/container/run_cgroup_linux.go`.
/// - CRI-O: `systemd_linux.go` and `cgroupfs_linux.go` in `internal/config/cgmgr`, `crio-ID` in
///   both. The monitor is `crio-conmon-ID`.
/// - BuildKit: `GenerateSpec` in `executor/oci/spec.go`, ids from `identity/randomid.go`. Docker
///   runs it in its own cgroups (`newCgroupParent` in `daemon/command/daemon_unix.go`).
/// - Kubernetes, also within k3s and kind: `pkg/kubelet/cm/cgroup_manager_linux.go`. With the
///   cgroupfs driver containerd and Docker add the bare id: the runtime is not known.
/// - LXC, and so LXD, Incus and Proxmox: `cgfsng_payload_create` in `src/lxc/cgroups/cgfsng.c`,
///   names in `src/lxc/cgroups/cgroup.h`. `lxc.cgroup.pattern` was `/lxc/%n` once, later
///   `lxc.payload/%n`, and is empty today. LXD and Incus call a container of another project
///   `PROJECT_NAME` (`lxd/project/project.go`). If the cgroup exists already, LXC adds `-1` and
///   so on to the name, which can't be told from a container with such a name.
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
    ("lxc", Shared("lxc"), Name),
    // For example after `docker run --cgroup-parent`. Nothing else has such a name.
    ("oci", Anywhere, Hex),
];

/// How many characters of an id are shown, as by `docker ps`.
const SHORT: usize = 12;

/// No runtime nests cgroups so deep, but a user may: each name is looked at with all above it.
const DEEPEST: usize = 128;

/// A cgroup and its place in a path.
#[derive(Clone, Copy)]
struct Cgroup<'a> {
    name: &'a str,
    above: &'a [&'a str],
    below: Option<&'a str>,
}

impl<'a> Cgroup<'a> {
    /// All cgroups of a path, the innermost first.
    fn all(names: &'a [&'a str]) -> impl Iterator<Item = Cgroup<'a>> {
        (0..names.len()).rev().map(|n| Cgroup {
            name: names[n],
            above: &names[..n],
            below: names.get(n + 1).copied(),
        })
    }
}

/// The innermost container of a cgroup's path, as `runtime:id`.
pub fn of(cgroup: &str) -> Option<String> {
    let names = cgroup.split('/').filter(|name| !name.is_empty());
    let names: Vec<&str> = names.take(DEEPEST).collect();
    Cgroup::all(&names).find_map(|cgroup| by_table(cgroup).or_else(|| by_machine(cgroup)))
}

fn by_table(cgroup: Cgroup) -> Option<String> {
    TABLE.iter().find_map(|row| by_row(row, cgroup))
}

fn by_row((runtime, place, id): &Row, cgroup: Cgroup) -> Option<String> {
    let Cgroup { name, above, below } = cgroup;
    let name = name.strip_suffix(".scope").unwrap_or(name);
    // A runtime that is not told to use systemd takes `SLICE:PREFIX:ID`, which is meant for
    // systemd, as a path.
    let parts: Vec<&str> = name.split(':').collect();
    let name = match parts[..] {
        [_, prefix, id] => &format!("{prefix}-{id}"),
        _ => name,
    };
    let text = match place {
        Prefix(prefix) => name.strip_prefix(prefix),
        Below(parent) => (above.last() == Some(parent)).then_some(name),
        Shared(parent) => {
            let is_monitor = |below| below == "monitor" || below == format!("lxc.monitor.{name}");
            let is_in = above.last() == Some(parent) && !below.is_some_and(is_monitor);
            is_in.then_some(name)
        }
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

/// A machine of systemd: `machine-NAME.scope` (`src/machine/machine.c`), with
/// `systemd-nspawn --keep-unit` the service `systemd-nspawn@NAME.service`, and with
/// `--register=no` `NAME.scope` (`allocate_scope` in `src/nspawn/nspawn-register.c`). Nspawn puts
/// the container in `payload` and itself in `supervisor` (`src/nspawn/nspawn-cgroup.c`).
/// libvirt's machines are called `DRIVER-NUMBER-NAME` (`virDomainGenerateMachineName`), or
/// without systemd `NAME.libvirt-DRIVER`. Its virtual machines are no containers.
fn by_machine(cgroup: Cgroup) -> Option<String> {
    let Cgroup { name, above, below } = cgroup;
    if let Some((name, driver)) = name.rsplit_once(".libvirt-") {
        let name = name.strip_prefix("lxc-").unwrap_or(name);
        return (driver == "lxc" && !name.is_empty())
            .then(|| format!("libvirt-lxc:{}", without_number(name)));
    }
    if below == Some("supervisor") {
        return None;
    }
    let scope = || name.strip_suffix(".scope");
    let by_machined = || scope()?.strip_prefix("machine-");
    let by_nspawn = || {
        let is_machine = above.last() == Some(&"machine.slice") && below == Some("payload");
        scope().filter(|_| is_machine)
    };
    let service = || {
        name.strip_prefix("systemd-nspawn@")?
            .strip_suffix(".service")
    };
    let machine = by_machined().or_else(service).or_else(by_nspawn);
    let machine = unescaped(machine?);
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
            "/ecs/a52246f2daa747b49e840043331e1da0/a52246f2daa747b49e840043331e1da0-249516060",
            Some("ecs:a52246f2daa747b49e840043331e1da0-249516060"),
        ),
        (
            "/ecs/a52246f2daa747b49e840043331e1da0-2495160603",
            Some("ecs:a52246f2daa747b49e840043331e1da0-2495160603"),
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
        // CRI-O, alone and with Kubernetes.
        ("/system.slice/crio-ID.scope", Some("cri-o:*")),
        ("/crio/crio-ID", Some("cri-o:*")),
        ("/kubepods/podUID/crio-conmon-ID", None),
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
        ("/lxc/web1/payload/init.scope", Some("lxc:web1")),
        ("/lxc/web1/monitor", None),
        ("/lxc/web1/lxc.payload.web1/ns", Some("lxc:web1")),
        ("/lxc/web1/lxc.monitor.web1", None),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/lxc-web1-0.scope/lxc.payload.web1",
            Some("lxc:web1"),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/lxc-web1-0.scope/init",
            None,
        ),
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
        (
            "/machine.slice/web-1.scope/payload/init.scope",
            Some("nspawn:web-1"),
        ),
        ("/machine.slice/web-1.scope", None),
        (
            "/machine.slice/systemd-nspawn@web1.service/supervisor",
            None,
        ),
        // The innermost of nested ones.
        (
            "/docker/OTHER/kubelet/kubepods/podUID/ID/docker/OTHER",
            Some("docker:OTHER"),
        ),
        ("/docker/OTHER/lxc.monitor.inner", Some("docker:OTHER")),
        ("/lxc/outer/lxc.monitor.inner", Some("lxc:outer")),
        ("/lxc.payload.outer/lxc.payload.inner", Some("lxc:inner")),
        ("/lxc.payload.outer/lxc.monitor.inner", Some("lxc:outer")),
        (
            "/lxc.payload.outer/machine.slice/machine-inner.scope/payload/lxc.payload.web1",
            Some("lxc:web1"),
        ),
        (
            "/lxc.payload.outer/machine.slice/systemd-nspawn@web1.service/supervisor",
            Some("lxc:outer"),
        ),
        (
            "/machine.slice/libpod-OTHER.scope/container/user.slice/libpod-ID.scope/container",
            Some("podman:*"),
        ),
        (
            "/machine.slice/libpod-OTHER.scope/container/libpod_parent/conmon",
            Some("podman:OTHER"),
        ),
        (
            "/machine.slice/machine-web.scope/payload/system.slice/docker-ID.scope",
            Some("docker:*"),
        ),
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

    fn shown(container: &str) -> String {
        let container = container.replace('*', &ID[..SHORT]);
        container.replace("OTHER", &expanded("OTHER")[..SHORT])
    }

    #[test]
    fn each_runtime_is_recognized_by_its_cgroups() {
        for (cgroup, container) in CGROUPS {
            let container = container.map(shown);
            assert_eq!(of(&expanded(cgroup)), container, "{cgroup}");
        }
    }

    #[test]
    fn pods_of_each_qos_class_are_recognized_with_both_drivers() {
        // A Guaranteed pod has no cgroup of its class (`qos_container_manager_linux.go`).
        for (slices, prefix, path) in [
            ("", "", ""),
            ("/kubepods-burstable.slice", "burstable-", "/burstable"),
            ("/kubepods-besteffort.slice", "besteffort-", "/besteffort"),
        ] {
            let systemd = format!("/kubepods.slice{slices}/kubepods-{prefix}POD.slice");
            let cgroupfs = format!("/kubepods{path}/podUID");
            for (pod, name, runtime) in [
                (&systemd, "cri-containerd-ID.scope", "containerd"),
                (&systemd, "crio-ID.scope", "cri-o"),
                (&systemd, "crio-ID.scope/container", "cri-o"),
                (&systemd, "docker-ID.scope", "docker"),
                (&cgroupfs, "ID", "kubernetes"),
                (&cgroupfs, "crio-ID", "cri-o"),
                // The kubelet has systemd's driver, the runtime has not.
                (
                    &String::new(),
                    &format!("kubepods-{prefix}POD.slice:cri-containerd:ID"),
                    "containerd",
                ),
            ] {
                let cgroup = expanded(&format!("{pod}/{name}"));
                assert_eq!(
                    of(&cgroup),
                    Some(shown(&format!("{runtime}:*"))),
                    "{cgroup}"
                );
            }
            for pod in [systemd, cgroupfs] {
                assert_eq!(of(&expanded(&pod)), None, "{pod}");
            }
        }
    }

    #[test]
    fn every_row_of_the_table_is_tested() {
        for row in TABLE {
            let is_tested = CGROUPS.iter().any(|(cgroup, _)| {
                let cgroup = expanded(cgroup);
                let names: Vec<&str> = cgroup.split('/').collect();
                Cgroup::all(&names).any(|cgroup| by_row(row, cgroup).is_some())
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
