//! R-50: many calls at once on one balance.

use crate::harness::*;

#[test]
fn of_a_thousand_calls_at_once_those_connect_that_are_paid_for() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let vendor = vendor(&switch, 1);
    // A call to 44 costs 1.00 for each started minute: ten are paid for.
    let target = switch.sip("udp").to_string();
    let from = (switch.net.customer(), 5090).into();
    let args = ["-s", "442071234567", "-m", "1000", "-r", "5000", "-l", "1000", "-d", "3000"];
    let mut callers = sipp("uac.xml", from).with(&args).with(&[&target]).start();
    callers.assert_succeeded();
    assert_eq!(callers.call_ids("SIP/2.0 200", "INVITE").len(), 10);
    assert_eq!(callers.call_ids("SIP/2.0 403", "INVITE").len(), 990);
    assert_eq!(vendor.call_ids("INVITE", "INVITE").len(), 10);
    let cdrs = switch.cdrs(1000);
    let of = |reason: &str| cdrs.iter().filter(|c| c["end_reason"] == reason).count();
    assert_eq!((of("normal_release"), of("insufficient_balance")), (10, 990));
    assert_eq!(switch.balance("acme"), "0.00");
    switch.check();
}
