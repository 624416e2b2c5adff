//! Statements that wait to be started: owners take turns, and within an owner their connections do.
//!
//! The queue is bounded in entries and in bytes. When it is full, the owner with the most entries loses the newest of
//! them, so that a burst of one owner never keeps another out.
//!
//! ```text
//! ann: connection 1: a1 a2 a3   connection 2: a4        started: a1 b1 a4 b2 a2 a3
//! bob: connection 3: b1 b2
//! ```

use std::collections::VecDeque;

use crate::owner::Owner;

/// What an entry takes beside its text, in bytes.
const ENTRY_BYTES: usize = 1024;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub entries: usize,
    pub bytes: usize,
}

/// Who waits: an owner, and one of their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub owner: Owner,
    pub connection: u64,
}

/// An entry with what it is told apart by.
#[derive(Debug)]
struct Entry<T> {
    ticket: u64,
    bytes: usize,
    item: T,
}

#[derive(Debug)]
struct OwnerQueue<T> {
    owner: Owner,
    /// Connections in the order of their turns; none is empty.
    connections: VecDeque<(u64, VecDeque<Entry<T>>)>,
    len: usize,
}

/// Entries in the order of their turns.
#[derive(Debug)]
pub struct Queue<T> {
    /// Owners in the order of their turns; none is without entries.
    owners: VecDeque<OwnerQueue<T>>,
    bounds: Bounds,
    len: usize,
    bytes: usize,
}

impl<T> Queue<T> {
    pub fn new(bounds: Bounds) -> Self {
        Self { owners: VecDeque::new(), bounds, len: 0, bytes: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry at the end of its lane, and gives those that had to go to make room, which may be the new one.
    pub fn push(&mut self, ticket: u64, lane: &Lane, bytes: usize, item: T) -> Vec<T> {
        self.insert(lane, Entry { ticket, bytes: bytes + ENTRY_BYTES, item }, false);
        let mut evicted = Vec::new();
        while self.len > self.bounds.entries || self.bytes > self.bounds.bytes {
            let Some(item) = self.evict() else { break };
            evicted.push(item);
        }
        evicted
    }

    /// Puts an entry back that could not be started after all: it and its owner are next. It had its place before, so nothing is
    /// evicted for it.
    pub fn push_front(&mut self, ticket: u64, lane: &Lane, bytes: usize, item: T) {
        self.insert(lane, Entry { ticket, bytes: bytes + ENTRY_BYTES, item }, true);
    }

    fn insert(&mut self, lane: &Lane, entry: Entry<T>, first: bool) {
        self.len += 1;
        self.bytes += entry.bytes;
        let at = self.owners.iter().position(|queue| queue.owner == lane.owner);
        let mut queue = match at.and_then(|at| if first { self.owners.remove(at) } else { None }) {
            Some(queue) => queue,
            None => match at {
                Some(at) => return self.owners[at].insert(lane.connection, entry, false),
                None => OwnerQueue { owner: lane.owner.clone(), connections: VecDeque::new(), len: 0 },
            },
        };
        queue.insert(lane.connection, entry, first);
        if first { self.owners.push_front(queue) } else { self.owners.push_back(queue) }
    }

    /// Takes the next entry of the first owner that may start one.
    pub fn pop(&mut self, may_start: impl Fn(&Owner) -> bool) -> Option<(u64, T)> {
        let at = self.owners.iter().position(|queue| may_start(&queue.owner))?;
        let mut queue = self.owners.remove(at)?;
        let entry = queue.pop()?;
        self.len -= 1;
        self.bytes -= entry.bytes;
        if queue.len > 0 {
            self.owners.push_back(queue);
        }
        Some((entry.ticket, entry.item))
    }

    /// Takes an entry out of turn.
    pub fn remove(&mut self, ticket: u64) -> Option<T> {
        let at = self.owners.iter().position(|queue| queue.has(ticket))?;
        let entry = self.owners[at].remove(ticket)?;
        self.forget_empty(at);
        self.len -= 1;
        self.bytes -= entry.bytes;
        Some(entry.item)
    }

    /// How many entries would be started up to and with this one, if owners had no limits of their own.
    pub fn place(&self, ticket: u64) -> Option<usize> {
        let (at, own) = self.owners.iter().enumerate().find(|(_, queue)| queue.has(ticket))?;
        let before = own.entries_before(ticket);
        // Each turn before it starts one entry of every owner that still has some; in its own turn, of those ahead of its owner.
        let turns = |(other, queue): (usize, &OwnerQueue<T>)| match other {
            other if other == at => before + 1,
            other => queue.len.min(before + usize::from(other < at)),
        };
        Some(self.owners.iter().enumerate().map(turns).sum())
    }

    /// Removes the newest entry of the owner with the most.
    fn evict(&mut self) -> Option<T> {
        let at = (0..self.owners.len()).max_by_key(|at| self.owners[*at].len)?;
        let entry = self.owners[at].pop_newest()?;
        self.forget_empty(at);
        self.len -= 1;
        self.bytes -= entry.bytes;
        Some(entry.item)
    }

    fn forget_empty(&mut self, at: usize) {
        if self.owners[at].len == 0 {
            self.owners.remove(at);
        }
    }
}

impl<T> OwnerQueue<T> {
    fn insert(&mut self, connection: u64, entry: Entry<T>, first: bool) {
        self.len += 1;
        let at = self.connections.iter().position(|(number, _)| *number == connection);
        match (at, first) {
            (Some(at), false) => self.connections[at].1.push_back(entry),
            (Some(at), true) => {
                if let Some((number, mut entries)) = self.connections.remove(at) {
                    entries.push_front(entry);
                    self.connections.push_front((number, entries));
                }
            }
            (None, false) => self.connections.push_back((connection, VecDeque::from([entry]))),
            (None, true) => self.connections.push_front((connection, VecDeque::from([entry]))),
        }
    }

    fn pop(&mut self) -> Option<Entry<T>> {
        let (connection, mut entries) = self.connections.pop_front()?;
        let entry = entries.pop_front()?;
        if !entries.is_empty() {
            self.connections.push_back((connection, entries));
        }
        self.len -= 1;
        Some(entry)
    }

    fn pop_newest(&mut self) -> Option<Entry<T>> {
        let newest = |(_, entries): &(u64, VecDeque<Entry<T>>)| entries.back().map(|entry| entry.ticket);
        let ticket = self.connections.iter().filter_map(newest).max()?;
        self.remove(ticket)
    }

    fn has(&self, ticket: u64) -> bool {
        self.connections.iter().any(|(_, entries)| entries.iter().any(|entry| entry.ticket == ticket))
    }

    fn remove(&mut self, ticket: u64) -> Option<Entry<T>> {
        for at in 0..self.connections.len() {
            let entries = &mut self.connections[at].1;
            if let Some(place) = entries.iter().position(|entry| entry.ticket == ticket) {
                let entry = entries.remove(place);
                if entries.is_empty() {
                    self.connections.remove(at);
                }
                self.len -= 1;
                return entry;
            }
        }
        None
    }

    /// Entries of this owner that come before one of theirs.
    fn entries_before(&self, ticket: u64) -> usize {
        let own = self.connections.iter().enumerate().find_map(|(at, (_, entries))| {
            entries.iter().position(|entry| entry.ticket == ticket).map(|place| (at, place))
        });
        let Some((at, place)) = own else { return 0 };
        let turns = |(other, (_, entries)): (usize, &(u64, VecDeque<Entry<T>>))| match other {
            other if other == at => place,
            other => entries.len().min(place + usize::from(other < at)),
        };
        self.connections.iter().enumerate().map(turns).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(owner: &str, connection: u64) -> Lane {
        Lane { owner: Owner::new(owner), connection }
    }

    fn queue(entries: usize) -> Queue<&'static str> {
        Queue::new(Bounds { entries, bytes: usize::MAX })
    }

    fn drain(queue: &mut Queue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop(|_| true)).map(|(_, item)| item).collect()
    }

    #[test]
    fn owners_take_turns_and_within_an_owner_connections() {
        let mut queue = queue(100);
        for (ticket, (owner, connection, item)) in
            [("ann", 1, "a1"), ("ann", 1, "a2"), ("ann", 1, "a3"), ("ann", 2, "a4"), ("bob", 3, "b1"), ("bob", 3, "b2")]
                .into_iter()
                .enumerate()
        {
            assert!(queue.push(ticket as u64, &lane(owner, connection), 0, item).is_empty());
        }
        let places: Vec<_> = (0..6).map(|ticket| queue.place(ticket)).collect();
        assert_eq!(places, [Some(1), Some(5), Some(6), Some(3), Some(2), Some(4)]);
        assert_eq!(drain(&mut queue), ["a1", "b1", "a4", "b2", "a2", "a3"]);
        assert_eq!((queue.len(), queue.place(0)), (0, None));
    }

    #[test]
    fn an_owner_at_their_limit_is_passed_over() {
        let mut queue = queue(100);
        queue.push(0, &lane("ann", 1), 0, "a1");
        queue.push(1, &lane("bob", 2), 0, "b1");
        assert_eq!(queue.pop(|owner| owner.name() != "ann"), Some((1, "b1")));
        assert_eq!(queue.pop(|owner| owner.name() != "ann"), None);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn what_comes_back_is_next() {
        let mut queue = queue(100);
        queue.push(0, &lane("ann", 1), 0, "a1");
        queue.push(1, &lane("ann", 1), 0, "a2");
        queue.push(2, &lane("bob", 2), 0, "b1");
        let (ticket, item) = queue.pop(|_| true).expect("a1");
        queue.push_front(ticket, &lane("ann", 1), 0, item);
        assert_eq!(drain(&mut queue), ["a1", "b1", "a2"]);
    }

    #[test]
    fn a_full_queue_drops_the_newest_of_the_longest() {
        let mut queue = queue(3);
        for (ticket, item) in ["a1", "a2", "a3"].into_iter().enumerate() {
            assert!(queue.push(ticket as u64, &lane("ann", 1), 0, item).is_empty());
        }
        assert_eq!(queue.push(3, &lane("ann", 2), 0, "a4"), ["a4"], "the newest is the new one");
        assert_eq!(queue.push(4, &lane("bob", 3), 0, "b1"), ["a3"], "a burst keeps nobody else out");
        assert_eq!(drain(&mut queue), ["a1", "b1", "a2"]);
        let mut queue = Queue::new(Bounds { entries: 9, bytes: 3 * ENTRY_BYTES });
        assert!(queue.push(0, &lane("ann", 1), ENTRY_BYTES, "a1").is_empty());
        assert_eq!(queue.push(1, &lane("ann", 1), ENTRY_BYTES, "a2"), ["a2"], "bytes count too");
    }

    #[test]
    fn who_goes_away_leaves_the_queue() {
        let mut queue = queue(9);
        queue.push(0, &lane("ann", 1), 7, "a1");
        queue.push(1, &lane("ann", 2), 7, "a2");
        assert_eq!((queue.remove(0), queue.remove(0), queue.len()), (Some("a1"), None, 1));
        assert_eq!((queue.remove(1), queue.len(), queue.bytes), (Some("a2"), 0, 0));
        assert!(queue.owners.is_empty());
    }
}
