//! Content keys.

use std::{fmt::Write, fs::File, io, path::Path};

use sha2::{Digest, Sha256};

/// Returns a digest of several byte strings in order, as 64 hexadecimal digits. Each is preceded by
/// its length, so that moving a byte from one to the next changes the digest.
pub fn of<B: AsRef<[u8]>>(pieces: impl IntoIterator<Item = B>) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        let bytes = piece.as_ref();
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    hex(&hash.finalize())
}

/// Returns the digest of a file's content, as 64 hexadecimal digits.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_boundary_between_two_pieces_changes_the_digest() {
        assert_ne!(super::of(["ab", "c"]), super::of(["a", "bc"]));
        assert_eq!(super::of(["ab", "c"]).len(), 64);
    }
}
