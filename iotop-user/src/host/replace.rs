//! Replaces a file as a whole: a reader, and the next start after a full file system or a
//! crash, finds either the old content or the new one.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

/// At most this many symbolic links are followed, as by the kernel.
const LINKS: usize = 40;
/// Mode of a new file, before the umask.
const MODE: u32 = 0o666;

/// Writes a temporary file beside the file, and renames it. A symbolic link stays, and the
/// file that it leads to is replaced. The file keeps its mode, and its owner where that is
/// permitted.
///
/// # Errors
///
/// The file can't be written. It is as it was before.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = followed(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let before = fs::metadata(&path).ok();
    let mut file = tempfile::Builder::new()
        .prefix(".iotop-trace.")
        .permissions(fs::Permissions::from_mode(MODE))
        .tempfile_in(directory)
        .map_err(|error| {
            // Without the name of the temporary file, which would only confuse.
            let (directory, kind) = (directory.display(), error.kind());
            io::Error::new(kind, format!("creating a file in {directory}: {kind}"))
        })?;
    if let Some(before) = before {
        // Fails without privilege if somebody else owns the file.
        let _ = fchown(file.as_file(), Some(before.uid()), Some(before.gid()));
        file.as_file().set_permissions(before.permissions())?;
    }
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    // The new name is durable once the directory is written. Some file systems can't do
    // that.
    let _ = fs::File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

/// The path that symbolic links lead to. It need not exist.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_file_behind_a_link_is_replaced_and_the_link_stays() {
        let home = tempfile::tempdir().expect("a directory");
        let (link, dotfiles) = (home.path().join("link"), home.path().join("dotfiles"));
        fs::create_dir(&dotfiles).expect("created");
        symlink("dotfiles/file", &link).expect("linked");
        for content in ["first", "second"] {
            replace(&link, content.as_bytes()).expect("replaced");
            assert_eq!(
                fs::read_link(&link).expect("a link"),
                Path::new("dotfiles/file")
            );
            let text = fs::read_to_string(dotfiles.join("file")).expect("there");
            assert_eq!(text, content);
        }
        let left = fs::read_dir(&dotfiles).expect("listed").count();
        assert_eq!(left, 1, "no temporary file stays");
        symlink("loop", home.path().join("loop")).expect("linked");
        let error = replace(&home.path().join("loop"), b"").expect_err("a loop");
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn the_mode_stays() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("file");
        fs::write(&path, "").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        replace(&path, b"new").expect("replaced");
        let mode = fs::metadata(&path).expect("there").mode();
        assert_eq!(mode & 0o7777, 0o640);
    }
}
