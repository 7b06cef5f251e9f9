//! A task's metadata that others write.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Books, MOST, fewer, finish, trace};
use crate::support::device::Fs;
use crate::support::disk::Disk;
use crate::support::needs::emulated;
use crate::support::process::Writer;
use crate::support::run::{Run, Spoiled};
use crate::support::settings::Setting;

/// Bytes that a file of a storm takes at least, if it is not removed: its inode.
const INODE: u64 = 256;

/// If another process syncs what a live task made, renamed and removed, and one more
/// unmounts the file system, both own hardly anything of it, and a task that only reads
/// owns nothing.
pub fn synced_by_others(mut run: Run<'_>) -> Result<()> {
    let count = fewer(4000);
    let read = run.file("read");
    run.to_end("gt-before", &["write", &read, "0", "65536"])?;
    trace(&mut run)?;
    let mut storm = start_storm(&run, count, 300)?;
    let mut reader = Writer::start("gt-reader", &["reads", &read, "300"])?;
    for writer in [&mut storm, &mut reader] {
        writer.go()?;
    }
    for writer in [&mut storm, &mut reader] {
        writer.done(run.deadline)?;
    }
    let sync = run.to_end("gt-sync", &["syncfs", &run.file("")])?;
    let [storm, reader] = [storm, reader].map(|writer| writer.exit(run.deadline));
    let (storm, reader) = (storm?, reader?);
    let umount = run.unmount()?;
    let Some(books) = finish(run, count / 2 * INODE)? else {
        return Ok(());
    };
    books.belong_to(&[("gt-storm", storm)], MOST)?;
    books.hardly_belong_to("gt-sync", sync)?;
    books.hardly_belong_to("gt-umount", umount)?;
    let reader = books.owner("gt-reader", reader)?;
    ensure!(
        reader.written == 0 && reader.estimated() == 0 && reader.dirtied == 0,
        "the reader is charged with writes: {reader:?}"
    );
    Ok(())
}

/// A task that has exited still owns what is committed later, by sync(2) of another
/// process.
pub fn after_exit(mut run: Run<'_>) -> Result<()> {
    let count = fewer(4000);
    trace(&mut run)?;
    let storm = start_storm(&run, count, 0)?;
    let storm = to_end(&run, storm)?;
    // Long enough for its exit to be in an earlier interval than its bytes.
    sleep(Duration::from_millis(1200));
    let sync = run.to_end("gt-sync", &["sync"])?;
    let Some(books) = finish(run, count / 2 * INODE)? else {
        return Ok(());
    };
    belong_to_exited(&books, storm)?;
    books.hardly_belong_to("gt-sync", sync)
}

/// The same if unmounting the file system commits it.
pub fn by_umount(mut run: Run<'_>) -> Result<()> {
    let count = fewer(4000);
    trace(&mut run)?;
    let storm = start_storm(&run, count, 0)?;
    let storm = to_end(&run, storm)?;
    let umount = run.unmount()?;
    let Some(books) = finish(run, count / 2 * INODE)? else {
        return Ok(());
    };
    belong_to_exited(&books, storm)?;
    books.hardly_belong_to("gt-umount", umount)
}

fn belong_to_exited(books: &Books, storm: u64) -> Result<()> {
    books.belong_to(&[("gt-storm", storm)], MOST)?;
    let exited = books.owner("gt-storm", storm)?.exited;
    ensure!(exited, "no line says that gt-storm has exited");
    Ok(())
}

/// If nobody syncs, the file system commits on its own, and the task that caused it owns
/// the bytes. Needs a file system with an interval of a second.
pub fn by_timer(mut run: Run<'_>) -> Result<()> {
    let count = fewer(4000);
    // A setting of all xfs file systems; the others have an option of mount(8). Thawing
    // the file system starts a new interval.
    let interval = match run.fs() {
        Fs::Xfs => Some(Setting::xfs("xfssyncd_centisecs", 100)?),
        Fs::Ext4 | Fs::Btrfs => None,
    };
    trace(&mut run)?;
    let mut storm = start_storm(&run, count, 0)?;
    storm.go()?;
    storm.done(run.deadline)?;
    let enough = count / 2 * INODE / 4;
    while !run.has_written(enough)? {
        ensure!(!run.deadline.left().is_zero(), "nothing commits");
        sleep(Duration::from_millis(50));
    }
    // An interval later all of it is committed.
    sleep(Duration::from_millis(1500));
    drop(interval);
    let deadline = run.deadline;
    let books = finish(run, enough)?;
    let pid = storm.exit(deadline)?;
    match books {
        Some(books) => books.belong_to(&[("gt-storm", pid)], MOST),
        None => Ok(()),
    }
}

/// Metadata that was logged long ago is written to its final place when the slot of the
/// exited task has another task. That one owns nothing of it.
pub fn after_its_slot_is_reused(mut run: Run<'_>) -> Result<()> {
    let (count, tenants, len) = (fewer(3000), 4, 65536);
    let image = PathBuf::from(format!("/dev/shm/iotop-trace-tenants-{}", process::id()));
    File::create(&image)?.set_len(16 << 20)?;
    let other = Disk::on_file(&image, run.deadline);
    fs::remove_file(&image)?;
    let other = other?;
    trace(&mut run)?;
    let storm = start_storm(&run, count, 0)?;
    let storm = to_end(&run, storm)?;
    // Commits, but does not write the metadata to its final place.
    run.to_end("gt-log", &["sync_directory", &run.file("")])?;
    // A slot rests for 4 s after its task has exited and nothing refers to it.
    sleep(Duration::from_secs(if emulated() { 9 } else { 6 }));
    let before = run.written()?;
    // They write to another device, so they cause nothing here. The slot that was freed
    // last is the next to be used.
    let node = other.path();
    let tenant = ["direct", &node, &len.to_string()];
    let tenants = (0..tenants).map(|number| Writer::start(&format!("gt-new{number}"), &tenant));
    let mut tenants = tenants.collect::<Result<Vec<_>>>()?;
    for writer in &mut tenants {
        writer.go()?;
        writer.done(run.deadline)?;
    }
    let umount = run.unmount()?;
    let later = run.written()? - before;
    let logged = count / 2 * INODE;
    // Now and then xfs does it at once.
    ensure!(later >= logged / 2, Spoiled(before));
    let deadline = run.deadline;
    let books = finish(run, logged)?;
    let pids = tenants.into_iter().map(|writer| writer.exit(deadline));
    let pids = pids.collect::<Result<Vec<_>>>()?;
    drop(other);
    let Some(books) = books else {
        return Ok(());
    };
    for (number, pid) in pids.into_iter().enumerate() {
        let owner = books.owner(&format!("gt-new{number}"), pid)?;
        ensure!(
            owner.written == len && owner.estimated() == 0,
            "gt-new{number} wrote {len} bytes elsewhere, and is charged with more: {owner:?}"
        );
    }
    let storm = books.caused("gt-storm", storm)?;
    ensure!(
        storm >= logged / 2,
        "gt-storm has {storm} bytes of its log:{}",
        books.told()?
    );
    books
        .hardly_belong_to("gt-umount", umount)
        .context("unmounting")
}

/// Starts a task that makes files of `len` bytes and renames them, and removes half of
/// them. Empty files leave nothing but metadata.
fn start_storm(run: &Run<'_>, count: u64, len: u64) -> Result<Writer> {
    let (count, len) = (count.to_string(), len.to_string());
    Writer::start("gt-storm", &["storm", &run.file(""), &count, &len])
}

fn to_end(run: &Run<'_>, mut writer: Writer) -> Result<u64> {
    writer.go()?;
    writer.done(run.deadline)?;
    writer.exit(run.deadline)
}
