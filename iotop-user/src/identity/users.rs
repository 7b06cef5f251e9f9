//! User names.

use std::collections::HashMap;

use uzers::{get_user_by_name, get_user_by_uid};

/// Names by number, each asked for once.
#[derive(Debug, Default)]
pub struct Users {
    names: HashMap<u32, Option<String>>,
}

impl Users {
    /// A user's name; the number where it has none.
    pub fn name(&mut self, uid: u32) -> String {
        self.names
            .entry(uid)
            .or_insert_with(|| Some(get_user_by_uid(uid)?.name().to_string_lossy().into_owned()))
            .clone()
            .unwrap_or_else(|| uid.to_string())
    }
}

/// A user's number, by name or number.
pub fn uid(name: &str) -> Option<u32> {
    match name.parse() {
        Ok(uid) => Some(uid),
        Err(_) => Some(get_user_by_name(name)?.uid()),
    }
}
