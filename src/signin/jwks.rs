//! The keys that JWTs are signed with: a JWKS, by file or URL, fetched by one for all.
//!
//! What is known stays in force until something newer has come, so a provider that is slow or away keeps nobody out whose
//! key is known. After the first use the keys are fetched again every few minutes, in the background. A key that is not
//! known makes them be fetched in between, a few times at once and then at a steady rate: made-up key ids cost the provider
//! nothing.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::Refusal;
use super::limiter::{Limiter, Rate};

/// How often the keys are fetched again: a key that the provider has withdrawn is good for no longer than that.
const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// How often keys that are not known make them be fetched, and how often it is tried while none are known at all.
const UNKNOWN: Rate = Rate { burst: 5, period: Duration::from_secs(10) };
/// How long a key id that the provider does not know is not asked about again, and how many such are remembered. A provider
/// may sign with a key a little before it publishes it.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
const MAX_UNKNOWN: u64 = 1000;
const MAX_ID_BYTES: usize = 256;
/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller waits for one.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest JWKS.
const MAX_BYTES: u64 = 1 << 20;

/// Where the keys are.
#[derive(Debug, Clone)]
pub enum Source {
    File(PathBuf),
    Url(String),
}

impl Source {
    /// Path or URL.
    pub fn of(text: &str) -> Self {
        if text.contains("://") { Self::Url(text.to_owned()) } else { Self::File(PathBuf::from(text)) }
    }

    /// What is wrong with it; a URL is not asked yet.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::File(path) => read(path).map(drop),
            Self::Url(url) if url.starts_with("https://") || is_loopback(url) => Ok(()),
            Self::Url(url) => Err(format!("{url} is not https: whoever is on the way could put in keys of their own")),
        }
    }

    fn fetch(&self) -> Result<JwkSet, String> {
        match self {
            Self::File(path) => read(path),
            Self::Url(url) => get(url),
        }
    }
}

pub struct Jwks {
    source: Source,
    state: Mutex<State>,
    unknown: Cache<String, ()>,
    unknown_rate: Limiter,
    refreshing: Once,
}

#[derive(Default)]
struct State {
    known: Option<Arc<JwkSet>>,
    /// The fetch that is under way, for all who need it.
    fetch: Option<Shared<BoxFuture<'static, ()>>>,
}

impl Jwks {
    pub fn new(source: Source) -> Arc<Self> {
        let unknown = Cache::builder().max_capacity(MAX_UNKNOWN).time_to_live(UNKNOWN_FOR);
        Arc::new(Self {
            source,
            state: Mutex::default(),
            unknown: unknown.eviction_policy(EvictionPolicy::lru()).build(),
            unknown_rate: Limiter::new(UNKNOWN),
            refreshing: Once::new(),
        })
    }

    /// The key of an id. A token without one is checked with the only key that would do.
    pub async fn key(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Result<Option<Jwk>, Refusal> {
        self.refreshing.call_once(|| self.keep_fresh());
        let known = self.lock().known.clone();
        if let Some(found) = known.as_ref().and_then(|set| find(set, id, algorithm)) {
            return Ok(Some(found.clone()));
        }
        let name = id.unwrap_or_default();
        let is_hopeless = name.len() > MAX_ID_BYTES || self.unknown.get(name).is_some();
        if known.is_some() && is_hopeless {
            return Ok(None);
        }
        let Some(fetch) = self.fetch_for_unknown() else {
            return if known.is_some() { Ok(None) } else { Err(unavailable()) };
        };
        let _ = tokio::time::timeout(WAIT_TIMEOUT, fetch).await;
        let fresh = self.lock().known.clone();
        let Some(fresh) = fresh.filter(|fresh| !known.is_some_and(|known| Arc::ptr_eq(&known, fresh))) else {
            return Err(unavailable());
        };
        let found = find(&fresh, id, algorithm).cloned();
        if found.is_none() && !is_hopeless {
            self.unknown.insert(name.to_owned(), ());
        }
        Ok(found)
    }

    /// The fetch that is under way, or one more where the rate allows it.
    fn fetch_for_unknown(self: &Arc<Self>) -> Option<Shared<BoxFuture<'static, ()>>> {
        let mut state = self.lock();
        let is_allowed = state.fetch.is_some() || self.unknown_rate.take().is_ok();
        is_allowed.then(|| self.begin_fetch(&mut state))
    }

    /// Joins the fetch that is under way, or begins one. It goes on whoever waits for it.
    fn begin_fetch(self: &Arc<Self>, state: &mut State) -> Shared<BoxFuture<'static, ()>> {
        let begin = || {
            let jwks = Arc::clone(self);
            let fetching = tokio::spawn(async move {
                let source = jwks.source.clone();
                let fetched = tokio::task::spawn_blocking(move || source.fetch()).await;
                jwks.store(fetched.unwrap_or_else(|error| Err(error.to_string())));
            });
            fetching.map(drop).boxed().shared()
        };
        state.fetch.get_or_insert_with(begin).clone()
    }

    fn store(&self, fetched: Result<JwkSet, String>) {
        let mut state = self.lock();
        state.fetch = None;
        match fetched {
            Ok(set) => state.known = Some(Arc::new(set)),
            Err(why) if state.known.is_some() => {
                tracing::warn!(why, "JWKS cannot be read; the keys of before stay in force");
            }
            Err(why) => tracing::error!(why, "JWKS cannot be read"),
        }
    }

    /// Fetches the keys every few minutes, for as long as anybody has use for them.
    fn keep_fresh(self: &Arc<Self>) {
        let jwks = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(REFRESH_EVERY).await;
                let Some(fetch) = Weak::upgrade(&jwks).map(|jwks| jwks.begin_fetch(&mut jwks.lock())) else { return };
                fetch.await;
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable() -> Refusal {
    Refusal::Unavailable("the keys that JWTs are signed with cannot be read now: try again in a few seconds".to_owned())
}

fn find<'a>(set: &'a JwkSet, id: Option<&str>, algorithm: Algorithm) -> Option<&'a Jwk> {
    let signs = |jwk: &&Jwk| jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    match id {
        Some(id) => set.keys.iter().filter(signs).find(|jwk| jwk.common.key_id.as_deref() == Some(id)),
        None => {
            let fits = |jwk: &&Jwk| DecodingKey::from_jwk(jwk).is_ok_and(|key| key.family() == algorithm.family());
            let mut fitting = set.keys.iter().filter(signs).filter(fits);
            fitting.next().filter(|_| fitting.next().is_none())
        }
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

fn read(path: &Path) -> Result<JwkSet, String> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("{shown} is not a JWKS: {error}"))
}

fn get(url: &str) -> Result<JwkSet, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(FETCH_TIMEOUT)).max_redirects(0);
    let agent: ureq::Agent = config.build().into();
    let answer = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    let mut text = Vec::new();
    let mut body = answer.into_body().into_reader().take(MAX_BYTES);
    body.read_to_end(&mut text).map_err(|error| format!("{url}: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("{url} is not a JWKS: {error}"))
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn plain_urls_are_for_this_machine_only() {
        assert!(is_loopback("http://127.0.0.1:8080/keys") && is_loopback("http://localhost/keys"));
        assert!(!is_loopback("http://example.com/127.0.0.1") && !is_loopback("http://127.0.0.1.example.com/"));
        assert!(Source::of("http://example.com/keys").check().is_err());
    }

    /// A provider whose answers the test gives, one by one.
    async fn provider() -> (TcpListener, Arc<Jwks>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let jwks = Jwks::new(Source::of(&format!("http://{}/keys", listener.local_addr().expect("bound"))));
        (listener, jwks)
    }

    /// The next request for the keys.
    async fn asked(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().await.expect("the gateway asks");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.expect("a request"), 0);
        }
        stream
    }

    async fn answer(mut stream: TcpStream, status: &str, ids: &[&str]) {
        let key = |id: &&str| format!(r#"{{"kty":"RSA","kid":"{id}","use":"sig","n":"AQAB","e":"AQAB"}}"#);
        let body = format!(r#"{{"keys":[{}]}}"#, ids.iter().map(key).collect::<Vec<_>>().join(","));
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.expect("the gateway reads");
    }

    fn key(jwks: &Arc<Jwks>, id: &str) -> impl Future<Output = Result<bool, Refusal>> + Send + 'static {
        let (jwks, id) = (Arc::clone(jwks), id.to_owned());
        async move { Ok(jwks.key(Some(&id), Algorithm::RS256).await?.is_some()) }
    }

    /// Lets the clock stand still while real sockets are waited for.
    async fn fetched(jwks: &Arc<Jwks>) {
        let fetch = jwks.lock().fetch.clone();
        if let Some(fetch) = fetch {
            fetch.await;
        }
    }

    #[tokio::test]
    async fn all_share_one_fetch() {
        let (listener, jwks) = provider().await;
        let callers: Vec<_> = (0..50).map(|_| tokio::spawn(key(&jwks, "a"))).collect();
        answer(asked(&listener).await, "200 OK", &["a"]).await;
        for caller in callers {
            assert_eq!(caller.await.expect("no panic"), Ok(true));
        }
        assert!(asked(&listener).now_or_never().is_none(), "nobody asked again");
    }

    #[tokio::test]
    async fn known_keys_do_not_wait_for_a_fetch_that_hangs_or_fails() {
        let (listener, jwks) = provider().await;
        let first = tokio::spawn(key(&jwks, "a"));
        answer(asked(&listener).await, "200 OK", &["a"]).await;
        assert_eq!(first.await.expect("no panic"), Ok(true));
        // An unknown key begins a fetch, which hangs.
        let unknown = tokio::spawn(key(&jwks, "b"));
        let hangs = asked(&listener).await;
        for _ in 0..10 {
            assert_eq!(key(&jwks, "a").now_or_never(), Some(Ok(true)));
        }
        answer(hangs, "500 Internal Server Error", &[]).await;
        assert_eq!(unknown.await.expect("no panic"), Err(unavailable()));
        assert_eq!(key(&jwks, "a").now_or_never(), Some(Ok(true)));
    }

    #[tokio::test]
    async fn ids_that_are_made_up_make_few_fetches() {
        let (listener, jwks) = provider().await;
        let made_up = {
            let jwks = Arc::clone(&jwks);
            tokio::spawn(async move {
                for id in 0..1000 {
                    assert_eq!(key(&jwks, &format!("made up {id}")).await, Ok(false));
                    assert_eq!(key(&jwks, "made up 0").now_or_never(), Some(Ok(false)), "it is remembered");
                }
            })
        };
        let mut fetches = 0;
        let mut made_up = made_up;
        loop {
            tokio::select! {
                biased;
                done = &mut made_up => break done.expect("no panic"),
                stream = asked(&listener) => {
                    fetches += 1;
                    answer(stream, "200 OK", &["a"]).await;
                }
            }
        }
        assert!((1..=UNKNOWN.burst).contains(&fetches), "{fetches}");
        assert_eq!(key(&jwks, "a").now_or_never(), Some(Ok(true)));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fetched_again_in_the_background() {
        let (listener, jwks) = provider().await;
        let first = tokio::spawn(key(&jwks, "old"));
        answer(asked(&listener).await, "200 OK", &["old"]).await;
        assert_eq!(first.await.expect("no panic"), Ok(true));
        tokio::time::advance(REFRESH_EVERY).await;
        let stream = asked(&listener).await;
        assert_eq!(key(&jwks, "old").now_or_never(), Some(Ok(true)), "nobody waits for it");
        answer(stream, "200 OK", &["new"]).await;
        fetched(&jwks).await;
        assert_eq!(key(&jwks, "new").now_or_never(), Some(Ok(true)));
        assert!(jwks.lock().known.as_ref().is_some_and(|set| find(set, Some("old"), Algorithm::RS256).is_none()));
    }

    #[tokio::test]
    async fn while_nothing_is_known_callers_are_told_so() {
        let (listener, jwks) = provider().await;
        let first = tokio::spawn(key(&jwks, "a"));
        answer(asked(&listener).await, "503 Service Unavailable", &[]).await;
        assert_eq!(first.await.expect("no panic"), Err(unavailable()));
        let second = tokio::spawn(key(&jwks, "a"));
        answer(asked(&listener).await, "200 OK", &["a"]).await;
        assert_eq!(second.await.expect("no panic"), Ok(true), "the failure is not remembered");
    }
}
