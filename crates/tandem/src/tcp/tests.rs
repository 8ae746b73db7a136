use super::*;
use crate::signalling::testing::Listen;
use std::io::{Read, Write};

const OPTIONS: &[u8] = b"OPTIONS sip:a@h SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n";

struct Bench {
    _runtime: tokio::runtime::Runtime,
    inbox: Arc<Inbox>,
    sender: TcpSender,
    address: SocketAddr,
}

fn bench(limits: settings::Tcp) -> Bench {
    bench_over(Transport::Tcp, limits)
}

fn bench_over(transport: Transport, limits: settings::Tcp) -> Bench {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = bind("127.0.0.1:0".parse().unwrap(), 24).unwrap();
    let address = listener.local_addr().unwrap();
    let inbox = Arc::new(Inbox::new().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::load(&settings::Tls::default(), folder.path(), Vec::new()).unwrap();
    let listeners = vec![(ListenerId(3), transport, listener)];
    let sender = start(runtime.handle(), listeners, limits, Arc::new(tls), inbox.clone()).unwrap();
    Bench { _runtime: runtime, inbox, sender, address }
}

fn peer(bench: &Bench) -> std::net::TcpStream {
    let stream = std::net::TcpStream::connect(bench.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

#[test]
fn messages_come_whole_and_answers_go_back() {
    let bench = bench(settings::Tcp::default());
    let mut peer = peer(&bench);
    // Glued, and the second one in pieces.
    peer.write_all(&[b"\r\n\r\n", OPTIONS, &OPTIONS[..20]].concat()).unwrap();
    peer.write_all(&OPTIONS[20..]).unwrap();
    let mut pong = [0; 2];
    peer.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");
    let first = bench.inbox.next_message();
    assert_eq!((first.1.as_slice(), first.0.remote), (OPTIONS, peer.local_addr().unwrap()));
    assert_eq!(bench.inbox.next_message(), first);
    bench.sender.send(first.0, b"one".to_vec());
    // By address alone: the same connection.
    bench.sender.send(Flow { connection: 0, ..first.0 }, b"two".to_vec());
    let mut got = [0; 6];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"onetwo");
    drop(peer);
    assert_eq!(bench.inbox.next_closed(), first.0);
    assert_eq!(bench.inbox.next_closed(), Flow { connection: 0, ..first.0 });
    bench.sender.send(first.0, b"late".to_vec());
    assert_eq!(bench.inbox.next_closed(), first.0);
}

#[test]
fn connections_are_made_on_demand_and_used_again() {
    let bench = bench(settings::Tcp::default());
    let vendor = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = vendor.local_addr().unwrap();
    let flow = Flow { listener: ListenerId(3), transport: Transport::Tcp, remote, connection: 0 };
    bench.sender.send(flow, b"a".to_vec());
    bench.sender.send(flow, b"b".to_vec());
    let (mut accepted, _) = vendor.accept().unwrap();
    let mut got = [0; 2];
    accepted.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"ab");
    accepted.write_all(OPTIONS).unwrap();
    assert_eq!(bench.inbox.next_message().0.remote, remote);
    drop((accepted, vendor));
    assert!(bench.inbox.next_closed().connection > 0);
    assert_eq!(bench.inbox.next_closed(), flow);
    // Nobody is there any more.
    bench.sender.send(flow, b"c".to_vec());
    assert!(bench.inbox.next_closed().connection > 0);
    assert_eq!(bench.inbox.next_closed(), flow);
}

#[test]
fn no_sip_is_told_and_closed() {
    let bench = bench(settings::Tcp::default());
    let mut peer = peer(&bench);
    peer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let flow = bench.inbox.next_broken();
    bench.sender.send(flow, b"400".to_vec());
    let mut got = Vec::new();
    peer.read_to_end(&mut got).unwrap();
    assert_eq!((got.as_slice(), bench.inbox.next_closed()), (&b"400"[..], flow));
}

#[test]
fn one_source_gets_no_more_than_its_share() {
    let bench = bench(settings::Tcp { connections_per_source: 2, ..settings::Tcp::default() });
    let mut kept = [peer(&bench), peer(&bench)];
    for stream in &mut kept {
        stream.write_all(OPTIONS).unwrap();
        bench.inbox.next_message();
    }
    let mut third = peer(&bench);
    assert_eq!(third.read(&mut [0; 1]).unwrap_or(0), 0);
    let [first, _second] = kept;
    drop(first);
    bench.inbox.next_closed();
    let mut again = peer(&bench);
    again.write_all(OPTIONS).unwrap();
    bench.inbox.next_message();
}

#[test]
fn a_peer_that_does_not_read_is_closed() {
    let bench = bench(settings::Tcp::default());
    let mut peer = peer(&bench);
    peer.write_all(OPTIONS).unwrap();
    let (flow, _) = bench.inbox.next_message();
    for _ in 0..400 {
        bench.sender.send(flow, vec![b'x'; 60_000]);
    }
    assert_eq!(bench.inbox.next_closed(), flow);
}

/// What came of bytes on one connection: messages, and whether it was closed as nonsense.
fn heard(bench: &Bench, pieces: &[&[u8]], sent_alone: bool) -> (Vec<Vec<u8>>, bool) {
    let mut stream = peer(bench);
    stream.set_nodelay(true).unwrap();
    let (mut messages, mut broken) = (Vec::new(), false);
    for piece in pieces {
        // What the switch has closed already takes no more.
        if stream.write_all(piece).is_err() {
            break;
        }
        if sent_alone {
            std::thread::yield_now();
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    loop {
        match bench.inbox.next_event() {
            StreamEvent::Message { bytes, .. } => messages.push(bytes),
            StreamEvent::Broken { .. } => broken = true,
            StreamEvent::Closed { .. } => return (messages, broken),
        }
    }
}

/// All SIP messages that there are: those of the specifications, and some of ours.
fn corpus() -> Vec<Vec<u8>> {
    let root = std::env::var_os("TANDEM_SHARED").map_or("../../../shared".into(), std::path::PathBuf::from);
    let mut all = vec![OPTIONS.to_vec(), b"\r\n\r\n".to_vec(), b"GET / HTTP/1.1\r\n\r\n".to_vec()];
    for folder in ["data/rfc4475", "data/rfc5118"] {
        let Ok(files) = std::fs::read_dir(root.join(folder)) else {
            eprintln!("SKIPPED: {folder} is not there");
            continue;
        };
        let mut files: Vec<_> = files.map(|f| f.unwrap().path()).collect();
        files.sort();
        let messages = files.iter().filter(|f| f.extension().is_some_and(|e| e == "dat"));
        all.extend(messages.map(|f| std::fs::read(f).unwrap()));
    }
    all
}

///
#[test]
fn how_a_message_is_cut_changes_nothing() {
    let limits = settings::Tcp { connections_per_source: 10_000, ..settings::Tcp::default() };
    let bench = bench(limits);
    let (mut count, mut whole_ones) = (0, Vec::new());
    for message in corpus() {
        let whole = heard(&bench, &[&message], false);
        let bytes: Vec<&[u8]> = message.chunks(1).collect();
        assert_eq!(heard(&bench, &bytes, true), whole, "byte by byte: {}", String::from_utf8_lossy(&message));
        let (front, back) = message.split_at(message.len() / 2);
        assert_eq!(heard(&bench, &[front, back], true), whole, "cut: {}", String::from_utf8_lossy(&message));
        if whole == (vec![message.clone()], false) {
            whole_ones.push(message);
        }
        count += 1;
    }
    let glued = whole_ones.concat();
    assert_eq!(heard(&bench, &[&glued], false), (whole_ones.clone(), false));
    eprintln!("{count} messages whole, cut and byte by byte; {} of them glued together", whole_ones.len());
}

#[test]
fn a_peer_that_sends_thousands_at_once_waits_and_nothing_is_lost() {
    let bench = bench(settings::Tcp::default());
    let mut stream = peer(&bench);
    let sender = std::thread::spawn(move || {
        stream.write_all(&OPTIONS.repeat(10_000)).unwrap();
        stream
    });
    let first = bench.inbox.next_event();
    // Another peer comes in between: no more than UNHANDLED messages are before its own.
    let mut other = peer(&bench);
    let mine = [&OPTIONS[..OPTIONS.len() - 2], b"X: mine\r\n\r\n"].concat();
    other.write_all(&mine).unwrap();
    // The permits of these are not given back before the other has been heard.
    let mut before = vec![first];
    loop {
        let event = bench.inbox.next_event();
        match &event {
            StreamEvent::Message { bytes, .. } if *bytes == mine => break,
            _ => before.push(event),
        }
    }
    assert!(before.len() <= UNHANDLED, "{}", before.len());
    let mut rest = 10_000 - before.len();
    drop(before);
    while rest > 0 {
        bench.inbox.next_message();
        rest -= 1;
    }
    drop(sender.join().unwrap());
}

#[test]
fn strangers_take_half_of_the_connections_at_most() {
    let bench = bench(settings::Tcp { connections: 4, ..settings::Tcp::default() });
    let mut kept = [peer(&bench), peer(&bench)];
    for stream in &mut kept {
        stream.write_all(OPTIONS).unwrap();
        bench.inbox.next_message();
    }
    assert_eq!(peer(&bench).read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(bench.sender.shared.lock().strangers, 2);
    drop(kept);
    bench.inbox.next_closed();
    bench.inbox.next_closed();
    assert_eq!(bench.sender.shared.lock().strangers, 0);
}

/// a stranger that says nothing, and anybody who says a little now and then, is gone when time is up.
#[test]
fn slow_talkers_are_closed() {
    let bench = bench(settings::Tcp { message_timeout_s: 1, ..settings::Tcp::default() });
    let (mut silent, mut slow) = (peer(&bench), peer(&bench));
    slow.set_nodelay(true).unwrap();
    let mut polite = peer(&bench);
    polite.write_all(OPTIONS).unwrap();
    bench.inbox.next_message();
    let start = Instant::now();
    let mut written = 0;
    // Until its connection is closed under it.
    while slow.write_all(&OPTIONS[written % 20..=written % 20]).is_ok() {
        written += 1;
        std::thread::sleep(Duration::from_millis(50));
        assert!(start.elapsed() < Duration::from_secs(20), "still open");
    }
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0);
    // Who has said something may be silent for long.
    polite.write_all(OPTIONS).unwrap();
    while !matches!(bench.inbox.next_event(), StreamEvent::Message { .. }) {}
}

/// whatever a stranger does instead of a handshake, its connection is gone in a few seconds and counts no more.
#[test]
fn what_is_no_handshake_is_closed() {
    for transport in [Transport::Tls, Transport::Ws, Transport::Wss] {
        let bench = bench_over(transport, settings::Tcp::default());
        // Plain SIP, the beginning of a TLS record or of an HTTP request, nothing.
        let openings = [OPTIONS, &[22, 3, 1, 2, 0, 1], b"GET / HTTP/1.1\r\n", b""];
        let mut peers: Vec<_> = openings.iter().map(|_| peer(&bench)).collect();
        for (peer, opening) in peers.iter_mut().zip(openings) {
            peer.write_all(opening).unwrap();
        }
        for mut peer in peers {
            let mut rest = Vec::new();
            // Closed in order or reset, but closed.
            if let Err(error) = peer.read_to_end(&mut rest) {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{transport}");
            }
            assert!(rest.len() < 200, "{transport}: {rest:?}");
            assert!(matches!(bench.inbox.next_event(), StreamEvent::Closed { .. }));
        }
        let connections = bench.sender.shared.lock();
        assert!(connections.by_number.is_empty() && connections.by_source.is_empty());
        assert_eq!(connections.strangers, 0);
    }
}

/// RFC 7118 §5: it is the browser that connects.
#[test]
fn nobody_is_called_over_websocket() {
    let bench = bench_over(Transport::Ws, settings::Tcp::default());
    let remote = bench.address;
    let flow = Flow { listener: ListenerId(3), transport: Transport::Ws, remote, connection: 0 };
    bench.sender.send(flow, b"a".to_vec());
    assert_eq!(bench.inbox.next_closed(), flow);
}
