//! RTP and RTCP sessions: latching, relay, counters, port leases. No sockets.
