//! The command line. `serve` and `demo` are the switch; everything else talks to a running one through its API.

mod changes;
mod client;
mod commands;
mod folders;
mod guarding;
mod lists;
mod phones;
mod rates;
mod reports;
mod seeing;
mod table;

use crate::settings::{Listener, Overrides, PortRange};
use clap::{Args, Parser, Subcommand};
pub use client::Client;
use guarding::{AlarmsCommand, FirewallCommand, FraudCommand};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(
    name = "tandem",
    version,
    about = "A wholesale voice switch: routes, relays, rates and records calls."
)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "made once in the life of the process")]
enum Command {
    /// Run the switch
    Serve(ServeArgs),
    /// Run the switch with an example business and simulated customers and vendors
    Demo(DemoArgs),
    /// Bring the configuration in line with files: all of it or nothing
    Apply {
        /// Business files (TOML)
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Show what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Write the whole configuration in the form that `apply` reads
    Export {
        /// File to write; the terminal when absent
        #[arg(short, long)]
        output: Option<PathBuf>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Calls in progress
    Calls {
        #[command(subcommand)]
        command: CallsCommand,
    },
    /// Traces of calls and registrations, and exports of what was seen
    Trace {
        #[command(subcommand)]
        command: TraceCommand,
    },
    /// Alarms: open and past, their rules, and who is told
    Alarms {
        #[command(subcommand)]
        command: AlarmsCommand,
    },
    /// The fraud watch: its rules, and a trial on past calls
    Fraud {
        #[command(subcommand)]
        command: FraudCommand,
    },
    /// The kernel's filter (nftables) in front of the switch
    Firewall {
        #[command(subcommand)]
        command: FirewallCommand,
    },
    /// Figures of the machine and the switch: now, and how they were
    Monitor {
        #[command(subcommand)]
        command: MonitorCommand,
    },
    /// The system log and its levels
    Log {
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Call detail records
    Cdr {
        #[command(subcommand)]
        command: CdrCommand,
    },
    /// Accounts, their money and their entries
    Account {
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Reports: `list` names them, `rebuild` makes their sums anew from the records
    Report(ReportArgs),
    /// Rates: vendors' files in, customers' rates made from them
    Rates {
        #[command(subcommand)]
        command: RatesCommand,
    },
    /// Routing
    Route {
        #[command(subcommand)]
        command: RouteCommand,
    },
    /// Phones
    Phones {
        #[command(subcommand)]
        command: PhonesCommand,
    },
    /// Who is registered, and with whom the switch is
    Registrations {
        #[command(subcommand)]
        command: RegistrationsCommand,
    },
    /// Black and white lists of numbers, and the numbers that are barred for a time
    List {
        #[command(subcommand)]
        command: ListCommand,
    },
    /// Rules that change numbers
    Rewrite {
        #[command(subcommand)]
        command: RewriteCommand,
    },
    /// Verify the stored data: balances are the sums of their entries, each answered call has one CDR
    Check {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Copy the data folder into a new folder, while the switch runs or not
    Backup {
        /// The new folder
        to: PathBuf,
        /// Data folder of the switch
        #[arg(long, env = "TANDEM_DATA")]
        data: Option<PathBuf>,
        /// Print what was done as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a data folder out of a backup, and verify it
    Restore {
        /// The folder that `backup` has made
        from: PathBuf,
        /// The new data folder
        #[arg(long, env = "TANDEM_DATA")]
        data: Option<PathBuf>,
        /// Key file (`secret.key`) of the old data folder
        #[arg(long)]
        key: Option<PathBuf>,
        /// Print what was done as JSON
        #[arg(long)]
        json: bool,
    },
    /// The journal of a data folder on which no switch runs
    Journal {
        #[command(subcommand)]
        command: JournalCommand,
    },
    /// State of the switch: listeners, media ports, journal, and what became of messages of unknown sources
    Status {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Place a call through the switch with its own customer and vendor, and say what was seen
    Selftest {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Price past calls again: try it, apply it as corrections, take it back
    Rerate {
        #[command(subcommand)]
        command: RerateCommand,
    },
    /// System parameters
    Param {
        #[command(subcommand)]
        command: ParamCommand,
    },
    /// Versions of the configuration: what was changed, and taking it back
    Changes {
        #[command(subcommand)]
        command: changes::ChangesCommand,
    },
    /// Print the OpenAPI document of the API
    Openapi,
    /// Print the version
    Version {
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Say what cannot be read and what is lost by that; with --write, go on without it
    Repair {
        /// Replace damaged files by what can be read of them; they are kept
        #[arg(long)]
        write: bool,
        /// Data folder
        #[arg(long, env = "TANDEM_DATA")]
        data: Option<PathBuf>,
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TraceWhat {
    Calls,
    Registers,
}

/// Which of what was seen; every part that is given must fit.
#[derive(Clone, Debug, Default, Args)]
struct CaptureFilter {
    #[arg(long)]
    account: Option<String>,
    /// Mapping or routing gateway
    #[arg(long)]
    gateway: Option<String>,
    /// Part of the caller's or called number
    #[arg(long)]
    number: Option<String>,
    /// IP address of a peer
    #[arg(long)]
    address: Option<String>,
}

#[derive(Debug, Subcommand)]
enum TraceCommand {
    /// Write calls or registrations into trace files
    On {
        #[arg(value_enum)]
        what: TraceWhat,
        /// Switches itself off after so many minutes
        #[arg(long)]
        minutes: Option<u32>,
        #[command(flatten)]
        filter: CaptureFilter,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Stop writing; what is written stays
    Off {
        #[arg(value_enum)]
        what: TraceWhat,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// What is traced, and what became of it
    Status {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Print the newest part of a trace
    Show {
        #[arg(value_enum)]
        what: TraceWhat,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Save the messages of calls that are still held as a pcap file
    Pcap {
        #[arg(short, long)]
        output: PathBuf,
        #[command(flatten)]
        filter: CaptureFilter,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Registrations seen lately, and what is wrong with them
    Registrations {
        #[command(flatten)]
        filter: CaptureFilter,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum MonitorCommand {
    /// The figures of this moment
    Now {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Samples of the past
    History {
        /// Seconds between samples: 10, 60 or 600
        #[arg(long, default_value_t = 10)]
        step: u32,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Print the newest part of the log
    Show {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// What is logged
    Levels {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Log another level from now on, until the next start: of everything, or of one module
    Set {
        /// error, warn, info, debug, trace or off; default takes the setting away
        level: String,
        /// Like sip, or tandem::tcp
        #[arg(long)]
        module: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum PhonesCommand {
    /// List phones and whether they are online
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show one phone with its contacts
    Show {
        number: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum RegistrationsCommand {
    /// List who is registered with the switch
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List vendors' gateways: online state, and the switch's registrations with them
    Vendors {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take a registration away; the device may come again
    Remove {
        /// A phone's number, a gateway's name, or an id like phone:7
        name: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum CallsCommand {
    /// List the calls in progress, oldest first
    List {
        /// Only calls in which this text occurs
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Say what is wrong with a call, in progress or ended, and draw its ladder
    Analyse {
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Save the messages of a call as a pcap file
    Pcap {
        id: String,
        #[arg(short, long)]
        output: PathBuf,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Print the messages and events of a call
    Text {
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Save all that is known of a call in one file
    Evidence {
        id: String,
        #[arg(short, long)]
        output: PathBuf,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// End calls now
    Kill {
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// Every call in progress
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Stands in the CDR
        #[arg(long, default_value = "by command")]
        reason: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum CdrCommand {
    /// List call detail records, newest first
    List {
        #[command(flatten)]
        filter: CdrFilter,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Write records to a file, CSV or by its name XLSX
    Export {
        file: PathBuf,
        #[command(flatten)]
        filter: CdrFilter,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Where the stream of records to a receiver stands
    Stream {
        /// Send again what comes after this record; 0 is everything
        #[arg(long)]
        after: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show one record with its attempts and the explanation of its route
    Show {
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Which records; each filter narrows.
#[derive(Debug, Default, Args)]
struct CdrFilter {
    /// Started at or after this time, like 2026-01-31T00:00:00Z
    #[arg(long)]
    from: Option<String>,
    /// Started before this time
    #[arg(long)]
    to: Option<String>,
    #[arg(long)]
    account: Option<String>,
    #[arg(long)]
    mapping_gateway: Option<String>,
    #[arg(long)]
    routing_gateway: Option<String>,
    #[arg(long)]
    caller: Option<String>,
    #[arg(long)]
    callee: Option<String>,
    /// Caller or callee
    #[arg(long)]
    number: Option<String>,
    #[arg(long)]
    end_reason: Option<String>,
    /// caller, callee or switch
    #[arg(long)]
    ended_by: Option<String>,
    #[arg(long)]
    answered: Option<bool>,
    #[arg(long)]
    min_duration_s: Option<u64>,
    /// Calls that were sold for less than they cost: true or false
    #[arg(long)]
    below_cost: Option<bool>,
    #[arg(long)]
    max_duration_s: Option<u64>,
    #[arg(long)]
    vendor: Option<String>,
    /// Prefix of the customer's rate
    #[arg(long)]
    prefix: Option<String>,
    #[arg(long)]
    area: Option<String>,
    /// Call-ID of one of the sides
    #[arg(long)]
    call_id: Option<String>,
    #[arg(long)]
    sip_code: Option<u16>,
    #[arg(long)]
    min_fee: Option<String>,
    #[arg(long)]
    max_fee: Option<String>,
    #[arg(long)]
    search: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// Name of a report; `list` or `rebuild`
    name: String,
    /// A date in the time zone or a time; the first of the month when absent
    #[arg(long)]
    from: Option<String>,
    /// Excluded; now when absent
    #[arg(long)]
    to: Option<String>,
    /// Time zone of days and hours, like Europe/Berlin
    #[arg(long, default_value = "UTC")]
    tz: String,
    /// Dimensions by comma, like day,account
    #[arg(long)]
    group: Option<String>,
    /// Only these, like account=acme
    #[arg(long = "filter")]
    filters: Vec<String>,
    /// Print CSV
    #[arg(long)]
    csv: bool,
    /// Write a spreadsheet to this file
    #[arg(long, conflicts_with = "csv")]
    xlsx: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// List the accounts with their balances
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show one account with its latest entries
    Show {
        name: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Pay in (or out, with a minus)
    Pay {
        name: String,
        /// Like 12.50
        #[arg(allow_hyphen_values = true)]
        amount: String,
        #[arg(long, default_value = "payment", value_parser = ["payment", "refund", "correction", "credit", "payout"])]
        kind: String,
        #[arg(long, default_value = "")]
        note: String,
        /// Idempotency key: the same key moves the money once, however often it is sent
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Move money from one account to another
    Transfer {
        from: String,
        to: String,
        /// Like 12.50
        amount: String,
        #[arg(long, default_value = "")]
        note: String,
        /// Idempotency key: the same key moves the money once, however often it is sent
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List the accounts whose balance is low or used up, vendors with little prepaid among them
    Low {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List what vendors are owed, and what is prepaid with them
    Owed {
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum RerateCommand {
    /// Say what would change; with --name, apply it under that name, once
    Run {
        /// Calls that began at this time or later, like 2026-11-01T00:00:00Z
        #[arg(long)]
        from: String,
        /// Calls that began before this time
        #[arg(long)]
        to: String,
        /// Only what this account pays or is owed
        #[arg(long)]
        account: Option<String>,
        /// By the rates of this group, not by the present ones of the account
        #[arg(long)]
        rate_group: Option<String>,
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List the runs that were applied
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take a run back
    Undo {
        name: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum RatesCommand {
    /// Read a vendor's file (CSV or XLSX) for a rate group, and say what it would change
    Import {
        group: String,
        file: PathBuf,
        /// The file is the whole deck: what it does not name is gone
        #[arg(long)]
        replace: bool,
        /// From when rates hold whose rows have no date, like 2026-12-01T00:00:00Z
        #[arg(long)]
        effective: Option<String>,
        /// point or comma
        #[arg(long)]
        decimal_mark: Option<String>,
        /// day_first or month_first
        #[arg(long)]
        date_order: Option<String>,
        /// Prices of 0 are meant so
        #[arg(long)]
        free_is_meant: bool,
        /// Increments of rows that have none, like 60/6
        #[arg(long)]
        increments: Option<String>,
        /// A column by its heading, like codes=Nummer; all of them then
        #[arg(long = "column")]
        columns: Vec<String>,
        #[command(flatten)]
        then: Then,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Make the rates of a group from those of another
    Make {
        group: String,
        /// The rate group with the costs
        #[arg(long)]
        from: String,
        /// price = cost / (1 - margin), per cent
        #[arg(long, allow_hyphen_values = true)]
        margin: Option<String>,
        /// price = cost * (1 + mark-up), per cent
        #[arg(long, allow_hyphen_values = true)]
        mark_up: Option<String>,
        /// price = cost + amount
        #[arg(long, allow_hyphen_values = true)]
        amount: Option<String>,
        /// Prices are rounded up to so many decimals
        #[arg(long, default_value_t = 4)]
        decimals: u32,
        /// The lowest price
        #[arg(long)]
        floor: Option<String>,
        /// Only prefixes that begin so
        #[arg(long = "prefix")]
        prefixes: Vec<String>,
        /// Rates that are not made are gone
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        then: Then,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List the latest imports of a rate group
    Imports {
        group: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Apply an import that was looked at
    Apply {
        group: String,
        import: u32,
        /// Leave rows with faults out
        #[arg(long)]
        skip_bad_rows: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Put the rates back as they were before an import
    Undo {
        group: String,
        import: u32,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// What follows when the rates are read.
#[derive(Clone, Copy, Debug, Default, Args)]
struct Then {
    /// Apply them at once
    #[arg(long)]
    apply: bool,
    /// Leave rows with faults out
    #[arg(long, requires = "apply")]
    skip_bad_rows: bool,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// Say where a call would go, and why not elsewhere, without placing it
    Simulate {
        /// Mapping gateway on which the call would arrive
        #[arg(long)]
        from: String,
        #[arg(long)]
        caller: String,
        #[arg(long)]
        called: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum ListCommand {
    /// Read a file of numbers into a list: one a line, with `*` at the end for all that begin so
    Import {
        /// Name of the list
        list: String,
        file: PathBuf,
        /// Numbers that are not in the file leave the list
        #[arg(long)]
        replace: bool,
        /// Leave out the lines that are wrong; otherwise nothing is taken when one is
        #[arg(long)]
        good_only: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show numbers of a list
    Show {
        list: String,
        /// Only those that begin so
        begin: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take a number out of a list
    Remove {
        list: String,
        number: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show the numbers that the dynamic black list bars, and why
    Barred {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take a number off the dynamic black list
    Unbar {
        /// `caller` or `called`
        whose: String,
        number: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum RewriteCommand {
    /// Try rules on a number: those given, of a file, or of a gateway
    Test {
        number: String,
        /// Rules like "00:" or "025E11:8625", with commas between
        #[arg(long, required_unless_present_any = ["file", "mapping_gateway", "routing_gateway"])]
        rules: Option<String>,
        #[arg(long, conflicts_with = "rules")]
        file: Option<PathBuf>,
        #[arg(long, conflicts_with_all = ["rules", "file"])]
        mapping_gateway: Option<String>,
        #[arg(long, conflicts_with_all = ["rules", "file", "mapping_gateway"])]
        routing_gateway: Option<String>,
        /// The gateway's rules for the caller's number instead of those for the called one
        #[arg(long)]
        caller: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Read rules from a file of the older system and print them as they stand in a business file
    Read {
        file: PathBuf,
        /// Leave out the rules that are wrong
        #[arg(long)]
        good_only: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
enum ParamCommand {
    /// List parameters
    List {
        /// Only those in whose name or help this text occurs
        search: Option<String>,
        /// Only those that are not at their default
        #[arg(long)]
        changed: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Set a parameter
    Set {
        name: String,
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// How to reach the running switch.
#[derive(Clone, Debug, Default, Args)]
pub struct ClientArgs {
    /// Address of the API; by default that of the switch that runs on the data folder
    #[arg(long, env = "TANDEM_API")]
    api: Option<String>,
    /// Token of the API; by default the one in the data folder
    #[arg(long, env = "TANDEM_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Data folder of the switch
    #[arg(long, env = "TANDEM_DATA")]
    data: Option<PathBuf>,
    /// Print what the API says, as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Settings file; ./tandem.toml when it is there
    #[arg(long, env = "TANDEM_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data folder
    #[arg(long, env = "TANDEM_DATA")]
    pub data: Option<PathBuf>,
    /// Address of API and console
    #[arg(long, env = "TANDEM_API")]
    pub api: Option<SocketAddr>,
    /// Listener instead of those in the file: udp:ADDRESS, or tcp:, tls:, ws:, wss:, with =ADDRESS for what is advertised
    #[arg(long, env = "TANDEM_LISTEN", value_delimiter = ',')]
    pub listen: Vec<Listener>,
    /// First and last media port, like 10000-20000
    #[arg(long, env = "TANDEM_MEDIA_PORTS")]
    pub media_ports: Option<PortRange>,
    /// Threads that relay media
    #[arg(long, env = "TANDEM_MEDIA_THREADS")]
    pub media_threads: Option<usize>,
    /// Log level: error, warn, info, debug or trace
    #[arg(long, env = "TANDEM_LOG")]
    pub log: Option<String>,
    /// How many seconds calls may go on after the first request to stop
    #[arg(long, env = "TANDEM_STOP_WAIT")]
    pub stop_wait: Option<u64>,
}

impl ServeArgs {
    pub fn overrides(self) -> Overrides {
        Overrides {
            data: self.data,
            log: self.log,
            api: self.api,
            listeners: self.listen,
            media_ports: self.media_ports,
            media_threads: self.media_threads,
            stop_wait_s: self.stop_wait,
        }
    }
}

#[derive(Clone, Debug, Default, Args)]
pub struct DemoArgs {
    /// Data folder to keep; a temporary one, gone at the end, when absent
    #[arg(long, env = "TANDEM_DATA")]
    pub data: Option<PathBuf>,
    /// Log level: error, warn, info, debug or trace
    #[arg(long, env = "TANDEM_LOG", default_value = "warn")]
    pub log: String,
    /// Stop by itself after this many seconds
    #[arg(long)]
    pub seconds: Option<u64>,
}

/// Why a command failed: what stands on stderr, line by line. Exit code 1.
#[derive(Debug)]
pub struct Failure(Vec<String>);

impl Failure {
    pub fn new(sentence: impl Into<String>) -> Failure {
        Failure(vec![sentence.into()])
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error.to_string())
    }
}

/// Runs the program. Usage errors end in `clap` with exit code 2.
pub fn run() -> ExitCode {
    let outcome = dispatch(Cli::parse().command);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(lines)) => {
            let mut stderr = std::io::stderr().lock();
            for line in lines {
                // Nobody is left to be told when stderr is closed.
                let _ = writeln!(stderr, "tandem: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    let mut out = Out::default();
    match command {
        Command::Serve(args) => crate::serve::serve(args),
        Command::Demo(args) => crate::demo::demo(args),
        Command::Openapi => out.text(&crate::serve::openapi()),
        Command::Version { json } => commands::version(json, &mut out),
        Command::Backup { to, data, json } => folders::backup(data, &to, &mut Out { json }),
        Command::Restore { from, data, key, json } => {
            folders::restore(&from, data, key.as_deref(), &mut Out { json })
        }
        Command::Journal { command } => folders::journal(command),
        command => commands::remote(command),
    }
}

/// Standard output. A reader that closes its end early (`| head`) is no error.
#[derive(Default)]
pub struct Out {
    json: bool,
}

impl Out {
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        match write!(stdout, "{text}{newline}").and_then(|()| stdout.flush()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("writing the output: {e}")))
            }
            _ => Ok(()),
        }
    }
}
