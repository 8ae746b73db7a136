//! Every example of the older system's notation and of `docs/reference/rewriting.md`.

use super::{Rules, split_text};
use proptest::prelude::*;
use vocab::Random;

fn apply(rules: &[&str], number: &str) -> Option<String> {
    let rules = Rules::parse(rules).unwrap_or_else(|e| panic!("{e:?}"));
    rules.apply(number, &mut Random::from_number(7)).map(|r| r.number)
}

#[test]
fn one_result() {
    let rows: &[(&[&str], &str, Option<&str>)] = &[
        // Original and target.
        (&["0:880"], "01712345678", Some("8801712345678")),
        (&["0 -> 880"], "01712345678", Some("8801712345678")),
        (&["00:"], "00442071234567", Some("442071234567")),
        (&["44:"], "8801712345678", None),
        // The longest original wins, wherever it stands.
        (&["0:1", "00:2", "001:3"], "0015", Some("35")),
        (&["001:3", "0:1", "00:2"], "0025", Some("225")),
        (&["0:1", "00:2", "001:3"], "05", Some("15")),
        // `*` takes any number of digits; alone it takes every number.
        (&["*:12345"], "8801712345678", Some("12345")),
        (&["*:12345"], "anonymous", Some("12345")),
        (&["880*:1"], "8801712345678", Some("1")),
        (&["880*:1"], "880", Some("1")),
        (&["880*:1"], "881", None),
        (&["8*5:1"], "88015005", Some("1")),
        (&["8*5:1"], "880150057", Some("17")),
        (&["*:1", "880:2"], "8805", Some("25")),
        // `?` is one digit.
        (&["88?1:9"], "8801712", Some("9712")),
        (&["88?1:9"], "8811712", Some("9712")),
        (&["88?1:9"], "8802712", None),
        (&["88?1:9"], "88", None),
        (&["88?:1", "880:2"], "8805", Some("25")),
        (&["88?:1", "880:2"], "8815", Some("15")),
        (&["88??:1", "880:2"], "88055", Some("15")),
        // `$` keeps the digit at its place.
        (&["0134:$$$"], "0134131", Some("013131")),
        (&["0134:9$$"], "0134131", Some("913131")),
        (&["*:00$$$"], "12345", Some("00345")),
        (&["*:00$$$"], "123", Some("003")),
        // Conditions on the length of the whole number.
        (&["025E11:8625"], "02512345678", Some("862512345678")),
        (&["025E11:8625"], "0251234567", None),
        (&["025L11:8625"], "0251234567", Some("86251234567")),
        (&["025L11:8625"], "02512345678", None),
        (&["025G11:8625"], "025123456789", Some("8625123456789")),
        (&["025G11:8625"], "02512345678", None),
        (&["025F11:8625"], "0251234567", Some("86251234567")),
        (&["025F11:8625"], "02512345678", None),
        (&["025G7L10:1"], "02512345", Some("112345")),
        (&["025G7L10:1"], "0251234567", None),
        (&["025:1", "025E11:2"], "02512345678", Some("212345678")),
        (&["025:1", "025E11:2"], "0251", Some("11")),
        (&["*E4:9"], "1234", Some("9")),
        // A `+` is not looked at, unless the original has one.
        (&["880:1"], "+8805", Some("15")),
        (&["+880:1"], "+8805", Some("15")),
        (&["+880:1"], "8805", None),
        (&["+:"], "+8805", Some("8805")),
        (&["+:00"], "+8805", Some("008805")),
        (&["0:+880"], "017", Some("+88017")),
        (&["44:"], "+8805", None),
        (&["#:5"], "#31", Some("531")),
        // Regular expressions.
        (&["/^00(\\d+)$/$1/"], "00442071234567", Some("442071234567")),
        (&["/^0(\\d{3})(\\d+)$/+44$2#$1/"], "0123456", Some("+44456#123")),
        (&["/^00(\\d+)$/$1/"], "0442", None),
        (&["/^\\+/00/"], "+4420", Some("004420")),
        (&["/34/*/"], "123434", Some("12*34")),
        (&["/^1/5/", "/^12/6/", "123:7"], "1234", Some("5234")),
        (&["/^9/5/", "/^12/6/", "123:7"], "1234", Some("634")),
        (&["/^9/5/", "123:7"], "1234", Some("74")),
        // Nothing may be left.
        (&["880:"], "880", Some("")),
        (&["/.*//"], "880", Some("")),
    ];
    for (rules, number, want) in rows {
        assert_eq!(apply(rules, number).as_deref(), *want, "{rules:?} on {number}");
    }
    assert_eq!(apply(&["*:1"], &"1".repeat(101)), None, "no number");
    assert_eq!(apply(&["?:1"], "é1"), None);
}

/// What is drawn differs, stays within what the rule says, and takes every value.
#[test]
fn random_results() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "9:123?78",
            "9",
            &[
                "123078", "123178", "123278", "123378", "123478", "123578", "123678", "123778", "123878",
                "123978",
            ],
        ),
        ("*:111;222;333", "8801712345678", &["111", "222", "333"]),
        ("9:11;22", "95", &["115", "225"]),
        ("*:8008119-8008121", "8801712345678", &["8008119", "8008120", "8008121"]),
        ("*:0098-0101", "5", &["0098", "0099", "0100", "0101"]),
        ("*:5;8-9", "1", &["5", "8", "9"]),
        ("/^(\\d)\\d/$1?5/", "42", &["405", "415", "425", "435", "445", "455", "465", "475", "485", "495"]),
    ];
    for (rule, number, want) in rows {
        let rules = Rules::parse(&[rule]).unwrap();
        let mut draw = Random::from_number(1);
        let mut made: Vec<String> =
            (0..500).map(|_| rules.apply(number, &mut draw).unwrap().number).collect();
        made.sort();
        made.dedup();
        assert_eq!(made, *want, "{rule}");
    }
}

#[test]
fn rules_at_fault_say_why() {
    let rows = [
        ("880", "expected ORIGINAL:TARGET"),
        (":880", "the original is empty"),
        ("88x:1", "'X' is no condition"),
        ("88-:1", "'-' cannot stand there"),
        ("8+8:1", "'+' cannot stand there"),
        ("025E:1", "expected a length"),
        ("025E0:1", "expected a length"),
        ("025E99:1", "expected a length"),
        ("025E2:1", "no number can have this length"),
        ("025E5L5:1", "no number can have this length"),
        ("8**:1", "one \"*\" is enough"),
        ("*:", "the number would be empty"),
        ("880*:", "the number would be empty"),
        ("0:1;", "one of the targets is empty"),
        ("0:8*", "\"*\" cannot stand there"),
        ("0:8a", "'a' cannot stand there"),
        ("0:$$", "\"$\" at place 2"),
        ("0:9-5", "the lower one first"),
        ("0:5-10", "the same length"),
        ("0:5-", "expected a range"),
        ("/880", "expected /PATTERN/TARGET/"),
        ("//1/", "expected a pattern"),
        ("/(/1/", "pattern \"(\": unclosed group"),
        ("/1/$1/", "expected a group of the pattern, 0–0"),
        ("/1/a/", "'a' cannot stand there"),
        ("/(((1{99}){99}){99})/1/", "size limit"),
    ];
    for (rule, words) in rows {
        let errors = Rules::parse(&["0:1", rule]).unwrap_err();
        assert_eq!(errors.len(), 1, "{rule}");
        assert_eq!(errors[0].rule, 1, "{rule}");
        assert!(errors[0].message.contains(words), "{rule}: {}", errors[0].message);
    }
    let twice = Rules::parse(&["025E11:1", "0:1", "025E11:2", "x"]).unwrap_err();
    assert_eq!(twice.iter().map(|e| e.rule).collect::<Vec<_>>(), [2, 3], "all errors are told");
    let many: Vec<String> = (0..201).map(|i| format!("{i}?:1")).collect();
    assert!(Rules::parse(&many).unwrap_err()[0].message.contains("more than 200"));
}

#[test]
fn text_of_the_older_system() {
    let rules = split_text("025E11:8625,0:86\n\n virtual:1001,1002 , 9:10\n/^1,2/3/\n5");
    let want =
        [(1, "025E11:8625"), (1, "0:86"), (3, "virtual:1001;1002"), (3, "9:10"), (4, "/^1,2/3/"), (5, "5")];
    assert_eq!(rules, want.map(|(line, text)| (line, text.to_owned())));
}

#[test]
fn many_plain_rules() {
    let rules: Vec<String> = (0..10_000).map(|i| format!("{i:05}:9{i:05}")).collect();
    let rules = Rules::parse(&rules).unwrap();
    let made = rules.apply("0432155", &mut Random::from_number(1)).unwrap();
    assert_eq!((made.rule, made.number.as_str()), (4321, "90432155"));
}

proptest! {
    /// Whatever is entered and dialled: no panic, and an accepted list can be applied.
    #[test]
    fn anything_may_come(rule in "[0-9*?$;LEGF+#:/()|.-]{0,20}", number in "\\PC{0,40}") {
        if let Ok(rules) = Rules::parse(&[rule]) {
            let _ = rules.apply(&number, &mut Random::from_number(3));
        }
    }

    /// The pass over wildcards agrees with a plain search.
    #[test]
    fn wildcards_agree_with_a_search(pattern in "[12?*]{1,6}", number in "[12]{0,8}") {
        fn ends(pattern: &[u8], number: &[u8], at: usize, found: &mut Vec<usize>) {
            match pattern.split_first() {
                None => found.push(at),
                Some((b'*', rest)) => (at..=number.len()).for_each(|i| ends(rest, number, i, found)),
                Some((c, rest)) if number.get(at).is_some_and(|n| *c == b'?' || n == c) => ends(rest, number, at + 1, found),
                Some(_) => {}
            }
        }
        prop_assume!(!pattern.contains("**"));
        let mut found = Vec::new();
        ends(pattern.as_bytes(), number.as_bytes(), 0, &mut found);
        let want = found.iter().max().map(|end| format!("9{}", &number[*end..]));
        let rules = Rules::parse(&[format!("{pattern}:9")]).unwrap();
        prop_assert_eq!(rules.apply(&number, &mut Random::from_number(1)).map(|r| r.number), want);
    }
}
