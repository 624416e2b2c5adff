//! Files that are read again when they change, so that nobody has to restart the gateway. One that cannot be read any more
//! leaves in force what was read before.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What some files say together.
pub struct Watched<T> {
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    state: Mutex<State<T>>,
}

struct State<T> {
    looked: Option<Instant>,
    stamps: Vec<Option<Stamp>>,
    value: Option<Arc<T>>,
}

/// What tells one version of a file from another.
type Stamp = (SystemTime, u64);

impl<T> Watched<T> {
    pub fn new(files: Vec<PathBuf>, read: impl Fn() -> Result<T, String> + Send + Sync + 'static) -> Self {
        Self { files, read: Box::new(read), state: Mutex::new(State { looked: None, stamps: Vec::new(), value: None }) }
    }

    /// What the files say; `None` where they never could be read.
    pub fn get(&self) -> Option<Arc<T>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return state.value.clone();
        }
        state.looked = Some(Instant::now());
        let stamps: Vec<_> = self.files.iter().map(|path| stamp(path)).collect();
        if state.value.is_some() && stamps == state.stamps {
            return state.value.clone();
        }
        match (self.read)() {
            Ok(value) => {
                if state.value.is_some() {
                    tracing::info!(files = ?self.files, "read again");
                }
                state.value = Some(Arc::new(value));
                state.stamps = stamps;
            }
            Err(why) if state.stamps != stamps => {
                tracing::error!(files = ?self.files, why, "cannot be read; what was read before stays in force");
                state.stamps = stamps;
            }
            Err(_) => {}
        }
        state.value.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
