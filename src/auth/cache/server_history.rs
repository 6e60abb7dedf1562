//! The newest state that was seen of a server, so that an older one is recognised.

use std::sync::{Mutex, PoisonError};

use crate::store::ServerIdentity;

#[derive(Clone, Debug)]
struct Seen {
    system: String,
    timeline: u32,
    /// In the write-ahead log.
    position: i64,
}

/// The highest timeline, and the highest position on it, that this process has seen.
#[derive(Debug, Default)]
pub(super) struct ServerHistory(Mutex<Option<Seen>>);

impl ServerHistory {
    /// False: the server is behind what was seen. `position`: of what is durable; `None`: not known.
    ///
    /// Of another system nothing is known: it counts as new.
    pub(super) fn admit(&self, server: &ServerIdentity, position: Option<i64>) -> bool {
        let Some(timeline) = server.timeline() else { return false };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = seen.as_ref().filter(|seen| seen.system == server.system());
        let is_behind = newest.is_some_and(|seen| {
            timeline < seen.timeline
                || timeline == seen.timeline && position.is_some_and(|position| position < seen.position)
        });
        if is_behind {
            return false;
        }
        let before = newest.filter(|seen| seen.timeline == timeline).map_or(0, |seen| seen.position);
        let position = position.unwrap_or_default().max(before);
        *seen = Some(Seen { system: server.system().to_owned(), timeline, position });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(system: u64, timeline: u32) -> ServerIdentity {
        ServerIdentity::parse(Some(format!("{system}:{timeline:08X}:1795983748.321099:5"))).unwrap()
    }

    #[test]
    fn a_server_behind_what_was_seen_is_not_admitted() {
        let history = ServerHistory::default();
        for (system, timeline, position, is_admitted) in [
            (1, 1, None, true),
            (1, 1, Some(100), true),
            (1, 1, None, true),
            (1, 1, Some(99), false),
            (1, 1, Some(100), true),
            // A promotion: the log of the new timeline may begin before the end of the old one.
            (1, 2, Some(90), true),
            (1, 1, Some(1_000), false),
            (1, 1, None, false),
            (1, 2, Some(91), true),
            (1, 2, Some(90), false),
            (1, 0x1a, None, true),
            (1, 0x19, Some(5), false),
            // Another system, to which the data were moved.
            (2, 1, Some(1), true),
        ] {
            assert_eq!(
                history.admit(&server(system, timeline), position),
                is_admitted,
                "{system} {timeline} {position:?}"
            );
        }
    }
}
