//! The scheduler of each AWS account and region. Whoever works in the same account shares one; callers with keys or roles of
//! another account have another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::Clients;
use crate::statement::scheduler::WeakScheduler;
use crate::statement::{Scheduler, SchedulerOptions};

pub struct Accounts {
    options: SchedulerOptions,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    /// Of the gateway's own credentials.
    home: OnceCell<Option<String>>,
    /// By account and region; home has no account. Those that nobody uses any more are gone.
    schedulers: Mutex<HashMap<Place, WeakScheduler>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    account: Option<String>,
    region: Option<String>,
}

impl Accounts {
    pub fn new(options: SchedulerOptions, tasks: TaskTracker, shutdown: CancellationToken) -> Self {
        Self { options, tasks, shutdown, home: OnceCell::new(), schedulers: Mutex::default() }
    }

    /// The scheduler of the gateway's own account.
    pub fn home(&self, clients: &Clients) -> Scheduler {
        self.scheduler(None, clients)
    }

    /// The scheduler of an account. `base` are the gateway's own clients; where nobody can say which account they are of, it is
    /// taken for this one: too few calls are made then, never too many.
    pub async fn of(&self, account: Option<&str>, clients: &Clients, base: &Clients) -> Scheduler {
        let Some(account) = account else { return self.home(clients) };
        let home = self.home.get_or_try_init(|| async {
            match base.account().await {
                Ok(account) => Ok(Some(account)),
                // It is asked again next time.
                Err(error) => {
                    tracing::warn!(%error, "the gateway's own AWS account is not known: all accounts share its quotas for now");
                    Err(())
                }
            }
        });
        match home.await {
            Ok(Some(home)) if home != account => self.scheduler(Some(account.to_owned()), clients),
            _ => self.home(clients),
        }
    }

    fn scheduler(&self, account: Option<String>, clients: &Clients) -> Scheduler {
        let mut schedulers = self.schedulers.lock().unwrap_or_else(PoisonError::into_inner);
        schedulers.retain(|_, scheduler| scheduler.upgrade().is_some());
        let place = Place { account, region: clients.region.clone() };
        if let Some(scheduler) = schedulers.get(&place).and_then(WeakScheduler::upgrade) {
            return scheduler;
        }
        let (tasks, shutdown) = (self.tasks.clone(), self.shutdown.clone());
        let scheduler = Scheduler::new(self.options.clone(), clients.is_embedded(), tasks, shutdown);
        schedulers.insert(place, scheduler.downgrade());
        scheduler
    }
}
