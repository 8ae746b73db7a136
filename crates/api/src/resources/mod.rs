//! The resources: each file has its documents, their conversion from and to the inner types, and its handlers.

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod alarms;
pub(crate) mod analysis;
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod calendars;
pub(crate) mod calls;
pub(crate) mod cdr_stream;
pub(crate) mod cdrs;
pub(crate) mod changes;
pub(crate) mod check;
pub(crate) mod dynamic_black_list;
pub(crate) mod end_reasons;
pub(crate) mod exports;
pub(crate) mod firewall;
pub(crate) mod fraud;
pub(crate) mod gateway_groups;
pub(crate) mod held;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod live;
pub(crate) mod mapping_gateways;
pub(crate) mod monitor;
pub(crate) mod number_lists;
pub(crate) mod overview;
pub(crate) mod parameters;
pub(crate) mod phones;
pub(crate) mod rate_groups;
pub(crate) mod rate_imports;
pub(crate) mod rates;
pub(crate) mod registrations;
pub(crate) mod reports;
pub(crate) mod reratings;
pub(crate) mod rewrite;
pub(crate) mod roles;
pub(crate) mod routing_gateways;
pub(crate) mod selftest;
pub(crate) mod session;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod traces;
pub(crate) mod users;

use crate::problem::{FieldProblem, Problem};
use crate::server::Api;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Every route below `/api/v1`, with its document.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    people().merge(money()).merge(routing()).merge(calls()).merge(records()).merge(guarding()).merge(system())
}

/// Who may do what, and who did.
fn people() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(session::sign_in, session::get_session, session::sign_out))
        .routes(routes!(session::change_password))
        .routes(routes!(
            session::propose_second_factor,
            session::set_second_factor,
            session::drop_second_factor
        ))
        .routes(routes!(users::list_users, users::create_user))
        .routes(routes!(users::get_user, users::update_user, users::delete_user))
        .routes(routes!(roles::list_roles))
        .routes(routes!(roles::put_role, roles::delete_role))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::delete_key))
        .routes(routes!(access::get_access, access::set_access))
        .routes(routes!(audit::list_audit))
}

/// Accounts, their ledgers and their rates.
fn money() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(accounts::list_accounts, accounts::create_account))
        .routes(routes!(accounts::get_account, accounts::update_account, accounts::delete_account))
        .routes(routes!(ledger::pay))
        .routes(routes!(ledger::transfer))
        .routes(routes!(ledger::list_ledger))
        .routes(routes!(reratings::list_reratings, reratings::rerate))
        .routes(routes!(reratings::get_rerating))
        .routes(routes!(reratings::undo_rerating))
        .routes(routes!(rate_groups::list_rate_groups, rate_groups::create_rate_group))
        .routes(routes!(
            rate_groups::get_rate_group,
            rate_groups::update_rate_group,
            rate_groups::delete_rate_group
        ))
        .routes(routes!(rates::list_rates, rates::replace_rates))
        .routes(routes!(rates::put_rate, rates::delete_rate))
        .routes(routes!(rate_imports::list_rate_imports, rate_imports::import_rates))
        .routes(routes!(rate_imports::get_rate_import))
        .routes(routes!(rate_imports::apply_rate_import))
        .routes(routes!(rate_imports::undo_rate_import))
        .routes(routes!(rate_imports::make_rates))
}

/// Gateways, phones, and where calls go.
fn routing() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(mapping_gateways::list_mapping_gateways, mapping_gateways::create_mapping_gateway))
        .routes(routes!(
            mapping_gateways::get_mapping_gateway,
            mapping_gateways::update_mapping_gateway,
            mapping_gateways::delete_mapping_gateway
        ))
        .routes(routes!(routing_gateways::list_routing_gateways, routing_gateways::create_routing_gateway))
        .routes(routes!(
            routing_gateways::get_routing_gateway,
            routing_gateways::update_routing_gateway,
            routing_gateways::delete_routing_gateway
        ))
        .routes(routes!(phones::list_phones, phones::create_phone))
        .routes(routes!(phones::get_phone, phones::update_phone, phones::delete_phone))
        .routes(routes!(registrations::list_registrations))
        .routes(routes!(registrations::get_registration, registrations::delete_registration))
        .routes(routes!(registrations::get_keep_alive))
        .routes(routes!(gateway_groups::list_gateway_groups, gateway_groups::create_gateway_group))
        .routes(routes!(
            gateway_groups::get_gateway_group,
            gateway_groups::update_gateway_group,
            gateway_groups::delete_gateway_group
        ))
        .routes(routes!(calendars::list_calendars, calendars::create_calendar))
        .routes(routes!(calendars::get_calendar, calendars::update_calendar, calendars::delete_calendar))
        .routes(routes!(number_lists::list_number_lists, number_lists::create_number_list))
        .routes(routes!(
            number_lists::get_number_list,
            number_lists::update_number_list,
            number_lists::delete_number_list
        ))
        .routes(routes!(number_lists::list_numbers, number_lists::import_numbers))
        .routes(routes!(number_lists::delete_number))
        .routes(routes!(dynamic_black_list::list_dynamic_black_list))
        .routes(routes!(dynamic_black_list::delete_dynamic_black_list_number))
        .routes(routes!(simulate::simulate_route))
        .routes(routes!(rewrite::try_rewrite))
}

/// Calls in progress, and looking into them.
fn calls() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(calls::list_calls))
        .routes(routes!(calls::get_call))
        .routes(routes!(calls::disconnect_call))
        .routes(routes!(analysis::analyse_call))
        .routes(routes!(analysis::call_pcap))
        .routes(routes!(analysis::call_text))
        .routes(routes!(analysis::call_evidence))
        .routes(routes!(analysis::analyse_record))
        .routes(routes!(analysis::captures_pcap))
        .routes(routes!(analysis::captures_text))
        .routes(routes!(analysis::list_registration_captures))
}

/// What is kept of calls, and reports on it.
fn records() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(cdrs::list_cdrs))
        .routes(routes!(cdrs::get_cdr))
        .routes(routes!(cdrs::total_cdrs))
        .routes(routes!(exports::list_exports))
        .routes(routes!(exports::begin_export, exports::get_export, exports::drop_export))
        .routes(routes!(exports::get_export_file))
        .routes(routes!(cdr_stream::get_cdr_stream, cdr_stream::set_cdr_stream))
        .routes(routes!(reports::list_reports))
        .routes(routes!(reports::make_report))
        .routes(routes!(reports::rebuild_reports))
}

/// Alarms, the fraud watch, the kernel's filter.
fn guarding() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(alarms::list_alarms))
        .routes(routes!(alarms::acknowledge_alarm))
        .routes(routes!(alarms::get_alarm_rules, alarms::set_alarm_rules))
        .routes(routes!(fraud::get_fraud_rules, fraud::set_fraud_rules))
        .routes(routes!(fraud::try_fraud_rules))
        .routes(routes!(firewall::get_firewall, firewall::set_firewall))
}

/// The switch itself: its state, its configuration as a whole.
fn system() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(status::get_status))
        .routes(routes!(overview::get_overview))
        .routes(routes!(traces::list_traces))
        .routes(routes!(traces::start_trace, traces::stop_trace))
        .routes(routes!(traces::read_trace))
        .routes(routes!(monitor::get_monitor))
        .routes(routes!(selftest::run_self_test))
        .routes(routes!(monitor::monitor_history))
        .routes(routes!(monitor::get_log, monitor::set_log))
        .routes(routes!(monitor::read_log))
        .routes(routes!(parameters::list_parameters))
        .routes(routes!(parameters::set_parameter))
        .routes(routes!(end_reasons::list_end_reasons))
        .routes(routes!(apply::apply_files))
        .routes(routes!(apply::export))
        .routes(routes!(changes::list_changes))
        .routes(routes!(changes::compare_changes))
        .routes(routes!(changes::get_change))
        .routes(routes!(changes::undo_change))
        .routes(routes!(check::check))
        .routes(routes!(live::open_live))
}

/// Default of fields that are on until switched off.
fn yes() -> bool {
    true
}

/// Default of time zones.
fn utc_zone() -> String {
    "UTC".to_owned()
}

/// Default of fields that count from one.
fn one() -> u32 {
    1
}

/// Conversions both ways between an enum of the API and its inner twin. A variant that only one has is an error.
macro_rules! same_variants {
    ($outer:ty, $inner:ty { $($variant:ident),+ $(,)? }) => {
        impl From<$outer> for $inner {
            fn from(outer: $outer) -> $inner {
                match outer { $(<$outer>::$variant => <$inner>::$variant,)+ }
            }
        }
        impl From<$inner> for $outer {
            fn from(inner: $inner) -> $outer {
                match inner { $(<$inner>::$variant => <$outer>::$variant,)+ }
            }
        }
    };
}
pub(crate) use same_variants;

/// The brain answered something else than was asked: a fault of ours, or its words.
pub(crate) fn unexpected(reply: &switch::ControlReply) -> Problem {
    match reply {
        switch::ControlReply::Refused(words) => Problem::fields(vec![FieldProblem::new("", words.clone())]),
        other => Problem::internal(format!("an unexpected reply of the brain: {other:?}")),
    }
}
