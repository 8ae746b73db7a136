//! Why nothing is heard: one-way audio, no audio, media from elsewhere, loss.

use super::{BOTH, Case, Finding};
use crate::Side;
use crate::doctor::unreachable_from;
use cdr::{LegRecord, MediaFigures};
use std::net::SocketAddr;

/// Shorter talks say nothing about audio.
const SHORTEST_TALK_MS: u64 = 2_000;
const MUCH_LOST_PERCENT: u64 = 5;
/// Packets below which a percentage means little.
const FEW_PACKETS: u64 = 50;

pub(super) fn findings(case: &Case<'_>, found: &mut Vec<Finding>) {
    if !case.answered() || (!case.live && case.cdr.talk_ms < SHORTEST_TALK_MS) {
        return;
    }
    if !case.cdr.media_relayed {
        found.extend(BOTH.into_iter().filter_map(|side| direct_private(case, side)));
        return;
    }
    let heard = BOTH.map(|side| leg(case, side).media.packets_in > 0);
    match heard {
        [false, false] => {
            found.push(Finding::fault(
                "no_audio",
                None,
                "no audio: not one packet came from either side".to_owned(),
                "Check the media ports of this switch in the firewall, and the addresses in both session descriptions.",
            ));
        }
        [false, true] => found.push(one_way(case, Side::A)),
        [true, false] => found.push(one_way(case, Side::B)),
        [true, true] => {}
    }
    for side in BOTH {
        let silent = !heard[usize::from(side == Side::B)];
        if silent {
            found.extend(private_address(case, side));
        }
        found.extend(elsewhere(case, side, silent));
        found.extend(lossy(case, side));
    }
    found.extend(case.cdr.silent.iter().filter_map(|s| told_by_doctor(s, heard)));
}

/// What the doctor saw and figures at the end do not tell.
fn told_by_doctor(silent: &cdr::SilentSide, heard: [bool; 2]) -> Option<Finding> {
    let side = if silent.gateway { Side::B } else { Side::A };
    let new = !matches!(
        silent.why.as_str(),
        "sends_nothing" | "private_address" | "wrong_source" | "on_hold" | "lossy"
    );
    let useful = new && (heard[usize::from(side == Side::B)] || silent.why != "stopped");
    useful.then(|| {
        let key = match silent.why.as_str() {
            "encrypted" => "encryption_mismatch",
            "wrong_codec" => "codec_wrong",
            "stopped" => "media_stopped",
            "not_rtp" => "media_not_rtp",
            "only_rtcp" => "media_only_rtcp",
            "no_address" => "no_sdp_address",
            _ => "media_silent",
        };
        let advice =
            "See the peer's session description and figures below; the peer must change what it sends.";
        Finding::fault(key, Some(side), silent.words.clone(), advice)
    })
}

fn leg<'a>(case: &'a Case<'_>, side: Side) -> &'a LegRecord {
    if side == Side::A { &case.cdr.a } else { &case.cdr.b }
}

/// Where the side's latest description wants its media.
fn described(case: &Case<'_>, side: Side) -> Option<SocketAddr> {
    let session = case.of(side, true).rev().find_map(|s| s.session.as_ref())?;
    session.media_address(session.audio()?)
}

fn one_way(case: &Case<'_>, silent: Side) -> Finding {
    let figures = &leg(case, silent).media;
    Finding::fault(
        "one_way_audio",
        Some(silent),
        format!(
            "one-way audio: nothing came from {}, while {} packets were sent to it",
            case.who(silent),
            figures.packets_out
        ),
        "The silent side's media does not reach this switch: see its session description and its firewall.",
    )
}

fn private_address(case: &Case<'_>, side: Side) -> Option<Finding> {
    let address = described(case, side)?;
    let signalling = leg(case, side).remote?.ip();
    unreachable_from(address.ip(), signalling).then(|| {
        Finding::fault(
            "private_sdp_address",
            Some(side),
            format!(
                "the session description of {} has the private address {}, while its signalling comes from {signalling}: media sent there cannot arrive",
                case.who(side),
                address.ip()
            ),
            "The peer must put its public address into its session description, or send media first so that its address is learned.",
        )
    })
}

/// Without a relay, peers send to what the other's description says.
fn direct_private(case: &Case<'_>, side: Side) -> Option<Finding> {
    private_address(case, side).map(|mut finding| {
        finding.advice =
            "Media of this call does not pass the switch: set SS_MEDIAPROXYMODE to On for this gateway.";
        finding
    })
}

fn elsewhere(case: &Case<'_>, side: Side, silent: bool) -> Option<Finding> {
    let figures: &MediaFigures = &leg(case, side).media;
    let dropped = figures.rejected > 10 && figures.rejected > figures.packets_in / 10;
    let advice =
        "Let the address be learned, or have the peer send from the address in its session description.";
    if dropped {
        let text = format!(
            "{} packets for {} came from another address than its own and were dropped",
            figures.rejected,
            case.who(side)
        );
        return Some(Finding::fault("media_elsewhere", Some(side), text, advice));
    }
    // Learned from elsewhere is well as long as both are heard.
    let (from, described) = (figures.remote?, described(case, side)?);
    let other_silent = leg(case, side.other()).media.packets_in == 0;
    (!silent && other_silent && from.ip().to_canonical() != described.ip().to_canonical()).then(|| {
        let text = format!(
            "media of {} comes from {from}, its session description says {described}: it may wait for the other's there",
            case.who(side)
        );
        Finding::warning("media_elsewhere", Some(side), text, advice)
    })
}

fn lossy(case: &Case<'_>, side: Side) -> Option<Finding> {
    let figures = &leg(case, side).media;
    let sent = figures.packets_in.saturating_add(figures.lost);
    let much =
        sent >= FEW_PACKETS && figures.lost.saturating_mul(100) > sent.saturating_mul(MUCH_LOST_PERCENT);
    much.then(|| {
        Finding::warning(
            "media_lossy",
            Some(side),
            format!("{} of {sent} packets from {} were lost on the way", figures.lost, case.who(side)),
            "The path from this peer is overloaded or damaged: compare with other calls of the same gateway.",
        )
    })
}
