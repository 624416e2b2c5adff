use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use tokio::time::{advance, sleep};

use super::*;

const MIB: usize = 1 << 20;
const FLOOR: Floor = Floor { fetch: MIB, next: MIB };

fn owner(name: &str) -> Owner {
    Owner::new(name)
}

/// A share that is to be had at once.
fn open(memory: &Memory, name: &str) -> Share {
    now(memory.open(&owner(name), FLOOR)).expect("there is room").expect("there is room")
}

fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    future.now_or_never()
}

fn get(share: &Share, purpose: Purpose, least: usize, most: usize) -> Option<Grant> {
    now(share.acquire(purpose, least, most)).map(|grant| grant.expect("it is no error"))
}

/// A stream that does not read, and how often it was suspended.
fn paused(share: &Share) -> Arc<AtomicUsize> {
    let times = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&times);
    share.on_suspend(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    share.client_has();
    times
}

/// Why a stream was ended, once it was.
fn ended(share: &Share) -> oneshot::Receiver<MemoryError> {
    let (why, ended) = oneshot::channel();
    share.on_end(move |error| drop(why.send(error)));
    ended
}

#[tokio::test(start_paused = true)]
async fn owners_get_equal_parts_and_so_do_their_streams() {
    let memory = Memory::new(64 * MIB);
    let first = open(&memory, "a");
    let all = get(&first, Purpose::Fetch, 1, usize::MAX).expect("memory");
    assert_eq!(all.bytes(), 24 * MIB, "one half of the most that a stream gets");
    let other = open(&memory, "b");
    assert_eq!(get(&other, Purpose::Fetch, 1, usize::MAX).expect("memory").bytes(), 12 * MIB);
    let _second = open(&memory, "a");
    assert!(get(&first, Purpose::Fetch, 1, 1).is_none(), "it has more than its part");
    drop(all);
    assert_eq!(get(&first, Purpose::Fetch, 1, usize::MAX).expect("memory").bytes(), 6 * MIB);
    assert_eq!(get(&other, Purpose::Fetch, 1, usize::MAX).expect("memory").bytes(), 12 * MIB);
}

#[tokio::test(start_paused = true)]
async fn an_owner_with_many_streams_leaves_room_for_others() {
    let memory = Memory::new(16 * MIB);
    let mut many: Vec<Share> = (0..4).map(|_| open(&memory, "a")).collect();
    let mut grants: Vec<Grant> = many.iter().filter_map(|share| get(share, Purpose::Fetch, 1, usize::MAX)).collect();
    grants.extend(many.iter().filter_map(|share| get(share, Purpose::Ahead, 1, usize::MAX)));
    assert!(now(memory.open(&owner("a"), FLOOR)).is_none(), "one owner has no more than one half as floors");
    // Others find room for their floors, and get on with them.
    for name in ["b", "c"] {
        let share = open(&memory, name);
        let fetched = get(&share, Purpose::Fetch, MIB, MIB).expect("the floor");
        let batch = get(&share, Purpose::Next, MIB, MIB).expect("the floor");
        many.push(share);
        grants.extend([fetched, batch]);
    }
    assert!(memory.held().1 <= 16 * MIB, "{memory:?}");
    drop(grants);
    assert!(now(memory.open(&owner("a"), FLOOR)).is_none(), "the floors of others count too");
    // Those of b and c, and one of a's own.
    many.truncate(3);
    assert!(now(memory.open(&owner("a"), FLOOR)).is_some());
    drop(many);
    assert_eq!((memory.held().0, memory.streams()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn batches_that_are_next_never_wait_for_those_behind_them() {
    let memory = Memory::new(8 * MIB);
    let share = open(&memory, "a");
    let fetched = get(&share, Purpose::Fetch, 1, usize::MAX).expect("memory");
    let mut ahead = Vec::new();
    while let Some(grant) = get(&share, Purpose::Ahead, MIB / 2, MIB / 2) {
        ahead.push(grant);
    }
    let next = get(&share, Purpose::Next, MIB, MIB).expect("its own floor");
    assert!(get(&share, Purpose::Next, MIB, MIB).is_none(), "the one before has not been sent");
    drop(next);
    let large = get(&share, Purpose::Next, 4 * MIB, 4 * MIB).expect("a value that is larger than batches should be");
    drop((fetched, ahead, large));
    assert_eq!(memory.held().0, 0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_suspended_for_who_waits() {
    let memory = Memory::new(16 * MIB);
    let shares: Vec<Share> = (0..4).map(|_| open(&memory, "a")).collect();
    let mut times = Vec::new();
    for share in &shares[..3] {
        times.push(paused(share));
        advance(Duration::from_millis(10)).await;
    }
    let suspended = || times.iter().map(|times| times.load(Ordering::Relaxed)).collect::<Vec<_>>();
    assert!(now(memory.open(&owner("a"), FLOOR)).is_none());
    assert_eq!(suspended(), [0, 0, 0], "clients may be busy for a moment");
    advance(Duration::from_millis(300)).await;
    let _fifth = open(&memory, "a");
    assert_eq!(suspended(), [1, 0, 0], "the one that has not read for longest");
    // It goes on when others do not read.
    shares[0].client_waits();
    assert!(now(shares[0].resume()).expect("room").is_ok());
    assert_eq!(suspended(), [1, 1, 0]);
    assert!(now(shares[3].resume()).expect("it was not suspended").is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_owner_that_holds_most_gives_way_first() {
    let memory = Memory::new(32 * MIB);
    let small = open(&memory, "small");
    let times_small = paused(&small);
    let large: Vec<Share> = (0..3).map(|_| open(&memory, "large")).collect();
    let grants: Vec<Grant> = large.iter().filter_map(|share| get(share, Purpose::Fetch, 5 * MIB, 5 * MIB)).collect();
    assert_eq!(grants.len(), 3);
    let times: Vec<_> = large.iter().map(paused).collect();
    let (mut grants, held) = (grants, Arc::new(Mutex::new(Vec::new())));
    let slot = Arc::clone(&held);
    held.lock().expect("no panic").extend(grants.drain(..));
    large[0].on_suspend(move || drop(slot.lock().expect("no panic").pop()));
    advance(Duration::from_secs(1)).await;
    let other = open(&memory, "other");
    let grant = get(&other, Purpose::Fetch, 12 * MIB, 12 * MIB).expect("what the large one had");
    assert_eq!(grant.bytes(), 12 * MIB);
    assert_eq!(times_small.load(Ordering::Relaxed), 0);
    assert_eq!(times[1].load(Ordering::Relaxed) + times[2].load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_suspended_is_ended_at_last() {
    let memory = Memory::new(16 * MIB);
    let shares: Vec<Share> = (0..4).map(|_| open(&memory, "a")).collect();
    let mut first = ended(&shares[0]);
    shares[0].client_has();
    let waiting = tokio::spawn({
        let memory = memory.clone();
        async move { memory.open(&owner("a"), FLOOR).await.map(drop) }
    });
    sleep(Duration::from_secs(9)).await;
    assert!(first.try_recv().is_err() && !waiting.is_finished());
    sleep(Duration::from_secs(2)).await;
    let why = first.try_recv().expect("it was ended");
    assert!(matches!(why, MemoryError::Reclaimed { seconds: 10 }), "{why}");
    assert_eq!(why.kind(), Kind::ResourceExhausted);
    assert_eq!(waiting.await.expect("no panic"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_ended_while_others_give_back_what_they_were_lent() {
    let memory = Memory::new(16 * MIB);
    let (left, reading, third) = (open(&memory, "a"), open(&memory, "a"), open(&memory, "a"));
    let mut end = ended(&left);
    let _left = get(&left, Purpose::Fetch, 3 * MIB, 3 * MIB).expect("memory");
    left.client_has();
    let lent = get(&reading, Purpose::Fetch, 6 * MIB, 6 * MIB).expect("memory");
    let waiting = tokio::spawn(async move { third.acquire(Purpose::Fetch, 5 * MIB, 5 * MIB).await.map(drop) });
    sleep(Duration::from_secs(20)).await;
    assert!(end.try_recv().is_err() && !waiting.is_finished());
    drop(lent);
    assert_eq!(waiting.await.expect("no panic"), Ok(()));
    assert!(end.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_not_read_are_ended_in_time() {
    let memory = Memory::new(64 * MIB);
    let _ending = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(memory.end_stalled(Duration::from_secs(300))));
    let shares: Vec<Share> = (0..3).map(|_| open(&memory, "a")).collect();
    let mut ends: Vec<_> = shares.iter().map(ended).collect();
    // The first never reads, the second reads once, the third always waits for us.
    shares[0].client_has();
    shares[1].client_has();
    sleep(Duration::from_secs(200)).await;
    shares[1].client_waits();
    shares[1].client_has();
    sleep(Duration::from_secs(99)).await;
    assert!(ends[0].try_recv().is_err());
    sleep(Duration::from_secs(2)).await;
    let why = ends[0].try_recv().expect("its time is over");
    assert_eq!((why.clone(), why.kind()), (MemoryError::Stalled { seconds: 300 }, Kind::DeadlineExceeded));
    sleep(Duration::from_secs(198)).await;
    assert!(ends[1].try_recv().is_err());
    sleep(Duration::from_secs(2)).await;
    assert!(ends[1].try_recv().is_ok());
    sleep(Duration::from_secs(3000)).await;
    assert!(ends[2].try_recv().is_err(), "nobody waits for its client");
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_is_refused_and_what_is_not_there_for_long() {
    let memory = Memory::new(8 * MIB);
    let share = open(&memory, "a");
    let error = share.acquire(Purpose::Fetch, 8 * MIB, 8 * MIB).await.expect_err("it is more than all");
    assert!(matches!(error, MemoryError::TooLarge { .. }) && error.to_string().contains("--memory-limit"), "{error}");
    let some = share.acquire_some(Purpose::Fetch, 8 * MIB, 8 * MIB).await.expect("as much as can be");
    assert_eq!(some.bytes(), 3 * MIB);
    let other = open(&memory, "a");
    assert_eq!(other.acquire(Purpose::Fetch, 4 * MIB, 4 * MIB).await.expect_err("it is held"), MemoryError::Busy);
    assert_eq!(memory.open(&owner("a"), FLOOR).await.err(), Some(MemoryError::Busy));
    // Who waits for itself waits on.
    let waiting = tokio::spawn(async move { share.acquire(Purpose::Fetch, 3 * MIB, 3 * MIB).await.map(drop) });
    sleep(Duration::from_secs(1000)).await;
    assert!(!waiting.is_finished());
    drop(some);
    assert_eq!(waiting.await.expect("no panic"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_has_least_is_next_and_then_who_came_first() {
    let memory = Memory::new(16 * MIB);
    let large = open(&memory, "large");
    let held = get(&large, Purpose::Fetch, 6 * MIB, 6 * MIB).expect("memory");
    let also = get(&large, Purpose::Ahead, 5 * MIB, 5 * MIB).expect("memory");
    let (a, b) = (open(&memory, "large"), open(&memory, "small"));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (name, share) in [("a", a.clone()), ("a2", a), ("b", b)] {
        let order = Arc::clone(&order);
        tasks.push(tokio::spawn(async move {
            let grant = share.acquire(Purpose::Fetch, 4 * MIB, 4 * MIB).await.expect("memory");
            order.lock().expect("no panic").push(name);
            drop(grant);
        }));
        tokio::task::yield_now().await;
    }
    assert!(order.lock().expect("no panic").is_empty());
    drop((held, also));
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(*order.lock().expect("no panic"), ["b", "a", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_without_an_end_gets_more_than_its_stream_may_read_ahead() {
    let memory = Memory::new(64 * MIB);
    let share = open(&memory, "a");
    let mut carried = Vec::new();
    for _ in 0..10 {
        let mut grant = get(&share, Purpose::Fetch, 4 * MIB, 4 * MIB).expect("more");
        grant.set_apart();
        carried.push(grant);
    }
    let error = loop {
        match share.acquire(Purpose::Fetch, 4 * MIB, 4 * MIB).await {
            Ok(mut grant) => {
                grant.set_apart();
                carried.push(grant);
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, MemoryError::TooLarge { .. }), "{error}");
    carried.iter_mut().for_each(Grant::rejoin);
    drop(carried);
    assert_eq!(memory.held().0, 0);
}

/// Everything that streams do, in any order and broken off anywhere: it all comes back.
#[tokio::test(start_paused = true)]
async fn nothing_leaks() {
    for seed in 0..20 {
        let memory = Memory::new(24 * MIB);
        let ending = tokio::spawn(memory.end_stalled(Duration::from_secs(20)));
        let tasks = (0..60)
            .map(|number| tokio::spawn(any_stream(memory.clone(), fastrand::Rng::with_seed(seed * 100 + number))));
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
        ending.abort();
        let text = format!("{memory:?}");
        assert!(text.starts_with("0 streams hold 0 bytes"), "{seed}: {text}");
        assert!(text.contains("charged 0 of") && text.contains("floors 0, 0 wait"), "{seed}: {text}");
        // A batch that is larger than its floor is not kept waiting.
        assert!(memory.held().1 <= 36 * MIB, "{seed}: {text}");
    }
}

async fn any_stream(memory: Memory, mut random: fastrand::Rng) {
    let name = ["a", "b", "c"][random.usize(..3)];
    let Ok(Ok(share)) = timeout(Duration::from_secs(random.u64(1..100)), memory.open(&owner(name), FLOOR)).await else {
        return;
    };
    let kept = Arc::new(Mutex::new(Vec::<Grant>::new()));
    if random.bool() {
        let weak = Arc::downgrade(&kept);
        share.on_suspend(move || {
            if let Some(kept) = weak.upgrade() {
                let dropped = std::mem::take(&mut *kept.lock().expect("no panic"));
                drop(dropped);
            }
        });
    }
    let mut is_ended = ended(&share);
    for _ in 0..random.usize(1..40) {
        let purpose = [Purpose::Fetch, Purpose::Ahead, Purpose::Next][random.usize(..3)];
        let bytes = random.usize(1..2 * MIB);
        match random.usize(..9) {
            0 => share.client_has(),
            1 => {
                share.client_waits();
                if share.resume().await.is_err() {
                    return;
                }
            }
            2 => sleep(Duration::from_millis(random.u64(1..2000))).await,
            3 => {
                let dropped = std::mem::take(&mut *kept.lock().expect("no panic"));
                drop(dropped);
            }
            4 => {
                let grant = kept.lock().expect("no panic").pop();
                if let Some(mut grant) = grant {
                    grant.set_apart();
                    let part = grant.split(bytes);
                    grant.resize(random.usize(..=grant.bytes()));
                    if random.bool() {
                        grant.rejoin();
                    }
                    kept.lock().expect("no panic").extend([grant, part]);
                }
            }
            _ => {
                let wait = Duration::from_millis(random.u64(..3000));
                if let Ok(Ok(grant)) = timeout(wait, share.acquire(purpose, bytes, 2 * bytes)).await {
                    kept.lock().expect("no panic").push(grant);
                }
            }
        }
        if is_ended.try_recv().is_ok() {
            return;
        }
    }
}
