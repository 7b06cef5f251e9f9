//! What a drive counts of its own life: smartctl (of smartmontools) reads it. It knows NVMe, ATA and
//! the vendors' own attributes, and needs root.

use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde::Deserialize;

/// Where distributions have it. PATH is not asked: a report is often made as root.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/smartctl",
    "/usr/bin/smartctl",
    "/usr/local/sbin/smartctl",
];
/// A drive that does not answer must not hold a report up.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);
/// The answer of a drive has some 20 KiB.
const MOST: u64 = 4 << 20;
/// A data unit of NVMe: 1,000 blocks of 512 bytes (NVM Express Base Specification, SMART log).
const DATA_UNIT: u64 = 512_000;
/// The names that smartctl's database gives attributes whose unit it knows, and that unit.
const ATTRIBUTES: [(&str, u64); 6] = [
    ("Total_LBAs_Written", 512),
    ("Host_Writes_32MiB", 32 << 20),
    ("Host_Writes_MiB", 1 << 20),
    ("Host_Writes_GiB", 1 << 30),
    ("Total_Writes_GiB", 1 << 30),
    ("Lifetime_Writes_GiB", 1 << 30),
];

/// A drive's own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smart {
    /// Number of bytes that hosts have written to it.
    pub written: Option<u64>,
    /// How much of its life it has used, by its own estimate, in percent; may exceed 100.
    pub percent: Option<u64>,
}

/// The file of smartctl, if it is installed.
pub fn program() -> Option<&'static Path> {
    PROGRAMS
        .map(Path::new)
        .into_iter()
        .find(|path| path.is_file())
}

/// Asks a drive by its name, such as `sda`. `None`: it tells nothing, or sleeps and is not woken.
pub fn ask(program: &Path, device: &str) -> Option<Smart> {
    let mut child = Command::new(program)
        .args(["--json=c", "--nocheck=standby", "--info", "--attributes"])
        .arg("--log=devstat")
        .arg(Path::new("/dev").join(device))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = child.stdout.take()?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.take(MOST).read_to_string(&mut text).ok()?;
        Some(text)
    });
    let start = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if start.elapsed() > PATIENCE {
            // It may not end while the drive does not answer, so nobody waits for it.
            let _ = child.kill();
            return None;
        }
        sleep(PAUSE);
    }
    parse(&reader.join().ok()??)
}

#[derive(Deserialize)]
struct Answer {
    logical_block_size: Option<u64>,
    nvme_smart_health_information_log: Option<Nvme>,
    ata_device_statistics: Option<Statistics>,
    ata_smart_attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct Nvme {
    data_units_written: Option<u64>,
    percentage_used: Option<u64>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    pages: Vec<Page>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    table: Vec<Statistic>,
}

#[derive(Deserialize)]
struct Statistic {
    name: String,
    value: Option<u64>,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(default)]
    table: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    name: String,
    raw: Raw,
}

#[derive(Deserialize)]
struct Raw {
    value: u64,
}

/// The counters in an answer. smartctl's exit status does not matter: it also says that a drive
/// is about to fail.
fn parse(text: &str) -> Option<Smart> {
    let answer: Answer = serde_json::from_str(text).ok()?;
    let found = match answer.nvme_smart_health_information_log {
        Some(nvme) => Smart {
            written: nvme
                .data_units_written
                .and_then(|units| units.checked_mul(DATA_UNIT)),
            percent: nvme.percentage_used,
        },
        None => ata(&answer),
    };
    (found != Smart::default()).then_some(found)
}

/// What ATA's standard counts (General and Solid State Device Statistics); else the vendor's
/// attribute.
fn ata(answer: &Answer) -> Smart {
    let pages = answer.ata_device_statistics.iter();
    let statistics: Vec<&Statistic> = pages
        .flat_map(|log| &log.pages)
        .flat_map(|page| &page.table)
        .collect();
    let statistic = |name: &str| {
        let found = statistics.iter().find(|one| one.name == name);
        found.and_then(|one| one.value)
    };
    let block = answer.logical_block_size.unwrap_or(512);
    let sectors = statistic("Logical Sectors Written");
    let written = sectors.and_then(|sectors| sectors.checked_mul(block));
    Smart {
        written: written.or_else(|| by_vendor(answer.ata_smart_attributes.as_ref()?)),
        percent: statistic("Percentage Used Endurance Indicator"),
    }
}

fn by_vendor(attributes: &Attributes) -> Option<u64> {
    attributes.table.iter().find_map(|attribute| {
        let known = ATTRIBUTES.iter().find(|(name, _)| *name == attribute.name);
        let (_, unit) = known?;
        attribute.raw.value.checked_mul(*unit)
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn an_nvme_drive_counts_data_units() {
        let text = r#"{"smartctl":{"exit_status":0},"logical_block_size":4096,
            "nvme_smart_health_information_log":{"critical_warning":0,"percentage_used":3,
            "data_units_read":1,"data_units_written":62786553}}"#;
        let smart = Smart {
            written: Some(32_146_715_136_000),
            percent: Some(3),
        };
        assert_eq!(parse(text), Some(smart));
    }

    #[test]
    fn an_ata_drive_counts_sectors() {
        let attributes = r#""ata_smart_attributes":{"table":[
            {"id":9,"name":"Power_On_Hours","raw":{"value":5,"string":"5"}},
            {"id":241,"name":"Host_Writes_32MiB","raw":{"value":3,"string":"3"}}]}"#;
        let statistics = r#""ata_device_statistics":{"pages":[
            {"number":1,"name":"General Statistics","table":[
                {"offset":24,"name":"Logical Sectors Written","size":6,"value":1000}]},
            {"number":7,"name":"Solid State Device Statistics","table":[
                {"offset":8,"name":"Percentage Used Endurance Indicator","size":1,"value":12}]}]}"#;
        let by_standard = format!("{{\"logical_block_size\":512,{attributes},{statistics}}}");
        let smart = Smart {
            written: Some(512_000),
            percent: Some(12),
        };
        assert_eq!(parse(&by_standard), Some(smart));
        let by_vendor = Smart {
            written: Some(96 << 20),
            percent: None,
        };
        assert_eq!(parse(&format!("{{{attributes}}}")), Some(by_vendor));
    }

    #[test]
    fn what_tells_nothing_is_unknown_and_never_0() {
        for text in [
            "",
            "{}",
            r#"{"smartctl":{"messages":[{"string":"/dev/vda: Unable to detect device type"}]}}"#,
            r#"{"nvme_smart_health_information_log":{"data_units_written":18446744073709551615}}"#,
            r#"{"ata_smart_attributes":{"table":[{"name":"Total_LBAs_Read","raw":{"value":7}}]}}"#,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_drive_that_does_not_answer_is_given_up() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let program = directory.path().join("smartctl");
        fs::write(&program, "#!/bin/sh\nexec /bin/sleep 60\n")?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let start = Instant::now();
        assert_eq!(ask(&program, "sda"), None);
        assert!(start.elapsed() < PATIENCE * 4);
        Ok(())
    }
}
