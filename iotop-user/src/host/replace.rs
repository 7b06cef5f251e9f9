//! Replaces a file as a whole: a reader, and the next start after a full file system or a
//! crash, finds either the old content or the new one.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs, io,
    io::Write as _,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Component, Path, PathBuf},
    process,
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, fsync, mkdirat, open, openat,
        readlinkat, renameat, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

/// At most this many symbolic links are followed, as by the kernel.
const LINKS: usize = 40;
/// Mode of a new file, before the umask.
const MODE: Mode = Mode::from_raw_mode(0o666);
/// Mode of a new directory, before the umask.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);

/// Writes a temporary file beside the file, and renames it. Missing directories are created. A
/// symbolic link stays, and the file that it leads to is replaced, if there is one. The file
/// keeps its mode, and belongs to the user who writes it.
///
/// The file's directory is held open from the first look to the rename, so nobody can put
/// another one in its place. Root follows only root's links, and writes only into root's
/// directories: otherwise their owner would decide what root overwrites.
///
/// # Errors
///
/// The file can't be written. It is as it was before.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let Place { directory, name } = Place::find(path)?;
    let before = match statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Some(stat),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(error.into()),
    };
    refuse_foreign(&fstat(&directory)?, "its directory")?;
    if let Some(before) = &before {
        refuse_foreign(before, "it")?;
    }
    let temporary = format!(".iotop-trace.{}", process::id());
    // A crash may have left one.
    let _ = unlinkat(&directory, &temporary, AtFlags::empty());
    let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&directory, &temporary, new, MODE).map_err(|error| {
        // Without the name of the temporary file, which would only confuse.
        let directory = path.parent().unwrap_or(Path::new("/")).display();
        let error = io::Error::from(error);
        let kind = error.kind();
        io::Error::new(kind, format!("creating a file in {directory}: {kind}"))
    })?;
    let written = write(file, before.as_ref(), content)
        .and_then(|()| Ok(renameat(&directory, &temporary, &directory, &name)?));
    if written.is_err() {
        let _ = unlinkat(&directory, &temporary, AtFlags::empty());
    }
    written?;
    // The new name is durable once the directory is written. Some file systems can't do
    // that.
    let whole = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let _ = openat(&directory, ".", whole, Mode::empty()).and_then(fsync);
    Ok(())
}

fn write(file: OwnedFd, before: Option<&Stat>, content: &[u8]) -> io::Result<()> {
    if let Some(before) = before {
        fchmod(&file, Mode::from_raw_mode(before.st_mode))?;
    }
    let mut file = fs::File::from(file);
    file.write_all(content)?;
    file.sync_all()
}

/// Where a file is, or would be created.
struct Place {
    /// Its directory, held open.
    directory: OwnedFd,
    /// Its name there. It is not a symbolic link.
    name: OsString,
}

impl Place {
    /// Follows a path, one name after the other, and creates missing directories.
    fn find(path: &Path) -> io::Result<Place> {
        let mut left = names(path);
        let mut directory = root()?;
        let (mut links, mut is_link) = (0, false);
        while let Some(name) = left.pop_front() {
            let there = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = match openat(&directory, &name, there, Mode::empty()) {
                // Whoever made the link would decide what is created.
                Err(Errno::NOENT) if is_link => return Err(dangling()),
                Err(Errno::NOENT) if left.is_empty() => return Ok(Place { directory, name }),
                Err(Errno::NOENT) => {
                    mkdirat(&directory, &name, DIRECTORY_MODE)?;
                    openat(&directory, &name, there, Mode::empty())?
                }
                found => found?,
            };
            let stat = fstat(&found)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    refuse_foreign(&stat, "a symbolic link on the way to it")?;
                    links += 1;
                    is_link |= left.is_empty();
                    if links > LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = target(&found)?;
                    if target.is_absolute() {
                        directory = root()?;
                    }
                    let mut first = names(&target);
                    first.append(&mut left);
                    left = first;
                }
                FileType::Directory if !left.is_empty() => directory = found,
                FileType::RegularFile if left.is_empty() => return Ok(Place { directory, name }),
                _ if left.is_empty() => return Err(io::Error::other("it is not a regular file")),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Err(io::Error::other("it is not a regular file"))
    }
}

fn dangling() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "it is a symbolic link to a file that does not exist; create the file or remove the link",
    )
}

fn root() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open("/", flags, Mode::empty())?)
}

/// The names that a path consists of.
fn names(path: &Path) -> VecDeque<OsString> {
    let named = |component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    let names = path.components().filter_map(named);
    names.map(OsStr::to_owned).collect()
}

/// Where an open symbolic link leads.
fn target(link: impl AsFd) -> io::Result<PathBuf> {
    let target = readlinkat(link, "", Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}

/// Refuses what belongs to another user, if this process is root.
fn refuse_foreign(stat: &Stat, what: &str) -> io::Result<()> {
    if !geteuid().is_root() || stat.st_uid == 0 {
        return Ok(());
    }
    let message = format!(
        "{what} belongs to the user {}, who could make root write anywhere; run iotop-trace with \
         sudo as that user, or set XDG_CONFIG_HOME to a directory of root",
        stat.st_uid
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};

    use super::*;

    #[test]
    fn the_file_behind_a_link_is_replaced_and_the_link_stays() {
        let home = tempfile::tempdir().expect("a directory");
        let (link, dotfiles) = (home.path().join("link"), home.path().join("dotfiles"));
        fs::create_dir(&dotfiles).expect("created");
        symlink("dotfiles/file", &link).expect("linked");
        let error = replace(&link, b"").expect_err("no target");
        assert!(error.to_string().contains("does not exist"), "{error}");
        assert!(!dotfiles.join("file").exists());
        fs::write(dotfiles.join("file"), "").expect("written");
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
    fn links_lead_up_and_to_other_places() {
        let home = tempfile::tempdir().expect("a directory");
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("a/b")).expect("created");
        symlink("../.././c", at("a/b/up")).expect("linked");
        fs::create_dir(at("c")).expect("created");
        symlink(at("a/b"), at("over")).expect("linked");
        replace(&at("over/up/new/../file"), b"x").expect("replaced");
        assert_eq!(fs::read(at("c/file")).expect("there"), b"x");
        for path in [at("a"), at("c/file/below"), PathBuf::from("/")] {
            assert!(replace(&path, b"").is_err(), "{}", path.display());
        }
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

    #[test]
    fn root_follows_no_foreign_link_and_replaces_no_foreign_file() {
        if !geteuid().is_root() {
            eprintln!("ignored: only root can give files away");
            return;
        }
        const OTHER: Option<u32> = Some(65534);
        let home = tempfile::tempdir().expect("a directory");
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("theirs")).expect("created");
        chown(at("theirs"), OTHER, None).expect("given away");
        symlink("victim", at("link")).expect("linked");
        lchown(at("link"), OTHER, None).expect("given away");
        fs::write(at("file"), "theirs").expect("written");
        chown(at("file"), OTHER, None).expect("given away");
        for name in ["theirs/config", "link", "file"] {
            let error = replace(&at(name), b"new").expect_err(name);
            assert!(error.to_string().contains("65534"), "{name}: {error}");
        }
        assert_eq!(fs::read(at("file")).expect("there"), b"theirs");
        assert!(!at("victim").exists() && !at("theirs/config").exists());
    }
}
