//! The committed inputs of each parser: samples of real input, and inputs that once broke it.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

/// A directory below `src`.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path)
}

/// Where a parser's inputs are.
fn directory(parser: &str) -> PathBuf {
    source("hostile/corpus").join(parser)
}

/// A parser's inputs with their names, and those of other directories.
pub fn read(parser: &str, more: &[&str]) -> Vec<(String, Vec<u8>)> {
    let places = more.iter().map(|place| source(place));
    let files = places.chain([directory(parser)]).flat_map(|place| {
        let entries = fs::read_dir(&place);
        let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        files
    });
    files
        .map(|path| {
            let name = path.display().to_string();
            let input = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, input)
        })
        .collect()
}

/// Keeps an input that breaks a parser.
pub fn save(parser: &str, input: &[u8]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = directory(parser).join(format!("found-{:016x}", hasher.finish()));
    fs::create_dir_all(directory(parser))
        .and_then(|()| fs::write(&path, input))
        .unwrap_or_else(|error| eprintln!("{}: {error}", path.display()));
    path
}
