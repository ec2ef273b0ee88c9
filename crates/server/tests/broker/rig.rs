//! A broker under test, its directory, and the ways in which it comes back.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kalda_server::{BrokerConfig, Server};
use tempfile::TempDir;

use crate::client::Client;

/// A running broker; stopped clean when dropped.
pub(crate) struct Rig {
    server: Option<Server>,
    home: Option<TempDir>,
    settings: Vec<(String, String)>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
            let stopped = server.wait();
            assert!(stopped.is_ok() || std::thread::panicking(), "{stopped:?}");
        }
    }
}

impl Rig {
    /// Starts a broker on an empty directory `a`, with these settings.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Self::start_in(tempfile::tempdir().unwrap(), settings.collect())
    }

    /// Starts a broker on several directories.
    pub(crate) fn start_on(dirs: &[&str], settings: &[(&str, &str)]) -> Self {
        let dirs = dirs.join(",");
        let mut all = vec![("log.dirs", &*dirs)];
        all.extend(settings);
        Self::start(&all)
    }

    fn start_in(home: TempDir, settings: Vec<(String, String)>) -> Self {
        let mut all = vec![
            ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("log.dirs".to_owned(), "a".to_owned()),
        ];
        all.extend(settings.iter().cloned());
        let dirs = all.iter_mut().filter(|(key, _)| key == "log.dirs");
        for (_, value) in dirs {
            let inside = value.split(',').map(|dir| home.path().join(dir).display().to_string());
            *value = inside.collect::<Vec<_>>().join(",");
        }
        let (config, warnings) = BrokerConfig::load(None, [], &all).unwrap();
        assert_eq!(warnings, []);
        let server = Server::start(config).unwrap();
        Self { server: Some(server), home: Some(home), settings }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server().addresses()[0]
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.server().addresses()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// A path below the broker's home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.as_ref().unwrap().path().join(name)
    }

    /// Stops clean; answers what is left.
    pub(crate) fn stop(mut self) -> (TempDir, Vec<(String, String)>) {
        let server = self.server.take().unwrap();
        server.stop();
        server.wait().unwrap();
        (self.home.take().unwrap(), std::mem::take(&mut self.settings))
    }

    /// Stops clean and starts again.
    pub(crate) fn restart(self) -> Self {
        let (home, settings) = self.stop();
        Self::start_in(home, settings)
    }

    /// Starts again from the files as a kill would have left them at this moment. Nobody may be
    /// writing.
    pub(crate) fn restart_killed(self) -> Self {
        self.restart_damaged(|_| {})
    }

    /// The same, with something done to the files below the broker's home before it starts again.
    pub(crate) fn restart_damaged(self, damage: impl FnOnce(&Path)) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&self.path(""), copy.path());
        damage(copy.path());
        let (_, settings) = self.stop();
        Self::start_in(copy, settings)
    }
}

/// Copies what is there; what the broker removes in its own time meanwhile (a deleted partition) may
/// be gone.
fn copy_tree(from: &Path, to: &Path) {
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match std::fs::read_dir(from) {
        Err(error) if is_gone(&error) => return,
        entries => entries.unwrap(),
    };
    for entry in entries {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_tree(&entry.path(), &to);
            continue;
        }
        match std::fs::copy(entry.path(), &to) {
            Err(error) if is_gone(&error) => {}
            copied => drop(copied.unwrap()),
        }
    }
}
