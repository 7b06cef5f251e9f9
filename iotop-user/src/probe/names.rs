//! What would have no name if the kernel half did not report it: cgroups that are soon
//! removed, and processes that soon exit.

use iotop_common::ExecutedHead;

use super::{Probe, plain::plain};

impl Probe {
    /// Calls `take` for every cgroup of version 2 that was created since the last call, with
    /// its id and its path.
    pub fn new_cgroups(&mut self, mut take: impl FnMut(u64, &[u8])) {
        while let Some(item) = self.cgroups.next() {
            if let Some((id, path)) = cgroup(&item) {
                take(id, path);
            }
        }
    }

    /// Calls `take` for every program that was executed since the last call, with as much of
    /// its arguments as the kernel half read, each with its NUL.
    pub fn executed(&mut self, mut take: impl FnMut(&ExecutedHead, &[u8])) {
        while let Some(item) = self.executed.next() {
            if let Some(head) = plain(&item) {
                take(&head, &item[size_of::<ExecutedHead>()..]);
            }
        }
    }
}

/// Reads an [`iotop_common::CgroupPath`], which ends with the path's NUL.
pub(crate) fn cgroup(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let path = &bytes.get(size_of::<u64>()..)?;
    let end = path.iter().position(|byte| *byte == 0)?;
    Some((plain(bytes)?, &path[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroups_record_ends_with_its_path() {
        let bytes = [&7u64.to_ne_bytes()[..], b"/a/b\0"].concat();
        assert_eq!(cgroup(&bytes), Some((7, &b"/a/b"[..])));
        for length in 0..bytes.len() {
            assert_eq!(cgroup(&bytes[..length]), None, "{length}");
        }
    }
}
