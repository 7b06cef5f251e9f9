//! The live view's configuration file.

use std::{
    env, io,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use toml_edit::{DocumentMut, ser::to_document};

use crate::{
    cli::GroupBy,
    host::{helper::Helper, invoker::Invoker},
    view::{Field, Sort, fields},
};

/// The configuration as the file has it, with what keys changed since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two samples.
    #[serde(deserialize_with = "delay")]
    pub delay: f64,
    /// What a row is.
    pub group_by: GroupBy,
    /// Children below their parents.
    pub tree: bool,
    /// Only rows that do I/O or have dirty pages.
    pub only: bool,
    /// Exited tasks stay in view for a while.
    pub exited: bool,
    /// Whether figures are rates or totals.
    pub figures: Figures,
    /// All byte figures in kilobytes.
    pub kilobytes: bool,
    /// Command lines, not only names.
    pub command_line: bool,
    /// What the rows' graphs show.
    pub graph: Graph,
    /// The sort key as `--sort` takes it; `None` puts first what moves most.
    #[serde(
        deserialize_with = "sort",
        serialize_with = "sort_key",
        skip_serializing_if = "Option::is_none"
    )]
    pub sort: Option<Sort>,
    /// The columns of threads and processes, as `--fields` takes them; empty: the usual ones.
    #[serde(deserialize_with = "columns", serialize_with = "column_names")]
    pub columns: Vec<&'static Field>,
    /// The columns of groups of tasks.
    #[serde(deserialize_with = "columns", serialize_with = "column_names")]
    pub group_columns: Vec<&'static Field>,
    /// The columns of devices and files.
    #[serde(deserialize_with = "columns", serialize_with = "column_names")]
    pub place_columns: Vec<&'static Field>,
    /// Columns that are not shown.
    #[serde(deserialize_with = "columns", serialize_with = "column_names")]
    pub hidden: Vec<&'static Field>,
    /// Which colours to use.
    pub colors: Colors,
    /// Which characters to use.
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
            group_columns: Vec::new(),
            place_columns: Vec::new(),
            hidden: Vec::new(),
            colors: Colors::Auto,
            characters: Characters::Auto,
        }
    }
}

/// Whether figures are rates or totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figures {
    /// Bytes per second over the last interval.
    Rates,
    /// Sums since totals were turned on.
    Totals,
    /// Rates, and the totals of the columns of read and caused bytes beside them.
    Both,
}

/// What the rows' graphs show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Graph {
    /// Bytes written because of the row.
    Caused,
    /// Bytes read from storage.
    Read,
    /// Page cache made dirty, and direct writes.
    Dirtied,
    /// Time spent waiting for block I/O.
    Io,
    /// No graph.
    Off,
}

impl Graph {
    /// What it shows, in words.
    pub fn about(self) -> &'static str {
        match self {
            Graph::Caused => "bytes written because of the row",
            Graph::Read => "bytes read from storage",
            Graph::Dirtied => "page cache made dirty, and direct writes",
            Graph::Io => "time spent waiting for block I/O",
            Graph::Off => "nothing",
        }
    }
}

/// Which colours to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colors {
    /// As NO_COLOR, COLORTERM and TERM say.
    #[serde(rename = "auto")]
    Auto,
    /// No colours.
    #[serde(rename = "none")]
    None,
    /// The terminal's own 16.
    #[serde(rename = "16")]
    Ansi,
    /// 256 colours.
    #[serde(rename = "256")]
    Indexed,
    /// 24-bit colours.
    #[serde(rename = "true")]
    True,
}

/// Which characters to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Characters {
    /// As LC_ALL, LC_CTYPE and LANG say.
    Auto,
    /// All of Unicode.
    Unicode,
    /// ASCII only.
    Ascii,
}

/// Why the configuration file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The content is invalid.
    #[error("{}: {message}\ncorrect the file, or remove it to use the default settings", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// There is no directory for it.
    #[error(
        "neither XDG_CONFIG_HOME nor HOME (under sudo, the user's home) is an absolute path, so \
         there is no directory for the configuration file; set XDG_CONFIG_HOME"
    )]
    NoPlace,
}

/// `$XDG_CONFIG_HOME/iotop-trace/config.toml`, or the same below `~/.config` of the user who
/// runs the program. The XDG Base Directory Specification requires that a relative path in the
/// variable is ignored.
pub fn path() -> Option<PathBuf> {
    let chosen = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let base = chosen
        .filter(|path| path.is_absolute())
        .or_else(|| Some(Invoker::find().home()?.join(".config")))?;
    Some(base.join("iotop-trace/config.toml"))
}

impl Settings {
    /// The columns that were chosen for rows of this kind; empty: the usual ones.
    pub fn chosen(&self) -> &[&'static Field] {
        match self.group_by.by() {
            None => &self.columns,
            Some(by) if by.is_of_facts() => &self.place_columns,
            Some(_) => &self.group_columns,
        }
    }

    /// The same, to change them.
    pub fn chosen_mut(&mut self) -> &mut Vec<&'static Field> {
        match self.group_by.by() {
            None => &mut self.columns,
            Some(by) if by.is_of_facts() => &mut self.place_columns,
            Some(_) => &mut self.group_columns,
        }
    }

    /// Reads the file at `path` through the helper. If it does not exist, the settings are the
    /// defaults.
    ///
    /// # Errors
    ///
    /// The file can't be read, or its content is invalid.
    pub fn read(path: &Path, helper: &Helper) -> Result<Settings, SettingsError> {
        let text = text_of(path, helper.settings())?;
        Settings::parse(&text).map_err(content_error(path))
    }

    pub(crate) fn parse(text: &str) -> Result<Settings, String> {
        toml_edit::de::from_str(text).map_err(|error| message(text, error.span(), error.message()))
    }

    /// Writes the file at `path` through the helper. Comments in it stay.
    ///
    /// # Errors
    ///
    /// The file can't be read, parsed or written. It is as it was before.
    pub fn write(&self, path: &Path, helper: &Helper) -> Result<(), SettingsError> {
        let before = text_of(path, helper.settings())?;
        let text = self.merged(&before).map_err(content_error(path))?;
        helper.save(text.as_bytes()).map_err(file_error(path))
    }

    /// The text of a file with these settings, and with the comments that it had before.
    fn merged(&self, before: &str) -> Result<String, String> {
        let mut document: DocumentMut = before.parse().map_err(|error: toml_edit::TomlError| {
            message(before, error.span(), error.message())
        })?;
        let new = to_document(self).map_err(|error| error.to_string())?;
        if self.sort.is_none() {
            document.remove("sort");
        }
        for (key, item) in new.iter() {
            document[key] = item.clone();
        }
        Ok(document.to_string())
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> SettingsError {
    let path = path.to_owned();
    |source| SettingsError::File { path, source }
}

fn content_error(path: &Path) -> impl FnOnce(String) -> SettingsError {
    let path = path.to_owned();
    |message| SettingsError::Content { path, message }
}

/// The file's text; empty if there is no file.
fn text_of(path: &Path, read: io::Result<Option<Vec<u8>>>) -> Result<String, SettingsError> {
    let bytes = read.map_err(file_error(path))?.unwrap_or_default();
    let text = String::from_utf8(bytes).map_err(|error| error.utf8_error().to_string());
    text.map_err(content_error(path))
}

/// What is wrong with the text, and where, without any part of the text: the file need not be
/// what the user takes it for. `toml_edit`'s own message shows the line, and serde's names what
/// it found before what it expected.
fn message(text: &str, span: Option<Range<usize>>, wrong: &str) -> String {
    let expected = wrong.split_once("expected ").map(|(_, rest)| rest);
    let wrong = match expected {
        Some(expected) => format!("expected {expected}"),
        None => wrong.to_owned(),
    };
    let before = span.and_then(|span| text.get(..span.start));
    match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let column = before[start..].chars().count() + 1;
            format!("line {line}, column {column}: {wrong}")
        }
        None => wrong,
    }
}

fn delay<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let delay = f64::deserialize(from)?;
    crate::cli::seconds(&delay.to_string())
        .map_err(|_| de::Error::custom("expected a delay that -d takes"))?;
    Ok(delay)
}

fn sort<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Sort>, D::Error> {
    let key = String::deserialize(from)?;
    key.parse()
        .map(Some)
        .map_err(|_| de::Error::custom("expected a field that --sort takes"))
}

fn sort_key<S: Serializer>(sort: &Option<Sort>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&sort.as_ref().map_or(String::new(), Sort::to_string))
}

fn columns<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<&'static Field>, D::Error> {
    let names: Vec<String> = Vec::deserialize(from)?;
    let fields = names.iter().map(|name| fields::find(name));
    fields
        .collect::<Result<_, _>>()
        .map_err(|_| de::Error::custom("expected fields that --fields takes"))
}

fn column_names<S: Serializer>(columns: &[&'static Field], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(columns.iter().map(|field| field.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{replace::replace, user_file};

    fn read(path: &Path) -> Result<Settings, SettingsError> {
        let found = match user_file::read(path, 1 << 16) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        };
        Settings::parse(&text_of(path, found)?).map_err(content_error(path))
    }

    fn write(settings: &Settings, path: &Path) {
        let before = user_file::read(path, 1 << 16).unwrap_or_default();
        let before = String::from_utf8(before).expect("text");
        let text = settings.merged(&before).expect("valid");
        replace(path, text.as_bytes()).expect("written");
    }

    #[test]
    fn written_settings_are_read_back_unchanged() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("iotop-trace/config.toml");
        assert_eq!(read(&path).expect("none"), Settings::default());
        let settings = Settings {
            delay: 0.5,
            group_by: GroupBy::Unit,
            figures: Figures::Both,
            sort: "-pending".parse().ok(),
            columns: vec![fields::find("tid").expect("a field")],
            group_columns: vec![fields::find("name").expect("a field")],
            hidden: fields::find("prio").into_iter().collect(),
            colors: Colors::Indexed,
            ..Settings::default()
        };
        write(&settings, &path);
        assert_eq!(read(&path).expect("read"), settings);
    }

    #[test]
    fn comments_of_the_file_stay_when_it_is_written_again() {
        let before = "# mine\nonly = true\nsort = \"pid\"\n";
        let mut settings = Settings::parse(before).expect("valid");
        settings.only = false;
        settings.sort = None;
        let text = settings.merged(before).expect("valid");
        assert!(
            text.contains("# mine") && text.contains("only = false"),
            "{text}"
        );
        assert_eq!(Settings::parse(&text).expect("valid").sort, None);
    }

    #[test]
    fn a_file_that_can_not_be_read_is_told_from_one_with_wrong_content() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        std::fs::write(file("plain"), b"only = true # \xff\n").expect("written");
        let error = read(&file("plain")).expect_err("not UTF-8");
        assert!(matches!(error, SettingsError::Content { .. }), "{error}");
        // A home that is no directory, as that of a system account may be.
        for path in [file("plain").join("config.toml"), directory.path().into()] {
            let error = read(&path).expect_err("not a file");
            assert!(matches!(error, SettingsError::File { .. }), "{error}");
        }
    }

    #[test]
    fn a_wrong_file_is_an_error_with_line_and_column() {
        for (text, place, word) in [
            ("only = true\nonyl = true\n", "line 2, column 1", "`only`"),
            ("only = 1\n", "line 1, column 8", "boolean"),
            ("only = ", "line 1, column 8", ""),
            ("\nsort = \"nosuch\"\n", "line 2, column 8", "--sort"),
            (
                "columns = [\"pid\", \"nosuch\"]\n",
                "line 1, column 11",
                "--fields",
            ),
            ("group_by = \"planet\"", "line 1, column 12", "`process`"),
            ("only = true\ndelay = 0.001", "line 2, column 9", "-d"),
        ] {
            let error = Settings::parse(text).expect_err(text);
            assert!(
                error.contains(place) && error.contains(word),
                "{text}: {error}"
            );
        }
    }

    /// The file may be another than the user thinks: /etc/shadow, a key, a `.env`.
    #[test]
    fn no_message_shows_what_is_in_the_file() {
        for text in [
            "SECRET:$y$SECRET:19000::::\n",
            "SECRET\n",
            "only = SECRET",
            "only = \"SECRET",
            "only = \"SECRET\"",
            "SECRET = 1",
            "[SECRET]\na = 1",
            "group_by = \"SECRET\"",
            "sort = \"SECRET\"",
            "columns = [\"SECRET\"]",
            "only = true\nonly = \"SECRET\"",
            "SECRET = 1\nSECRET = 2",
            "colors = { SECRET = 1 }",
            "-----BEGIN SECRET KEY-----",
        ] {
            let errors = [
                Settings::parse(text).expect_err(text),
                Settings::default().merged(text).err().unwrap_or_default(),
            ];
            for error in errors {
                assert!(!error.contains("SECRET"), "{text}: {error}");
            }
        }
    }
}
