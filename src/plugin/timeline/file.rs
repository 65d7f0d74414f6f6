//! Where a picture goes: a file that is there as a whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::plugin::exit::Failure;

/// A file that can be written, as far as that is known before.
#[derive(Debug)]
pub struct Target {
    /// As the caller named it.
    given: PathBuf,
    /// Where it is, if its name is a link.
    path: PathBuf,
    /// The permissions that it has, if it is there and a file.
    permissions: Option<Permissions>,
    /// Whether it is a device or a pipe, which is written and not replaced.
    is_special: bool,
}

impl Target {
    /// That of a path.
    ///
    /// # Errors
    /// If it is a directory, or in one that is not there.
    pub fn of(given: &Path) -> Result<Self, Failure> {
        let shown = given.display();
        let path = fs::canonicalize(given).unwrap_or_else(|_| given.to_owned());
        let there = match fs::metadata(&path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(given, &error)),
        };
        let is_directory = there.as_ref().is_some_and(fs::Metadata::is_dir);
        if is_directory || given.file_name().is_none() {
            return Err(Failure::Usage(format!(
                "{shown} is a directory: name a file in it"
            )));
        }
        if there.is_none() && !directory(&path).is_dir() {
            return Err(Failure::Usage(format!(
                "the directory of {shown} does not exist"
            )));
        }
        Ok(Self {
            given: given.to_owned(),
            is_special: there.as_ref().is_some_and(|there| !there.is_file()),
            permissions: there.map(|there| there.permissions()),
            path,
        })
    }

    /// Writes it. A file that is there is replaced at once, or stays as it is.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        let written = if self.is_special {
            let file = OpenOptions::new().write(true).open(&self.path);
            file.and_then(|mut file| file.write_all(text.as_bytes()))
        } else {
            self.replace(text)
        };
        written.map_err(|error| failed(&self.given, &error))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let name: String = name.chars().take(64).collect();
        let beside = format!(".{name}.{}.tmp", std::process::id());
        let beside = directory(&self.path).join(beside);
        let mut file = File::create_new(&beside)?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| match &self.permissions {
                Some(permissions) => file.set_permissions(permissions.clone()),
                None => Ok(()),
            })
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&beside, &self.path));
        if written.is_err() {
            // NB: the failure is what matters; the rest of a file that could not be written is only litter.
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

fn directory(path: &Path) -> &Path {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Finding(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::plugin::exit::Exit;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_permissions_and_links() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (
            directory.path().join("a.html"),
            directory.path().join("link"),
        );
        Target::of(&file).unwrap().write("one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        Target::of(&link).unwrap().write("two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(directory.path()), ["a.html", "link"]);
    }

    #[test]
    fn what_cannot_be_a_file_is_known_before_and_nothing_is_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for wrong in [
            path,
            Path::new("/"),
            Path::new(".."),
            &path.join("absent/a.html"),
        ] {
            let failure = Target::of(wrong).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage, "{failure}");
        }
        let below = path.join("file");
        fs::write(&below, "").unwrap();
        assert!(Target::of(&below.join("a.html")).is_err());
        let target = Target::of(&path.join("full.html")).unwrap();
        fs::create_dir(path.join("full.html")).unwrap();
        let failure = target.write("text").unwrap_err();
        assert_eq!(failure.exit(), Exit::Finding);
        assert!(
            failure.to_string().contains("full.html cannot be written"),
            "{failure}"
        );
        assert_eq!(names(path), ["file", "full.html"]);
    }

    #[test]
    fn a_pipe_is_written_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let target = Target::of(&pipe).unwrap();
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read_to_string(pipe).unwrap())
        };
        target.write("text").unwrap();
        assert!(!fs::metadata(&pipe).unwrap().is_file());
        assert_eq!(reader.join().unwrap(), "text");
    }
}
