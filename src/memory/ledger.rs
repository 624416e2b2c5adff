//! Who has how much memory, who gets the next, and who gives way: figures alone, under one lock.
//!
//! What a stream is charged with is at least its floor. Of the whole limit
//!
//! | up to | is for |
//! | --- | --- |
//! | 1/2 | floors of owners that have several streams |
//! | 3/4 | what is read ahead |
//! | 7/8 | streams that would have nothing otherwise |
//! | all | the only stream of an owner |

use std::collections::HashMap;
use std::sync::Arc;

use super::reader::Reader;
use crate::owner::Owner;

/// What one stream gets at most, in bytes, one half of it for bytes as they were fetched and one for batches: enough to keep a
/// connection to S3 and the cores busy.
const MAX_STREAM: usize = 48 << 20;
/// How long a client leaves what there is for it until its stream gives way, in milliseconds: it may just be busy with what
/// it got before.
pub const PAUSED_AFTER_MILLIS: u64 = 250;
/// The same until the stream is ended, if nothing else has helped somebody who has waited for as long.
const ENDED_AFTER_MILLIS: u64 = 10_000;
/// How long somebody waits, while others still give back what they were lent, before that.
const LAST_RESORT_MILLIS: u64 = 30_000;

/// What memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Bytes as they were fetched.
    Fetch,
    /// Batches decoded before it is their turn.
    Ahead,
    /// The batches that are sent next.
    Next,
}

/// What a stream always has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// For bytes as they were fetched.
    pub fetch: usize,
    /// For the batch that is sent next.
    pub next: usize,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The stream's floor.
    Floor,
    Memory {
        purpose: Purpose,
        least: usize,
        most: usize,
    },
}

/// Who has to give way.
pub enum Victim {
    Suspend(Arc<Reader>),
    End { reader: Arc<Reader>, unread_millis: u64 },
}

/// What one stream has.
struct Account {
    owner: Owner,
    floor: Floor,
    /// Whether its floor is set aside for it.
    is_active: bool,
    is_ended: bool,
    fetch: usize,
    /// How much of that is for a record that has not ended.
    apart: usize,
    ahead: usize,
    next: usize,
    reader: Arc<Reader>,
}

impl Account {
    fn floor(&self) -> Floor {
        if self.is_active { self.floor } else { Floor { fetch: 0, next: 0 } }
    }

    fn charge(&self) -> usize {
        let floor = self.floor();
        self.fetch.max(floor.fetch) + self.ahead + self.next.max(floor.next)
    }

    fn used(&mut self, purpose: Purpose) -> &mut usize {
        match purpose {
            Purpose::Fetch => &mut self.fetch,
            Purpose::Ahead => &mut self.ahead,
            Purpose::Next => &mut self.next,
        }
    }

    /// What it has in one half of its share, and may give back by itself.
    fn own(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Fetch => self.fetch - self.apart,
            Purpose::Ahead | Purpose::Next => self.ahead + self.next,
        }
    }

    /// What is left of the floor.
    fn left_of_floor(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Fetch => self.floor().fetch.saturating_sub(self.fetch),
            Purpose::Ahead => 0,
            Purpose::Next => self.floor().next.saturating_sub(self.next),
        }
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct OwnerSum {
    charge: usize,
    active: usize,
    streams: usize,
}

struct Waiting<W> {
    number: u64,
    stream: u64,
    /// In milliseconds from the start.
    since: u64,
    want: Want,
    waiter: W,
}

/// What a stream waits for in vain.
struct Missing {
    stream: u64,
    since: u64,
    bytes: usize,
    of_floors: bool,
}

/// All accounts, and who waits. `W` is who is to be told.
pub struct Ledger<W> {
    limit: usize,
    next_number: u64,
    accounts: HashMap<u64, Account>,
    owners: HashMap<Owner, OwnerSum>,
    /// What is promised or used.
    charged: usize,
    /// The floors in it.
    floors: usize,
    waiting: Vec<Waiting<W>>,
    pub held: usize,
    pub max_held: usize,
}

/// What [`Ledger::settle`] found: who gets how much, and who gives way.
pub type Settled<W> = (Vec<(W, Purpose, usize)>, Vec<Victim>);

/// Whether somebody gets what they wait for.
enum Turn {
    Now(usize),
    /// They wait for themselves, or have to wait for streams to end: others go on.
    Later,
    /// So many bytes are missing; `is_short` if those come back by themselves when nobody else is lent any, `of_floors` if only
    /// floors of others would help.
    Missing {
        bytes: usize,
        is_short: bool,
        of_floors: bool,
    },
}

impl<W> Ledger<W> {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            next_number: 0,
            accounts: HashMap::new(),
            owners: HashMap::new(),
            charged: 0,
            floors: 0,
            waiting: Vec::new(),
            held: 0,
            max_held: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// A new stream, which has no floor yet.
    pub fn add(&mut self, owner: Owner, floor: Floor, reader: Arc<Reader>) -> u64 {
        let id = self.number();
        self.owners.entry(owner.clone()).or_default().streams += 1;
        let (fetch, apart, ahead, next) = (0, 0, 0, 0);
        let account = Account { owner, floor, is_active: false, is_ended: false, fetch, apart, ahead, next, reader };
        self.accounts.insert(id, account);
        id
    }

    pub fn remove(&mut self, id: u64) {
        let held = self.change(id, |account| {
            let held = account.fetch + account.ahead + account.next;
            (account.fetch, account.apart, account.ahead, account.next) = (0, 0, 0, 0);
            account.is_active = false;
            held
        });
        self.held -= held.unwrap_or_default();
        let Some(account) = self.accounts.remove(&id) else { return };
        if let Some(owner) = self.owners.get_mut(&account.owner) {
            owner.streams -= 1;
            if owner.streams == 0 {
                self.owners.remove(&account.owner);
            }
        }
    }

    pub fn is_active(&self, id: u64) -> bool {
        self.accounts.get(&id).is_some_and(|account| account.is_active)
    }

    #[cfg(test)]
    pub fn set_inactive(&mut self, id: u64) {
        self.change(id, |account| account.is_active = false);
    }

    pub fn grow(&mut self, id: u64, purpose: Purpose, bytes: usize) {
        if self.change(id, |account| *account.used(purpose) += bytes).is_some() {
            self.held += bytes;
            self.max_held = self.max_held.max(self.held);
        }
    }

    pub fn shrink(&mut self, id: u64, purpose: Purpose, bytes: usize, is_apart: bool) {
        let shrunk = self.change(id, |account| {
            *account.used(purpose) -= bytes;
            account.apart -= if is_apart { bytes } else { 0 };
        });
        if shrunk.is_some() {
            self.held -= bytes;
        }
    }

    pub fn set_apart(&mut self, id: u64, bytes: usize) {
        self.change(id, |account| account.apart += bytes);
    }

    pub fn rejoin(&mut self, id: u64, bytes: usize) {
        self.change(id, |account| account.apart -= bytes);
    }

    /// What a stream needs at once to get so much, and what it can ever have.
    pub fn needed(&self, id: u64, least: usize) -> (usize, usize) {
        let Some(account) = self.accounts.get(&id) else { return (least, self.limit) };
        (account.apart + least + account.floor.next, self.limit / 8 * 7)
    }

    /// What one stream gets sooner or later, whatever others have as their floors.
    pub fn largest(&self) -> usize {
        self.limit / 8 * 3
    }

    pub fn has_waiters(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub fn ask(&mut self, now: u64, stream: u64, want: Want, waiter: W) -> u64 {
        let number = self.number();
        self.waiting.push(Waiting { number, stream, since: now, want, waiter });
        number
    }

    /// Takes somebody off the list.
    pub fn forget(&mut self, number: u64) -> Option<W> {
        let index = self.waiting.iter().position(|waiting| waiting.number == number)?;
        Some(self.waiting.remove(index).waiter)
    }

    /// Whether it is not for its own client that a stream waits.
    pub fn waits_for_others(&self, id: u64, want: Want) -> bool {
        let Some(account) = self.accounts.get(&id) else { return true };
        match want {
            Want::Floor => true,
            Want::Memory { .. } => account.own(Purpose::Fetch) + account.own(Purpose::Next) == 0,
        }
    }

    /// Gives out what there is, in turn. With `reclaim`, those whose clients do not read give way to who is next.
    pub fn settle(&mut self, now: u64, reclaim: bool) -> Settled<W> {
        let mut granted = Vec::new();
        let missing = loop {
            match self.next(now) {
                Ok((index, bytes)) => {
                    let Waiting { stream, want, waiter, .. } = self.waiting.remove(index);
                    let purpose = match want {
                        Want::Floor => {
                            self.change(stream, |account| account.is_active = true);
                            Purpose::Next
                        }
                        Want::Memory { purpose, .. } => {
                            self.grow(stream, purpose, bytes);
                            purpose
                        }
                    };
                    granted.push((waiter, purpose, bytes));
                }
                Err(missing) => break missing,
            }
        };
        let victims = match missing {
            Some(missing) if reclaim => self.victims(now, missing),
            _ => Vec::new(),
        };
        (granted, victims)
    }

    /// Who is next and gets how much, or who waits in vain.
    fn next(&self, now: u64) -> Result<(usize, usize), Option<Missing>> {
        // What is within a stream's own floor is nobody else's business.
        let within_floor = self.waiting.iter().position(|waiting| match waiting.want {
            Want::Floor => false,
            Want::Memory { purpose, least, .. } => {
                let account = self.accounts.get(&waiting.stream);
                account.is_some_and(|a| a.left_of_floor(purpose) >= least || is_only_batch(a, purpose))
            }
        });
        if let Some(index) = within_floor
            && let Turn::Now(bytes) = self.turn(&self.waiting[index])
        {
            return Ok((index, bytes));
        }
        let mut order: Vec<(usize, u64, usize)> = Vec::with_capacity(self.waiting.len());
        for (index, waiting) in self.waiting.iter().enumerate() {
            let Some(account) = self.accounts.get(&waiting.stream) else { continue };
            // Who is not read from gets no more.
            if !is_paused(account, now) {
                order.push((self.owners.get(&account.owner).map_or(0, |owner| owner.charge), waiting.number, index));
            }
        }
        order.sort_unstable();
        let mut missing = None;
        for (_, _, index) in order {
            let waiting = &self.waiting[index];
            match self.turn(waiting) {
                Turn::Now(bytes) => return Ok((index, bytes)),
                Turn::Later => {}
                Turn::Missing { bytes, is_short, of_floors } => {
                    let in_vain = Missing { stream: waiting.stream, since: waiting.since, bytes, of_floors };
                    missing = missing.or(Some(in_vain));
                    if is_short {
                        // Others are lent nothing until there is enough for this one.
                        break;
                    }
                }
            }
        }
        Err(missing)
    }

    fn turn(&self, waiting: &Waiting<W>) -> Turn {
        let Some(account) = self.accounts.get(&waiting.stream) else { return Turn::Later };
        let owner = self.owners.get(&account.owner).copied().unwrap_or_default();
        let (purpose, least, most) = match waiting.want {
            Want::Memory { purpose, least, most } => (purpose, least, most),
            Want::Floor => return self.floor_turn(account, owner),
        };
        let own = account.own(purpose);
        let half = self.fair(owner) / 2;
        let left_of_floor = account.left_of_floor(purpose);
        if is_only_batch(account, purpose) && left_of_floor < least {
            // A value that is larger than batches should be.
            return Turn::Now(least);
        }
        if own > 0 && own + least > half && left_of_floor < least {
            return Turn::Later;
        }
        let up_to = match (purpose, own) {
            // A stream gets on without what is ahead of its turn.
            (Purpose::Ahead, _) => self.limit / 4 * 3,
            (_, 0) if owner.active <= 1 => self.limit,
            (_, 0) => self.limit / 8 * 7,
            _ => self.limit / 4 * 3,
        };
        let room = up_to.saturating_sub(self.charged) + left_of_floor;
        let bytes = most.min(half.saturating_sub(own).max(least)).min(room);
        if bytes >= least {
            return Turn::Now(bytes);
        }
        let is_short = self.floors + least.saturating_sub(left_of_floor) <= up_to;
        Turn::Missing { bytes: least - bytes, is_short, of_floors: false }
    }

    fn floor_turn(&self, account: &Account, owner: OwnerSum) -> Turn {
        let Floor { fetch, next } = account.floor;
        let used = account.charge();
        let floor = (fetch.max(account.fetch) + account.ahead + next.max(account.next)) - used;
        let (for_floors, for_all) = match owner.active {
            0 => (self.limit, self.limit),
            _ => (self.limit / 2, self.limit / 8 * 7),
        };
        let over = |sum: usize, limit: usize| (sum + floor).saturating_sub(limit);
        let (over_floors, over_all) = (over(self.floors, for_floors), over(self.charged, for_all));
        match over_floors.max(over_all) {
            0 => Turn::Now(0),
            bytes => {
                let is_short = over_floors == 0 && over(self.floors, for_all) == 0;
                Turn::Missing { bytes, is_short, of_floors: over_floors > 0 }
            }
        }
    }

    /// What each stream of an owner may have.
    fn fair(&self, owner: OwnerSum) -> usize {
        let owners = self.owners.values().filter(|owner| owner.active > 0).count();
        (self.limit / 4 * 3 / owners.max(1) / owner.active.max(1)).min(MAX_STREAM)
    }

    /// Who gives way to a stream: of the owners that hold most, the streams that have not been read from for longest.
    fn victims(&mut self, now: u64, missing: Missing) -> Vec<Victim> {
        let Missing { stream, since: asked, bytes: missing, of_floors } = missing;
        let Some(waiting) = self.accounts.get(&stream) else { return Vec::new() };
        let (waiting_owner, waiting_charge) = (waiting.owner.clone(), self.owner_charge(&waiting.owner));
        let mut paused: Vec<(usize, u64, u64)> = Vec::new();
        for (id, account) in self.accounts.iter().filter(|(id, _)| **id != stream) {
            if let Some(since) = account.reader.unread_since()
                && is_paused(account, now)
            {
                paused.push((self.owner_charge(&account.owner), since, *id));
            }
        }
        paused.sort_unstable_by_key(|(charge, since, id)| (std::cmp::Reverse(*charge), *since, *id));
        let (mut victims, mut found) = (Vec::new(), 0);
        for (_, _, id) in &paused {
            let Some(account) = self.accounts.get(id) else { continue };
            if found < missing && account.is_active && account.reader.can_suspend() {
                found += account.charge();
                victims.push(Victim::Suspend(Arc::clone(&account.reader)));
                self.change(*id, |account| account.is_active = false);
            }
        }
        let wait = if self.is_turning_over(now, stream) { LAST_RESORT_MILLIS } else { ENDED_AFTER_MILLIS };
        if !victims.is_empty() || now.saturating_sub(asked) < wait {
            return victims;
        }
        // No more can be had that way, and none comes back by itself.
        for (charge, since, id) in paused {
            let Some(account) = self.accounts.get(&id) else { continue };
            let unread_millis = now.saturating_sub(since);
            let may = account.owner == waiting_owner || charge >= waiting_charge;
            let has_some = if of_floors { account.is_active } else { account.charge() > 0 };
            let frees = has_some && !account.is_ended && account.reader.can_end();
            if may && frees && unread_millis >= ENDED_AFTER_MILLIS {
                let reader = Arc::clone(&account.reader);
                self.change(id, |account| (account.is_ended, account.is_active) = (true, false));
                return vec![Victim::End { reader, unread_millis }];
            }
        }
        Vec::new()
    }

    /// Whether others whose clients read have memory that they will give back.
    fn is_turning_over(&self, now: u64, stream: u64) -> bool {
        self.accounts.iter().any(|(id, account)| {
            let Floor { fetch, next } = account.floor();
            *id != stream && account.is_active && account.charge() > fetch + next && !is_paused(account, now)
        })
    }

    /// The streams that have not been read from for so long, and when the next one may be due.
    pub fn stalled(&mut self, now: u64, after: u64) -> (Vec<Arc<Reader>>, u64) {
        let (mut due, mut next) = (Vec::new(), now + after);
        for (id, account) in self.accounts.iter().filter(|(_, account)| !account.is_ended) {
            match account.reader.unread_since().map(|since| since + after) {
                Some(at) if at <= now => due.push((*id, Arc::clone(&account.reader))),
                Some(at) => next = next.min(at),
                None => {}
            }
        }
        for (id, _) in &due {
            self.change(*id, |account| (account.is_ended, account.is_active) = (true, false));
        }
        (due.into_iter().map(|(_, reader)| reader).collect(), next)
    }

    fn owner_charge(&self, owner: &Owner) -> usize {
        self.owners.get(owner).map_or(0, |owner| owner.charge)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Changes an account, and the sums with it.
    fn change<T>(&mut self, id: u64, change: impl FnOnce(&mut Account) -> T) -> Option<T> {
        let account = self.accounts.get_mut(&id)?;
        let sums = |account: &Account| {
            let Floor { fetch, next } = account.floor();
            (account.charge(), fetch + next, usize::from(account.is_active))
        };
        let before = sums(account);
        let value = change(account);
        let after = sums(account);
        self.charged = self.charged + after.0 - before.0;
        self.floors = self.floors + after.1 - before.1;
        if let Some(owner) = self.owners.get_mut(&account.owner) {
            owner.charge = owner.charge + after.0 - before.0;
            owner.active = owner.active + after.2 - before.2;
        }
        Some(value)
    }
}

impl<W> std::fmt::Debug for Ledger<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limit, charged, floors, held, max_held, .. } = self;
        let (streams, waiting) = (self.accounts.len(), self.waiting.len());
        write!(
            f,
            "{streams} streams hold {held} bytes (at most {max_held}), charged {charged} of {limit}, floors {floors}, \
             {waiting} wait"
        )
    }
}

/// Whether it is about the one batch without which a stream does not get on.
fn is_only_batch(account: &Account, purpose: Purpose) -> bool {
    purpose == Purpose::Next && account.next == 0 && account.is_active
}

/// Whether a client leaves what there is for it.
fn is_paused(account: &Account, now: u64) -> bool {
    account.reader.unread_since().is_some_and(|since| now.saturating_sub(since) >= PAUSED_AFTER_MILLIS)
}
