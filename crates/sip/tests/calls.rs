//! Calls between two endpoints, as ladders: who does what when, what each brain hears, what is on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use common::*;
use vocab::Transport::{self, Tcp, Udp};
use vocab::leg::LegCommand::*;
use vocab::leg::*;

fn alert() -> LegCommand {
    Alert { session: None, reliable: false }
}

fn answer() -> LegCommand {
    Answer { session: session(5000) }
}

fn bye() -> LegCommand {
    Release { q850: Some(16), text: None }
}

struct Case {
    name: &'static str,
    placement: fn(&mut Placement),
    reactions: Vec<Reaction>,
    a: &'static str,
    b: &'static str,
    wire: &'static str,
}

fn cases() -> Vec<Case> {
    let plain: fn(&mut Placement) = |_| {};
    let delayed: fn(&mut Placement) = |p| p.session = None;
    let reinvite = |by| Offer { session: session(4002), by };
    vec![
        Case {
            name: "a plain call",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![alert()]),
                (A, "Alerting", 3000, vec![]),
                (B, "Setup", 0, vec![]),
                (A, "Trying", 2000, vec![]),
                (A, "Answered", 5000, vec![bye()]),
            ],
            a: "Trying Alerting",
            b: "Setup+",
            wire: "a>INVITE b>100 b>180",
        },
        Case {
            name: "answer and release by the caller",
            placement: plain,
            reactions: vec![(B, "Setup", 10, vec![alert(), answer()]), (A, "Answered", 5000, vec![bye()])],
            a: "Trying Alerting Answered+ Ended",
            b: "Setup+ Confirmed Released Ended",
            wire: "a>INVITE b>100 b>180 b>200 a>ACK a>BYE b>200",
        },
        Case {
            name: "release by the callee",
            placement: plain,
            reactions: vec![(B, "Setup", 10, vec![answer()]), (B, "Confirmed", 5000, vec![bye()])],
            a: "Trying Answered+ Released Ended",
            b: "Setup+ Confirmed Ended",
            wire: "a>INVITE b>100 b>200 a>ACK b>BYE a>200",
        },
        Case {
            name: "early media, busy",
            placement: plain,
            reactions: vec![(
                B,
                "Setup",
                10,
                vec![
                    Progress { session: session(5000), reliable: false },
                    Refuse(Refusal { q850: Some(17), ..Refusal::status(486) }),
                ],
            )],
            a: "Trying Progress+ Refused:486 Ended",
            b: "Setup+ Ended",
            wire: "a>INVITE b>100 b>183 b>486 a>ACK",
        },
        Case {
            name: "cancel while ringing",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![alert()]),
                (A, "Trying|Alerting", 100, vec![Cancel { q850: Some(16) }]),
            ],
            a: "Trying Alerting Refused:487 Ended",
            b: "Setup+ Cancelled Ended",
            wire: "a>INVITE b>100 b>180 a>CANCEL b>200 b>487 a>ACK",
        },
        Case {
            name: "cancel right after 100",
            placement: plain,
            reactions: vec![(A, "Trying|Alerting", 0, vec![Cancel { q850: None }])],
            a: "Trying Refused:487 Ended",
            b: "Setup+ Cancelled Ended",
            wire: "a>INVITE b>100 a>CANCEL b>200 b>487 a>ACK",
        },
        Case {
            name: "the answer crosses the cancel",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (A, "Trying", 9, vec![Cancel { q850: None }]),
                (A, "Answered", 50, vec![bye()]),
            ],
            a: "Trying Refused:487 Ended",
            b: "Setup+ Confirmed Released Ended",
            wire: "a>INVITE b>100 b>200 a>CANCEL a>ACK a>BYE b>200 b>200",
        },
        Case {
            name: "refused with a redirection",
            placement: plain,
            reactions: vec![(
                B,
                "Setup",
                0,
                vec![Refuse(Refusal {
                    contacts: vec!["sip:1@10.0.0.3".into(), "sip:2@10.0.0.4".into()],
                    ..Refusal::status(302)
                })],
            )],
            a: "Trying Refused:302 Ended",
            b: "Setup+ Ended",
            wire: "a>INVITE b>100 b>302 a>ACK",
        },
        Case {
            name: "reliable ringing and early media: the answer is in the 183",
            placement: plain,
            reactions: vec![
                (
                    B,
                    "Setup",
                    10,
                    vec![
                        Alert { session: None, reliable: true },
                        Progress { session: session(5000), reliable: true },
                    ],
                ),
                (A, "Progress", 1000, vec![]),
            ],
            a: "Trying Alerting Progress+",
            b: "Setup+",
            wire: "a>INVITE b>100 b>180 a>PRACK b>200 b>183 a>PRACK b>200",
        },
        Case {
            name: "reliable early media, answered at once",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![Progress { session: session(5000), reliable: true }, answer()]),
                (A, "Answered", 1000, vec![bye()]),
            ],
            a: "Trying Progress+ Answered Ended",
            b: "Setup+ Confirmed Released Ended",
            wire: "a>INVITE b>100 b>183 a>PRACK b>200 b>200 a>ACK a>BYE b>200",
        },
        Case {
            name: "delayed offer",
            placement: delayed,
            reactions: vec![
                (B, "Setup", 10, vec![Progress { session: session(5000), reliable: false }, answer()]),
                (A, "Answered", 100, vec![Confirm { session: session(4000) }]),
                (B, "Confirmed", 1000, vec![bye()]),
            ],
            a: "Trying Progress Answered+ Released Ended",
            b: "Setup Confirmed+ Ended",
            wire: "a>INVITE b>100 b>183 b>200 a>ACK b>BYE a>200",
        },
        Case {
            name: "re-INVITE by the caller",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (A, "Answered", 1000, vec![reinvite(OfferBy::Reinvite)]),
                (B, "Offered", 500, vec![AcceptOffer { session: session(5002) }]),
                (A, "OfferAccepted", 1000, vec![bye()]),
            ],
            a: "Trying Answered+ OfferAccepted+ Ended",
            b: "Setup+ Confirmed Offered+ Released Ended",
            wire: "a>INVITE b>100 b>200 a>ACK a>INVITE b>100 b>200 a>ACK a>BYE b>200",
        },
        Case {
            name: "re-INVITE by the callee, refused",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (B, "Confirmed", 1000, vec![reinvite(OfferBy::Reinvite)]),
                (A, "Offered", 10, vec![RefuseOffer(Refusal::status(488))]),
                (B, "OfferRefused:488", 10, vec![bye()]),
            ],
            a: "Trying Answered+ Offered+ Released Ended",
            b: "Setup+ Confirmed OfferRefused:488 Ended",
            wire: "a>INVITE b>100 b>200 a>ACK b>INVITE a>100 a>488 b>ACK b>BYE a>200",
        },
        Case {
            name: "re-INVITE without an offer",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (A, "Answered", 1000, vec![Offer { session: None, by: OfferBy::Update }]),
                (B, "Offered", 10, vec![AcceptOffer { session: session(5002) }]),
                (A, "OfferAccepted", 10, vec![Confirm { session: session(4002) }]),
                (B, "OfferConfirmed", 10, vec![bye()]),
            ],
            a: "Trying Answered+ OfferAccepted+ Released Ended",
            b: "Setup+ Confirmed Offered OfferConfirmed+ Ended",
            wire: "a>INVITE b>100 b>200 a>ACK a>INVITE b>100 b>200 a>ACK b>BYE a>200",
        },
        Case {
            name: "UPDATE both ways",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (A, "Answered", 1000, vec![reinvite(OfferBy::Update)]),
                (B, "Offered", 100, vec![AcceptOffer { session: session(5002) }, reinvite(OfferBy::Update)]),
                (A, "Offered", 10, vec![AcceptOffer { session: session(4004) }]),
                (B, "OfferAccepted", 10, vec![bye()]),
            ],
            a: "Trying Answered+ OfferAccepted+ Offered+ Released Ended",
            b: "Setup+ Confirmed Offered+ OfferAccepted+ Ended",
            wire: "a>INVITE b>100 b>200 a>ACK a>UPDATE b>200 b>UPDATE a>200 b>BYE a>200",
        },
        Case {
            name: "UPDATE before the answer",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![Progress { session: session(5000), reliable: true }]),
                (A, "Progress", 1000, vec![reinvite(OfferBy::Update)]),
                (
                    B,
                    "Offered",
                    10,
                    vec![AcceptOffer { session: session(5002) }, reinvite(OfferBy::Update), answer()],
                ),
                (A, "Offered", 0, vec![AcceptOffer { session: session(4004) }]),
                (A, "Answered", 1000, vec![bye()]),
            ],
            a: "Trying Progress+ OfferAccepted+ Offered+ Answered Ended",
            b: "Setup+ Offered+ OfferAccepted+ Confirmed Released Ended",
            wire: "a>INVITE b>100 b>183 a>PRACK b>200 a>UPDATE b>200 b>UPDATE b>200 a>200 a>ACK a>BYE b>200",
        },
        Case {
            name: "glare: both re-INVITE, both wait, both succeed",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (A, "Answered", 1001, vec![reinvite(OfferBy::Reinvite)]),
                (B, "Confirmed", 1000, vec![reinvite(OfferBy::Reinvite)]),
                (A, "Offered", 0, vec![AcceptOffer { session: session(4006) }]),
                (A, "OfferRefused:491", 0, vec![]),
                (B, "OfferAccepted", 0, vec![bye()]),
            ],
            a: "Trying Answered+ OfferRefused:491 Offered+ Released Ended",
            b: "Setup+ Confirmed OfferAccepted+ Ended",
            wire: "a>INVITE b>100 b>200 a>ACK a>INVITE b>INVITE b>491 a>491 a>ACK b>ACK b>INVITE a>100 a>200 b>ACK b>BYE a>200",
        },
        Case {
            name: "INFO",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (
                    A,
                    "Answered",
                    10,
                    vec![Info {
                        content_type: "application/dtmf-relay".into(),
                        body: b"Signal=5\r\n".to_vec(),
                    }],
                ),
                (B, "Info", 10, vec![bye()]),
            ],
            a: "Trying Answered+ Released Ended",
            b: "Setup+ Confirmed Info Ended",
            wire: "a>INVITE b>100 b>200 a>ACK a>INFO b>200 b>BYE a>200",
        },
        Case {
            name: "released before the ACK: the BYE waits",
            placement: delayed,
            reactions: vec![
                (B, "Setup", 10, vec![answer(), bye()]),
                (A, "Answered", 300, vec![Confirm { session: session(4000) }]),
            ],
            a: "Trying Answered+ Released Ended",
            b: "Setup Ended",
            wire: "a>INVITE b>100 b>200 a>ACK b>BYE a>200",
        },
        Case {
            name: "an offer before the ACK waits for it",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer(), reinvite(OfferBy::Reinvite)]),
                (A, "Offered", 0, vec![AcceptOffer { session: session(4000) }]),
                (B, "OfferAccepted", 0, vec![bye()]),
            ],
            a: "Trying Answered+ Offered+ Released Ended",
            b: "Setup+ Confirmed OfferAccepted+ Ended",
            wire: "a>INVITE b>100 b>200 a>ACK b>INVITE a>100 a>200 b>ACK b>BYE a>200",
        },
        Case {
            name: "both hang up at once",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (A, "Answered", 1001, vec![bye()]),
                (B, "Confirmed", 1000, vec![bye()]),
            ],
            a: "Trying Answered+ Ended",
            b: "Setup+ Confirmed Ended",
            wire: "a>INVITE b>100 b>200 a>ACK a>BYE b>BYE b>200 a>200",
        },
        Case {
            name: "BYE while an offer is open",
            placement: plain,
            reactions: vec![
                (B, "Setup", 10, vec![answer()]),
                (A, "Answered", 1000, vec![reinvite(OfferBy::Reinvite)]),
                (B, "Offered", 50, vec![bye()]),
            ],
            a: "Trying Answered+ OfferRefused:487 Released Ended",
            b: "Setup+ Confirmed Offered+ Ended",
            wire: "a>INVITE b>100 b>200 a>ACK a>INVITE b>100 b>487 b>BYE a>ACK a>200",
        },
    ]
}

fn run(case: &Case, transport: Transport, hangs: bool) -> World {
    let mut world = World::new(transport);
    world.reactions.extend(case.reactions.iter().filter(|r| !r.3.is_empty()).cloned());
    let mut p = placement(transport);
    (case.placement)(&mut p);
    world.place(p);
    world.run_for(if hangs { 20_000 } else { 600_000 });
    world
}

#[test]
fn ladders() {
    for case in cases() {
        for transport in [Udp, Tcp] {
            let hangs = !case.a.ends_with("Ended");
            let world = run(&case, transport, hangs);
            let got = (world.events(A), world.events(B), world.log());
            let want = (case.a.to_owned(), case.b.to_owned(), case.wire.to_owned());
            assert_eq!(got, want, "{} over {transport}", case.name);
            if !hangs {
                world.assert_empty();
            }
        }
    }
}

/// Ladders whose end depends on who is first: losing a message may change what is heard, not that it ends.
const RACES: [&str; 5] =
    ["UPDATE before", "cancel right after 100", "the answer crosses", "both hang up", "BYE while"];

/// Every single message lost or doubled: the call still comes to the same end on both sides, and leaves nothing.
#[test]
fn one_message_lost_or_doubled() {
    for case in cases().iter().filter(|c| c.a.ends_with("Ended") && !c.name.starts_with("glare")) {
        let whole = run(case, Udp, false).sent;
        for k in 1..=whole {
            for double in [false, true] {
                let mut world = World::new(Udp);
                if double {
                    world.double.insert(k)
                } else {
                    world.lose.insert(k)
                };
                world.reactions.extend(case.reactions.iter().filter(|r| !r.3.is_empty()).cloned());
                let mut p = placement(Udp);
                (case.placement)(&mut p);
                world.place(p);
                world.run();
                let what = format!(
                    "{}, message {k} {}: {}",
                    case.name,
                    if double { "doubled" } else { "lost" },
                    world.log()
                );
                assert_eq!(world.events[A].last().map(String::as_str), Some("Ended"), "a, {what}");
                assert_eq!(world.events[B].last().map(String::as_str), Some("Ended"), "b, {what}");
                // What is not repeated may never come.
                let skip = |s: &str| {
                    let told =
                        s.split(' ').filter(|e| !["Trying", "Alerting", "Progress", "Progress+"].contains(e));
                    told.collect::<Vec<_>>().join(" ")
                };
                if !RACES.iter().any(|r| case.name.starts_with(r)) {
                    assert_eq!(skip(&world.events(A)), skip(case.a), "a, {what}");
                }
                world.assert_empty();
            }
        }
    }
}

/// On a network that loses a fifth of everything, whatever both sides do, each leg ends once and nothing stays.
#[test]
fn every_call_ends_on_a_bad_network() {
    let mut answered = 0;
    for seed in 0..400 {
        for case in cases() {
            let mut world = World::new(Udp);
            world.chaos = Some(vocab::Random::from_number(seed));
            world.reactions.extend(case.reactions.iter().filter(|r| !r.3.is_empty()).cloned());
            let mut p = placement(Udp);
            (case.placement)(&mut p);
            let leg = world.place(p);
            world.run_for(40_000);
            world.command(A, leg, bye());
            world.run_for(60_000);
            // A callee whose caller is gone without a trace is released by its brain.
            if let Some(far) = world.last_leg[B] {
                world.command(B, far, bye());
            }
            world.run();
            answered += usize::from(world.events(A).contains("Answered"));
            for side in [A, B] {
                let ends = world.events[side].iter().filter(|e| *e == "Ended").count();
                assert!(ends <= 1, "{}, seed {seed}: {}", case.name, world.events(side));
                assert!(
                    world.events[side].last().is_none_or(|e| e == "Ended"),
                    "{}, seed {seed}: {}",
                    case.name,
                    world.log()
                );
            }
            world.assert_empty();
        }
    }
    let would = cases().iter().filter(|c| c.a.contains("Answered")).count() * 400;
    assert!(answered * 100 > would * 98, "{answered} of {would}");
}
