//! System parameters, straight from their table.

use crate::body::Body;
use crate::problem::Problem;
use crate::server::Answer;
use crate::server::Api;
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use params::{Kind, ParamSpec, SPECS};
use serde::Deserialize;
use serde::Serialize;
use store::Config;
use utoipa::ToSchema;

/// A system parameter.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Parameter {
    pub name: &'static str,
    /// Other names and old spellings that are read as this one.
    pub aliases: Vec<&'static str>,
    /// Heading in the reference.
    pub group: &'static str,
    #[serde(rename = "type")]
    pub kind: ParameterType,
    pub value: String,
    pub default: String,
    pub unit: &'static str,
    /// The allowed values in words.
    pub range: String,
    /// The allowed texts of a choice.
    pub choices: Vec<&'static str>,
    /// A gateway may have a value of its own.
    pub gateway: bool,
    /// Takes effect at the next start only.
    pub start: bool,
    pub help: &'static str,
    pub changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    Whole,
    Switch,
    Choice,
    Text,
    Amount,
    Intervals,
    Dscp,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterInput {
    pub value: String,
}

/// Lists all system parameters.
#[utoipa::path(get, path = "/parameters", tag = "parameters", responses((status = 200, body = Vec<Parameter>)))]
pub(crate) async fn list_parameters(State(api): State<Api>) -> Json<Vec<Parameter>> {
    let config = api.store.config();
    Json(SPECS.iter().map(|spec| view(spec, &config)).collect())
}

/// Sets a system parameter, by its name or an alias.
#[utoipa::path(put, path = "/parameters/{name}", tag = "parameters", params(("name" = String, Path)), request_body = ParameterInput, responses((status = 200, body = Parameter)))]
pub(crate) async fn set_parameter(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(input): Body<ParameterInput>,
) -> Answer<Parameter> {
    let spec = params::find(&name).ok_or_else(|| Problem::not_found("parameter", &name))?;
    let value = input.value;
    api.change(move |store| store.set_parameter(spec.name, &value, &caller)).await.map_err(at_value)?;
    Ok(Json(view(spec, &api.store.config())))
}

/// The body has one field; the problem is with it.
fn at_value(mut problem: Problem) -> Problem {
    problem.errors.iter_mut().for_each(|error| error.field = "value".to_string());
    problem
}

fn view(spec: &'static ParamSpec, config: &Config) -> Parameter {
    let value = config.params.get(spec.name).unwrap_or_default();
    let default = spec.default_text();
    Parameter {
        name: spec.name,
        aliases: spec.aliases.to_vec(),
        group: spec.group.title(),
        kind: kind(&spec.kind),
        changed: value != default,
        value,
        default,
        unit: spec.unit,
        range: spec.range_text(),
        choices: match spec.kind {
            Kind::Choice(choices) => choices.to_vec(),
            Kind::Switch => vec!["On", "Off"],
            _ => Vec::new(),
        },
        gateway: spec.gateway,
        start: spec.start,
        help: spec.help,
    }
}

fn kind(kind: &Kind) -> ParameterType {
    match kind {
        Kind::Whole { .. } => ParameterType::Whole,
        Kind::Switch => ParameterType::Switch,
        Kind::Choice(_) => ParameterType::Choice,
        Kind::Text { .. } | Kind::HostName => ParameterType::Text,
        Kind::Amount { .. } => ParameterType::Amount,
        Kind::Intervals => ParameterType::Intervals,
        Kind::Dscp => ParameterType::Dscp,
        Kind::Hours => ParameterType::Text,
    }
}
