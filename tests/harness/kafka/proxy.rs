//! A way between a worker and a broker that can be cut, stalled, delayed and narrowed.
//!
//! Not here: the broker. Its second listener advertises this proxy's address, or clients would find a way around it.
//! Invariant: bytes pass in order and unchanged, or the connection ends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// At once.
    Open,
    /// Connections are broken off, and new ones as soon as they are made.
    Cut,
    /// Nothing passes, and nobody is told: what a network looks like that has lost its cable.
    Stalled,
    /// Each piece comes this much later.
    Delayed(Duration),
    /// So many bytes a second on each connection and in each direction.
    Narrow(u32),
}

/// A proxy. It ends with its handle.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    passage: Passage,
    target: Option<String>,
    open: Vec<TcpStream>,
    /// Connections taken so far.
    taken: u64,
    over: bool,
}

impl Proxy {
    /// Listens on a free port; [`Self::toward`] says where to.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let state = State { passage: Passage::Open, target: None, open: Vec::new(), taken: 0, over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                if accepting.lock().over {
                    return;
                }
                accepting.connect(client);
            }
        });
        Self { port, shared }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where connections go from now on.
    pub fn toward(&self, target: String) {
        self.shared.lock().target = Some(target);
    }

    /// How bytes pass from now on, on connections that stand too.
    pub fn let_pass(&self, passage: Passage) {
        let mut state = self.shared.lock();
        state.passage = passage;
        if passage == Passage::Cut {
            state.break_off();
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits until the other side has connected at least `more` times again.
    pub fn await_connections(&self, more: u64) {
        let mut state = self.shared.lock();
        let wanted = state.taken + more;
        while state.taken < wanted {
            let (next, timeout) = self.shared.changed.wait_timeout(state, Duration::from_secs(90)).expect("no panic");
            assert!(!timeout.timed_out(), "nobody connects");
            state = next;
        }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        state.passage = Passage::Cut;
        state.break_off();
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the accepting thread; if it cannot be reached, it is gone.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl State {
    fn break_off(&mut self) {
        for stream in self.open.drain(..) {
            // It may have been closed by its ends.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn connect(self: &Arc<Self>, client: TcpStream) {
        let mut state = self.lock();
        state.taken += 1;
        self.changed.notify_all();
        let Some(target) = state.target.clone().filter(|_| state.passage != Passage::Cut) else { return };
        // A broker that is away refuses its clients; so does this.
        let Ok(server) = TcpStream::connect(target) else { return };
        let copies = (client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone());
        let (Ok(c1), Ok(s1), Ok(c2), Ok(s2)) = copies else { return };
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        state.open.extend([c2, s2]);
        drop(state);
        for (from, to) in [(client, server), (s1, c1)] {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.pump(from, to));
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            let mut state = self.lock();
            while state.passage == Passage::Stalled {
                state = self.changed.wait(state).expect("no holder panics");
            }
            let passage = state.passage;
            drop(state);
            match passage {
                Passage::Delayed(by) => std::thread::sleep(by),
                Passage::Narrow(per_second) => {
                    std::thread::sleep(Duration::from_secs_f64(read as f64 / f64::from(per_second)));
                }
                Passage::Open | Passage::Cut | Passage::Stalled => {}
            }
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        // The other end may be closed already.
        drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_cut_and_what_is_stalled_arrives_later() {
        let echo = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let proxy = Proxy::new();
        proxy.toward(echo.local_addr().expect("an address").to_string());
        std::thread::spawn(move || {
            for stream in echo.incoming() {
                let mut stream = stream.expect("a connection");
                std::thread::spawn(move || std::io::copy(&mut stream.try_clone().expect("a copy"), &mut stream));
            }
        });
        let ask = |stream: &mut TcpStream| -> std::io::Result<[u8; 3]> {
            let mut answer = [0; 3];
            stream.write_all(b"abc")?;
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        let mut stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
        for passage in [Passage::Open, Passage::Delayed(Duration::from_millis(2)), Passage::Narrow(100_000)] {
            proxy.let_pass(passage);
            assert_eq!(&ask(&mut stream).expect("an answer"), b"abc");
        }
        proxy.let_pass(Passage::Stalled);
        let waiting = std::thread::spawn(move || (ask(&mut stream).expect("an answer"), stream));
        let mut other = TcpStream::connect(proxy.address()).expect("the proxy listens");
        other.write_all(b"x").expect("it is taken");
        assert!(!waiting.is_finished());
        proxy.let_pass(Passage::Open);
        let (answer, mut stream) = waiting.join().expect("no panic");
        assert_eq!(&answer, b"abc");
        proxy.let_pass(Passage::Cut);
        ask(&mut stream).expect_err("it is cut");
        let mut stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
        ask(&mut stream).expect_err("it stays cut");
    }
}
