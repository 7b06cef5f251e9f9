//! What a task wrote with system calls, and what reached the device because of it.

use super::units;
use crate::sample::{Metadata, Task, TaskBlock};

/// Bytes that reached a device, exact and estimated ones apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Exactly attributed data.
    pub exact: u64,
    /// Charged by estimate.
    pub shared: u64,
    /// The part of `shared` that is journals and metadata.
    pub metadata: Metadata,
}

impl Reached {
    /// What was written because of a task.
    pub fn of(block: &TaskBlock) -> Reached {
        Reached {
            exact: block.write(),
            shared: block.write_shared,
            metadata: block.metadata,
        }
    }

    fn all(&self) -> u64 {
        self.exact + self.shared
    }

    /// The kinds that are not 0, estimated ones with `~`: `812.00K data, ~12.40M journal`.
    pub fn parts(&self, kilobytes: bool) -> String {
        let data = self.shared.saturating_sub(self.metadata.total());
        let estimated = [("data", data)].into_iter().chain(self.metadata.parts());
        let parts = [("", "data", self.exact)]
            .into_iter()
            .chain(estimated.map(|(kind, bytes)| ("~", kind, bytes)))
            .filter(|(_, _, bytes)| *bytes != 0)
            .map(|(mark, kind, n)| format!("{mark}{} {kind}", units::bytes(n as f64, kilobytes)));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// `13.20M reached the device: 812.00K data, ~12.40M journal`, after what was written for it
    /// with system calls (bytes and number of calls) if that is known.
    pub fn sentence(&self, calls: Option<(u64, u64)>, kilobytes: bool) -> String {
        let bytes = |n: u64| units::bytes(n as f64, kilobytes);
        let wrote = calls.map(|(written, calls)| {
            let s = if calls == 1 { "" } else { "s" };
            format!("wrote {} in {calls} write{s}; ", bytes(written))
        });
        let times = calls
            .filter(|(written, _)| *written != 0)
            .map(|(written, _)| {
                let times = self.all() as f64 / written as f64;
                format!(" ({})", units::ratio(times))
            });
        let parts = match self.all() {
            0 => String::new(),
            _ => format!(": {}", self.parts(kilobytes)),
        };
        format!(
            "{}{} reached the device{}{parts}",
            wrote.unwrap_or_default(),
            bytes(self.all()),
            times.unwrap_or_default(),
        )
    }
}

/// The bytes of a task's write calls and the number of these calls, if both are known.
pub(crate) fn write_calls(task: &Task) -> Option<(u64, u64)> {
    task.stats.write_char.zip(task.stats.write_syscalls)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACHED: Reached = Reached {
        exact: 812 << 10,
        shared: 12400 << 10,
        metadata: Metadata {
            journal: 12300 << 10,
            home: 0,
            tree: 60 << 10,
        },
    };

    #[test]
    fn a_sentence_keeps_exact_and_estimated_bytes_apart() {
        assert_eq!(
            REACHED.sentence(Some((234 << 10, 800)), false),
            "wrote 234.00K in 800 writes; 12.90M reached the device (56.5x): \
             812.00K data, ~40.00K data, ~12.01M journal, ~60.00K tree"
        );
    }

    #[test]
    fn what_is_unknown_or_nothing_is_left_out() {
        let nothing = Reached::default();
        assert_eq!(nothing.sentence(None, false), "0B reached the device");
        assert_eq!(
            nothing.sentence(Some((1, 1)), false),
            "wrote 1B in 1 write; 0B reached the device (0.0x)"
        );
        // Written through a mapping only: there is nothing to compare with.
        let data = Reached {
            exact: 4096,
            ..nothing
        };
        assert_eq!(
            data.sentence(Some((0, 0)), false),
            "wrote 0B in 0 writes; 4.00K reached the device: 4.00K data"
        );
    }
}
