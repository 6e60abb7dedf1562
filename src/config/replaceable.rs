//! Whether others may replace a file: by writing to it, or to a folder or link on the way to it.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use nix::unistd::geteuid;

/// As many as Linux follows.
const MAX_LINKS: usize = 40;
/// In a folder with this bit only the owner of an entry, or of the folder, may replace the entry.
const STICKY: u32 = 0o1000;

/// What may be in a folder with [`STICKY`] that others can write to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sticky {
    /// Folders of the user or of root alone, as in `/tmp`.
    Folders,
    /// Files and links too, as in the volumes of Kubernetes.
    Anything,
}

/// Why others may replace a file.
#[derive(Debug)]
pub(super) enum Weakness {
    Owner { path: PathBuf, uid: u32 },
    Mode { path: PathBuf, mode: u32 },
}

impl Weakness {
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Owner { .. } => "change its owner",
            Self::Mode { .. } => "run `chmod go-w` on it",
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { path, uid } => write!(
                f,
                "{} belongs to user id {uid}, which is neither root nor the user of this process",
                path.display()
            ),
            Self::Mode { path, mode } => write!(f, "others can write to {} (mode {mode:04o})", path.display()),
        }
    }
}

/// The first weakness of the file itself and of each folder and link that leads to it; none: only root and the user of
/// this process can replace it.
pub(super) fn weakness(path: &Path, sticky: Sticky) -> io::Result<Option<Weakness>> {
    let mut rest = steps(&std::path::absolute(path)?);
    let (mut place, mut links) = (PathBuf::from("/"), 0);
    while let Some(step) = rest.pop_front() {
        match step {
            Step::Root => place = "/".into(),
            Step::Up => drop(place.pop()),
            Step::Down(name) => {
                let path = place.join(name);
                let found = fs::symlink_metadata(&path)?;
                if let Some(weakness) = weakness_of_folder(&place, &path, &found, sticky)? {
                    return Ok(Some(weakness));
                }
                if !found.is_symlink() {
                    place = path;
                    continue;
                }
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other("too many symbolic links"));
                }
                let mut target = steps(&fs::read_link(&path)?);
                target.append(&mut rest);
                rest = target;
            }
        }
    }
    let found = fs::symlink_metadata(&place)?;
    Ok(owner(&place, &found).or_else(|| (found.mode() & 0o022 != 0).then(|| mode(&place, &found))))
}

/// Why others may replace an entry of a folder.
fn weakness_of_folder(folder: &Path, path: &Path, entry: &Metadata, sticky: Sticky) -> io::Result<Option<Weakness>> {
    let found = fs::metadata(folder)?;
    if let Some(weakness) = owner(folder, &found) {
        return Ok(Some(weakness));
    }
    if found.mode() & 0o022 == 0 {
        return Ok(None);
    }
    let is_sticky = found.mode() & STICKY != 0 && (entry.is_dir() || sticky == Sticky::Anything);
    Ok(if is_sticky { owner(path, entry) } else { Some(mode(folder, &found)) })
}

fn owner(path: &Path, found: &Metadata) -> Option<Weakness> {
    let uid = found.uid();
    (!is_trusted(uid)).then(|| Weakness::Owner { path: path.to_owned(), uid })
}

fn mode(path: &Path, found: &Metadata) -> Weakness {
    Weakness::Mode { path: path.to_owned(), mode: found.mode() & 0o7777 }
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> VecDeque<Step> {
    let step = |component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, chown, lchown, symlink},
    };

    use super::*;

    /// Removed on drop.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("rally-replaceable-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn folder(&self, name: &str, mode: u32) {
            fs::create_dir_all(self.at(name)).unwrap();
            self.allow(name, mode);
        }

        fn file(&self, name: &str, mode: u32) {
            fs::write(self.at(name), "secret").unwrap();
            self.allow(name, mode);
        }

        fn allow(&self, name: &str, mode: u32) {
            fs::set_permissions(self.at(name), Permissions::from_mode(mode)).unwrap();
        }

        fn weakness(&self, name: &str, sticky: Sticky) -> Option<String> {
            weakness(&self.at(name), sticky).unwrap().map(|weakness| weakness.to_string())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// `secret` → `..data/secret`, `..data` → `..2026_01`, in a folder of mode 1777.
    fn kubernetes_volume(folder: &Folder, mode: u32) {
        folder.folder("volume", 0o1777);
        folder.folder("volume/..2026_01", 0o755);
        folder.file("volume/..2026_01/secret", mode);
        symlink("..2026_01", folder.at("volume/..data")).unwrap();
        symlink("..data/secret", folder.at("volume/secret")).unwrap();
    }

    #[test]
    fn a_secret_in_a_volume_of_kubernetes_has_no_weakness() {
        for mode in [0o400, 0o440, 0o444, 0o644] {
            let folder = Folder::new("volume");
            kubernetes_volume(&folder, mode);
            assert_eq!(folder.weakness("volume/secret", Sticky::Anything), None);
        }
    }

    #[test]
    fn a_file_in_a_folder_of_others_is_weak_at_any_place_of_its_path() {
        let folder = Folder::new("places");
        folder.folder("a/b", 0o755);
        folder.file("a/b/file", 0o600);
        symlink("a", folder.at("link")).unwrap();
        for path in ["a/b/file", "link/b/file", "link/../link/b/./file"] {
            for open in ["", "a", "a/b"] {
                assert_eq!(folder.weakness(path, Sticky::Folders), None, "{path}");
                folder.allow(open, 0o777);
                for sticky in [Sticky::Folders, Sticky::Anything] {
                    let weakness = folder.weakness(path, sticky).unwrap();
                    let place = folder.at(open).components().collect::<PathBuf>();
                    assert_eq!(weakness, format!("others can write to {} (mode 0777)", place.display()), "{path}");
                }
                folder.allow(open, 0o755);
            }
        }
        for mode in [0o666, 0o620] {
            folder.allow("a/b/file", mode);
            assert!(folder.weakness("link/b/file", Sticky::Anything).unwrap().contains("others can write to"));
        }
    }

    #[test]
    fn a_link_in_a_sticky_folder_is_weak_where_only_folders_may_be_in_it() {
        let folder = Folder::new("sticky");
        folder.folder("safe", 0o700);
        folder.file("safe/file", 0o600);
        folder.folder("shared/own", 0o755);
        folder.file("shared/own/file", 0o600);
        folder.allow("shared", 0o1777);
        symlink(folder.at("safe/file"), folder.at("shared/link")).unwrap();
        symlink(folder.at("shared/link"), folder.at("safe/link")).unwrap();
        for path in ["shared/link", "safe/link"] {
            assert_eq!(folder.weakness(path, Sticky::Anything), None, "{path}");
            assert!(folder.weakness(path, Sticky::Folders).unwrap().contains("shared (mode 1777)"), "{path}");
        }
        assert_eq!(folder.weakness("shared/own/file", Sticky::Folders), None);
    }

    #[test]
    fn what_belongs_to_another_user_is_weak() {
        if !geteuid().is_root() {
            return; // only root can change the owner of a file
        }
        let folder = Folder::new("owners");
        kubernetes_volume(&folder, 0o440);
        for name in ["volume/..2026_01/secret", "volume/..2026_01", "volume/..data", "volume/secret", "volume"] {
            lchown(folder.at(name), Some(65534), None).unwrap();
            assert!(folder.weakness("volume/secret", Sticky::Anything).is_some(), "{name}");
            lchown(folder.at(name), Some(0), None).unwrap();
        }
        assert_eq!(folder.weakness("volume/secret", Sticky::Anything), None);
        chown(&folder.0, Some(65534), None).unwrap();
        assert!(folder.weakness("volume/secret", Sticky::Anything).unwrap().contains("belongs to user id 65534"));
    }

    #[test]
    fn a_path_without_an_end_is_an_error() {
        let folder = Folder::new("loop");
        symlink("b", folder.at("a")).unwrap();
        symlink("a", folder.at("b")).unwrap();
        assert!(weakness(&folder.at("a"), Sticky::Anything).is_err());
        assert!(weakness(&folder.at("missing"), Sticky::Anything).is_err());
    }
}
