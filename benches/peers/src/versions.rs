//! The versions of the libraries, as the lock file has them.

const LOCK: &str = include_str!("../Cargo.lock");

/// The name and the version of a library; of two versions the newer one, which the lock file has last: the older one is what
/// some other library asked for.
pub fn versioned(name: &str) -> String {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = LOCK.rsplit_once(&entry).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or_else(|| name.to_owned(), |(version, _)| format!("{name} {version}"))
}
