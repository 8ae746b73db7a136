//! Phones: registering in every way, being called, calling, and all of it after `kill -9`.

use crate::device::Device;
use crate::harness::*;
use std::time::Duration;

const PHONES: &str = r#"
[[phone]]
number = "8801001"
account = "acme"
password = "s3cret-one"

[[phone]]
number = "8801002"
account = "acme"
password = "s3cret-two"
max_concurrency = 2
"#;

fn start(more: &str) -> Switch {
    let switch = Switch::start();
    switch.apply(&format!("{}{PHONES}{more}", business(switch.net, "10.00")));
    switch
}

fn device(switch: &Switch, host: u8, number: &str, password: &str) -> Device {
    Device::new(switch.net.ip(host), switch.sip("udp"), number, password)
}

fn one(switch: &Switch) -> Device {
    device(switch, 31, "8801001", "s3cret-one")
}

fn two(switch: &Switch) -> Device {
    device(switch, 32, "8801002", "s3cret-two")
}

fn is(response: &str, status: u16) -> bool {
    response.starts_with(&format!("SIP/2.0 {status}"))
}

/// Answers the next call and its BYE.
fn take_call(callee: &Device) -> String {
    let invite = callee.expect("INVITE");
    callee.reply(&invite, "180 Ringing", "");
    callee.reply(&invite, "200 OK", &callee.sdp());
    callee.expect("ACK");
    let bye = callee.expect("BYE");
    callee.reply(&bye, "200 OK", "");
    invite
}

#[test]
fn registers_in_every_way() {
    let switch = start("");
    let mut phone = one(&switch);
    let ok = phone.register(3600);
    assert!(is(&ok, 200), "{ok}");
    assert!(ok.contains(&format!("Contact: {};expires=", phone.contact())), "{ok}");
    let listed = switch.json(&["registrations", "list"]);
    let contact = &listed["items"][0]["contacts"][0];
    assert_eq!(
        (listed["items"][0]["name"].as_str(), contact["behind_nat"].as_bool()),
        (Some("8801001"), Some(false))
    );
    assert_eq!(switch.json(&["phones", "show", "8801001"])["online"], true);
    assert!(switch.ok(&["phones", "list"]).contains("8801001"));
    // Longer than is granted, too short, nonsense, negative.
    assert!(phone.register(999_999_999).contains(";expires=3600"));
    let brief = phone.register(5);
    assert!(is(&brief, 423) && header(&brief, "Min-Expires") == Some("30"), "{brief}");
    let contact = phone.contact();
    for odd in ["-5", "soon", "99999999999999999999999"] {
        let answer = phone.register_with(&format!("Contact: {contact}\r\nExpires: {odd}\r\n"));
        assert!(is(&answer, 200) || is(&answer, 400), "{odd}: {answer}");
    }
    // A query lists, a second contact joins with its q, a Path comes back.
    let other = format!("<sip:8801001@{}:5099>;q=0.5", phone.address().ip());
    let both = phone.register_with(&format!(
        "Contact: {other}\r\nExpires: 600\r\nSupported: path\r\nPath: <sip:edge@192.0.2.9;lr>\r\n"
    ));
    assert_eq!(both.matches("Contact:").count(), 2, "{both}");
    assert!(both.contains(";q=0.500") && header(&both, "Path") == Some("<sip:edge@192.0.2.9;lr>"), "{both}");
    assert_eq!(phone.register_with("").matches("Contact:").count(), 2);
    // Foreign schemes, and `*` where it may not stand.
    for bad in [
        "Contact: <mailto:a@b>\r\n",
        "Contact: <tel:+123>\r\n",
        "Contact: *\r\n",
        "Contact: *\r\nExpires: 10\r\n",
    ] {
        let answer = phone.register_with(bad);
        assert!(is(&answer, 400), "{bad}: {answer}");
    }
    assert_eq!(phone.register_with("").matches("Contact:").count(), 2, "nothing half-applied");
    let none = phone.register_with("Contact: *\r\nExpires: 0\r\n");
    assert!(is(&none, 200) && !none.contains("Contact:"), "{none}");
    // By operator.
    phone.register(600);
    switch.ok(&["registrations", "remove", "8801001"]);
    assert_eq!(switch.json(&["registrations", "list"])["items"].as_array().unwrap().len(), 0);
    // A device that thinks to be elsewhere is behind NAT and gets the shorter time.
    let nat = phone.register_with("Contact: <sip:8801001@10.9.8.7:5060>\r\nExpires: 3600\r\n");
    assert!(nat.contains(";expires=300"), "{nat}");
    let hello = phone.receive();
    assert!(hello.is_none() || hello.as_deref() == Some("HELLO"));
}

#[test]
fn wrong_passwords_replays_and_other_names() {
    let switch = start("[parameters]\nSS_ENDPOINTREGISTERSUSPENDTIME = 30\n");
    let mut phone = one(&switch);
    // A nonce that was used is stale the second time; a made-up one too.
    let cseq = phone.send_register("");
    let challenge = phone.final_response("REGISTER", cseq).unwrap();
    assert!(is(&challenge, 401), "{challenge}");
    let contact = format!("Contact: {}\r\n", phone.contact());
    let first = format!("{}{contact}", phone.answer_to(&challenge, "REGISTER", "sip:tandem", 1));
    let cseq = phone.send_register(&first);
    assert!(is(&phone.final_response("REGISTER", cseq).unwrap(), 200));
    let cseq = phone.send_register(&first);
    let replayed = phone.final_response("REGISTER", cseq).unwrap();
    assert!(is(&replayed, 401) && replayed.contains("stale=true"), "{replayed}");
    // Reuse with the next count is fine.
    let second = format!("{}{contact}", phone.answer_to(&challenge, "REGISTER", "sip:tandem", 2));
    let cseq = phone.send_register(&second);
    assert!(is(&phone.final_response("REGISTER", cseq).unwrap(), 200));
    let invented = first.replace("nonce=\"", "nonce=\"0");
    let cseq = phone.send_register(&invented);
    assert!(is(&phone.final_response("REGISTER", cseq).unwrap(), 401));
    // Another's name with one's own password.
    let mut thief = one(&switch);
    let cseq = thief.send_register("");
    let challenge = thief.final_response("REGISTER", cseq).unwrap();
    let own = thief.answer_to(&challenge, "REGISTER", "sip:tandem", 1);
    thief.number = "8801002".into();
    let cseq = thief.send_register(&format!("{own}Contact: {}\r\n", thief.contact()));
    assert!(is(&thief.final_response("REGISTER", cseq).unwrap(), 403));
    // Unknown names look like wrong passwords, and six of these in a row are not heard for a while.
    let mut shapes = Vec::new();
    for (host, number) in [(41, "8801002"), (42, "8809999")] {
        let mut guesser = device(&switch, host, number, "guess");
        for _ in 0..6 {
            let answer = guesser.register(600);
            assert!(is(&answer, 401), "{answer}");
            shapes.push(
                answer
                    .lines()
                    .filter_map(|l| l.split_once(':'))
                    .map(|(name, _)| name.to_owned())
                    .collect::<Vec<_>>(),
            );
        }
        guesser.send_register("");
        assert!(guesser.hears_nothing(Duration::from_millis(400)), "{number} is suspended");
    }
    shapes.dedup();
    assert_eq!(shapes.len(), 1, "{shapes:?}");
    // The customer of that name is not locked out by a stranger's guesses.
    assert!(is(&two(&switch).register(600), 200));
}

#[test]
fn phones_call_each_other_and_the_world() {
    let switch = start("");
    let (mut one, mut two) = (one(&switch), two(&switch));
    let offline = one.call("8801002");
    assert!(is(&offline, 480), "{offline}");
    assert_eq!(switch.cdrs(1)[0]["end_reason"], "callee_not_online");
    assert!(is(&two.register(600), 200));
    std::thread::scope(|scope| {
        let callee = scope.spawn(|| take_call(&two));
        let answer = one.call("8801002");
        assert!(is(&answer, 200), "{answer}");
        std::thread::sleep(Duration::from_millis(1200));
        assert!(is(&one.hang_up(&answer), 200));
        let invite = callee.join().unwrap();
        assert!(invite.starts_with(&format!("INVITE sip:8801002@{} ", two.address())), "{invite}");
        assert!(header(&invite, "From").unwrap().contains("sip:8801001@"), "{invite}");
    });
    let cdr = switch.cdrs(2)[1].clone();
    assert_eq!((cdr["end_reason"].as_str(), cdr["account"].as_str()), (Some("normal_release"), Some("acme")));
    assert_eq!((cdr["fee"].as_str(), switch.balance("acme").as_str()), (Some("0.03"), "9.97"), "{cdr}");
    // A phone to a vendor, and a customer's gateway to a phone.
    let _vendor = vendor(&switch, 1);
    let out = one.call("8801712345678");
    assert!(is(&out, 200), "{out}");
    one.hang_up(&out);
    std::thread::scope(|scope| {
        let callee = scope.spawn(|| take_call(&two));
        caller(&switch, &["-s", "8801002", "-m", "1", "-d", "300"]).start().assert_succeeded();
        callee.join().unwrap();
    });
    assert_eq!(switch.cdrs(4).len(), 4);
    switch.check();
}

#[test]
fn the_first_of_several_devices_to_answer_has_the_call() {
    let switch = start("");
    let mut one = one(&switch);
    let (mut desk, mut pocket) = (two(&switch), device(&switch, 33, "8801002", "s3cret-two"));
    assert!(is(&desk.register(600), 200));
    assert!(is(&pocket.register(600), 200));
    std::thread::scope(|scope| {
        let desk = scope.spawn(|| {
            let invite = desk.expect("INVITE");
            desk.reply(&invite, "180 Ringing", "");
            let cancel = desk.expect("CANCEL");
            desk.reply(&cancel, "200 OK", "");
            desk.reply(&invite, "487 Request Terminated", "");
            desk.expect("ACK");
        });
        let pocket = scope.spawn(|| {
            let invite = pocket.expect("INVITE");
            std::thread::sleep(Duration::from_millis(300));
            pocket.reply(&invite, "200 OK", &pocket.sdp());
            pocket.expect("ACK");
            let bye = pocket.expect("BYE");
            pocket.reply(&bye, "200 OK", "");
        });
        let answer = one.call("8801002");
        assert!(is(&answer, 200), "{answer}");
        desk.join().unwrap();
        one.hang_up(&answer);
        pocket.join().unwrap();
    });
    assert_eq!(switch.cdrs(1)[0]["end_reason"], "normal_release");
}

#[test]
fn calls_are_forwarded_and_never_in_a_circle() {
    let switch = start(
        "[[phone]]\nnumber = \"8801003\"\naccount = \"acme\"\npassword = \"three\"\nforward_always = \"8801004\"\n\
         [[phone]]\nnumber = \"8801004\"\naccount = \"acme\"\npassword = \"four\"\nforward_not_reachable = \"8801003\"\n\
         [[phone]]\nnumber = \"8801005\"\naccount = \"acme\"\npassword = \"five\"\ndo_not_disturb = true\n\
         [[phone]]\nnumber = \"8801006\"\naccount = \"acme\"\npassword = \"six\"\nforward_busy = \"8801002\"\n",
    );
    let mut one = one(&switch);
    let loops = one.call("8801003");
    assert!(is(&loops, 482), "{loops}");
    let quiet = one.call("8801005");
    assert!(is(&quiet, 486), "{quiet}");
    let (mut two, mut six) = (two(&switch), device(&switch, 36, "8801006", "six"));
    assert!(is(&two.register(600), 200) && is(&six.register(600), 200));
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let invite = six.expect("INVITE");
            six.reply(&invite, "486 Busy Here", "");
            six.expect("ACK");
        });
        let callee = scope.spawn(|| take_call(&two));
        let answer = one.call("8801006");
        assert!(is(&answer, 200), "{answer}");
        busy.join().unwrap();
        one.hang_up(&answer);
        callee.join().unwrap();
    });
    let cdrs = switch.cdrs(3);
    assert_eq!(cdrs[0]["end_reason"], "forward_loop");
    assert_eq!(cdrs[1]["end_reason"], "callee_busy");
    assert_eq!(cdrs[2]["end_reason"], "normal_release");
    switch.check();
}

#[test]
fn registrations_outlive_kill_9() {
    let mut switch = start("");
    let (mut one, mut two) = (one(&switch), two(&switch));
    assert!(is(&two.register(600), 200));
    switch.crash_and_restart();
    assert_eq!(switch.json(&["phones", "show", "8801002"])["online"], true);
    std::thread::scope(|scope| {
        let callee = scope.spawn(|| take_call(&two));
        let answer = one.call("8801002");
        assert!(is(&answer, 200), "{answer}");
        one.hang_up(&answer);
        callee.join().unwrap();
    });
    // The right password is known again, though the nonces are new.
    assert!(is(&two.register(600), 200));
}

/// `SEC-3`: a storm of right passwords from one address passes.
#[test]
fn five_hundred_phones_register_at_once() {
    let switch = Switch::start();
    let numbers: Vec<u32> = (8_802_000..8_802_500).collect();
    let phone = |n: &u32| format!("[[phone]]\nnumber = \"{n}\"\naccount = \"acme\"\npassword = \"pw{n}\"\n");
    let phones: String = numbers.iter().map(phone).collect();
    switch.apply(&format!("{}{phones}", business(switch.net, "10.00")));
    let user = |n: &u32| format!("{n};[authentication username={n} password=pw{n}]\n");
    let users: String = numbers.iter().map(user).collect();
    let file = switch.file("users.csv");
    std::fs::write(&file, format!("SEQUENTIAL\n{users}")).unwrap();
    let target = switch.sip("udp").to_string();
    let args = ["-inf", file.to_str().unwrap(), "-m", "500", "-r", "500", &target];
    sipp("register.xml", (switch.net.ip(61), 5060).into()).with(&args).start().assert_succeeded();
    let listed = switch.json(&["registrations", "list"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 500);
}
