//! The kernel inside a bzImage (Documentation/arch/x86/boot.rst).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::modules::unpacked;

/// What a packed kernel begins with, and the program that unpacks it.
const PROGRAMS: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x02\x21", "lz4"),
    (b"\xfd7", "xz"),
    (b"\x28\xb5", "zstd"),
];

/// The kernel as an ELF file. `dir` is for temporary files.
pub fn kernel(image: &Path, dir: &Path) -> Result<Vec<u8>> {
    let name = image.display();
    let bytes = fs::read(image).with_context(|| name.to_string())?;
    let (packed, size) =
        payload(&bytes).with_context(|| format!("{name} is not a complete bzImage"))?;
    let found = PROGRAMS.iter().find(|(magic, _)| packed.starts_with(magic));
    let (_, program) = found.with_context(|| {
        let magic = &packed[..packed.len().min(4)];
        format!("{name} is packed by no known program: it begins with {magic:02x?}")
    })?;
    // The size at the end is a part of gzip's format, and of no other one.
    let packed = match *program {
        "gzip" => packed,
        _ => &packed[..packed.len() - 4],
    };
    let file = dir.join("packed");
    fs::write(&file, packed).with_context(|| file.display().to_string())?;
    let kernel = unpacked(program, &file)?;
    ensure!(
        kernel.len() == size as usize,
        "{program} finds {} bytes in {name}, which says that there are {size}",
        kernel.len()
    );
    Ok(kernel)
}

/// The packed kernel and its unpacked size, which its last bytes hold.
fn payload(image: &[u8]) -> Option<(&[u8], u32)> {
    let word = |at: usize| Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?));
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let sectors = match image[0x1f1] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let protected_mode = (sectors + 1) * 512;
    let start = protected_mode.checked_add(word(0x248)? as usize)?;
    let end = start.checked_add(word(0x24c)? as usize)?;
    let packed = image.get(start..end)?;
    Some((packed, u32::from_le_bytes(*packed.last_chunk()?)))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Two sectors of setup behind the boot sector, 16 bytes, the payload.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 3 * 512 + 16];
        image[0x1f1] = 2;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        image.extend(payload);
        image
    }

    #[test]
    fn the_payload_ends_with_its_size() {
        let image = image(b"\x28\xb5packed\x00\x01\x00\x00");
        assert_eq!(payload(&image), Some((&image[3 * 512 + 16..], 256)));
    }

    #[test]
    fn an_image_cut_off_anywhere_has_no_payload() {
        let image = image(b"\x28\xb5packed\x00\x01\x00\x00");
        for length in 0..image.len() {
            assert_eq!(payload(&image[..length]), None, "{length} bytes");
        }
        assert_eq!(payload(&super::tests::image(b"abc")), None);
        assert_eq!(payload(&[0; 2048]), None);
    }

    #[test]
    fn what_is_packed_is_unpacked() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (content, file) = (dir.path().join("content"), dir.path().join("bzImage"));
        fs::write(&content, "kernel")?;
        let packed = Command::new("xz").arg("-c").arg(&content).output()?.stdout;
        let of_size = |size: u32| image(&[&packed[..], &size.to_le_bytes()].concat());
        fs::write(&file, of_size(6))?;
        assert_eq!(kernel(&file, dir.path())?, b"kernel");
        fs::write(&file, of_size(7))?;
        let error = kernel(&file, dir.path()).err().context("another size")?;
        assert!(error.to_string().contains("6 bytes"), "{error}");
        Ok(())
    }

    #[test]
    fn an_unknown_format_is_reported_with_its_first_bytes() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("bzImage");
        fs::write(&file, image(b"BZh9 and more"))?;
        let error = kernel(&file, dir.path()).err().context("bzip2")?;
        assert!(error.to_string().contains("[42, 5a, 68, 39]"), "{error}");
        Ok(())
    }
}
