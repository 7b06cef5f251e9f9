//! The mirror this system takes Debian's packages from.

use std::fs;
use std::path::PathBuf;

const DEFAULT: &str = "http://deb.debian.org/debian";

/// The keys that its lists are signed with.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A suite of it, as a line of `sources.list`.
pub fn source(suite: &str) -> String {
    format!("deb [signed-by={KEYRING}] {} {suite} main\n", uri())
}

/// The first of the system's sources that is a whole Debian archive.
pub fn uri() -> String {
    let parts = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten();
    let mut files: Vec<PathBuf> = parts.filter_map(|part| Some(part.ok()?.path())).collect();
    files.sort();
    files.insert(0, PathBuf::from("/etc/apt/sources.list"));
    let mut texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    texts
        .find_map(|text| archive_in(&text))
        .unwrap_or_else(|| DEFAULT.to_owned())
}

/// Finds the archive in sources of either format.
fn archive_in(sources: &str) -> Option<String> {
    let lines = sources
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    let is_archive = |word: &&str| {
        let scheme = word.starts_with("http://") || word.starts_with("https://");
        scheme && word.trim_end_matches('/').ends_with("/debian")
    };
    words
        .find(is_archive)
        .map(|uri| uri.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_found_in_both_formats() {
        let deb822 =
            "Types: deb\n# http://old.example/debian\nURIs: https://near.example/debian/\n";
        assert_eq!(
            archive_in(deb822).as_deref(),
            Some("https://near.example/debian")
        );
        let line = "deb https://x.example/apt any main\n\
            deb [signed-by=/k.gpg] http://near.example/debian trixie main\n";
        assert_eq!(
            archive_in(line).as_deref(),
            Some("http://near.example/debian")
        );
        assert_eq!(
            archive_in("deb http://security.example/debian-security x main"),
            None
        );
    }
}
