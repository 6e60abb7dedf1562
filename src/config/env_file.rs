//! `.env` in the working folder. Not in the folders above it, in which others may place one.

use std::{fs::File, io, path::Path};

use super::{
    ConfigError,
    replaceable::{Sticky, weakness},
};

/// The settings in the folder's `.env`; none where there is no such file. Whoever can write the file, or replace it or a
/// folder or link on the way to it, would choose the database and the keys of the service: then it is refused.
pub(super) fn read(folder: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let bad = |problem: String| ConfigError::of(".env", problem);
    let unreadable = |error: io::Error| bad(format!("cannot be read: {error}"));
    let path = folder.join(".env");
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(unreadable)?,
    };
    if let Some(weakness) = weakness(&path, Sticky::Folders).map_err(unreadable)? {
        let remedy = weakness.remedy();
        return Err(bad(format!("is refused, since {weakness}: {remedy}, remove .env, or run in another folder")));
    }
    let lines: Result<_, _> = dotenvy::from_read_iter(file).collect();
    // dotenvy's error contains the line, which may hold a secret.
    lines.map_err(|_| bad("has a line that is not NAME=value".into()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, chown, symlink},
        path::PathBuf,
    };

    use nix::unistd::geteuid;

    use super::*;

    /// A folder with a `.env`, both of mode 0700. Removed on drop.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("rally-env-file-{name}-{}", std::process::id()));
            fs::create_dir_all(dir.join("below")).unwrap();
            fs::write(dir.join(".env"), "BASE_DOMAIN=rallycrm.io\n").unwrap();
            let folder = Self(dir);
            folder.allow("", 0o700);
            folder.allow(".env", 0o600);
            folder
        }

        fn allow(&self, name: &str, mode: u32) {
            fs::set_permissions(self.0.join(name), Permissions::from_mode(mode)).unwrap();
        }

        fn read(&self) -> Result<Vec<(String, String)>, String> {
            read(&self.0).map_err(|error| error.to_string())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn env_file_of_a_parent_folder_is_not_read() {
        let folder = Folder::new("parent");
        assert_eq!(folder.read().unwrap(), [("BASE_DOMAIN".to_owned(), "rallycrm.io".to_owned())]);
        assert_eq!(read(&folder.0.join("below")).unwrap(), []);
    }

    #[test]
    fn env_file_that_others_can_write_or_replace_is_refused() {
        let folder = Folder::new("modes");
        for (name, safe, unsafe_modes) in [(".env", 0o644, [0o664, 0o646]), ("", 0o755, [0o775, 0o1777])] {
            for mode in unsafe_modes {
                folder.allow(name, mode);
                let error = folder.read().unwrap_err();
                assert!(error.contains(&format!("(mode {mode:04o}): run `chmod go-w`")), "{error}");
                let path = folder.0.join(name).components().collect::<PathBuf>();
                assert!(error.contains(&format!("write to {} (", path.display())), "{error}");
            }
            folder.allow(name, safe);
            assert!(folder.read().is_ok());
        }
    }

    #[test]
    fn env_file_that_links_into_a_folder_of_others_is_refused() {
        let (folder, shared) = (Folder::new("link"), Folder::new("link-target"));
        fs::remove_file(folder.0.join(".env")).unwrap();
        symlink(shared.0.join(".env"), folder.0.join(".env")).unwrap();
        assert!(folder.read().is_ok());
        shared.allow("", 0o777);
        assert!(folder.read().unwrap_err().contains("others can write to"));
        shared.allow("", 0o1777);
        symlink(folder.0.join("below/.env"), shared.0.join("link")).unwrap();
        fs::write(folder.0.join("below/.env"), "").unwrap();
        fs::remove_file(folder.0.join(".env")).unwrap();
        symlink(shared.0.join("link"), folder.0.join(".env")).unwrap();
        assert!(folder.read().unwrap_err().contains("(mode 1777)"), "the folder of a link on the way");
    }

    #[test]
    fn env_file_in_a_folder_that_others_can_replace_is_refused() {
        let folder = Folder::new("above");
        let below = folder.0.join("below");
        fs::write(below.join(".env"), "BASE_DOMAIN=x\n").unwrap();
        assert!(read(&below).is_ok());
        folder.allow("", 0o777);
        assert!(read(&below).unwrap_err().to_string().contains("(mode 0777): run `chmod go-w`"));
    }

    #[test]
    fn env_file_of_another_user_is_refused() {
        if !geteuid().is_root() {
            return; // only root can change the owner of a file
        }
        let folder = Folder::new("owner");
        for name in [".env", ""] {
            chown(folder.0.join(name), Some(65534), None).unwrap();
            assert!(folder.read().unwrap_err().contains("belongs to user id 65534"));
            chown(folder.0.join(name), Some(0), None).unwrap();
        }
        assert!(folder.read().is_ok());
    }

    #[test]
    fn env_file_with_a_bad_line_is_refused_without_repeating_it() {
        let folder = Folder::new("line");
        fs::write(folder.0.join(".env"), "BASE_DOMAIN=x\nhunter2\n").unwrap();
        let error = folder.read().unwrap_err();
        assert!(error.contains(".env has a line") && !error.contains("hunter2"), "{error}");
    }
}
