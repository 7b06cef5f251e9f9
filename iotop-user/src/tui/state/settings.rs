//! What the live view remembers from one run to the next: its configuration
//! file.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use toml_edit::{DocumentMut, ser::to_document};

use crate::{
    cli::GroupBy,
    view::{Field, Sort, fields},
};

/// The configuration, or what a key changed of it since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two looks.
    #[serde(deserialize_with = "delay")]
    pub delay: f64,
    /// What a row is.
    pub group_by: GroupBy,
    /// Children below their parents.
    pub tree: bool,
    /// Only rows that do I/O or have dirty pages.
    pub only: bool,
    /// Tasks that have exited stay for a while.
    pub exited: bool,
    /// What the figures are of.
    pub figures: Figures,
    /// Kilobytes throughout.
    pub kilobytes: bool,
    /// Command lines, not only names.
    pub command_line: bool,
    /// What each row has a graph of.
    pub graph: Graph,
    /// The sort key as `--sort` takes it; none: those that moved most first.
    #[serde(
        deserialize_with = "sort",
        serialize_with = "sort_key",
        skip_serializing_if = "Option::is_none"
    )]
    pub sort: Option<Sort>,
    /// The columns as `--fields` takes them; none: the usual ones.
    #[serde(deserialize_with = "columns", serialize_with = "column_names")]
    pub columns: Vec<&'static Field>,
    /// Of the columns those that are not shown.
    #[serde(deserialize_with = "columns", serialize_with = "column_names")]
    pub hidden: Vec<&'static Field>,
    /// How many colours there are.
    pub colors: Colors,
    /// Which characters there are.
    pub characters: Characters,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            delay: 1.0,
            group_by: GroupBy::Thread,
            tree: false,
            only: false,
            exited: true,
            figures: Figures::Rates,
            kilobytes: false,
            command_line: true,
            graph: Graph::Caused,
            sort: None,
            columns: Vec::new(),
            hidden: Vec::new(),
            colors: Colors::Auto,
            characters: Characters::Auto,
        }
    }
}

/// What the figures are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figures {
    /// The last interval, a second.
    Rates,
    /// All since they were asked for.
    Totals,
    /// Rates, and beside what was read and caused the totals.
    Both,
}

/// What each row has a graph of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Graph {
    /// Bytes written because of it.
    Caused,
    /// Bytes read from storage.
    Read,
    /// Page cache made dirty, and direct writes.
    Dirtied,
    /// Time spent waiting for block I/O.
    Io,
    /// None.
    Off,
}

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colors {
    /// What NO_COLOR, COLORTERM and TERM say.
    #[serde(rename = "auto")]
    Auto,
    /// None.
    #[serde(rename = "none")]
    None,
    /// The terminal's own 16.
    #[serde(rename = "16")]
    Ansi,
    /// 256.
    #[serde(rename = "256")]
    Indexed,
    /// 24 bits of them.
    #[serde(rename = "true")]
    True,
}

/// Which characters there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Characters {
    /// What LC_ALL, LC_CTYPE and LANG say.
    Auto,
    /// All.
    Unicode,
    /// ASCII only.
    Ascii,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {message}\ncorrect the file, or remove it for the usual settings", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// There is no place for it.
    #[error("neither XDG_CONFIG_HOME nor HOME is set, so there is no place for a configuration")]
    NoPlace,
}

/// `$XDG_CONFIG_HOME/iotop-trace/config.toml`, by the XDG Base Directory
/// Specification; a relative path there is to be ignored.
pub fn path() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(base.join("iotop-trace/config.toml"))
}

impl Settings {
    /// Reads the file; the usual settings where there is none.
    ///
    /// # Errors
    ///
    /// It can't be read, or is not what it should be.
    pub fn read(path: &Path) -> Result<Settings, SettingsError> {
        match fs::read_to_string(path) {
            Ok(text) => Settings::parse(&text).map_err(|message| SettingsError::Content {
                path: path.to_owned(),
                message,
            }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(source) => Err(SettingsError::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn parse(text: &str) -> Result<Settings, String> {
        toml_edit::de::from_str(text).map_err(|error| error.to_string().trim().to_owned())
    }

    /// Writes the file. What else stands in it, comments say, stays.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn write(&self, path: &Path) -> Result<(), SettingsError> {
        let file = |source| SettingsError::File {
            path: path.to_owned(),
            source,
        };
        let content = |message: String| SettingsError::Content {
            path: path.to_owned(),
            message,
        };
        let before = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(file)?,
        };
        let mut document: DocumentMut = before
            .parse()
            .map_err(|error: toml_edit::TomlError| content(error.to_string()))?;
        let new = to_document(self).map_err(|error| content(error.to_string()))?;
        if self.sort.is_none() {
            document.remove("sort");
        }
        for (key, item) in new.iter() {
            document[key] = item.clone();
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(file)?;
        }
        fs::write(path, document.to_string()).map_err(file)
    }
}

fn delay<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let delay = f64::deserialize(from)?;
    crate::cli::seconds(&delay.to_string()).map_err(de::Error::custom)?;
    Ok(delay)
}

fn sort<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Sort>, D::Error> {
    let key = String::deserialize(from)?;
    key.parse().map(Some).map_err(de::Error::custom)
}

fn sort_key<S: Serializer>(sort: &Option<Sort>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&sort.as_ref().map_or(String::new(), Sort::to_string))
}

fn columns<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<&'static Field>, D::Error> {
    let names: Vec<String> = Vec::deserialize(from)?;
    let fields = names.iter().map(|name| fields::find(name));
    fields.collect::<Result<_, _>>().map_err(de::Error::custom)
}

fn column_names<S: Serializer>(columns: &[&'static Field], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(columns.iter().map(|field| field.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("iotop-trace/config.toml");
        assert_eq!(Settings::read(&path).expect("none"), Settings::default());
        let settings = Settings {
            delay: 0.5,
            group_by: GroupBy::Unit,
            figures: Figures::Both,
            sort: "-pending".parse().ok(),
            hidden: fields::find("prio").into_iter().collect(),
            colors: Colors::Indexed,
            ..Settings::default()
        };
        settings.write(&path).expect("written");
        assert_eq!(Settings::read(&path).expect("read"), settings);
    }

    #[test]
    fn comments_of_the_file_stay_when_it_is_written_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.toml");
        fs::write(&path, "# mine\nonly = true\nsort = \"pid\"\n").expect("written");
        let mut settings = Settings::read(&path).expect("read");
        settings.only = false;
        settings.sort = None;
        settings.write(&path).expect("written");
        let text = fs::read_to_string(&path).expect("there");
        assert!(
            text.contains("# mine") && text.contains("only = false"),
            "{text}"
        );
        assert_eq!(Settings::read(&path).expect("read").sort, None);
    }

    #[test]
    fn a_wrong_file_is_an_error_with_line_and_column() {
        for (text, place, word) in [
            ("only = true\nonyl = true\n", "line 2, column 1", "onyl"),
            ("only = 1\n", "line 1, column 8", "boolean"),
            ("only = ", "line 1, column 8", ""),
            ("\nsort = \"nosuch\"\n", "line 2, column 8", "nosuch"),
            (
                "columns = [\"pid\", \"nosuch\"]\n",
                "line 1, column 11",
                "nosuch",
            ),
            ("group_by = \"planet\"", "line 1, column 12", "planet"),
            ("only = true\ndelay = 0.001", "line 2, column 9", "at least"),
        ] {
            let error = Settings::parse(text).expect_err(text);
            assert!(
                error.contains(place) && error.contains(word),
                "{text}: {error}"
            );
        }
    }
}
