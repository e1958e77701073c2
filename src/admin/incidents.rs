//! The incidents' part of the API: look up and review.

use std::collections::HashMap;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::error::{Error, Result};
use super::judge::{Body, body};
use crate::document::{listed, nearest};
use crate::incidents::store::MOST;
use crate::incidents::{Incident, Incidents, Query, time};
use crate::score::Label;
use crate::verdict::Action;

const PARAMETERS: [&str; 6] = ["label", "route", "action", "since", "before", "limit"];

/// `GET /api/incidents?label=&route=&action=&since=&before=&limit=`: the newest first. `next` is the `before` of the next page.
pub(super) async fn list(
    State(admin): State<Admin>,
    Parameters(parameters): Parameters<HashMap<String, String>>,
) -> Result<Json<Value>> {
    let query = query(&parameters, SystemTime::now()).map_err(Error::bad_request)?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let found = store(&admin)?.list(query).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|incident| incident.id.clone());
    Ok(Json(json!({ "incidents": found, "next": next })))
}

const DEFAULT_LIMIT: usize = 50;

pub(super) async fn one(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Incident>> {
    store(&admin)?.get(id).await?.map(Json).ok_or_else(no_such_incident)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Review {
    correct: bool,
}

/// `POST /api/incidents/{id}/review {"correct": true|false}`: the incident with its review.
pub(super) async fn review(State(admin): State<Admin>, Path(id): Path<String>, bytes: Body) -> Result<Json<Incident>> {
    let Review { correct } = body(bytes)?;
    store(&admin)?.review(id, correct).await?.map(Json).ok_or_else(no_such_incident)
}

fn store(admin: &Admin) -> Result<&Incidents> {
    admin.incidents.as_ref().ok_or_else(|| {
        Error::new(StatusCode::NOT_FOUND, "incidents_off", "incidents are not kept: [incidents] store is \"none\"")
    })
}

fn no_such_incident() -> Error {
    Error::not_found("no such incident; it may be older than [incidents] keep")
}

fn query(parameters: &HashMap<String, String>, now: SystemTime) -> std::result::Result<Query, String> {
    let mut query = Query { limit: Some(DEFAULT_LIMIT), ..Query::default() };
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        match name.as_str() {
            "label" => query.label = Some(one_of("label", value, &Label::ALL.map(Label::as_str)).and_then(|()| parsed(value))?),
            "action" => {
                query.action = Some(
                    one_of("action", value, &["flag", "reanchor", "retry", "block"]).and_then(|()| parsed::<Action>(value))?,
                )
            }
            "route" => query.route = Some(value.clone()),
            "since" => query.since = Some(time::moment(value, now).map_err(|error| format!("since: {error}"))?),
            "before" => query.before = Some(value.clone()),
            "limit" => {
                // More than a page holds is a page: `next` leads to the rest.
                let limit = value.parse().ok().filter(|limit: &usize| *limit > 0).map(|limit| limit.min(MOST));
                query.limit = Some(limit.ok_or_else(|| format!("limit: {value:?} is no number from 1 to {MOST}"))?);
            }
            _ => return one_of("parameter", name, &PARAMETERS).map(|()| query),
        }
    }
    Ok(query)
}

fn parsed<T: std::str::FromStr>(value: &str) -> std::result::Result<T, String> {
    value.parse().map_err(|_| format!("unknown {value:?}"))
}

fn one_of(what: &str, value: &str, known: &[&str]) -> std::result::Result<(), String> {
    if known.contains(&value) {
        return Ok(());
    }
    let hint = nearest(value, known.iter().copied())
        .map_or_else(|| format!("known: {}", listed(known.iter().copied())), |near| format!("did you mean {near:?}?"));
    Err(format!("unknown {what} {value:?}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> std::result::Result<Query, String> {
        let parameters = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        query(&parameters, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(10_000))
    }

    #[test]
    fn parameters_are_read_and_mistakes_are_named() {
        let query = asked(&[("label", "hate"), ("action", "block"), ("route", "/v1"), ("since", "1h"), ("limit", "7")]).unwrap();
        let expected = Query {
            label: Some(Label::Hate),
            route: Some("/v1".into()),
            action: Some(Action::Block),
            since: Some(6_400_000),
            before: None,
            limit: Some(7),
        };
        assert_eq!(query, expected);
        assert_eq!(asked(&[("limit", "100000")]).unwrap().limit, Some(MOST));
        assert_eq!(asked(&[("label", ""), ("since", "")]).unwrap().label, None, "an empty field of a form is none");
        for (pair, message) in [
            (("label", "hatte"), "did you mean \"hate\"?"),
            (("action", "allow"), "unknown action \"allow\""),
            (("since", "yesterday"), "is no moment"),
            (("limit", "0"), "from 1 to 500"),
            (("limit", "-1"), "from 1 to 500"),
            (("labels", "hate"), "did you mean \"label\"?"),
        ] {
            let error = asked(&[pair]).unwrap_err();
            assert!(error.contains(message), "{pair:?}: {error}");
        }
    }
}
