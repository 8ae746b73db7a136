//! Legs that outlive their process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use sip::{LegState, Message};
use vocab::Transport::{Tcp, Udp};
use vocab::leg::LegCommand::*;
use vocab::leg::*;
use vocab::{LegId, Transport};

fn bye() -> LegCommand {
    Release { q850: None, text: None }
}

fn same(state: LegState) -> LegState {
    state
}

/// An answered call from A to B, and both legs.
fn talking(transport: Transport) -> (World, LegId, LegId) {
    let mut world = World::new(transport);
    world.reactions.push((B, "Setup", 10, vec![Answer { session: session(5000) }]));
    let a = world.place(placement(transport));
    world.run_for(1000);
    let b = world.last_leg[B].unwrap();
    assert_eq!(
        (world.events(A).as_str(), world.events(B).as_str()),
        ("Trying Answered+", "Setup+ Confirmed")
    );
    (world, a, b)
}

fn cseq(message: &Message) -> u32 {
    message.cseq().unwrap().number
}

#[test]
fn either_side_can_end_a_call_whose_other_side_was_restarted() {
    for transport in [Udp, Tcp] {
        for (restarted, hangs_up) in [(A, A), (A, B), (B, A), (B, B)] {
            let (mut world, mut a, mut b) = talking(transport);
            match restarted {
                A => a = world.restart(A, a, same),
                _ => b = world.restart(B, b, same),
            }
            world.command(hangs_up, if hangs_up == A { a } else { b }, bye());
            world.run_for(40_000);
            assert_eq!(world.events[1 - hangs_up].last().unwrap(), "Ended");
            assert!(world.events(1 - hangs_up).ends_with("Released Ended"), "{}", world.log());
            assert_eq!(world.packet(1 - hangs_up, "200", usize::from(hangs_up == A)).method_name(), "");
            for end in &world.ends {
                assert_eq!((end.statistics().legs, end.statistics().transactions), (0, 0), "{}", world.log());
            }
        }
    }
}

#[test]
fn requests_go_on_above_every_cseq_used_before_and_sessions_keep_their_name() {
    let (mut world, a, _) = talking(Udp);
    let first = world.packet(A, "INVITE", 0);
    let a = world.restart(A, a, same);
    world.reactions.push((B, "Offered", 10, vec![AcceptOffer { session: session(5000) }]));
    world.command(A, a, Offer { session: session(4000), by: OfferBy::Reinvite });
    world.run_for(1000);
    let again = world.packet(A, "INVITE", 1);
    assert!(cseq(&again) > cseq(&first) + 100);
    let origin = |m: &Message| {
        let body = String::from_utf8(m.body().to_vec()).unwrap();
        let line = body.lines().find_map(|l| l.strip_prefix("o=- ")).unwrap().to_owned();
        let mut words = line.split(' ').map(|w| w.parse::<u64>());
        (words.next().unwrap().unwrap(), words.next().unwrap().unwrap())
    };
    assert_eq!(origin(&again).0, origin(&first).0);
    assert_eq!(origin(&again).1, origin(&first).1 + 1);
    for name in ["From", "To", "Call-ID"] {
        let both = (again.header(name).unwrap(), first.header(name).unwrap());
        assert!(both.0.starts_with(both.1.trim_start_matches("\"Al \\\"x\\\"\" ")), "{both:?}");
    }
    assert!(world.events(A).ends_with("OfferAccepted+"), "{}", world.log());
}

#[test]
fn a_peer_that_still_knows_the_call_says_so_and_one_that_does_not_ends_it() {
    let (mut world, a, b) = talking(Udp);
    let a = world.restart(A, a, same);
    world.command(A, a, Probe);
    world.run_for(1000);
    assert!(world.events(A).ends_with("Alive"), "{}", world.log());
    world.lose.extend(world.sent + 1..world.sent + 20);
    world.command(B, b, bye());
    world.run_for(60_000);
    world.lose.clear();
    world.command(A, a, Probe);
    world.run_for(60_000);
    assert!(
        world.events(A).ends_with("Alive Failed:DialogLost Ended"),
        "{} {}",
        world.events(A),
        world.log()
    );
    // Silence is for the brain to judge.
    let (mut world, a, _) = talking(Udp);
    let a = world.restart(A, a, same);
    world.manual_b = true;
    world.command(A, a, Probe);
    world.run_for(60_000);
    assert_eq!(world.events(A), "Trying Answered+", "{}", world.log());
}

#[test]
fn a_call_that_was_being_set_up_is_cancelled_or_refused() {
    // Our INVITE: CANCEL of the same transaction, and the ACK of its 487.
    let mut world = World::new(Udp);
    world.reactions.push((B, "Setup", 10, vec![Alert { session: None, reliable: false }]));
    let a = world.place(placement(Udp));
    let placed = world.ends[A].leg_state(a).unwrap();
    world.run_for(1000);
    let a = world.restart(A, a, |_| placed);
    world.command(A, a, Cancel { q850: Some(41) });
    world.run_for(60_000);
    assert!(world.events(B).ends_with("Cancelled Ended"), "{}", world.log());
    assert!(world.events(A).ends_with("Refused:487 Ended"), "{}", world.log());
    let (invite, cancel, ack) =
        (world.packet(A, "INVITE", 0), world.packet(A, "CANCEL", 0), world.packet(A, "ACK", 0));
    for name in ["Via", "Call-ID"] {
        assert_eq!((cancel.header(name), ack.header(name)), (invite.header(name), invite.header(name)));
    }
    assert_eq!((cancel.request_uri(), cseq(&cancel)), (invite.request_uri(), cseq(&invite)));

    // Theirs: a refusal that their transaction takes, and that is acknowledged.
    let mut world = World::new(Udp);
    let a = world.place(placement(Udp));
    world.run_for(1000);
    let b = world.restart(B, world.last_leg[B].unwrap(), same);
    world.command(B, b, Refuse(Refusal::status(500)));
    world.run_for(60_000);
    assert!(world.events(A).ends_with("Refused:500 Ended"), "{}", world.log());
    assert!(world.log().ends_with("b>500 a>ACK"), "{}", world.log());
    assert_eq!(world.last_leg[A], Some(a));
}

#[test]
fn an_answer_that_was_never_acknowledged_is_given_again() {
    let mut world = World::new(Udp);
    world.place(placement(Udp));
    world.run_for(1000);
    let b = world.last_leg[B].unwrap();
    let arrived = world.ends[B].leg_state(b).unwrap();
    // The 200 is lost with its process.
    world.lose.insert(world.sent + 1);
    world.command(B, b, Answer { session: session(5000) });
    let b = world.restart(B, b, |state| state.with_invite_of(&arrived));
    world.command(B, b, Answer { session: session(5000) });
    world.run_for(2000);
    assert_eq!(
        (world.events(A).as_str(), world.events(B).as_str()),
        ("Trying Answered+", "Setup+ Confirmed")
    );
    world.command(B, b, bye());
    world.run_for(60_000);
    assert!(world.events(A).ends_with("Released Ended"), "{}", world.log());
}

#[test]
fn the_answer_to_an_offer_of_the_process_before_is_acknowledged() {
    let (mut world, a, _) = talking(Udp);
    world.reactions.push((B, "Offered", 300, vec![AcceptOffer { session: session(5000) }]));
    world.command(A, a, Offer { session: session(4000), by: OfferBy::Reinvite });
    world.run_for(200);
    world.restart(A, a, same);
    world.run_for(20_000);
    let oks = world.log.iter().filter(|l| *l == "b>200").count();
    assert_eq!(oks, 2, "one for each INVITE, none repeated: {}", world.log());
    assert!(world.log().ends_with("b>200 a>ACK"), "{}", world.log());
}
