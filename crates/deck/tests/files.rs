//! Files as vendors send them, and files with nonsense.

// The lint exempts test functions only, not the functions that they share.
#![allow(clippy::unwrap_used)]

use deck::value::Local;
use deck::{DateOrder, DecimalMark, Field, Line, Mapping, Options, Outcome, State, Summary, read};
use vocab::Price;

fn read_all(bytes: &[u8], options: &Options) -> Result<(Vec<Line>, Summary), deck::Fault> {
    let mut lines = Vec::new();
    let summary = read(bytes, options, |line| {
        lines.push(line);
        Outcome::Taken
    })?;
    Ok((lines, summary))
}

/// "880,8801 0.03 60/6 open", one for each good row.
fn shown(lines: &[Line]) -> Vec<String> {
    let one = |l: &Line| {
        let price = l.price.map_or("-".to_string(), |p| p.to_string());
        let state = match l.state {
            State::Open => "",
            State::Blocked => " blocked",
            State::Deleted => " deleted",
        };
        format!("{} {price} {}/{}{state}", l.codes.join(","), l.first_period, l.cycle)
    };
    lines.iter().map(one).collect()
}

fn day(text: &str) -> Local {
    deck::value::date(&deck::table::Cell::Text(text.into()), None).unwrap()
}

#[test]
fn files_as_vendors_send_them() {
    for (name, file, want) in [
        ("plain", "prefix,price\n880,0.03\n88017,0.036\n", vec!["880 0.0300 1/1", "88017 0.0360 1/1"]),
        (
            "notes above and below, other order, semicolons, decimal commas",
            "Carrier X Ltd;;;\nRates valid from 1 December 2026;;;\n\nDestination;Billing;Rate (EUR/min);Dial Code\n\
             Bangladesh;60/1;0,0300;880\nBangladesh mobile;60/1;0,0365;8801-8809\n;;;\nQuestions: rates@example.com;;;\n",
            vec!["880 0.0300 60/1", "8801,8802,8803,8804,8805,8806,8807,8808,8809 0.0365 60/1"],
        ),
        (
            "quotes, lists, currency signs, thousands",
            "\"Country\",\"Code\",\"Rate\"\r\n\"Testland, north\",\"+880 17, 880-18\",\"$1,234.5600\"\r\n\"x \"\"y\"\"\",\"44;45\",\"$0.01\"\r\n",
            vec![],
        ),
        (
            "lists",
            "Country,Code,Rate\n\"Testland, north\",\"+880 17, 0088018\",\"$1,234.5600\"\n\"x \"\"y\"\"\",\"44;45\",$0.01\n",
            vec!["88017,88018 1234.5600 1/1", "44,45 0.0100 1/1"],
        ),
        (
            "country and area codes, tabs, increments in columns",
            "Destination\tCountry Code\tArea Codes\tRate\tInitial\tSubsequent\nUK\t44\t\t0.01\t30\t6\nUK mobile\t44\t7,7400-3\t0.02\t60\t60\n",
            vec!["44 0.0100 30/6", "447,447400,447401,447402,447403 0.0200 60/60"],
        ),
        (
            "blocked and deleted rows",
            "code|rate|status\n1|0.01|Increase\n2||Blocked\n3|0.5|Code Delete\n4|blocked|\n5|0.02|unchanged\n",
            vec![
                "1 0.0100 1/1",
                "2 - 1/1 blocked",
                "3 0.5000 1/1 deleted",
                "4 - 1/1 blocked",
                "5 0.0200 1/1",
            ],
        ),
        ("a new rate beside an old one", "Code,Old rate,New rate\n1,0.5,0.01\n", vec!["1 0.0100 1/1"]),
    ] {
        let result = read_all(file.as_bytes(), &Options::default());
        if want.is_empty() {
            // The range from 880 to 18 has its ends turned.
            let (lines, summary) = result.unwrap();
            assert_eq!((lines.len(), summary.bad_rows), (1, 1), "{name}: {summary:#?}");
            continue;
        }
        let (lines, summary) = result.unwrap();
        assert_eq!(shown(&lines), want, "{name}: {summary:#?}");
        assert_eq!((summary.bad_rows, summary.faults.len()), (0, 0), "{name}");
    }
}

#[test]
fn encodings() {
    let text = "Código,Destino,Tarifa\n34,España,0.0099\n";
    let utf16 = |big: bool, mark: bool| {
        let units: Vec<u16> = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16()).collect();
        units.iter().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect::<Vec<u8>>()
    };
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let with_mark = [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat();
    for bytes in [
        text.as_bytes().to_vec(),
        with_mark,
        utf16(false, true),
        utf16(true, true),
        utf16(false, false),
        utf16(true, false),
        latin,
    ] {
        let (lines, _) = read_all(&bytes, &Options::default()).unwrap();
        assert_eq!((shown(&lines), lines[0].area.as_str()), (vec!["34 0.0099 1/1".to_string()], "España"));
    }
}

#[test]
fn dates_are_read_when_they_can_mean_one_day_only() {
    let file = |dates: &[&str]| {
        let rows: String = dates.iter().enumerate().map(|(i, d)| format!("{i}1,0.01,{d}\n")).collect();
        format!("code,rate,effective date\n{rows}")
    };
    let day_first = Options { date_order: Some(DateOrder::DayFirst), ..Options::default() };
    for (dates, options, want) in [
        (
            vec!["2026-12-01", "2026/12/01", "2026-12-01 00:00:00", "2026-12-01T00:00:00Z", "20261201"],
            Options::default(),
            "2026-12-01",
        ),
        (vec!["01.12.2026", "1.12.26"], Options::default(), "2026-12-01"),
        (vec!["01-Dec-2026", "Dec 1 2026", "1 December 2026"], Options::default(), "2026-12-01"),
        (vec!["01/12/2026"], day_first, "2026-12-01"),
        // 13 can only be a day, so the month stands first in the others too.
        (vec!["12/13/2026", "12/13/2026"], Options::default(), "2026-12-13"),
    ] {
        let (lines, summary) = read_all(file(&dates).as_bytes(), &options).unwrap();
        assert_eq!((lines.len(), &summary.faults), (dates.len(), &vec![]), "{dates:?}");
        assert!(lines.iter().all(|l| l.from == Some(day(want))), "{dates:?}: {lines:?}");
    }
    for dates in [
        ["01/12/2026"],
        ["30.02.2026"],
        ["2026-02-30"],
        ["2026-13-01"],
        ["soon"],
        ["1999-01-01"],
        ["2026-12-01 25:00"],
    ] {
        let (lines, summary) = read_all(file(&dates).as_bytes(), &Options::default()).unwrap();
        assert_eq!(
            (lines.len(), summary.bad_rows, summary.faults[0].column.as_str()),
            (0, 1, "C"),
            "{dates:?}"
        );
    }
    let london = billing::Zone::new("Europe/London", 0, vec![(1_774_746_000, 3600), (1_792_890_000, 0)]);
    for (text, utc_s) in [
        ("2026-03-29 00:59", 1_774_745_940),
        ("2026-03-29 01:30", 1_774_747_800),
        ("2026-03-29 02:00", 1_774_746_000),
        ("2026-10-25 01:30", 1_792_888_200),
        ("2026-12-01", 1_796_083_200),
    ] {
        assert_eq!(day(text).in_zone(&london).0 / 1_000_000, utc_s, "{text}");
    }
}

/// Nothing is read where a guess could change a price.
#[test]
fn cells_with_nonsense_are_told_with_line_and_column() {
    for (row, column, words) in [
        ("880,NaN", "B", "is no price"),
        ("880,-1", "B", "negative"),
        ("880,1e400", "B", "is no price"),
        ("880,0", "B", "the price is 0"),
        ("880,0.0000", "B", "the price is 0"),
        ("880,", "B", "is no price"),
        ("880,1.2.3", "B", "is no price"),
        ("880,0.00000000001", "B", "more than 10 decimals"),
        ("880,99999999999999", "B", "too large"),
        ("88x,0.01", "A", "is no code"),
        ("8.80171E+11,0.01", "A", "is no code"),
        ("880 171 172,0.01", "A", "blanks"),
        ("8809-1,0.01", "A", "turned"),
        ("1-999999999,0.01", "A", "more digits"),
        ("100000000-999999999,0.01", "A", "too many"),
        ("1234567890123456789012345678901234567890,0.01", "A", "longer than 31"),
        ("#Ref,0.01", "A", "is no code"),
        ("880,0.01,0/0", "C", "no increments"),
        ("880,0.01,60/0", "C", "no increments"),
        ("880,0.01,1/60/60", "C", "no increments"),
        ("880,0.01,90000/1", "C", "no increments"),
        ("880,0.01,1/1,perhaps", "D", "neither open"),
        ("\u{661}\u{662},0.01", "A", "is no code"),
    ] {
        let file = format!("code,rate,increment,status\n44,0.02,60/6,\n{row}\n");
        let (lines, summary) = read_all(file.as_bytes(), &Options::default()).unwrap();
        assert_eq!(shown(&lines), ["44 0.0200 60/6"], "{row}");
        assert_eq!((summary.good_rows, summary.bad_rows), (1, 1), "{row}");
        let fault = &summary.faults[0];
        assert_eq!((fault.line, fault.column.as_str()), (3, column), "{row}: {fault:?}");
        assert!(fault.reason.contains(words), "{row}: {fault:?}");
    }
}

#[test]
fn marks_that_can_be_two_things_are_asked_for() {
    let file = "code;rate\n1;1,234\n2;2,500\n";
    let (lines, summary) = read_all(file.as_bytes(), &Options::default()).unwrap();
    assert_eq!((lines.len(), summary.bad_rows), (0, 2));
    for (mark, want) in [(DecimalMark::Comma, "1.2340"), (DecimalMark::Point, "1234.0000")] {
        let options = Options { decimal_mark: Some(mark), ..Options::default() };
        let (lines, _) = read_all(file.as_bytes(), &options).unwrap();
        assert_eq!(lines[0].price.unwrap().to_string(), want);
    }
    // One row that can only be read in one way decides for all.
    let (lines, summary) = read_all(b"code;rate\n1;1,234\n2;0,50\n", &Options::default()).unwrap();
    assert_eq!(
        (lines[0].price.unwrap(), summary.decimal_mark),
        (Price(12_340_000_000), Some(DecimalMark::Comma))
    );
    // And a later one that contradicts it is a fault, not another number.
    let (lines, summary) = read_all(b"code;rate\n2;0,50\n1;1.50\n", &Options::default()).unwrap();
    assert_eq!((lines.len(), summary.bad_rows), (1, 1));
}

#[test]
fn files_with_nonsense_are_refused_whole() {
    let long = format!("code,rate\n1,{}\n", "9".repeat(100_000));
    let wide = format!("code,rate\n{}\n", ",".repeat(300));
    let unending = format!("code,rate\n1,\"{}", "x\n".repeat(1000));
    for (bytes, line, words) in [
        (b"".as_slice(), 0, "empty"),
        (b"\n\n\n", 0, "no row names"),
        (b"1,2\n3,4\n", 0, "no row names"),
        (b"code,rate\n", 1, "no rates below"),
        (b"code,rate\n1,0.\x000\n", 2, "control characters"),
        (b"\xff\xfe\x00\xd8", 0, "no text"),
        (b"\xd0\xcf\x11\xe0rest", 0, "XLS"),
        (b"PK\x03\x04rest", 0, "spreadsheet"),
        (long.as_bytes(), 2, "longer than"),
        (wide.as_bytes(), 2, "columns"),
        (unending.as_bytes(), 2, "never closed"),
    ] {
        let fault = read_all(bytes, &Options::default()).unwrap_err();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).to_string();
        assert!(fault.reason.contains(words), "{shown:?}: {fault:?}");
        assert_eq!(fault.line, line, "{shown:?}: {fault:?}");
    }
}

#[test]
fn a_mapping_is_learned_and_used_again() {
    let first = "Ort;Nummer;Preis netto;Takt\nUK;44;0,01;60/6\n";
    assert!(read_all(first.as_bytes(), &Options::default()).is_err());
    let mapping = [
        (Field::Codes, "Nummer"),
        (Field::Price, "Preis netto"),
        (Field::Increments, "Takt"),
        (Field::Area, "Ort"),
    ];
    let mapping = Mapping(mapping.into_iter().map(|(f, h)| (f, h.to_string())).collect());
    let options = Options { mapping: Some(mapping.clone()), ..Options::default() };
    let (lines, summary) = read_all(first.as_bytes(), &options).unwrap();
    assert_eq!((shown(&lines), &summary.mapping), (vec!["44 0.0100 60/6".to_string()], &mapping));
    // The columns of the next file stand elsewhere; one that is missing is told rather than left out.
    let (lines, _) = read_all(b"Preis netto;x;Takt;Nummer;Ort\n0,02;;1/1;45;DK\n", &options).unwrap();
    assert_eq!(shown(&lines), ["45 0.0200 1/1"]);
    let fault = read_all(b"Preis netto;Nummer;Ort\n0,02;45;DK\n", &options).unwrap_err();
    assert!(fault.reason.contains("Takt"), "{fault:?}");
}

#[test]
fn spreadsheets() {
    use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
    let mut book = Workbook::new();
    book.add_worksheet().set_name("Cover").unwrap().write_string(0, 0, "Dear partner").unwrap();
    let sheet = book.add_worksheet().set_name("Rates").unwrap();
    for (column, heading) in
        ["Destination", "Dial Codes", "Rate USD/min", "Increments", "Effective Date"].iter().enumerate()
    {
        sheet.write_string(3, u16::try_from(column).unwrap(), *heading).unwrap();
    }
    let date = Format::new().set_num_format("dd/mm/yyyy");
    let when = ExcelDateTime::from_ymd(2026, 12, 1).unwrap();
    for (row, code, price) in [(4, 880.0, 0.0305), (5, 8_801_711.0, 0.1 + 0.2), (6, 44.0, 1e-7)] {
        sheet.write_string(row, 0, "Somewhere").unwrap();
        sheet.write_number(row, 1, code).unwrap();
        sheet.write_number(row, 2, price).unwrap();
        sheet.write_string(row, 3, "60/6").unwrap();
        sheet.write_datetime_with_format(row, 4, &when, &date).unwrap();
    }
    let bytes = book.save_to_buffer().unwrap();
    let (lines, summary) = read_all(&bytes, &Options::default()).unwrap();
    assert_eq!(
        shown(&lines),
        ["880 0.0305 60/6", "8801711 0.3000 60/6", "44 0.0000001 60/6"],
        "{summary:#?}"
    );
    assert_eq!((lines[0].line, lines[0].from, summary.heading_line), (5, Some(day("2026-12-01")), 4));
    // Cut off anywhere it is refused or read short, never misread and never a panic.
    for cut in (0..bytes.len()).step_by(97) {
        if let Ok((lines, _)) = read_all(&bytes[..cut], &Options::default()) {
            assert!(lines.iter().all(|l| l.price.is_some()));
        }
    }
}

/// Faults beyond the first thousand are counted, not kept.
#[test]
fn many_faults_cost_no_memory() {
    let file = format!("code,rate\n{}", "x,1\n".repeat(5000));
    let (_, summary) = read_all(file.as_bytes(), &Options::default()).unwrap();
    assert_eq!((summary.bad_rows, summary.faults.len()), (5000, 1000));
}

/// Whatever bytes: an answer.
#[test]
fn random_bytes_never_panic() {
    let mut r = vocab::Random::from_number(54);
    let pieces: [&[u8]; 16] = [
        b"code",
        b"rate",
        b",",
        b";",
        b"\n",
        b"\"",
        b"880",
        b"0.01",
        b"-",
        b"2026",
        b"\xff",
        b"\xe2\x82\xac",
        b" ",
        b"/",
        b"e9",
        b"\t",
    ];
    for _ in 0..3000 {
        let mut bytes = if r.below(2) == 0 { b"code,rate,effective\n".to_vec() } else { Vec::new() };
        for _ in 0..r.below(60) {
            bytes.extend_from_slice(pieces[usize::try_from(r.below(16)).unwrap()]);
        }
        if let Ok((lines, _)) = read_all(&bytes, &Options::default()) {
            assert!(lines.iter().all(|l| l.state != State::Open || l.price.is_some_and(|p| p > Price::ZERO)));
        }
    }
}
