//! Who may be heard at all: judged from the source address and a glance at the first line, before any parsing.

use crate::snapshot::Snapshot;
use sip::PeerPolicy;
use vocab::Flow;

pub(crate) enum Verdict {
    Pass(PeerPolicy),
    Drop,
}

/// `SEC-1`: nothing is accepted from an unknown address unless it can still authenticate.
pub(crate) fn judge(snapshot: &Snapshot, flow: Flow, bytes: &[u8]) -> Verdict {
    if let Some(gateway) = snapshot.mapping_by_source(flow.remote).next() {
        return Verdict::Pass(PeerPolicy {
            reply_address: gateway.reply_address,
            request_address: gateway.request_address,
        });
    }
    if let Some(gateway) = snapshot.routing_by_source(flow.remote) {
        return Verdict::Pass(PeerPolicy {
            reply_address: gateway.reply_address,
            request_address: gateway.request_address,
        });
    }
    let peek = sip::peek(bytes);
    // A response is matched against unguessable branches, a request inside a dialog against unguessable tags; the
    // engine drops what fits none. A new call may come from anywhere where gateways sign in by password.
    let harmless = peek.is_response || peek.in_dialog;
    let may_sign_in = snapshot.has_password_gateways() && matches!(peek.method, "INVITE" | "ACK" | "CANCEL");
    if harmless || may_sign_in || (snapshot.params.reply_unauthorized && peek.looks_like_sip) {
        Verdict::Pass(PeerPolicy::default())
    } else {
        Verdict::Drop
    }
}
