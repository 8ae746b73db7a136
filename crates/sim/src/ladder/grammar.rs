//! From text to steps. The grammar is told in `scenarios/README.md`.

use crate::peer::Offer;
use std::collections::BTreeMap;
use std::time::Duration;

/// One test.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    /// Configuration before the first step.
    pub config: String,
    pub steps: Vec<Line>,
    /// A defect that makes this scenario fail for now.
    pub open_bug: Option<String>,
}

/// A step with where it stands.
#[derive(Clone, Debug)]
pub struct Line {
    pub number: usize,
    pub text: String,
    pub step: Step,
}

/// A peer and which of its calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    pub party: String,
    pub call: u32,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Request(String),
    /// Status, and the method that it answers when that is said.
    Response(u16, Option<String>),
    /// The last message once more.
    Again,
    /// The last message of another peer, as somebody would send it who had listened.
    Copy(String),
    /// Bytes that need not be SIP; `\r\n` is added to each `|`.
    Raw(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub number: Option<String>,
    /// From.
    pub from: Option<String>,
    /// Its display name.
    pub name: Option<String>,
    pub offer: Option<Offer>,
    /// A body that is no description.
    pub body: Option<String>,
    /// `{Name: text}`.
    pub headers: Vec<(String, String)>,
    /// `!{Name}`.
    pub absent: Vec<String>,
    /// The peer from whose address it is sent.
    pub at: Option<String>,
    /// Ending of the tag of a fork.
    pub fork: String,
    /// `auth` or `auth=user:password`.
    pub auth: Option<Option<(String, String)>>,
    /// Which challenge is answered; empty: the first.
    pub algorithm: String,
    pub reliable: bool,
    pub resent: bool,
    /// Earliest and latest after the step before.
    pub after: Option<(Duration, Duration)>,
    pub times: u32,
}

#[derive(Clone, Debug)]
pub enum Step {
    Send(Who, What, Details),
    Expect(Who, What, Details),
    Wait {
        time: Duration,
        resends: bool,
    },
    Audio(Who, bool),
    Config(String),
    Operator(Operator),
    /// The reply to the operator's oldest request that is still open.
    Reply(String),
    DiskFull(bool),
    Unreachable(String, bool),
    /// The calendar clock is set by so many seconds.
    Clock(i64),
    /// And no process for so long.
    Crash(Duration),
    State(Vec<Check>),
    Cdr(Vec<Check>),
    Ledger(Vec<Check>),
}

#[derive(Clone, Debug)]
pub enum Operator {
    Kill,
    Pay { account: String, amount: String, kind: String, key: Option<String> },
    Transfer { from: String, to: String, amount: String, key: Option<String> },
    Drain,
    HangUpAll,
}

/// `key=value`, `key>=value`, `key<=value`, `key~part`.
#[derive(Clone, Debug)]
pub struct Check {
    pub key: String,
    pub relation: &'static str,
    pub value: String,
}

/// Reads a file of scenarios.
pub fn parse(text: &str) -> Result<Vec<Scenario>, String> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        reader.line(index + 1, line).map_err(|e| format!("line {}: {e}", index + 1))?;
    }
    reader.block_is_closed()?;
    Ok(reader.scenarios)
}

#[derive(Default)]
struct Reader {
    scenarios: Vec<Scenario>,
    common: String,
    blocks: BTreeMap<String, Vec<Line>>,
    open: Option<(String, Vec<Line>)>,
}

impl Reader {
    fn line(&mut self, number: usize, whole: &str) -> Result<(), String> {
        let text = without_comment(whole).trim();
        if text.is_empty() {
            return Ok(());
        }
        let (first, rest) = text.split_once(' ').map_or((text, ""), |(f, r)| (f, r.trim()));
        match (first, &mut self.open) {
            ("define", None) => self.open = Some((rest.to_string(), Vec::new())),
            ("end", Some(_)) => {
                self.blocks.extend(self.open.take());
            }
            ("scenario", open) => {
                if open.is_some() {
                    return self.block_is_closed();
                }
                if self.scenarios.iter().any(|s| s.name == rest) {
                    return Err(format!("a second scenario {rest:?}"));
                }
                let (name, config) = (rest.to_string(), self.common.clone());
                self.scenarios.push(Scenario { name, config, steps: Vec::new(), open_bug: None });
            }
            ("bug:", None) => {
                let scenario = self.scenarios.last_mut().ok_or("a bug of no scenario")?;
                scenario.open_bug = Some(rest.to_string());
            }
            ("do", _) => {
                let lines = self.blocks.get(rest).ok_or_else(|| format!("no block {rest:?}"))?.clone();
                self.place()?.extend(lines);
            }
            ("config:", None) => {
                let target = match self.scenarios.last_mut() {
                    None => &mut self.common,
                    Some(s) if s.steps.is_empty() => &mut s.config,
                    Some(s) => {
                        let (text, step) = (text.to_string(), Step::Config(rest.to_string()));
                        s.steps.push(Line { number, text, step });
                        return Ok(());
                    }
                };
                target.push('\n');
                target.push_str(rest);
            }
            _ => {
                let line = Line { number, text: text.to_string(), step: step(text)? };
                self.place()?.push(line);
            }
        }
        Ok(())
    }

    fn place(&mut self) -> Result<&mut Vec<Line>, String> {
        match (&mut self.open, self.scenarios.last_mut()) {
            (Some((_, lines)), _) => Ok(lines),
            (None, Some(scenario)) => Ok(&mut scenario.steps),
            (None, None) => Err("a step before the first scenario".into()),
        }
    }

    fn block_is_closed(&self) -> Result<(), String> {
        self.open.as_ref().map_or(Ok(()), |(name, _)| Err(format!("block {name:?} has no end")))
    }
}

fn without_comment(line: &str) -> &str {
    // A # inside of words is a call's number: alice#2.
    if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or("") }
}

fn step(text: &str) -> Result<Step, String> {
    let (first, rest) = text.split_once(' ').map_or((text, ""), |(f, r)| (f, r.trim()));
    match first {
        "wait" => {
            let (time, word) = rest.split_once(' ').unwrap_or((rest, ""));
            let resends = match word.trim() {
                "" => false,
                "resends" => true,
                other => return Err(format!("{other:?} after wait")),
            };
            Ok(Step::Wait { time: seconds(time)?, resends })
        }
        "cdr:" => Ok(Step::Cdr(checks(rest)?)),
        "ledger:" => Ok(Step::Ledger(checks(rest)?)),
        "state:" => Ok(Step::State(checks(rest)?)),
        "clock" => Ok(Step::Clock(rest.parse().map_err(|_| format!("{rest:?} is no number of seconds"))?)),
        "crash" if rest.is_empty() => Ok(Step::Crash(Duration::ZERO)),
        "crash" => Ok(Step::Crash(seconds(rest)?)),
        "disk" if rest == "full" => Ok(Step::DiskFull(true)),
        "disk" if rest == "ok" => Ok(Step::DiskFull(false)),
        "operator" => operator(rest).map(Step::Operator),
        "reply" => Ok(Step::Reply(rest.to_string())),
        party => message(party, rest),
    }
}

fn operator(text: &str) -> Result<Operator, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match *words.as_slice() {
        ["kill"] => Ok(Operator::Kill),
        ["drain"] => Ok(Operator::Drain),
        ["hang-up-all"] => Ok(Operator::HangUpAll),
        [kind @ ("pay" | "refund" | "correct"), account, amount, ref more @ ..] => {
            let key = more.first().map(|k| k.to_string());
            Ok(Operator::Pay { account: account.into(), amount: amount.into(), kind: kind.into(), key })
        }
        ["transfer", from, to, amount, ref more @ ..] => {
            let key = more.first().map(|k| k.to_string());
            Ok(Operator::Transfer { from: from.into(), to: to.into(), amount: amount.into(), key })
        }
        _ => Err(format!("{text:?} is nothing an operator does here")),
    }
}

fn message(party: &str, rest: &str) -> Result<Step, String> {
    let (name, call) = match party.split_once('#') {
        Some((name, number)) => (name, number.parse().map_err(|_| format!("{party:?}: which call?"))?),
        None => (party, 1),
    };
    let who = Who { party: name.to_string(), call };
    let (arrow, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match (arrow, rest.trim()) {
        ("is", "unreachable") => return Ok(Step::Unreachable(who.party, true)),
        ("is", "reachable") => return Ok(Step::Unreachable(who.party, false)),
        ("~>", "audio") => return Ok(Step::Audio(who, true)),
        ("~>", "silence") => return Ok(Step::Audio(who, false)),
        ("->", text) if text.starts_with("raw ") => {
            let raw = text.trim_start_matches("raw ").to_string();
            return Ok(Step::Send(who, What::Raw(raw), Details::default()));
        }
        ("->", text) if text.starts_with("copy ") => {
            let of = text.trim_start_matches("copy ").trim().to_string();
            return Ok(Step::Send(who, What::Copy(of), Details::default()));
        }
        _ => {}
    }
    let (what, details) = words(rest.trim())?;
    match arrow {
        "->" => Ok(Step::Send(who, what, details)),
        "<-" => Ok(Step::Expect(who, what, details)),
        _ => Err(format!("{party:?} {arrow:?}: expected -> or <-")),
    }
}

const METHODS: &[&str] = &[
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "PRACK",
    "UPDATE",
    "INFO",
    "OPTIONS",
    "MESSAGE",
    "REGISTER",
    "SUBSCRIBE",
];

fn words(text: &str) -> Result<(What, Details), String> {
    let mut details = Details { times: 1, ..Details::default() };
    let text = take_headers(text, &mut details)?;
    let mut words = text.split_whitespace();
    let first = words.next().ok_or("a message is missing")?;
    let mut what = match first.parse::<u16>() {
        Ok(status) => What::Response(status, None),
        Err(_) if METHODS.contains(&first) => What::Request(first.to_string()),
        Err(_) if first == "again" => What::Again,
        Err(_) => return Err(format!("{first:?} is neither a method nor a status")),
    };
    while let Some(word) = words.next() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let mut time = || words.next().ok_or("a time is missing".to_string());
        match (key, &mut what) {
            ("sdp", _) => {
                let mut offer = details.offer.take().unwrap_or_default();
                if !value.is_empty() {
                    offer.direction = value.to_string();
                }
                details.offer = Some(offer);
            }
            ("codecs", _) => {
                details.offer.get_or_insert_default().formats = value.replace(',', " ");
            }
            ("media", _) => {
                let media = value.parse().map_err(|_| "media=IP:PORT")?;
                details.offer.get_or_insert_default().media = Some(media);
            }
            ("at", _) => details.at = Some(value.to_string()),
            ("body", _) => details.body = Some(value.replace(r"\r\n", "\r\n")),
            ("name", _) => details.name = Some(value.replace('_', " ")),
            ("from", _) => details.from = Some(value.to_string()),
            ("tag", _) => details.fork = format!("-{value}"),
            ("auth", _) if value.is_empty() => details.auth = Some(None),
            ("auth", _) => {
                let (user, password) = value.split_once(':').ok_or("auth=user:password")?;
                details.auth = Some(Some((user.into(), password.into())));
            }
            ("algorithm", _) => details.algorithm = value.to_string(),
            ("reliable", _) => details.reliable = true,
            ("resent", _) => details.resent = true,
            ("after", _) => details.after = Some(window(time()?)?),
            ("times", _) => details.times = time()?.parse().map_err(|_| "how many times?")?,
            (method, What::Response(_, of)) if METHODS.contains(&method) => *of = Some(method.to_string()),
            (number, What::Request(_))
                if number.starts_with(|c: char| c.is_ascii_digit() || "+*".contains(c)) =>
            {
                details.number = Some(number.to_string());
            }
            _ => return Err(format!("{word:?} is not known here")),
        }
    }
    Ok((what, details))
}

/// Takes `{Name: text}` and `!{Name}` out of a line.
fn take_headers(text: &str, details: &mut Details) -> Result<String, String> {
    let mut rest = String::new();
    let mut parts = text.split('{');
    rest.push_str(parts.next().unwrap_or(""));
    for part in parts {
        let (inside, after) = part.split_once('}').ok_or("a { without its }")?;
        if rest.ends_with('!') {
            rest.pop();
            details.absent.push(inside.trim().to_string());
        } else {
            let (name, value) = inside.split_once(':').ok_or("expected {Name: text}")?;
            details.headers.push((name.trim().into(), value.trim().into()));
        }
        rest.push_str(after);
    }
    Ok(rest)
}

/// `10` is around 10 s, `10..11` is between.
fn window(text: &str) -> Result<(Duration, Duration), String> {
    const SLACK: Duration = Duration::from_millis(60);
    match text.split_once("..") {
        Some((least, most)) => Ok((seconds(least)?, seconds(most)?)),
        None => seconds(text).map(|t| (t.saturating_sub(SLACK), t + SLACK)),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(value).map_err(|e| e.to_string())
}

fn checks(text: &str) -> Result<Vec<Check>, String> {
    let mut checks: Vec<Check> = Vec::new();
    for word in text.split_whitespace() {
        let found = [">=", "<=", "!=", "=", "~"].into_iter().find_map(|r| Some((r, word.split_once(r)?)));
        let (relation, (key, value)) = found.ok_or_else(|| format!("{word:?}: expected key=value"))?;
        // An underscore stands for a blank in texts.
        let value = if relation == "~" { value.replace('_', " ") } else { value.to_string() };
        checks.push(Check { key: key.to_string(), relation, value });
    }
    if checks.is_empty() { Err("nothing to check".into()) } else { Ok(checks) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ladders() {
        let text = "
config: customer acme prepaid 1 880=0.1/1/1
define answered
  v1 -> 200 sdp=sendonly codecs=8,101
end
scenario one   # with a remark
config: vendor v1 880=0.1/1/1
alice#2 -> INVITE 8801 sdp {Privacy: id} from=+49
alice <- 408 INVITE resent after 10..11 !{Server} times 3
do answered
config: param SS_MAX_CPS=1
wait 1.5 resends
cdr: talk>=3 text~went_away
scenario two
wait 1
";
        let all = parse(text).unwrap();
        assert_eq!((all.len(), all[0].name.as_str(), all[0].steps.len()), (2, "one", 6));
        assert!(all[0].config.contains("acme") && all[0].config.contains("v1"));
        assert!(!all[1].config.contains("v1"));
        let Step::Send(who, What::Request(method), details) = &all[0].steps[0].step else { panic!() };
        assert_eq!((who.party.as_str(), who.call, method.as_str()), ("alice", 2, "INVITE"));
        assert_eq!((details.number.as_deref(), details.from.as_deref()), (Some("8801"), Some("+49")));
        assert_eq!(details.headers, [("Privacy".to_string(), "id".to_string())]);
        let Step::Expect(_, What::Response(408, Some(of)), details) = &all[0].steps[1].step else { panic!() };
        assert_eq!((of.as_str(), details.resent, details.times), ("INVITE", true, 3));
        assert_eq!(details.after, Some((Duration::from_secs(10), Duration::from_secs(11))));
        assert_eq!(details.absent, ["Server"]);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "wait 1",
            "scenario a\nscenario a",
            "scenario a\nalice => INVITE 1",
            "scenario a\nalice -> INVYTE 1",
            "scenario a\nalice -> INVITE 1 loud",
            "scenario a\nalice <- 200 after soon",
            "scenario a\nalice <- 200 {Via",
            "scenario a\ncdr:",
            "scenario a\ncdr: talk",
            "scenario a\ndo nothing",
            "scenario a\noperator sleep",
            "define b\nwait 1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
