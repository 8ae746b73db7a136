use super::*;

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn key(text: &str) -> Key {
    Key::new(bytes(text).try_into().unwrap())
}

const MASTER: &str = "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6";

/// RFC 3711 B.2.
#[test]
fn key_stream() {
    let cipher =
        Aes128::new(&Block::from(<[u8; 16]>::try_from(bytes("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap()));
    let iv = bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = vec![0; 0xff02 * 16];
    counter_mode(&cipher, iv, &mut stream);
    for (block, want) in [
        (0, "E03EAD0935C95E80E166B16DD92B4EB4"),
        (1, "D23513162B02D0F72A43A2FE4A5F97AB"),
        (2, "41E95B3BB0A2E8DD477901E4FCA894C0"),
        (0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
        (0xff00, "362B7C3C6773516318A077D7FC5073AE"),
        (0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"),
    ] {
        assert_eq!(stream[block * 16..block * 16 + 16], bytes(want), "{block:x}");
    }
}

/// RFC 3711 B.3.
#[test]
fn derivation() {
    let master = key(MASTER);
    assert_eq!(derive::<16>(&master, 0).unwrap().to_vec(), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derive::<14>(&master, 2).unwrap().to_vec(), bytes("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        derive::<94>(&master, 1).unwrap().to_vec(),
        bytes(
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7227098
             6371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"
        )
    );
}

/// As libsrtp's own test of the whole way has it (`srtp_validate`).
#[test]
fn whole_packets() {
    let plain = bytes("800f1234decafbadcafebabe abababababababababababababababab");
    let sealed = bytes("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb");
    let mut out = Streams::new(Suite::AesCm128HmacSha1_80, &key(MASTER), 0).unwrap();
    let mut buffer = [0; 100];
    buffer[..plain.len()].copy_from_slice(&plain);
    let len = out.seal(&mut buffer, plain.len(), false).unwrap();
    assert_eq!(buffer[..len], sealed);
    let mut inward = Streams::new(Suite::AesCm128HmacSha1_80, &key(MASTER), 0).unwrap();
    let len = inward.open(&mut buffer[..len], false).unwrap();
    assert_eq!(buffer[..len], plain);

    let report = bytes("81c8000bcafebabe abababababababababababababababab");
    let sealed = bytes("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001993e08cd54d6c1230798");
    let mut out = Streams::new(Suite::AesCm128HmacSha1_80, &key(MASTER), 0).unwrap();
    // That test counts from 1.
    out.stream(0xcafe_babe).unwrap().rtcp = Some(Window::new(0));
    buffer[..report.len()].copy_from_slice(&report);
    let len = out.seal(&mut buffer, report.len(), true).unwrap();
    assert_eq!(buffer[..len], sealed);
    let len = inward.open(&mut buffer[..len], true).unwrap();
    assert_eq!(buffer[..len], report);
}

fn packet(sequence: u16) -> Vec<u8> {
    let mut packet = bytes("8008000000000000cafebabe");
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet.extend(sequence.to_be_bytes().repeat(80));
    packet
}

fn pair(suite: Suite) -> (Streams, Streams) {
    (Streams::new(suite, &key(MASTER), 0).unwrap(), Streams::new(suite, &key(MASTER), 0).unwrap())
}

fn sealed(out: &mut Streams, plain: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; plain.len() + OVERHEAD];
    buffer[..plain.len()].copy_from_slice(plain);
    let len = out.seal(&mut buffer, plain.len(), false).unwrap();
    buffer.truncate(len);
    buffer
}

#[test]
fn numbers_turn_with_loss_and_disorder() {
    for suite in Suite::ALL {
        let (mut out, mut inward) = pair(suite);
        for n in 0..200_000u32 {
            let plain = packet(u16::try_from((n + 65_000) & 0xffff).unwrap());
            let mut bytes = sealed(&mut out, &plain);
            if n % 3 == 0 {
                continue;
            }
            let len = inward.open(&mut bytes, false).unwrap();
            assert_eq!(bytes[..len], plain, "{n}");
        }
        assert_eq!((out.turns(), inward.turns()), (4, 4));
        // Late across the turn.
        let (mut out, mut inward) = pair(suite);
        let mut last = sealed(&mut out, &packet(65_535));
        let mut first = sealed(&mut out, &packet(0));
        let mut before = sealed(&mut out, &packet(65_534));
        for (bytes, sequence) in [(&mut last, 65_535), (&mut first, 0), (&mut before, 65_534)] {
            let len = inward.open(bytes, false).unwrap();
            assert_eq!(bytes[..len], packet(sequence));
        }
    }
}

#[test]
fn what_is_not_taken() {
    let (mut out, mut inward) = pair(Suite::AesCm128HmacSha1_80);
    let good: Vec<_> = (0..200).map(|n| sealed(&mut out, &packet(n))).collect();
    let mut open = |bytes: &[u8]| inward.open(&mut bytes.to_vec(), false).map(|_| ());
    for place in [0, 1, 5, 11, 12, 100, 175] {
        let mut bad = good[0].clone();
        bad[place] ^= 0x08;
        assert!(open(&bad).is_err(), "{place}");
    }
    assert_eq!(open(&[]), Err(Fault::Malformed));
    assert_eq!(open(&good[0][..20]), Err(Fault::Malformed));
    assert_eq!(open(&packet(0)), Err(Fault::Forged), "in clear");
    assert_eq!(open(&good[100]), Ok(()));
    assert_eq!(open(&good[100]), Err(Fault::Replayed));
    assert_eq!(open(&good[37]), Ok(()));
    assert_eq!(open(&good[36]), Err(Fault::Replayed), "too old");
    assert_eq!(open(&good[37]), Err(Fault::Replayed));
    assert_eq!(open(&good[199]), Ok(()));
    // A forged number far ahead moves nothing.
    let mut forged = good[150].clone();
    forged[2] = 0x7f;
    assert_eq!(open(&forged), Err(Fault::Forged));
    assert_eq!(open(&good[150]), Ok(()));
}

#[test]
fn streams_are_bounded() {
    let (mut out, _) = pair(Suite::AesCm128HmacSha1_32);
    for ssrc in 0..100u8 {
        let mut buffer = packet(1);
        buffer[8] = ssrc;
        buffer.resize(300, 0);
        let sealed = out.seal(&mut buffer, 172, false);
        assert_eq!(sealed.is_ok(), usize::from(ssrc) < STREAMS);
    }
}

#[test]
fn goes_on_after_a_restart_and_with_new_keys() {
    let (ours, theirs) = (key(MASTER), Key::new([7; Key::BYTES]));
    let suite = Suite::AesCm128HmacSha1_80;
    let mut near = Guard::new(Cipher::Srtp { suite, ours, theirs }, (0, 0));
    let mut far = Guard::new(Cipher::Srtp { suite, ours: theirs, theirs: ours }, (0, 0));
    let crosses = |near: &mut Guard, far: &mut Guard, sequence| {
        let mut buffer = packet(sequence);
        buffer.resize(300, 0);
        let len = near.seal(&mut buffer, 172, false).unwrap();
        far.open(&mut buffer[..len], false).map(|len| assert_eq!(buffer[..len], packet(sequence)))
    };
    for sequence in [1, 30_000, 60_000, 10, 20] {
        crosses(&mut near, &mut far, sequence).unwrap();
    }
    assert_eq!((near.turns().0, far.turns().1), (1, 1));
    // The receiver's figures may be a turn old.
    let mut later = Guard::new(Cipher::Srtp { suite, ours: theirs, theirs: ours }, (0, 1));
    let mut again = Guard::new(Cipher::Srtp { suite, ours, theirs }, near.turns());
    crosses(&mut again, &mut later, 21).unwrap();
    // The same keys again change nothing, another one begins anew.
    again.follow(Cipher::Srtp { suite, ours, theirs });
    assert_eq!(again.turns().0, 1);
    again.follow(Cipher::Srtp { suite, ours: Key::new([9; Key::BYTES]), theirs });
    assert_eq!(again.turns().0, 0);
    assert_eq!(crosses(&mut again, &mut later, 22), Err(Fault::Forged));
    again.follow(Cipher::Pending);
    assert_eq!(again.seal(&mut [0; 300], 172, false), Err(Fault::Pending));
}

#[test]
fn keys_are_not_shown() {
    let cipher = Cipher::Srtp { suite: Suite::ALL[0], ours: key(MASTER), theirs: Key::new([7; Key::BYTES]) };
    let text = format!("{cipher:?} {:?}", Guard::new(cipher, (0, 0)));
    assert!(text.contains("ours: ***") && !text.contains('7') && !text.contains("225"), "{text}");
}
