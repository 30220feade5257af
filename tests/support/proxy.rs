//! A TCP proxy that a test can switch: it passes everything on, falls silent, or is gone. It counts what AWS is asked.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// How a [`Proxy`] behaves, towards the connections that it has, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It passes everything on.
    Pass,
    /// It accepts and takes, and nothing comes back. What it has taken goes on when it passes again.
    Silent,
    /// Connections end at once.
    Gone,
}

/// A proxy on a free port of 127.0.0.1. Its threads end with this.
pub struct Proxy {
    /// Base of every URL behind it.
    pub url: String,
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    switch: Mutex<Switch>,
    changed: Condvar,
    /// How often each operation was asked for.
    asked: Mutex<HashMap<String, usize>>,
}

struct Switch {
    mode: Mode,
    dropped: bool,
    connections: Vec<TcpStream>,
}

impl Proxy {
    /// Starts one before `http://127.0.0.1:<port>`.
    pub fn start(target: &str, mode: Mode) -> Proxy {
        let target: SocketAddr = target.trim().strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let switch = Switch { mode, dropped: false, connections: Vec::new() };
        let state = Arc::new(State { switch: Mutex::new(switch), changed: Condvar::new(), asked: Mutex::default() });
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.switch.lock().unwrap().dropped {
                    return;
                }
                shared.connect(&client.unwrap(), target);
            }
        });
        Proxy { url: format!("http://{address}"), address, state }
    }

    /// Switches it.
    pub fn set(&self, mode: Mode) {
        self.state.set(mode, false);
    }

    /// How often an operation of AWS (`GetItem`) was asked for through it.
    pub fn asked(&self, operation: &str) -> usize {
        self.state.asked.lock().unwrap().get(operation).copied().unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.set(Mode::Gone, true);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn set(&self, mode: Mode, dropped: bool) {
        let mut switch = self.switch.lock().unwrap();
        switch.mode = mode;
        switch.dropped = dropped;
        if mode == Mode::Gone {
            for connection in switch.connections.drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.changed.notify_all();
    }

    fn connect(self: &Arc<Self>, client: &TcpStream, target: SocketAddr) {
        let mut switch = self.switch.lock().unwrap();
        if switch.mode == Mode::Gone {
            return;
        }
        let Ok(server) = TcpStream::connect(target) else { return };
        for (from, to, counts) in [(client, &server, true), (&server, client, false)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            switch.connections.push(from.try_clone().unwrap());
            let state = self.clone();
            std::thread::spawn(move || state.pump(from, to, counts));
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, counts: bool) {
        let mut buffer = [0; 16 * 1024];
        let mut text = String::new();
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if counts {
                text.push_str(&String::from_utf8_lossy(&buffer[..length]));
                self.count(&mut text);
            }
            if !self.may_pass() || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// Counts the operations that a text names (`x-amz-target: DynamoDB_20120810.GetItem`) and cuts off what was looked at.
    fn count(&self, text: &mut String) {
        const BEFORE: &str = "x-amz-target: ";
        while let Some(start) = text.find(BEFORE) {
            let Some(length) = text[start..].find("\r\n") else { return };
            let target = &text[start + BEFORE.len()..start + length];
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            *self.asked.lock().unwrap().entry(operation).or_default() += 1;
            text.drain(..start + length);
        }
        // The beginning of a name may be at the end.
        let keep = text.char_indices().rev().nth(BEFORE.len()).map_or(0, |(index, _)| index);
        text.drain(..keep);
    }

    /// Waits for the end of a silence.
    fn may_pass(&self) -> bool {
        let switch = self.switch.lock().unwrap();
        let switch = self.changed.wait_while(switch, |switch| switch.mode == Mode::Silent).unwrap();
        switch.mode == Mode::Pass
    }
}
