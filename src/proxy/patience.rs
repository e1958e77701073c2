//! Time limits on a client's connection: silence before, within and between requests, and answers left unread. Wraps the socket, so
//! that one place holds for HTTP/1, HTTP/2 and the bytes before it is known which. Knows no HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a request to the end of its head; a new connection must begin within the same time.
    pub head: Duration,
    /// Between requests: at least this, and at most twice this.
    pub idle: Duration,
    /// For a piece of an answer to be taken.
    pub stall: Duration,
}

/// What the server tells its connection about the requests on it.
#[derive(Debug, Default)]
pub struct Activity {
    begun: AtomicUsize,
    running: AtomicUsize,
    /// HTTP/2 has frames between requests that are no beginning of one.
    http2: AtomicBool,
}

/// A request that is being answered; over when dropped.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Activity {
    /// A request begins.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// The connection speaks HTTP/2. Seen by itself in the clear; under TLS the handshake tells.
    pub fn set_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet.
    Opening,
    /// Between requests.
    Idle,
    /// Some bytes of a head have come.
    Head,
    /// Some request is being answered.
    Busy,
}

/// A socket whose other side must not dawdle.
pub struct Patient<S> {
    socket: S,
    patience: Patience,
    activity: Arc<Activity>,
    begun: usize,
    phase: Phase,
    head: Timer,
    /// Ticks all the time, so that no request has to start or stop it: a connection without one from one tick to the next is idle.
    tick: Timer,
    begun_at_tick: Option<usize>,
    writing: Timer,
}

impl<S> Patient<S> {
    /// Wraps a socket that has just been accepted.
    pub fn new(socket: S, patience: Patience, activity: Arc<Activity>) -> Self {
        Patient {
            socket,
            patience,
            activity,
            begun: 0,
            phase: Phase::Opening,
            head: Timer::default(),
            tick: Timer::default(),
            begun_at_tick: None,
            writing: Timer::default(),
        }
    }

    /// Brings the phase up to what the server has begun since.
    fn look(&mut self) {
        let begun = self.activity.begun.load(Ordering::Relaxed);
        if begun != self.begun {
            self.begun = begun;
            self.phase = Phase::Idle;
            self.head.disarm();
        }
        if self.activity.running.load(Ordering::Relaxed) > 0 {
            self.phase = Phase::Busy;
        } else if self.phase == Phase::Busy {
            self.phase = Phase::Idle;
        }
    }

    fn arrived(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Opening && bytes.starts_with(b"PRI ") {
            self.activity.set_http2();
        }
        match self.phase {
            Phase::Busy | Phase::Head => {}
            _ if self.activity.http2.load(Ordering::Relaxed) => self.phase = Phase::Idle,
            // The time for an opening's head runs from the opening.
            Phase::Opening => self.phase = Phase::Head,
            Phase::Idle => {
                self.phase = Phase::Head;
                self.head.disarm();
            }
        }
    }

    /// Ready when the connection has been idle for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.tick.poll(cx, self.patience.idle).is_ready() {
            self.tick.disarm();
            if self.phase == Phase::Idle && self.begun_at_tick == Some(self.begun) {
                return Poll::Ready(());
            }
            self.begun_at_tick = (self.phase == Phase::Idle).then_some(self.begun);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if result.is_ok() && buf.filled().len() > before {
                    this.look();
                    this.arrived(&buf.filled()[before..]);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                this.look();
                if matches!(this.phase, Phase::Opening | Phase::Head) && this.head.poll(cx, this.patience.head).is_ready() {
                    return Poll::Ready(Err(too_slow("the client did not send the head of its request in time")));
                }
                this.poll_idle(cx).map(|()| Err(too_slow("the client sent nothing for too long")))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    fn wrote<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.writing.disarm();
            return result;
        }
        self.writing.poll(cx, self.patience.stall).map(|()| Err(too_slow("the client took nothing for too long")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.wrote(cx, result)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_flush(cx);
        this.wrote(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_shutdown(cx);
        this.wrote(cx, result)
    }
}

/// A timer that is armed when waiting begins and made only then: a connection that never waits has none. Who waits and goes on all the
/// time, as for the tokens of a stream, pays for a look at the clock: the sleep under it runs to an earlier end and is then set anew.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// While armed.
    deadline: Option<Instant>,
    /// Whom the sleep wakes.
    waker: Option<Waker>,
}

impl Timer {
    /// Ready once `limit` has passed since the first poll after the last [`Timer::disarm`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        } else if !sleep.is_elapsed() && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What was waited for has come.
    pub(super) fn disarm(&mut self) {
        self.deadline = None;
    }
}

fn too_slow(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(10), idle: Duration::from_secs(120), stall: Duration::from_secs(60) };

    fn pair() -> (Patient<DuplexStream>, DuplexStream, Arc<Activity>) {
        let (near, far) = tokio::io::duplex(16);
        let activity = Arc::new(Activity::default());
        (Patient::new(near, PATIENCE, activity.clone()), far, activity)
    }

    async fn read(socket: &mut Patient<DuplexStream>) -> Result<usize, u64> {
        let start = Instant::now();
        socket.read(&mut [0; 16]).await.map_err(|error| {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            start.elapsed().as_secs()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_closed() {
        let (mut socket, _far, _) = pair();
        assert_eq!(read(&mut socket).await, Err(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_is_cut_off_and_one_that_ends_in_time_is_not() {
        let (mut socket, mut far, activity) = pair();
        far.write_all(b"GET /").await.unwrap();
        assert_eq!(read(&mut socket).await, Ok(5));
        tokio::time::sleep(Duration::from_secs(7)).await;
        far.write_all(b" HTTP").await.unwrap();
        assert_eq!(read(&mut socket).await, Ok(5));
        let busy = activity.begin();
        // While it is answered the client owes nothing.
        assert!(tokio::time::timeout(Duration::from_secs(600), socket.read(&mut [0; 1])).await.is_err());
        drop(busy);
        assert!(matches!(read(&mut socket).await, Err(120..=240)), "then it may be idle");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_does_not_extend_the_time_for_a_head() {
        let (mut socket, mut far, activity) = pair();
        drop(activity.begin());
        let writer = tokio::spawn(async move {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if far.write_all(b"x").await.is_err() {
                    break;
                }
            }
        });
        let mut bytes = 0;
        let mut waited = Instant::now();
        while let Ok(count) = read(&mut socket).await {
            if bytes == 0 {
                waited = Instant::now();
            }
            bytes += count;
        }
        assert_eq!(waited.elapsed().as_secs(), 10, "{bytes} bytes");
        drop(socket);
        writer.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn frames_between_http2_requests_are_no_head() {
        let (mut socket, mut far, _activity) = pair();
        far.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        assert_eq!(read(&mut socket).await, Ok(16));
        far.write_all(b"settings").await.unwrap();
        assert_eq!(read(&mut socket).await, Ok(8));
        assert!(matches!(read(&mut socket).await, Err(120..=240)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_runs_from_the_last_wait_whoever_waits() {
        let (mut timer, limit, start) = (Timer::default(), Duration::from_secs(10), Instant::now());
        for _ in 0..5 {
            assert!(std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx, limit))).await.is_pending());
            tokio::time::sleep(Duration::from_secs(7)).await;
            timer.disarm();
        }
        // Another task than the one that armed the sleep.
        let waiting = tokio::spawn(async move {
            std::future::poll_fn(|cx| timer.poll(cx, limit)).await;
            timer
        });
        let mut timer = waiting.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 45);
        assert!(std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx, limit))).await.is_ready(), "until it is disarmed");
        timer.disarm();
        std::future::poll_fn(|cx| timer.poll(cx, limit)).await;
        assert_eq!(start.elapsed().as_secs(), 55);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_left_unread_is_given_up() {
        let (mut socket, _far, _) = pair();
        let start = Instant::now();
        let error = socket.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 60));
    }
}
