//! `/proc/PID/task/TID/stat` (proc_pid_stat(5)).

// include/linux/sched.h
const PF_EXITING: u64 = 0x4;
const PF_KTHREAD: u64 = 0x0020_0000;

/// The fields of a stat line that we need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The command name; it may hold any byte but NUL. 15 bytes, or for a kernel thread the
    /// whole name.
    pub comm: Vec<u8>,
    /// The parent's thread group id.
    pub ppid: u32,
    /// The nice value.
    pub nice: i64,
    /// True for a kernel thread.
    pub kthread: bool,
    /// True if the task is exiting, or is a zombie that its parent has not waited for.
    pub exiting: bool,
    /// Start time after boot, in clock ticks.
    pub start_ticks: u64,
}

/// A stat line that can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a stat line lacks {0}")]
pub struct StatError(&'static str);

impl Stat {
    /// Parses a line. The name is between the first `(` and the last `)`.
    ///
    /// # Errors
    ///
    /// The line lacks a field.
    pub fn parse(line: &[u8]) -> Result<Stat, StatError> {
        let open = position(line, b'(').ok_or(StatError("("))?;
        let close = line
            .iter()
            .rposition(|byte| *byte == b')')
            .ok_or(StatError(")"))?;
        let comm = line.get(open + 1..close).ok_or(StatError("a name"))?;
        let rest = std::str::from_utf8(&line[close + 1..]).map_err(|_| StatError("plain text"))?;
        // Field 3 of the manual page is the first one here.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize, name| fields.get(number - 3).ok_or(StatError(name));
        let number = |number: usize, name| {
            field(number, name)?
                .parse::<u64>()
                .map_err(|_| StatError(name))
        };
        let flags = number(9, "flags")?;
        Ok(Stat {
            comm: comm.to_owned(),
            ppid: number(4, "ppid")? as u32,
            nice: field(19, "nice")?.parse().map_err(|_| StatError("nice"))?,
            kthread: flags & PF_KTHREAD != 0,
            exiting: flags & PF_EXITING != 0,
            start_ticks: number(22, "starttime")?,
        })
    }
}

fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses_spaces_and_newlines() {
        let line = b"7 (a) R (\nb) S 1 7 7 0 -1 2097216 0 0 0 0 0 0 0 0 20 -5 1 0 4711 0 0";
        let stat = Stat::parse(line).expect("whole");
        assert_eq!(stat.comm, b"a) R (\nb");
        assert_eq!((stat.ppid, stat.nice, stat.start_ticks), (1, -5, 4711));
        assert!(stat.kthread && !stat.exiting);
    }

    #[test]
    fn a_zombie_is_distinguished_from_a_live_task() {
        let line = b"7 (a) Z 1 7 7 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let stat = Stat::parse(line).expect("whole");
        assert!(stat.exiting && !stat.kthread);
    }

    #[test]
    fn a_truncated_line_is_an_error() {
        let line = b"7 (a) S 1 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert!(Stat::parse(line).is_ok());
        for length in 0..line.len() - 8 {
            assert!(Stat::parse(&line[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn our_own_line_is_read() {
        let line = std::fs::read("/proc/self/stat").expect("there");
        assert!(Stat::parse(&line).expect("whole").start_ticks > 0);
    }
}
