//! Which connections there are, and which one goes when there is no room for another.
//!
//! There is a limit for all and one for each peer. At a limit, the connection goes that has been idle for longest: first
//! those that have not sent a request yet, in the order in which they came. One with a call under way is never closed for
//! another; where all have one, a newcomer is refused. A connection that has been used is told to go (GOAWAY), so that its
//! client makes another for its next call; for the short time that this takes it is beyond the limit.
//!
//! Bytes do not count, calls do: a client that only answers pings is idle.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::signin::peer_of;

/// Connections that have been told to go, and may take a moment for it. Beyond, they are closed at once.
pub const MAX_DRAINING: usize = 64;

/// How many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub all: usize,
    pub per_peer: usize,
}

pub struct Connections {
    limits: Limits,
    state: Mutex<State>,
    /// Something was closed.
    closed: Notify,
}

/// Why there is no room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    ForAnybody,
    ForThisPeer,
}

#[derive(Default)]
struct State {
    entries: HashMap<u64, Entry>,
    all: Group,
    /// As many as there are connections at most.
    peers: HashMap<IpAddr, Group>,
    draining: usize,
    /// Puts things that happen into their order.
    happened: u64,
}

/// Connections that share a limit: how many, and the idle ones, of which the first goes first.
#[derive(Default)]
struct Group {
    count: usize,
    idle: BTreeMap<Rank, u64>,
}

/// Which of the idle ones goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    has_called: bool,
    idle_since: u64,
}

struct Entry {
    peer: IpAddr,
    rank: Rank,
    calls: usize,
    idle_since: Instant,
    is_draining: bool,
    handle: Arc<Handle>,
}

/// What tells a connection that it has to go.
struct Handle {
    /// Takes no more calls, and ends with the last one under way.
    drain: CancellationToken,
    /// Its socket has to be closed now.
    must_close: AtomicBool,
    waker: AtomicWaker,
    /// It has begun to speak HTTP/2.
    ready: Notify,
}

/// A connection's place among the others, for as long as its socket is open.
pub struct Slot(Arc<Member>);

/// The same for those who need to know about it, whether it is still open or not.
#[derive(Clone)]
pub struct Watch(Arc<Member>);

struct Member {
    id: u64,
    connections: Arc<Connections>,
    handle: Arc<Handle>,
}

/// A call under way; its connection is busy until it is dropped.
pub struct Call(Arc<Member>);

impl Connections {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default(), closed: Notify::new() })
    }

    /// Makes room for a connection. It drains when the token is cancelled.
    pub fn admit(self: &Arc<Self>, address: IpAddr, stop: &CancellationToken) -> Result<Slot, NoRoom> {
        let peer = peer_of(address);
        let mut state = self.lock();
        let of_peer = state.peers.get(&peer);
        if of_peer.is_some_and(|group| group.count >= self.limits.per_peer) {
            let first = of_peer.and_then(Group::first).ok_or(NoRoom::ForThisPeer)?;
            state.evict(first);
        }
        if state.all.count >= self.limits.all {
            let first = state.all.first().ok_or(NoRoom::ForAnybody)?;
            state.evict(first);
        }
        let id = state.tick();
        let handle = Arc::new(Handle {
            drain: stop.child_token(),
            must_close: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            ready: Notify::new(),
        });
        let rank = Rank { has_called: false, idle_since: id };
        let entry =
            Entry { peer, rank, calls: 0, idle_since: Instant::now(), is_draining: false, handle: Arc::clone(&handle) };
        state.entries.insert(id, entry);
        state.groups(peer, |group| {
            group.count += 1;
            group.idle.insert(rank, id);
        });
        Ok(Slot(Arc::new(Member { id, connections: Arc::clone(self), handle })))
    }

    /// Closes the connection that has been idle for longest, where the process may not open more files.
    pub fn evict_one(&self) -> bool {
        let mut state = self.lock();
        let first = state.all.first();
        if let Some(id) = first {
            state.evict(id);
            state.close(id);
        }
        first.is_some()
    }

    /// Waits while too many are on their way out.
    pub async fn settled(&self) {
        loop {
            let closed = self.closed.notified();
            if self.lock().draining <= MAX_DRAINING {
                return;
            }
            closed.await;
        }
    }

    /// Waits until one has been closed.
    pub async fn one_closed(&self) {
        self.closed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    fn first(&self) -> Option<u64> {
        self.idle.first_key_value().map(|(_, id)| *id)
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.happened += 1;
        self.happened
    }

    /// Both groups that a peer's connections are in.
    fn groups(&mut self, peer: IpAddr, mut change: impl FnMut(&mut Group)) {
        change(&mut self.all);
        let of_peer = self.peers.entry(peer).or_default();
        change(of_peer);
        if of_peer.count == 0 {
            self.peers.remove(&peer);
        }
    }

    /// Tells a connection to go. It is not counted any more.
    fn evict(&mut self, id: u64) {
        let is_crowded = self.draining >= MAX_DRAINING;
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_draining = true;
        self.draining += 1;
        let (peer, rank) = (entry.peer, entry.rank);
        entry.handle.drain.cancel();
        // Whoever has not called yet has nothing to lose.
        if is_crowded || !rank.has_called {
            self.close(id);
        }
        self.groups(peer, |group| {
            group.count -= 1;
            group.idle.remove(&rank);
        });
    }

    fn close(&self, id: u64) {
        if let Some(entry) = self.entries.get(&id) {
            entry.handle.close();
        }
    }

    fn began_call(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.calls += 1;
        let (peer, rank, is_first) = (entry.peer, entry.rank, entry.calls == 1);
        if is_first && !entry.is_draining {
            self.groups(peer, |group| {
                group.idle.remove(&rank);
            });
        }
    }

    fn ended_call(&mut self, id: u64) {
        let now = self.tick();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.calls -= 1;
        if entry.calls > 0 {
            return;
        }
        entry.rank = Rank { has_called: true, idle_since: now };
        entry.idle_since = Instant::now();
        let (peer, rank) = (entry.peer, entry.rank);
        if !entry.is_draining {
            self.groups(peer, |group| {
                group.idle.insert(rank, id);
            });
        }
    }

    fn closed(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        if entry.is_draining {
            self.draining -= 1;
            return;
        }
        self.groups(entry.peer, |group| {
            group.count -= 1;
            group.idle.remove(&entry.rank);
        });
    }
}

impl Handle {
    fn close(&self) {
        self.must_close.store(true, Ordering::Release);
        self.drain.cancel();
        self.waker.wake();
    }
}

impl Slot {
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.0))
    }

    /// Whether the socket has to be closed now; if not, the task is woken when it has to be.
    pub fn must_close(&self, waker: &Waker) -> bool {
        self.0.handle.waker.register(waker);
        self.0.handle.must_close.load(Ordering::Acquire)
    }

    /// The client has begun to speak HTTP/2.
    pub fn is_ready(&self) {
        self.0.handle.ready.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.connections.lock().closed(self.0.id);
        // Those who wait for its end have to know.
        self.0.handle.drain.cancel();
        self.0.connections.closed.notify_one();
    }
}

impl Watch {
    pub fn draining(&self) -> &CancellationToken {
        &self.0.handle.drain
    }

    /// Waits until the client has begun to speak HTTP/2.
    pub async fn ready(&self) {
        self.0.handle.ready.notified().await;
    }

    pub fn close(&self) {
        self.0.handle.close();
    }

    /// Since when there has been no call; `None` while there is one.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.0.connections.lock();
        state.entries.get(&self.0.id).filter(|entry| entry.calls == 0).map(|entry| entry.idle_since)
    }

    /// A call begins.
    pub fn call(&self) -> Call {
        self.0.connections.lock().began_call(self.0.id);
        Call(Arc::clone(&self.0))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.connections.lock().ended_call(self.0.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Server {
        connections: Arc<Connections>,
        stop: CancellationToken,
    }

    impl Server {
        fn new(all: usize, per_peer: usize) -> Self {
            Self { connections: Connections::new(Limits { all, per_peer }), stop: CancellationToken::new() }
        }

        fn admit(&self, peer: u8) -> Result<Slot, NoRoom> {
            self.connections.admit(IpAddr::from([10, 0, 0, peer]), &self.stop)
        }

        fn counts(&self) -> (usize, usize, usize) {
            let state = self.connections.lock();
            (state.all.count, state.peers.values().map(|group| group.count).sum(), state.draining)
        }
    }

    /// What was told to go, of several.
    fn told<const N: usize>(slots: [&Slot; N]) -> [bool; N] {
        slots.map(|slot| slot.watch().draining().is_cancelled())
    }

    fn is_closed(slot: &Slot) -> bool {
        slot.must_close(Waker::noop())
    }

    #[test]
    fn those_without_a_call_go_first_and_then_the_longest_idle() {
        let server = Server::new(4, 4);
        let [used, busy, silent, late] = std::array::from_fn(|_| server.admit(1).expect("room"));
        drop(used.watch().call());
        let call = busy.watch().call();
        drop(late.watch().call());
        let fifth = server.admit(1).expect("the silent one goes");
        assert_eq!((told([&used, &busy, &silent, &late]), is_closed(&silent)), ([false, false, true, false], true));
        let fifth_call = fifth.watch().call();
        let sixth = server.admit(1).expect("the one goes that was used first");
        assert_eq!((told([&used, &busy, &late]), is_closed(&used)), ([true, false, false], false));
        let sixth_call = sixth.watch().call();
        let seventh = server.admit(1).expect("the one goes that was used last");
        assert_eq!(told([&busy, &late]), [false, true]);
        let seventh_call = seventh.watch().call();
        assert_eq!(server.admit(1).err(), Some(NoRoom::ForThisPeer));
        assert_eq!(server.admit(2).err(), Some(NoRoom::ForAnybody));
        assert_eq!(server.counts(), (4, 4, 3));
        // A call that has ended makes room.
        drop(call);
        let _eighth = server.admit(2).expect("room");
        assert_eq!(told([&busy, &fifth, &sixth, &seventh]), [true, false, false, false]);
        drop((fifth_call, sixth_call, seventh_call, used, busy, silent, late, fifth, sixth, seventh));
        assert_eq!(server.counts(), (1, 1, 0));
    }

    #[test]
    fn a_peer_at_its_limit_loses_its_own() {
        let server = Server::new(10, 2);
        let other = server.admit(2).expect("room");
        let [first, second] = std::array::from_fn(|_| server.admit(1).expect("room"));
        let _third = server.admit(1).expect("its first one goes");
        assert_eq!(told([&other, &first, &second]), [false, true, false]);
        drop(first);
        assert_eq!(server.counts(), (3, 3, 0));
    }

    #[test]
    fn those_told_to_go_are_closed_at_once_where_there_are_many() {
        let server = Server::new(1, 1);
        let mut gone = Vec::new();
        for _ in 0..MAX_DRAINING + 2 {
            let slot = server.admit(1).expect("room");
            drop(slot.watch().call());
            gone.push(slot);
        }
        let closed: Vec<bool> = gone.iter().map(is_closed).collect();
        assert!(closed[..MAX_DRAINING].iter().all(|closed| !closed), "they have a moment");
        assert!(closed[MAX_DRAINING], "and this one has none");
        // A call that came just in time is not cut off, and makes nothing idle again.
        let call = gone[0].watch().call();
        assert!(gone[0].watch().idle_since().is_none());
        drop(call);
        assert_eq!(server.counts(), (1, 1, MAX_DRAINING + 1));
        drop(gone);
        assert_eq!(server.counts(), (0, 0, 0));
    }

    #[tokio::test]
    async fn a_stop_drains_all_and_files_that_run_out_close_an_idle_one() {
        let server = Server::new(10, 10);
        let [busy, idle] = std::array::from_fn(|_| server.admit(1).expect("room"));
        let _call = busy.watch().call();
        assert!(server.connections.evict_one() && !server.connections.evict_one());
        assert!(is_closed(&idle) && !is_closed(&busy));
        drop(idle);
        server.connections.one_closed().await;
        server.connections.settled().await;
        server.stop.cancel();
        assert_eq!((told([&busy]), is_closed(&busy)), ([true], false));
    }
}
