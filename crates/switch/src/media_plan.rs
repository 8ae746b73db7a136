//! The media of one call: whether it is relayed, on which ports, and what session descriptions say of it.
//!
//! One relay session for each media stream (`m=` line). The plan rewrites descriptions so that each peer sends to
//! our port on its side, and tells the media threads where each peer wants its media.

use crate::interface::MediaAddressing;
use crate::secure::{self, Secure};
use diagnosis::SilentSide;
use media::{
    Coding, Latch, MediaCommand, Method, PortLease, PortPool, SessionStatistics, Side, SideConfig,
    SideStatistics,
};
use params::{MediaMove, MediaProxyMode, Srtp};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use vocab::random::Random;
use vocab::session::Host;
use vocab::{Direction, MediaDescription, MediaSessionId, SessionDescription, Tick};

/// More streams than this in one description are refused (port 0); real calls have one or two.
const MAX_STREAMS: usize = 4;

/// Figures come about once a second of all sessions in which anything happens.
const STALE_FIGURES: Duration = Duration::from_millis(2500);

/// No port pair was ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoPorts;

/// The side of a call as far as media is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    /// Where its signalling comes from.
    pub signalling: IpAddr,
    pub mode: MediaProxyMode,
    pub moves: MediaMove,
    pub srtp: Srtp,
}

/// Is media encrypted on some side, or may it be (`MED-23`)?
pub(crate) fn protects((a, b): (Party, Party)) -> bool {
    [a.srtp, b.srtp] != [Srtp::Off; 2]
}

/// May media be offered like this, by the setting of the gateway that does?
pub(crate) fn is_acceptable(policy: Srtp, session: &SessionDescription) -> bool {
    session.media.iter().all(|media| secure::is_acceptable(policy, media))
}

/// A description as it may be kept.
pub(crate) fn without_keys(mut session: SessionDescription) -> SessionDescription {
    session.media.iter_mut().for_each(secure::lay_bare);
    session
}

/// `MED-1`: is the media of this call relayed? `offer` is the caller's description, when there is one.
pub(crate) fn relayed(
    a: Party,
    b: Party,
    nat_param: bool,
    watched: bool,
    offer: Option<&SessionDescription>,
) -> bool {
    use MediaProxyMode::{MustOn, Off, On};
    if a.mode == MustOn || b.mode == MustOn {
        return true;
    }
    if a.mode == Off || b.mode == Off {
        return false;
    }
    if a.mode == On || b.mode == On {
        return true;
    }
    let family_differs = a.signalling.to_canonical().is_ipv4() != b.signalling.to_canonical().is_ipv4();
    let behind_nat = nat_param && offer.is_some_and(|o| media_ip_differs(o, a.signalling));
    watched || family_differs || behind_nat
}

/// A description that names another address than the signalling came from: NAT, or a separate media gateway.
fn media_ip_differs(session: &SessionDescription, signalling: IpAddr) -> bool {
    session
        .audio()
        .and_then(|i| session.media_address(i))
        .is_some_and(|at| at.ip().to_canonical() != signalling.to_canonical())
}

impl MediaAddressing {
    /// Is this address ours?
    fn is_own(&self, ip: IpAddr, pool: &PortPool) -> bool {
        let local = &self.local;
        let named = [local.default_v4, local.default_v6, self.advertised_v4, self.advertised_v6];
        named.contains(&Some(ip))
            || local.interfaces.iter().any(|(_, own)| *own == ip)
            || pool.is_bound_to(ip)
    }

    /// Would this description make us send media to ourselves? Two sides that do so in turn would have us carry one
    /// packet round for ever. A peer at one of our own addresses is meant to be there: a call through another listener
    /// of ours.
    pub(crate) fn is_pointed_at(
        &self,
        session: &SessionDescription,
        signalling: IpAddr,
        pool: &PortPool,
    ) -> bool {
        let addresses = (0..session.media.len()).filter_map(|i| session.media_address(i));
        let mut addresses = addresses.map(|at| (at.ip().to_canonical(), at.port()));
        let signalling = signalling.to_canonical();
        !self.is_own(signalling, pool)
            && addresses.any(|(ip, port)| pool.holds(port, ip.is_ipv6()) && self.is_own(ip, pool))
    }

    /// The address that stands for `lease` in a description sent to a peer at `remote`.
    fn written(&self, lease: &PortLease, remote: IpAddr) -> IpAddr {
        let local = self.local.interfaces.iter().any(|(net, _)| net.contains(remote));
        let advertised = if lease.is_v6() { self.advertised_v6 } else { self.advertised_v4 };
        let bound = lease.local.ip();
        match advertised {
            Some(public) if !local => public,
            _ if !bound.is_unspecified() => bound,
            _ => self.local.toward(remote).unwrap_or(bound),
        }
    }
}

/// What the journal keeps of one relayed stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// Of the process that wrote it.
    session: MediaSessionId,
    a: SideConfig,
    b: SideConfig,
    directions: [Direction; 2],
    /// Keys towards A and B, sealed.
    keys: [Option<Vec<u8>>; 2],
}

#[derive(Debug)]
struct Stream {
    session: MediaSessionId,
    a: SideConfig,
    b: SideConfig,
    /// Direction that each side last stated for itself.
    directions: [Direction; 2],
    /// Where packets are protected, by what.
    secure: [Option<Secure>; 2],
    opened: bool,
}

impl Stream {
    fn config(&mut self, side: Side) -> &mut SideConfig {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    fn lease(&self, side: Side) -> PortLease {
        match side {
            Side::A => self.a.lease,
            Side::B => self.b.lease,
        }
    }
}

/// The relayed media of a call.
#[derive(Debug)]
pub(crate) struct MediaPlan {
    streams: Vec<Option<Stream>>,
    /// Silence after which a talking side is reported, of A and of B; off before the answer.
    watch_ms: [Option<u32>; 2],
    /// Where the signalling of the two sides comes from.
    signalling: [Option<IpAddr>; 2],
    /// How far each side may move its media once the call is answered.
    moves: [MediaMove; 2],
    srtp: [Srtp; 2],
    answered: bool,
    /// How digits are sent to A and B.
    digits: [Option<Method>; 2],
    pub statistics: Vec<SessionStatistics>,
    /// The figures before those, and when the latest came.
    previous: Vec<SessionStatistics>,
    recorded: Tick,
    /// Where the sides' own descriptions want their speech.
    described: [Option<SocketAddr>; 2],
    /// Sessions whose final figures have not come yet.
    pub closing: u32,
}

impl MediaPlan {
    pub fn new(a: Party, b: Party) -> MediaPlan {
        let signalling = [a, b].map(|party| Some(party.signalling.to_canonical()));
        let moves = [a.moves, b.moves];
        MediaPlan {
            streams: Vec::new(),
            watch_ms: [None; 2],
            signalling,
            moves,
            srtp: [a.srtp, b.srtp],
            answered: false,
            digits: [None; 2],
            statistics: Vec::new(),
            previous: Vec::new(),
            recorded: Tick(0),
            described: [None, None],
            closing: 0,
        }
    }

    /// Leases ports for every stream of a description that has none yet. On failure nothing stays leased by this call.
    pub fn lease(
        &mut self,
        session: &SessionDescription,
        random: &mut Random,
        pool: &mut PortPool,
        mut next_id: impl FnMut() -> MediaSessionId,
    ) -> Result<Vec<MediaSessionId>, NoPorts> {
        let mut fresh = Vec::new();
        for (index, media) in session.media.iter().enumerate().take(MAX_STREAMS) {
            if self.streams.len() <= index {
                self.streams.push(None);
            }
            if media.port == 0 || self.streams[index].is_some() {
                continue;
            }
            let a = pool.lease(self.is_v6(Side::A)).ok_or(NoPorts)?;
            let Some(b) = pool.lease_beside(self.is_v6(Side::B), a) else {
                pool.put_back(a);
                return Err(NoPorts);
            };
            let session = next_id();
            fresh.push(session);
            let secure = if media.is_rtp() { self.srtp } else { [Srtp::Off; 2] };
            let mut stream = Stream {
                session,
                a: SideConfig::new(a),
                b: SideConfig::new(b),
                directions: [Direction::SendRecv; 2],
                secure: secure.map(|policy| Secure::new(policy, random)),
                opened: false,
            };
            stream.agree_cipher();
            self.streams[index] = Some(stream);
        }
        Ok(fresh)
    }

    /// A new gateway is tried: fresh ports on side B, so that late packets of the one before cannot be heard.
    pub fn renew_b(
        &mut self,
        b: Party,
        random: &mut Random,
        pool: &mut PortPool,
        out: &mut dyn FnMut(MediaCommand),
    ) -> Result<(), NoPorts> {
        self.signalling[1] = Some(b.signalling.to_canonical());
        self.moves[1] = b.moves;
        self.srtp[1] = b.srtp;
        let v6 = self.is_v6(Side::B);
        for stream in self.streams.iter_mut().flatten() {
            let lease = pool.lease_beside(v6, stream.a.lease).ok_or(NoPorts)?;
            let old = std::mem::replace(&mut stream.b, SideConfig::new(lease));
            stream.directions[1] = Direction::SendRecv;
            stream.secure[1] = if old.rtp { Secure::new(b.srtp, random) } else { None };
            stream.agree_cipher();
            if stream.opened {
                pool.retire(old.lease);
                out(MediaCommand::SetSide { session: stream.session, side: Side::B, config: stream.b });
            } else {
                pool.put_back(old.lease);
            }
        }
        Ok(())
    }

    /// Another contact of the phone on side B has answered.
    pub fn turn_to(&mut self, b: IpAddr) {
        self.signalling[1] = Some(b.to_canonical());
    }

    /// `R-33`: does a change of an answered call want media at a place where it may not go?
    pub fn is_too_far(&self, side: Side, session: &SessionDescription) -> bool {
        let streams = self.streams.iter().enumerate().filter_map(|(i, s)| Some((i, s.as_ref()?)));
        let mut moves = streams.filter_map(|(i, s)| {
            let old = if side == Side::A { s.a.remote } else { s.b.remote };
            Some((old?.ip(), session.media_address(i)?.ip()))
        });
        self.answered && moves.any(|(old, new)| !self.may_move(side, old, new))
    }

    fn may_move(&self, side: Side, old: IpAddr, new: IpAddr) -> bool {
        let index = usize::from(side == Side::B);
        let new = new.to_canonical();
        let known = [Some(old.to_canonical()), self.signalling[index]];
        let mut known = known.into_iter().flatten();
        match self.moves[index] {
            _ if new.is_unspecified() => true,
            MediaMove::Anywhere => true,
            MediaMove::SameNetwork => known.any(|ip| same_network(ip, new)),
            MediaMove::Never => known.any(|ip| ip == new),
        }
    }

    /// A description came from `side`: its media goes to the addresses it names from now on, if they are believed.
    pub fn apply(
        &mut self,
        side: Side,
        session: &SessionDescription,
        believed: bool,
        out: &mut dyn FnMut(MediaCommand),
    ) {
        let signalling = self.signalling[usize::from(side == Side::B)];
        // An answer cannot be refused, but it cannot send media far away either.
        let stays = !believed || self.is_too_far(side, session);
        self.described[usize::from(side == Side::B)] =
            session.audio().and_then(|audio| session.media_address(audio));
        for (index, slot) in self.streams.iter_mut().enumerate() {
            let (Some(stream), Some(media)) = (slot, session.media.get(index)) else { continue };
            let direction =
                if media.port == 0 { Direction::Inactive } else { session.media_direction(index) };
            stream.directions[usize::from(side == Side::B)] = direction;
            let remote =
                session.media_address(index).filter(|at| !stays && is_elsewhere(at.ip(), signalling));
            if let Some(secure) = &mut stream.secure[usize::from(side == Side::B)] {
                secure.hear(media);
            }
            stream.agree_cipher();
            let config = stream.config(side);
            // On hold with 0.0.0.0 the old address stays known, so that resume works without relearning.
            let moved = remote.is_some() && remote != config.remote;
            config.relearn = moved && config.remote.is_some();
            config.remote = remote.or(config.remote);
            config.rtcp_remote = remote.and_then(|at| rtcp_address(media, at));
            config.sends = direction.sends();
            config.receives = direction.receives();
            config.rtp = media.is_rtp();
            config.clock_rate = clock_rate(media);
            // `MED-3`: the address in the description at once, another one only where the signalling comes from
            // (a peer behind NAT). Nobody else can take the stream (`R-40`).
            config.latch = signalling.map_or(Latch::Fixed, Latch::LearnFrom);
            stream.send(side, self.watch_ms, out);
        }
    }

    /// How each side's speech is carried when it is converted, for the stream of speech; `None`: it is not.
    pub fn agree(&mut self, codings: Option<[Coding; 2]>, out: &mut dyn FnMut(MediaCommand)) {
        let Some(stream) = self.streams.iter_mut().flatten().find(|s| s.a.rtp && s.b.rtp) else { return };
        let changed = [stream.a.coding, stream.b.coding] != [codings.map(|c| c[0]), codings.map(|c| c[1])];
        self.digits = [0, 1].map(|side| codings.map(|c| c[side].digits.send));
        stream.a.coding = codings.map(|c| c[0]);
        stream.b.coding = codings.map(|c| c[1]);
        if !changed || !stream.opened {
            return;
        }
        for side in [Side::A, Side::B] {
            out(MediaCommand::SetSide { session: stream.session, side, config: *stream.config(side) });
        }
    }

    /// The session that carries speech whose digits are agreed.
    pub fn speaks(&self) -> Option<MediaSessionId> {
        let stream = self.streams.iter().flatten().find(|s| s.opened && s.a.rtp && s.b.rtp)?;
        (stream.a.coding.is_some() && stream.b.coding.is_some()).then_some(stream.session)
    }

    /// How digits are sent to this side.
    pub fn digits_to(&self, side: Side) -> Option<Method> {
        self.digits[usize::from(side == Side::B)]
    }

    /// The call is answered: silence counts from now on.
    pub fn watch(&mut self, watch_ms: [Option<u32>; 2], out: &mut dyn FnMut(MediaCommand)) {
        self.watch_ms = watch_ms;
        self.answered = true;
        for stream in self.streams.iter_mut().flatten().filter(|s| s.opened) {
            stream.send(Side::A, watch_ms, out);
        }
    }

    /// What `toward` is to be told: the other side's description with our addresses in it.
    pub fn rewrite(
        &self,
        session: &SessionDescription,
        toward: Side,
        remote: IpAddr,
        addressing: &MediaAddressing,
    ) -> SessionDescription {
        let mut out = session.clone();
        let mut written = None;
        for (index, media) in out.media.iter_mut().enumerate() {
            let stream = self.streams.get(index).and_then(Option::as_ref);
            media.attributes.retain(|a| !is_transport_attribute(&a.name));
            media.address = None;
            match stream {
                Some(stream) if media.port != 0 => {
                    let lease = stream.lease(toward);
                    media.port = lease.local.port();
                    let ip = addressing.written(&lease, remote);
                    written.get_or_insert(ip);
                    if written != Some(ip) {
                        media.address = Some(Host::Ip(ip));
                    }
                }
                _ => media.port = 0,
            }
        }
        // With every stream refused the line still needs an address; the unspecified one promises nothing.
        let refused = if self.is_v6(toward) {
            IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
        };
        self.write_keys(&mut out, toward);
        out.address = Some(Host::Ip(written.unwrap_or(refused)));
        out.attributes.retain(|a| !is_transport_attribute(&a.name));
        out
    }

    /// Replaces what a description says of encryption by what the peer on `toward` is to be told of it. Where neither
    /// gateway has to do with it, it passes as it is.
    pub fn write_keys(&self, session: &mut SessionDescription, toward: Side) {
        if self.srtp == [Srtp::Off; 2] {
            return;
        }
        for (index, media) in session.media.iter_mut().enumerate() {
            secure::lay_bare(media);
            let stream = self.streams.get(index).and_then(Option::as_ref);
            let secure = stream.and_then(|s| s.secure[usize::from(toward == Side::B)].as_ref());
            if let Some(secure) = secure.filter(|_| media.port != 0) {
                secure.write(media);
            }
        }
    }

    /// Has this side described its media without the keys that it needs?
    pub fn lacks_keys(&self, side: Side) -> bool {
        let secure = self.streams.iter().flatten().filter_map(|s| s.secure[usize::from(side == Side::B)]);
        secure.into_iter().any(|secure| secure.lacks_keys())
    }

    /// May this side not offer such a change (`MED-23`)?
    pub fn is_against_protection(&self, side: Side, session: &SessionDescription) -> bool {
        self.srtp != [Srtp::Off; 2] && !is_acceptable(self.srtp[usize::from(side == Side::B)], session)
    }

    /// Ends all sessions and gives up all ports.
    /// Of sessions that the media threads never heard of there will be no figures: their names are given back.
    pub fn close(&mut self, pool: &mut PortPool, out: &mut dyn FnMut(MediaCommand)) -> Vec<MediaSessionId> {
        let mut unheard = Vec::new();
        for stream in self.streams.drain(..).flatten() {
            if stream.opened {
                pool.retire(stream.a.lease);
                pool.retire(stream.b.lease);
                self.closing += 1;
                out(MediaCommand::Close { session: stream.session });
            } else {
                pool.put_back(stream.a.lease);
                pool.put_back(stream.b.lease);
                unheard.push(stream.session);
            }
        }
        unheard
    }

    fn is_v6(&self, side: Side) -> bool {
        self.signalling[usize::from(side == Side::B)].is_some_and(|ip| ip.is_ipv6())
    }

    /// Keeps the latest figures of a session.
    pub fn record(&mut self, now: Tick, figures: SessionStatistics) {
        self.recorded = now;
        let before = match self.statistics.iter_mut().find(|s| s.session == figures.session) {
            Some(known) => std::mem::replace(known, figures),
            None => {
                self.statistics.push(figures);
                figures
            }
        };
        match self.previous.iter_mut().find(|s| s.session == figures.session) {
            Some(known) => *known = before,
            None => self.previous.push(before),
        }
    }

    /// What the media doctor says of the stream of speech.
    pub fn examine(&self, now: Tick) -> Vec<SilentSide> {
        let Some(stream) = self.streams.iter().flatten().find(|s| s.opened && s.a.rtp) else {
            return Vec::new();
        };
        let of = |all: &[SessionStatistics]| all.iter().find(|s| s.session == stream.session).copied();
        let latest = of(&self.statistics);
        // Figures come of sessions in which anything has happened; without news nothing has.
        let stale = now.since(self.recorded) > STALE_FIGURES;
        let before = if stale { latest } else { of(&self.previous) };
        let nothing = SideStatistics::default();
        let sides = |s: Option<SessionStatistics>| s.map_or([nothing; 2], |s| [s.a, s.b]);
        let (latest, before) = (sides(latest), sides(before));
        let examined = [(Side::A, &stream.a), (Side::B, &stream.b)].into_iter().enumerate().filter_map(
            |(n, (side, config))| {
                diagnosis::doctor::examine(&diagnosis::doctor::Patient {
                    side,
                    config,
                    described: self.described[n],
                    signalling: self.signalling[n]?,
                    now: &latest[n],
                    before: &before[n],
                })
            },
        );
        examined.collect()
    }

    /// What is to be written down of the streams.
    pub fn states(&self, seal: &[u8; 32]) -> Vec<Option<StreamState>> {
        let state = |s: &Stream| StreamState {
            session: s.session,
            a: s.a,
            b: s.b,
            directions: s.directions,
            keys: s.secure.map(|secure| secure?.seal(seal)),
        };
        self.streams.iter().map(|s| s.as_ref().filter(|s| s.opened).map(state)).collect()
    }

    /// Is a peer heard from another address than its description says? Such an address was learned, and is known to
    /// nobody else.
    pub fn learned(&self, figures: &SessionStatistics) -> bool {
        let stream = self.streams.iter().flatten().find(|s| s.session == figures.session);
        stream.is_some_and(|s| {
            let other = |config: &SideConfig, at: Option<SocketAddr>| at.is_some() && at != config.remote;
            other(&s.a, figures.a.latched) || other(&s.b, figures.b.latched)
        })
    }

    /// The media of a call of the process before this one, on the same ports, with the figures that are known of it.
    pub fn resume(
        (a, b): (Party, Party),
        (states, seal): (Vec<Option<StreamState>>, [u8; 32]),
        figures: &[SessionStatistics],
        mut lease: impl FnMut(PortLease) -> PortLease,
        mut next_id: impl FnMut() -> MediaSessionId,
        out: &mut dyn FnMut(MediaCommand),
    ) -> MediaPlan {
        let mut plan = MediaPlan::new(a, b);
        plan.answered = true;
        for state in states.into_iter().take(MAX_STREAMS) {
            let stream = state.map(|state| {
                let session = next_id();
                let known = figures.iter().find(|f| f.session == state.session);
                let nothing = SessionStatistics { session, a: Default::default(), b: Default::default() };
                let figures = SessionStatistics { session, ..known.copied().unwrap_or(nothing) };
                let again = |side: SideConfig, lease| SideConfig { lease, relearn: false, ..side };
                let (a, b) = (again(state.a, lease(state.a.lease)), again(state.b, lease(state.b.lease)));
                let secure = state.keys.map(|keys| Some(Secure::open(&keys?, &seal).unwrap_or(Secure::SHUT)));
                let directions = state.directions;
                let mut stream = Stream { session, a, b, directions, secure, opened: true };
                stream.agree_cipher();
                let (a, b) = (stream.a, stream.b);
                out(MediaCommand::Reopen { session, a, b, figures: Box::new(figures) });
                plan.digits = [&a, &b].map(|side| side.coding.map(|c| c.digits.send));
                plan.watch_ms = [plan.watch_ms[0].or(a.watch), plan.watch_ms[1].or(b.watch)];
                plan.statistics.push(figures);
                if plan.described == [None, None] {
                    plan.described = [a.remote, b.remote];
                }
                stream
            });
            plan.streams.push(stream);
        }
        plan
    }

    pub fn sessions(&self) -> impl Iterator<Item = MediaSessionId> {
        self.streams.iter().flatten().map(|s| s.session)
    }

    /// The media threads could not open this stream's ports again.
    pub fn lose(&mut self, session: MediaSessionId, pool: &mut PortPool) {
        for slot in &mut self.streams {
            if let Some(stream) = slot.take_if(|s| s.session == session) {
                pool.retire(stream.a.lease);
                pool.retire(stream.b.lease);
            }
        }
    }

    /// Both sides may talk on some stream: the call is not on hold.
    pub fn talking(&self) -> bool {
        self.streams.iter().flatten().any(|s| s.directions == [Direction::SendRecv; 2])
    }
}

impl Stream {
    fn agree_cipher(&mut self) {
        let [a, b] = self.secure.map(|secure| secure.and_then(|secure| secure.cipher()));
        (self.a.cipher, self.b.cipher) = (a, b);
    }

    /// Tells the media threads of a change on `side`, and of the watch on both, which depends on both directions.
    fn send(&mut self, side: Side, watch_ms: [Option<u32>; 2], out: &mut dyn FnMut(MediaCommand)) {
        // `MED-5`: a side is watched only while both may talk.
        let talks = self.directions == [Direction::SendRecv; 2];
        let watches = watch_ms.map(|ms| ms.filter(|_| talks));
        let other_changes = self.config(side.other()).watch != watches[usize::from(side == Side::A)];
        [self.a.watch, self.b.watch] = watches;
        if !self.opened {
            self.opened = true;
            out(MediaCommand::Open { session: self.session, a: self.a, b: Some(self.b) });
        } else {
            out(MediaCommand::SetSide { session: self.session, side, config: *self.config(side) });
            if other_changes {
                let other = side.other();
                self.config(other).relearn = false;
                out(MediaCommand::SetSide {
                    session: self.session,
                    side: other,
                    config: *self.config(other),
                });
            }
        }
        self.config(side).relearn = false;
    }
}

/// Attributes that describe the path and not the media; on a relayed leg they are ours to state, and we state none.
fn is_transport_attribute(name: &str) -> bool {
    matches!(name, "rtcp" | "rtcp-mux" | "candidate" | "remote-candidates" | "end-of-candidates")
        || name.starts_with("ice-")
}

/// RFC 3605: `a=rtcp:port [IN IP4 address]`. Another address than that of the media is not believed: reports would go
/// to whom it names.
fn rtcp_address(media: &MediaDescription, rtp: SocketAddr) -> Option<SocketAddr> {
    let mut words = media.attribute("rtcp")?.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    let ip = words.nth(2).and_then(|ip| ip.parse().ok()).unwrap_or(rtp.ip());
    (ip == rtp.ip()).then_some(SocketAddr::new(ip, port))
}

/// Somewhere out there: not nowhere (the old form of hold), and not our own loopback, unless the peer lives there too.
/// Where such a peer really is shows when its media comes.
fn is_elsewhere(ip: IpAddr, signalling: Option<IpAddr>) -> bool {
    let local_peer = signalling.is_some_and(|s| s.is_loopback());
    !ip.is_unspecified() && (local_peer || !ip.to_canonical().is_loopback())
}

/// The same /24, or /64 of IPv6.
fn same_network(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Clock of the first codec, for the jitter; 8000 Hz when it is not said.
fn clock_rate(media: &MediaDescription) -> u32 {
    let first = media.formats.first().map_or("0", |f| f.as_str());
    let mapped = media.attributes.iter().filter(|a| a.name == "rtpmap").find_map(|a| {
        let (number, encoding) = a.value.as_deref()?.split_once(' ')?;
        (number == first).then(|| encoding.split('/').nth(1)?.parse().ok()).flatten()
    });
    mapped.filter(|rate| (1000..=192_000).contains(rate)).unwrap_or(8000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::net::{Cidr, LocalAddresses};
    use vocab::session::Attribute;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn party(at: &str) -> Party {
        Party { signalling: ip(at), mode: MediaProxyMode::On, moves: MediaMove::SameNetwork, srtp: Srtp::Off }
    }

    fn attribute(name: &str, value: &str) -> Attribute {
        Attribute { name: name.into(), value: Some(value.into()) }
    }

    fn audio(address: &str, port: u16) -> SessionDescription {
        SessionDescription {
            address: Some(Host::Ip(ip(address))),
            media: vec![MediaDescription {
                kind: "audio".into(),
                port,
                protocol: "RTP/AVP".into(),
                formats: vec!["8".into(), "101".into()],
                address: None,
                direction: None,
                bandwidth: Vec::new(),
                attributes: vec![
                    attribute("rtpmap", "101 telephone-event/8000"),
                    attribute("rtcp", "4711"),
                    attribute("ptime", "20"),
                ],
            }],
            ..SessionDescription::default()
        }
    }

    fn pool(pairs: u32) -> PortPool {
        let mut pool = PortPool::new();
        for index in 0..pairs {
            let port = 10_000 + u16::try_from(index).unwrap() * 2;
            pool.add_ready(PortLease { thread: 0, index, local: SocketAddr::new(ip("0.0.0.0"), port) });
        }
        pool
    }

    fn addressing() -> MediaAddressing {
        let local = LocalAddresses {
            interfaces: vec![(Cidr::parse("127.0.0.0/8").unwrap(), ip("127.0.0.1"))],
            default_v4: Some(ip("10.1.1.1")),
            default_v6: None,
        };
        MediaAddressing { local, advertised_v4: Some(ip("203.0.113.9")), advertised_v6: None }
    }

    /// `MED-1`, row by row.
    #[test]
    fn when_media_is_relayed() {
        use MediaProxyMode::{Auto, MustOn, Off, On};
        let near = audio("192.0.2.1", 4000);
        let natted = audio("10.9.9.9", 4000);
        for (a, b, watched, offer, b_ip, want) in [
            (Off, Off, true, &near, "192.0.2.2", false),
            (On, Off, true, &near, "192.0.2.2", false),
            (MustOn, Off, false, &near, "192.0.2.2", true),
            (Off, MustOn, false, &near, "192.0.2.2", true),
            (On, Auto, false, &near, "192.0.2.2", true),
            (Auto, Auto, false, &near, "192.0.2.2", false),
            (Auto, Auto, true, &near, "192.0.2.2", true),
            (Auto, Auto, false, &natted, "192.0.2.2", true),
            (Auto, Off, false, &natted, "192.0.2.2", false),
            (Auto, Auto, false, &near, "2001:db8::1", true),
        ] {
            let a_party = Party { mode: a, ..party("192.0.2.1") };
            let b_party = Party { mode: b, ..party(b_ip) };
            assert_eq!(
                relayed(a_party, b_party, true, watched, Some(offer)),
                want,
                "{a:?} {b:?} {watched} {b_ip}"
            );
        }
    }

    #[test]
    fn a_description_crosses_with_our_ports_and_addresses() {
        let mut ports = pool(4);
        let mut plan = MediaPlan::new(party("192.0.2.1"), party("127.0.0.1"));
        let offer = audio("192.0.2.1", 4000);
        plan.lease(&offer, &mut Random::from_number(1), &mut ports, || MediaSessionId(1)).unwrap();
        let mut sent = Vec::new();
        plan.apply(Side::A, &offer, true, &mut |c| sent.push(c));
        let to_b = plan.rewrite(&offer, Side::B, ip("127.0.0.1"), &addressing());
        assert_eq!(
            to_b.media_address(0),
            Some("127.0.0.1:10002".parse().unwrap()),
            "a local peer gets the local address"
        );
        assert_eq!(to_b.media[0].attribute("rtcp"), None);
        assert_eq!(to_b.media[0].attribute("ptime"), Some("20"));
        let to_a = plan.rewrite(&audio("127.0.0.1", 5000), Side::A, ip("192.0.2.1"), &addressing());
        assert_eq!(
            to_a.media_address(0),
            Some("203.0.113.9:10000".parse().unwrap()),
            "others get the public one"
        );
        let [MediaCommand::Open { a, b: Some(_), .. }] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(
            (a.remote, a.rtcp_remote),
            (Some("192.0.2.1:4000".parse().unwrap()), Some("192.0.2.1:4711".parse().unwrap()))
        );
    }

    #[test]
    fn a_new_gateway_gets_fresh_ports_and_all_come_back() {
        let mut ports = pool(3);
        let mut plan = MediaPlan::new(party("192.0.2.1"), party("192.0.2.2"));
        let offer = audio("192.0.2.1", 4000);
        plan.lease(&offer, &mut Random::from_number(1), &mut ports, || MediaSessionId(1)).unwrap();
        plan.apply(Side::A, &offer, true, &mut |_| ());
        plan.renew_b(party("192.0.2.3"), &mut Random::from_number(2), &mut ports, &mut |_| ()).unwrap();
        let to_b = plan.rewrite(&offer, Side::B, ip("192.0.2.3"), &addressing());
        assert_eq!(to_b.media[0].port, 10_004);
        assert_eq!(
            plan.renew_b(party("192.0.2.4"), &mut Random::from_number(2), &mut ports, &mut |_| ()),
            Err(NoPorts)
        );
        plan.close(&mut ports, &mut |_| ());
        assert_eq!((ports.used(), plan.closing), (0, 1));
    }

    #[test]
    fn hold_stops_the_watch_and_resume_starts_it() {
        let mut ports = pool(2);
        let mut plan = MediaPlan::new(party("192.0.2.1"), party("192.0.2.2"));
        let session = audio("192.0.2.1", 4000);
        plan.lease(&session, &mut Random::from_number(1), &mut ports, || MediaSessionId(1)).unwrap();
        plan.apply(Side::A, &session, true, &mut |_| ());
        plan.apply(Side::B, &audio("192.0.2.2", 6000), true, &mut |_| ());
        plan.watch([Some(30_000); 2], &mut |_| ());
        let watches = |plan: &MediaPlan| plan.streams[0].as_ref().map(|s| (s.a.watch, s.b.watch));
        assert_eq!(watches(&plan), Some((Some(30_000), Some(30_000))));
        let mut held = session.clone();
        held.media[0].direction = Some(Direction::SendOnly);
        plan.apply(Side::A, &held, true, &mut |_| ());
        assert_eq!((watches(&plan), plan.talking()), (Some((None, None)), false));
        plan.apply(Side::A, &session, true, &mut |_| ());
        assert_eq!((watches(&plan), plan.talking()), (Some((Some(30_000), Some(30_000))), true));
    }

    #[test]
    fn without_ports_nothing_stays_leased() {
        let mut ports = pool(1);
        let mut plan = MediaPlan::new(party("192.0.2.1"), party("192.0.2.2"));
        let leased = plan
            .lease(&audio("192.0.2.1", 4000), &mut Random::from_number(1), &mut ports, || MediaSessionId(1));
        assert_eq!((leased, ports.used()), (Err(NoPorts), 0));
    }
}
