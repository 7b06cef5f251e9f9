//! User names. They may come from a server (LDAP, sssd), which may not answer.

use std::{
    collections::HashMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use uzers::{get_user_by_name, get_user_by_uid};

use super::inquiries::Inquiries;
use crate::host::helper::Helper;

/// User names by uid. Each is looked up once.
#[derive(Debug)]
pub struct Users {
    names: HashMap<u32, Arc<str>>,
    inquiries: Inquiries<u32, io::Result<Option<String>>>,
    /// Since when there is no answer about a user.
    unanswered: HashMap<u32, Instant>,
    /// The process that looks them up. `None`: this one does.
    helper: Option<Arc<Helper>>,
}

impl Default for Users {
    fn default() -> Users {
        Users::of(None)
    }
}

impl Users {
    /// Users that this process looks up, or a helper does.
    pub fn of(helper: Option<Arc<Helper>>) -> Users {
        let asked = helper.clone();
        let look_up = move |uid| match &asked {
            Some(helper) => helper.user_name(uid),
            None => Ok(get_user_by_uid(uid).map(|user| user.name().to_string_lossy().into())),
        };
        Users {
            helper,
            ..Users::asking(look_up)
        }
    }

    fn asking(
        look_up: impl Fn(u32) -> io::Result<Option<String>> + Send + Sync + 'static,
    ) -> Users {
        Users {
            names: HashMap::new(),
            inquiries: Inquiries::new("user-names", move |uid| look_up(*uid)),
            unanswered: HashMap::new(),
            helper: None,
        }
    }

    /// Looks up the names of these users, if they are not known.
    pub fn look_up(&mut self, uids: impl IntoIterator<Item = u32>) {
        let uids = uids.into_iter();
        let new: Vec<u32> = uids.filter(|uid| !self.is_known(*uid)).collect();
        for uid in &new {
            self.unanswered.entry(*uid).or_insert_with(Instant::now);
        }
        for answered in self.inquiries.ask(new) {
            // The helper has no answer yet. It is asked again next time.
            let Ok(name) = answered.answer else { continue };
            let uid = answered.question;
            let name = name.unwrap_or_else(|| uid.to_string());
            self.names.insert(uid, name.into());
            self.unanswered.remove(&uid);
        }
    }

    /// A user's name. The uid if the user has no name, or if it is not known yet.
    pub fn name(&mut self, uid: u32) -> Arc<str> {
        if !self.is_known(uid) {
            self.look_up([uid]);
        }
        let name = self.names.get(&uid).cloned();
        name.unwrap_or_else(|| uid.to_string().into())
    }

    /// True if a user's name was looked up.
    pub fn is_known(&self, uid: u32) -> bool {
        self.names.contains_key(&uid)
    }

    /// A user whose name has been looked up for this time, without an answer.
    pub fn stuck(&self, time: Duration) -> Option<u32> {
        let mut unanswered = self.unanswered.iter();
        let (uid, _) = unanswered.find(|(_, since)| since.elapsed() > time)?;
        Some(*uid)
    }

    /// The uid for a user's name, or for a number as text.
    pub fn uid(&self, name: &str) -> Option<u32> {
        match (&self.helper, number(name)) {
            (_, Some(uid)) => uid,
            (Some(helper), None) => helper.uid(name).ok().flatten(),
            (None, None) => uid(name),
        }
    }
}

/// A uid as text. `None`: the text is no number. The highest number is no user's: system calls
/// take it for "as it is".
fn number(text: &str) -> Option<Option<u32>> {
    let uid: u32 = text.parse().ok()?;
    Some((uid != u32::MAX).then_some(uid))
}

/// The uid for a user's name, or for a number as text.
pub fn uid(name: &str) -> Option<u32> {
    match number(name) {
        Some(uid) => uid,
        None => Some(get_user_by_name(name)?.uid()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Mutex, mpsc},
        time::Instant,
    };

    use super::*;

    /// Regression: `run -u 4294967295` ran the command as root.
    #[test]
    fn the_number_that_means_as_it_is_is_no_user() {
        assert_eq!(
            (uid("4294967294"), uid("4294967295")),
            (Some(u32::MAX - 1), None)
        );
        assert_eq!(Users::of(None).uid("4294967295"), None);
    }

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let mut users = Users::default();
        assert_eq!(&*users.name(0), "root");
        assert_eq!(&*users.name(4_000_000_017), "4000000017");
        assert!(
            users.is_known(4_000_000_017),
            "it has none: not asked again"
        );
    }

    #[test]
    fn a_name_that_is_not_answered_is_a_number_until_it_is() {
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let mut users = Users::asking(move |uid| {
            if uid == 7 {
                let _ = blocked.lock().expect("not poisoned").recv();
            }
            Ok(Some(format!("user-{uid}")))
        });
        let begin = Instant::now();
        for _ in 0..100 {
            assert_eq!(&*users.name(7), "7");
        }
        assert_eq!(&*users.name(8), "user-8");
        assert!(begin.elapsed() < Duration::from_secs(2), "it waits once");
        assert_eq!(users.stuck(Duration::ZERO), Some(7));
        release.send(()).expect("it waits");
        while &*users.name(7) != "user-7" {
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    }
}
