//! How many connections each client has, and what becomes of those that are too many.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The connections of a listener by client. It holds no more clients than there are connections.
#[derive(Default)]
pub(super) struct Crowd(Mutex<HashMap<IpAddr, usize>>);

impl Crowd {
    /// A seat for a connection of `client`, unless it has `most` already.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr, most: NonZeroUsize) -> Option<Seat> {
        let client = network(client);
        let mut seats = self.seats();
        let taken = seats.entry(client).or_insert(0);
        if *taken >= most.get() {
            return None;
        }
        *taken += 1;
        Some(Seat { crowd: Arc::clone(self), client })
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing is left half done where something could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    client: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut taken) = self.crowd.seats().entry(self.client) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

/// What a listener has room for, as one connection sees it: it has a place itself, and each stream of HTTP/2 beyond its
/// first takes another one. So what is under way is bounded by the number of places, however it came.
pub(super) struct Quota {
    pub(super) places: Arc<Semaphore>,
    pub(super) crowd: Arc<Crowd>,
    /// None who brings everybody's requests.
    pub(super) client: Option<IpAddr>,
    /// Places of one client.
    pub(super) most: NonZeroUsize,
}

/// The place of one stream.
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _seat: Option<Seat>,
}

impl Quota {
    /// A place, until it is dropped.
    ///
    /// # Errors
    ///
    /// A counter's reason, when there is none.
    pub(super) fn take(&self) -> Result<Place, &'static str> {
        // Who has too many already takes no place that others could have.
        let seat = match self.client {
            None => None,
            Some(client) => Some(self.crowd.enter(client, self.most).ok_or("http2_client_full")?),
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| "http2_listener_full")?;
        Ok(Place { _place: place, _seat: seat })
    }
}

/// Who has one address of a /64 has all of them.
pub(super) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// Answers a cleartext connection for which there is no room, without reading what it wants. What the client has sent is
/// read away for a moment, as unread bytes would take the answer back (RFC 9112 §9.6).
pub(super) async fn turn_away(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let farewell = async {
        stream.write_all(FULL).await?;
        stream.shutdown().await?;
        let mut sink = [0; 1024];
        let mut left = FAREWELL_BYTES;
        while left > 0 {
            match stream.read(&mut sink).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<(), std::io::Error>(())
    };
    // Who does not take it goes without.
    let _ = timeout(FAREWELL, farewell).await;
}

/// Connections that are turned away with an answer at a time; others are closed without.
pub(super) const TURNED_AWAY: usize = 64;

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";

/// How long such a client has, and how much of what it sends is read.
const FAREWELL: Duration = Duration::from_millis(500);
const FAREWELL_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_by_client_and_given_back() {
        let crowd = Arc::new(Crowd::default());
        let two = NonZeroUsize::new(2).expect("two");
        let enter = |text: &str| crowd.enter(text.parse().expect("an address"), two);
        let (a, _b) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(a.is_some() && enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some(), "another client, who leaves at once");
        drop(a);
        let _c = enter("192.0.2.1");
        assert!(_c.is_some() && enter("192.0.2.1").is_none());
        let near = (enter("2001:db8::1"), enter("2001:db8::ffff:1"));
        assert!(near.0.is_some() && near.1.is_some() && enter("2001:db8::2").is_none());
        assert!(enter("2001:db8:0:1::1").is_some());
        drop((_b, _c, near));
        assert!(crowd.seats().is_empty(), "who is gone takes no memory");
    }
}
