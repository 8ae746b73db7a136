//! Sessions of the process before this one: the same ports again, with the addresses and counters they had.

use super::ports::PortPair;
use super::speech::Speech;
use super::thread::{MediaThread, Session};
use media::{MediaEvent, PortLease, Relay, SessionStatistics, Side, SideConfig};
use vocab::MediaSessionId;

impl MediaThread {
    /// Opens both pairs and goes on relaying. When one cannot be had (another program was faster), the session is not
    /// there, and the brain is told.
    pub(super) fn reopen(
        &mut self,
        id: MediaSessionId,
        a: SideConfig,
        b: SideConfig,
        figures: &SessionStatistics,
    ) {
        let opened = [a, b].map(|side| self.reopen_pair(side.lease));
        if opened != [true, true] {
            for (side, _) in [a, b].into_iter().zip(opened).filter(|(_, opened)| *opened) {
                self.rest(side.lease);
            }
            return self.emit(MediaEvent::ReopenFailed { session: id });
        }
        let relay = Relay::resume(self.now(), a, b, figures);
        let slot = self.add_session(Session { id, relay, speech: Speech::default() });
        self.connect(a.lease, slot, Side::A);
        self.connect(b.lease, slot, Side::B);
        self.agree_speech(slot);
    }

    fn reopen_pair(&mut self, lease: PortLease) -> bool {
        if self.has_port(lease.index) {
            tracing::error!(?lease, "a media port is taken up under a number that is in use");
            return false;
        }
        match PortPair::open(lease, self.dscp()) {
            Ok(pair) => self.place_port(pair),
            Err(error) => {
                tracing::error!(%error, local = %lease.local, "a media port cannot be opened again");
                false
            }
        }
    }
}
