//! What a route is asked with, and the answer to it.
//!
//! Not here: routes. Invariant: a parameter that nobody reads is an error that names those that there are, so that a
//! typing mistake is never taken for the default.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::Problem;

/// The parameters behind the `?`, each at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Takes those that are `given`, all of which have to be `known`.
    ///
    /// # Errors
    /// 400 for one that is not known or that is given twice.
    pub fn read(given: Vec<(String, String)>, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, value) in given {
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                return Err(Problem::bad_request(format!("there is no parameter `{name}`; there are {known}")));
            }
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Problem::bad_request(format!("the parameter `{name}` is given twice")));
            }
        }
        Ok(Self(parameters))
    }

    /// What is given for `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A whole number from 1 to `max`; without one `default`, or `max` if that is less.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn count(&self, name: &str, max: i64, default: i64) -> Result<i64, Problem> {
        let Some(text) = self.get(name) else { return Ok(default.min(max)) };
        let wrong = || Problem::bad_request(format!("`{name}` takes a whole number from 1 to {max}, not `{text}`"));
        text.parse().ok().filter(|number| (1..=max).contains(number)).ok_or_else(wrong)
    }
}

/// Answers by `work`, which may wait for the worker threads, where it holds up nobody.
#[expect(clippy::disallowed_methods, reason = "HTTP is what tokio is here for; no record comes this way")]
pub async fn answer<A: Serialize + Send + 'static>(
    work: impl FnOnce() -> Result<A, Problem> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::unavailable("the work was broken off; ask again").into_response(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Parameters, Problem> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Parameters::read(given, &["k", "by"])
    }

    #[test]
    fn parameters_are_known_single_and_in_range() {
        let given = read(&[("k", "3"), ("by", "trend")]).unwrap();
        assert_eq!((given.get("by"), given.count("k", 5, 1)), (Some("trend"), Ok(3)));
        assert_eq!(read(&[]).unwrap().count("k", 5, 10), Ok(5));
        assert!(read(&[("K", "3")]).unwrap_err().detail.contains("there are k, by"));
        assert!(read(&[("k", "3"), ("k", "3")]).unwrap_err().detail.contains("twice"));
        for wrong in ["0", "6", "x", ""] {
            let problem = read(&[("k", wrong)]).unwrap().count("k", 5, 1).unwrap_err();
            assert_eq!(problem.status, 400, "{wrong}");
        }
    }
}
