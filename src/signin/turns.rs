//! Turns for what is expensive to check: a few at once. Whoever has not failed lately goes before those who have, and
//! peers take turns, so that a flood of wrong passwords waits behind everybody else.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Refusal;

/// Those of one class who wait, and those of them from one peer.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_PER_PEER: usize = 256;
/// Each such turn goes to the last class that waits: the first ones must not keep it out for good.
const LAST_CLASS_EVERY: u32 = 4;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Has signed in from there before.
    Known,
    /// Nothing is known against them.
    New,
    /// They, or their peer, have failed a lot lately.
    Suspect,
}

const CLASSES: usize = 3;

pub struct Turns {
    state: Mutex<State>,
}

struct State {
    free: usize,
    given: u32,
    queues: [Queue; CLASSES],
}

/// Those who wait, by peer; the peer at the front is next.
#[derive(Default)]
struct Queue {
    peers: VecDeque<(IpAddr, VecDeque<oneshot::Sender<Turn>>)>,
    waiting: usize,
}

/// A turn; it ends when it is dropped.
pub struct Turn(Option<Arc<Turns>>);

impl Turns {
    pub fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: at_once, given: 0, queues: Default::default() }) })
    }

    /// Waits for a turn. It is refused at once where too many wait already.
    pub async fn take(self: &Arc<Self>, class: Class, peer: IpAddr) -> Result<Turn, Refusal> {
        let receiver = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn(Some(Arc::clone(self))));
            }
            let (sender, receiver) = oneshot::channel();
            state.queues[class as usize].push(peer, sender)?;
            receiver
        };
        receiver.await.map_err(|_| Refusal::Busy)
    }

    fn give_back(self: Arc<Self>) {
        let mut state = self.lock();
        while let Some(waiting) = state.next() {
            match waiting.send(Turn(Some(Arc::clone(&self)))) {
                Ok(()) => return,
                // Gone in the meantime.
                Err(mut turn) => turn.0 = None,
            }
        }
        state.free += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.give_back();
        }
    }
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        self.given = self.given.wrapping_add(1);
        if self.given.is_multiple_of(LAST_CLASS_EVERY) {
            self.queues.iter_mut().rev().find_map(Queue::pop)
        } else {
            self.queues.iter_mut().find_map(Queue::pop)
        }
    }
}

impl Queue {
    fn push(&mut self, peer: IpAddr, sender: oneshot::Sender<Turn>) -> Result<(), Refusal> {
        let place = self.peers.iter().position(|(other, _)| *other == peer);
        let of_peer = place.map_or(0, |place| self.peers[place].1.len());
        if self.waiting >= MAX_WAITING || of_peer >= MAX_WAITING_PER_PEER {
            self.forget_gone();
            let of_peer = self.peers.iter().find(|(other, _)| *other == peer).map_or(0, |(_, waiting)| waiting.len());
            if self.waiting >= MAX_WAITING || of_peer >= MAX_WAITING_PER_PEER {
                return Err(Refusal::Busy);
            }
        }
        match self.peers.iter_mut().find(|(other, _)| *other == peer) {
            Some((_, waiting)) => waiting.push_back(sender),
            None => self.peers.push_back((peer, VecDeque::from([sender]))),
        }
        self.waiting += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (peer, mut waiting) = self.peers.pop_front()?;
        let sender = waiting.pop_front();
        if !waiting.is_empty() {
            self.peers.push_back((peer, waiting));
        }
        self.waiting -= usize::from(sender.is_some());
        sender
    }

    fn forget_gone(&mut self) {
        self.peers.iter_mut().for_each(|(_, waiting)| waiting.retain(|sender| !sender.is_closed()));
        self.peers.retain(|(_, waiting)| !waiting.is_empty());
        self.waiting = self.peers.iter().map(|(_, waiting)| waiting.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;

    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    /// Begins to wait.
    fn waiting(turns: &Arc<Turns>, class: Class, of: u8) -> BoxFuture<'static, Result<Turn, Refusal>> {
        let turns = Arc::clone(turns);
        let mut turn = async move { turns.take(class, peer(of)).await }.boxed();
        assert!((&mut turn).now_or_never().is_none(), "it has to wait");
        turn
    }

    #[tokio::test]
    async fn the_better_known_go_first_and_peers_take_turns() {
        let turns = Turns::new(1);
        let first = turns.take(Class::New, peer(1)).await.expect("free");
        let mut queue = vec![
            ("suspect", waiting(&turns, Class::Suspect, 1)),
            ("new 1", waiting(&turns, Class::New, 1)),
            ("new 1 again", waiting(&turns, Class::New, 1)),
            ("new 2", waiting(&turns, Class::New, 2)),
            ("known", waiting(&turns, Class::Known, 1)),
        ];
        let (mut order, mut held) = (Vec::new(), Some(first));
        while !queue.is_empty() {
            drop(held.take());
            let next = queue.iter_mut().position(|(_, turn)| match turn.now_or_never() {
                Some(turn) => {
                    held = Some(turn.expect("a turn"));
                    true
                }
                None => false,
            });
            order.push(queue.remove(next.expect("somebody is next")).0);
        }
        assert_eq!(order, ["known", "new 1", "new 2", "suspect", "new 1 again"]);
    }

    #[tokio::test]
    async fn those_who_went_away_do_not_keep_a_turn_and_too_many_are_refused() {
        let turns = Turns::new(1);
        let first = turns.take(Class::New, peer(1)).await.expect("free");
        let gone = waiting(&turns, Class::New, 1);
        let mut stays = waiting(&turns, Class::New, 1);
        drop(gone);
        drop(first);
        let second = (&mut stays).now_or_never().expect("it is next").expect("a turn");
        // A turn that was given to somebody who then goes away is the next one's.
        let (given, mut next) = (waiting(&turns, Class::New, 1), waiting(&turns, Class::New, 2));
        drop(second);
        drop(given);
        let held = (&mut next).now_or_never().expect("it is next").expect("a turn");
        let mut many: Vec<_> = (0..MAX_WAITING_PER_PEER).map(|_| waiting(&turns, Class::New, 1)).collect();
        assert_eq!(turns.take(Class::New, peer(1)).await.err(), Some(Refusal::Busy));
        drop(waiting(&turns, Class::New, 2));
        drop(many.pop());
        many.push(waiting(&turns, Class::New, 1));
        drop(many);
        drop(held);
        assert!(turns.take(Class::Suspect, peer(1)).now_or_never().expect("free again").is_ok());
    }
}
