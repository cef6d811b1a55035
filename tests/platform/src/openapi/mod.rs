//! The official OpenAPI document as a judge of requests and answers.
//!
//! The document is not part of this repository: the environment variable `SUPABASE_OPENAPI` names a copy
//! (it is published at <https://api.supabase.com/api/v1-json>). Where the platform is known to differ from
//! it, [`DEVIATIONS`] says so. Separate from the world, which must not be made from what judges it.

mod deviations;
mod message;
mod operation;
mod schema;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

pub use deviations::{DEVIATIONS, Deviation};
use operation::Operation;

use crate::answer::Answer;
use crate::oauth::DASHBOARD;

/// The environment variable that names the document.
pub const VARIABLE: &str = "SUPABASE_OPENAPI";

/// Why there is no contract.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{VARIABLE} names {path}, which cannot be read: {error}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file is no OpenAPI document.
    #[error("{VARIABLE} names {path}, which is no OpenAPI 3.0 document: {reason}")]
    NoDocument {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Something that the document does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Method and pattern, such as `GET /v1/projects/{ref}`.
    pub operation: String,
    /// Where: `operation`, `request query limit`, `request body/name`, `answer status 409`,
    /// `answer 200/0/api_key`.
    pub place: String,
    /// What is wrong there, without the values.
    pub problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.operation, self.place, self.problem)
    }
}

/// The document, ready to judge.
#[derive(Debug)]
pub struct Contract {
    operations: Vec<(Operation, OnceLock<operation::Rules>)>,
    document: Value,
}

impl Contract {
    /// The contract that the environment names, if it names one.
    ///
    /// # Errors
    /// When it names a file that is none.
    pub fn from_env() -> Result<Option<Self>, Error> {
        std::env::var_os(VARIABLE).map(|path| Self::load(Path::new(&path))).transpose()
    }

    /// The contract in a file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no OpenAPI document.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text =
            fs::read(path).map_err(|error| Error::Unreadable { path: path.to_owned(), error })?;
        let wrong = |reason: String| Error::NoDocument { path: path.to_owned(), reason };
        let document: Value =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let operations = operation::all(&document);
        if operations.is_empty() {
            return Err(wrong("it has no paths".to_owned()));
        }
        let operations =
            operations.into_iter().map(|operation| (operation, OnceLock::new())).collect();
        Ok(Self { operations, document })
    }

    /// What is wrong with an exchange and is no known deviation. An answer in which a scripted fault had a
    /// hand is not judged.
    pub fn check(&self, request: &Request<Bytes>, answer: &Answer) -> Vec<Violation> {
        let mut all = self.judge_request(request);
        if !answer.scripted {
            all.extend(self.judge_answer(request, &answer.response));
        }
        all.retain(|violation| deviation(violation).is_none());
        all
    }

    /// Everything that the document does not allow in a request, known deviations included.
    pub fn judge_request(&self, request: &Request<Bytes>) -> Vec<Violation> {
        // Pages for browsers are no part of the API.
        if request.uri().path().starts_with(DASHBOARD) {
            return Vec::new();
        }
        match self.find(request) {
            Ok((operation, rules, captures)) => message::request(rules, request, &captures)
                .into_iter()
                .map(|finding| finding.of(operation))
                .collect(),
            Err(unknown) => vec![unknown],
        }
    }

    /// Everything that the document does not allow in an answer, known deviations included.
    pub fn judge_answer(
        &self,
        request: &Request<Bytes>,
        response: &Response<Bytes>,
    ) -> Vec<Violation> {
        let Ok((operation, rules, _)) = self.find(request) else {
            return Vec::new();
        };
        message::answer(rules, response).into_iter().map(|finding| finding.of(operation)).collect()
    }

    /// The OAuth scope and the fine-grained permissions of an operation, given by method and pattern; none
    /// for an operation that the document does not have.
    pub fn access(&self, label: &str) -> Option<(Option<&str>, Vec<&str>)> {
        let (operation, _) = self.operations.iter().find(|(found, _)| found.label == label)?;
        Some(operation.access(&self.document))
    }

    /// The fields that the JSON body of an operation may have, given by method and pattern.
    pub fn body_fields(&self, label: &str) -> Vec<String> {
        self.operations
            .iter()
            .find(|(found, _)| found.label == label)
            .map(|(operation, _)| operation.body_fields(&self.document))
            .unwrap_or_default()
    }

    #[expect(clippy::type_complexity, reason = "a private triple")]
    fn find<'a>(
        &'a self,
        request: &'a Request<Bytes>,
    ) -> Result<(&'a Operation, &'a operation::Rules, Vec<(&'a str, &'a str)>), Violation> {
        let path = request.uri().path();
        // Literal paths come before patterns that cover them.
        let found = self
            .operations
            .iter()
            .filter_map(|(operation, rules)| {
                let captures = operation.captures(request.method(), path)?;
                Some((captures.len(), operation, rules, captures))
            })
            .min_by_key(|(placeholders, ..)| *placeholders);
        match found {
            Some((_, operation, rules, captures)) => {
                let rules = rules.get_or_init(|| operation.rules(&self.document));
                Ok((operation, rules, captures))
            }
            None => Err(Violation {
                operation: format!("{} {}", request.method(), general(path)),
                place: "operation".to_owned(),
                problem: "the document has no such operation".to_owned(),
            }),
        }
    }
}

/// The known deviation that a violation is, if it is one.
pub fn deviation(violation: &Violation) -> Option<&'static Deviation> {
    DEVIATIONS.iter().find(|deviation| deviation.covers(violation))
}

/// A path with refs replaced by their placeholder.
fn general(path: &str) -> String {
    let is_ref =
        |word: &str| word.len() == 20 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<&str> =
        path.split('/').map(|word| if is_ref(word) { "{ref}" } else { word }).collect();
    words.join("/")
}
