//! File systems that are not made or mounted with the defaults.

use std::process::Command;

use super::device::Fs;

/// How a file system is made and mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// A word for names of directories.
    pub name: &'static str,
    /// Further arguments of mkfs.
    pub mkfs: &'static [&'static str],
    /// A further option of mount(8).
    pub option: &'static str,
    pub second: Second,
}

/// What a second device holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Second {
    /// There is none.
    Nothing,
    /// The journal of an ext4.
    Journal,
    /// The log of an xfs.
    Log,
    /// The second copy of a btrfs's data and metadata.
    Copy,
}

/// An ext4 that also logs data, in a journal of 4 MiB.
pub const DATA_JOURNAL: Format = Format {
    name: "data_journal",
    mkfs: &["-Jsize=4"],
    option: "data=journal",
    ..Format::PLAIN
};

/// mkfs.xfs makes a log of less than 64 MiB only for xfs's own tests, which set these.
const XFS_TESTS: [(&str, &str); 3] = [("TEST_DIR", "1"), ("TEST_DEV", "1"), ("QA_CHECK_FS", "1")];

const LOG_SIZE: u64 = 64 << 20;

impl Format {
    /// The defaults.
    pub const PLAIN: Format = Format {
        name: "plain",
        mkfs: &[],
        option: "",
        second: Second::Nothing,
    };

    /// The size of the second device, if there is one.
    pub fn second_size(self, first: u64) -> Option<u64> {
        match self.second {
            Second::Nothing => None,
            Second::Journal | Second::Log => Some(LOG_SIZE),
            Second::Copy => Some(first),
        }
    }

    /// The commands that make it.
    pub fn mkfs(self, fs: Fs, first: &str, second: Option<&str>) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut mkfs = fs.mkfs();
        mkfs.args(self.mkfs);
        if fs == Fs::Xfs {
            mkfs.envs(XFS_TESTS);
        }
        let second = second.unwrap_or_default();
        match self.second {
            Second::Nothing => _ = mkfs.arg(first),
            Second::Journal => {
                let mut journal = Command::new(mkfs.get_program());
                journal.args(["-qF", "-b4096", "-Ojournal_dev", second]);
                commands.push(journal);
                mkfs.arg("-b4096")
                    .arg(format!("-Jdevice={second}"))
                    .arg(first);
            }
            Second::Log => _ = mkfs.arg(format!("-llogdev={second}")).arg(first),
            Second::Copy => _ = mkfs.args(["-mraid1", "-draid1", first, second]),
        }
        commands.push(mkfs);
        commands
    }

    /// The options of mount(8).
    pub fn options(self, second: Option<&str>) -> String {
        // Reading must cause no writes.
        let mut options = vec!["noatime".to_owned()];
        if !self.option.is_empty() {
            options.push(self.option.to_owned());
        }
        let second = second.unwrap_or_default();
        match self.second {
            Second::Log => options.push(format!("logdev={second}")),
            Second::Copy => options.push(format!("device={second}")),
            Second::Nothing | Second::Journal => {}
        }
        options.join(",")
    }
}
