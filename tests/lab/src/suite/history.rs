//! The duration of each test's last successful run, kept in the lab's cache for the order of the
//! next run.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

/// Returns the durations in a file; none if it can't be read.
pub(super) fn read(file: &Path) -> BTreeMap<String, Duration> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let seconds: BTreeMap<String, f64> = serde_json::from_str(&text).unwrap_or_default();
    let sound = |(name, s): (String, f64)| Some((name, Duration::try_from_secs_f64(s).ok()?));
    seconds.into_iter().filter_map(sound).collect()
}

/// Replaces these durations in the file; others remain.
pub(super) fn write(file: &Path, new: impl IntoIterator<Item = (String, Duration)>) -> io::Result<()> {
    let mut all = read(file);
    all.extend(new);
    let seconds: BTreeMap<String, f64> =
        all.into_iter().map(|(name, duration)| (name, duration.as_secs_f64())).collect();
    let work = file.with_extension("new");
    fs::write(&work, serde_json::to_vec_pretty(&seconds)?)?;
    fs::rename(&work, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_replaces_only_the_durations_of_its_tests() {
        let file = std::env::temp_dir().join(format!("lab-history-{}.json", std::process::id()));
        let seconds = |name: &str, s| (name.to_owned(), Duration::from_secs(s));
        assert!(read(&file).is_empty());
        write(&file, [seconds("a", 1), seconds("b", 2)]).expect("written");
        write(&file, [seconds("b", 3)]).expect("written");
        assert_eq!(read(&file), BTreeMap::from([seconds("a", 1), seconds("b", 3)]));
        fs::write(&file, "{\"a\": -1, \"b\": 4}").expect("written");
        assert_eq!(read(&file), BTreeMap::from([seconds("b", 4)]), "a negative duration is ignored");
        fs::remove_file(file).expect("removed");
    }
}
