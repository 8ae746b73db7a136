//! What accounts, rate groups and gateways have in common: documents of the store with ids, names and versions.

use crate::problem::Problem;
use crate::server::{Inner, expected_version, optional_version};
use crate::sign_in::Caller;
use axum::http::HeaderMap;
use std::sync::Arc;
use store::{Document, Stored};

/// By name, or else by id.
pub(crate) fn find<T: Document>(api: &Inner, key: &str) -> Result<Arc<Stored<T>>, Problem> {
    T::table(&api.store.config()).find(key).cloned().ok_or_else(|| Problem::not_found(T::TITLE, key))
}

pub(crate) async fn create<T: Document>(
    api: &Inner,
    caller: Caller,
    document: T,
) -> Result<Stored<T>, Problem> {
    api.change(move |store| store.put(None, None, document, &caller)).await
}

/// Puts another document in the place of one, if that is still what the client has read.
pub(crate) async fn replace<T: Document>(
    api: &Inner,
    caller: Caller,
    key: &str,
    headers: &HeaderMap,
    document: T,
) -> Result<Stored<T>, Problem> {
    let id = find::<T>(api, key)?.id;
    let expected = expected_version(headers)?;
    api.change(move |store| store.put(Some(id), expected, document, &caller)).await
}

pub(crate) async fn delete<T: Document>(
    api: &Inner,
    caller: Caller,
    key: &str,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let id = find::<T>(api, key)?.id;
    let expected = optional_version(headers)?.flatten();
    api.change(move |store| store.delete::<T>(id, expected, &caller)).await
}
