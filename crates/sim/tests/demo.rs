//! The demo's peers against the whole switch, on virtual time.

#![expect(clippy::unwrap_used)]

use sim::business::Business;
use sim::demo::{CUSTOMERS, DemoAgent, DemoConfig, DemoInput, DemoOutput, VENDORS};
use sim::world::{Happening, SIP_PORT, SWITCH_V4, World};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use vocab::{Now, Tick, Transport, Utc};

fn address(net: u8, host: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([10, net, 0, u8::try_from(host).unwrap()], port))
}

/// The demo's business in the words of the simulator; prices do not matter here.
fn business() -> Business {
    let mut text = String::from(
        "customer first prepaid 50 1=0.02/1/1 8=0.02/60/6 9=0.02/1/1 4=0.01/1/1 5=0.01/1/1 3=0.01/1/1\n",
    );
    for (i, customer) in CUSTOMERS.iter().enumerate() {
        let password = customer.password.map_or("ip-port".into(), |(u, p)| format!("password {u}:{p}"));
        text += &format!("caller {} of first at 10.1.0.{}:5060 {password}\n", customer.name, i + 10);
    }
    for (i, vendor) in VENDORS.iter().enumerate() {
        text += &format!(
            "vendor {} prio {} takes 1,8,9,4,5,3 1=0.01/1/1 max_calls {} at 10.2.0.{}:5060\n",
            vendor.name,
            vendor.priority,
            vendor.max_concurrency,
            i + 10
        );
    }
    text += "param SS_MEDIAPROXYMODE=On SS_MEDIA_CHECK_TIMEOUT=0";
    Business::parse(&text).unwrap()
}

#[test]
fn keeps_the_switch_busy() {
    let mut world = World::new(business(), 1).unwrap();
    let customers = (0..CUSTOMERS.len()).map(|i| address(1, i + 10, 5060));
    let sip_sockets: Vec<SocketAddr> =
        customers.chain((0..VENDORS.len()).map(|i| address(2, i + 10, 5060))).collect();
    let config = DemoConfig {
        switch: SocketAddr::new(IpAddr::V4(SWITCH_V4), SIP_PORT),
        sip_sockets: sip_sockets.clone(),
        rtp_slots: (0..120).map(|i| address(3, 1, 30_000 + 2 * i)).collect(),
        calls_per_minute: 60,
        max_calls: 40,
        seed: [7; 16],
    };
    let clock = |tick: Tick| Now { tick, utc: Utc(0) };
    let mut agent = DemoAgent::new(clock(world.now()), config);
    let (stop, end) = (world.now() + Duration::from_secs(300), world.now() + Duration::from_secs(400));
    let mut rtp: BTreeMap<usize, Vec<(Tick, u16)>> = BTreeMap::new();
    let mut stopped = false;
    loop {
        while let Some(output) = agent.poll_output() {
            match output {
                DemoOutput::SendSip { socket, bytes, .. } => {
                    world.send(sip_sockets[socket], Transport::Udp, bytes);
                }
                DemoOutput::SendRtp { slot, to, bytes } => {
                    assert_eq!(to.ip(), IpAddr::V4(SWITCH_V4));
                    let sequence = u16::from_be_bytes([bytes[2], bytes[3]]);
                    rtp.entry(slot).or_default().push((world.now(), sequence));
                }
            }
        }
        let due = agent.poll_timeout().unwrap_or(end).min(end);
        match world.next(due) {
            Some(Happening::Message { to, bytes }) => {
                let socket = sip_sockets.iter().position(|a| *a == to).unwrap();
                let from = SocketAddr::new(IpAddr::V4(SWITCH_V4), SIP_PORT);
                agent.handle_input(clock(world.now()), DemoInput::Sip { socket, from, bytes: &bytes });
            }
            Some(_) => {}
            None if due == end => break,
            None => {
                if world.now() >= stop && !stopped {
                    stopped = true;
                    agent.stop(clock(world.now()));
                }
                agent.handle_timeout(clock(world.now()));
            }
        }
    }
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    world.cdrs().for_each(|cdr| *reasons.entry(cdr.end_reason.key()).or_default() += 1);
    for reason in ["normal_release", "callee_busy", "caller_cancelled"] {
        assert!(reasons.get(reason).is_some_and(|n| *n > 5), "{reasons:?}");
    }
    assert!(world.cdrs().any(|c| c.attempts.len() > 1 && c.answer.is_some()), "nobody failed over");
    assert!(agent.counters.answered > 100 && agent.counters.rtp_sent > 100_000, "{:?}", agent.counters);
    assert_eq!((agent.open_sides(), world.switch().calls()), (0, 0));
    // Within a stream, packets come every 20 ms and their numbers run on.
    let pairs = rtp.values().flat_map(|packets| packets.windows(2));
    let (mut steady, mut all) = (0, 0);
    for pair in pairs {
        all += 1;
        let next = pair[1].1 == pair[0].1.wrapping_add(1);
        steady += u32::from(next && pair[1].0.since(pair[0].0) == Duration::from_millis(20));
    }
    assert!(steady * 100 >= all * 99, "{steady} of {all}");
}
