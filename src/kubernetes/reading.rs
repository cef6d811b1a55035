//! One object, read past every cache.

use bytes::Bytes;
use kube::Api;
use kube::api::GetParams;
use kube::core::Request;

use super::decode::{self, Read};
use super::lean::{Bare, Lean};
use super::listing::Shape;
use super::{Error, Stored, transport};

/// Reads an object. What cannot be a name names nothing.
///
/// # Errors
/// [`Error::Unreadable`] where something in it is not understood.
pub async fn get<K: Stored>(api: &Api<K>, name: &str) -> Result<Option<K>, Error> {
    match read(api, name).await? {
        None => Ok(None),
        Some(Read::Whole(object)) => Ok(Some(object)),
        Some(Read::Partly(partly)) => Err(Error::Unreadable(partly.named())),
    }
}

/// Reads an object with the books that the API server keeps of who set what.
pub async fn get_managed<K: Stored>(api: &Api<K>, name: &str) -> Result<Option<K>, Error> {
    let Some(body) = bytes(api, name, Shape::Whole).await? else {
        return Ok(None);
    };
    match decode::managed(&body).ok_or_else(Error::broken)? {
        Read::Whole(object) => Ok(Some(object)),
        Read::Partly(partly) => Err(Error::Unreadable(partly.named())),
    }
}

/// Reads an object, as far as it is understood.
pub async fn read<K: Stored>(api: &Api<K>, name: &str) -> Result<Option<Read<K>>, Error> {
    match bytes(api, name, Shape::Whole).await? {
        None => Ok(None),
        Some(body) => decode::object(&body).ok_or_else(Error::broken).map(Some),
    }
}

/// Reads what is kept of an object that may hold anything.
pub async fn see<K: Stored, L: Lean>(api: &Api<K>, name: &str) -> Result<Option<L>, Error> {
    lean(bytes(api, name, Shape::Whole).await?)
}

/// The version of an object, without the object; none if it is not there.
pub async fn version<K: Stored>(api: &Api<K>, name: &str) -> Result<Option<String>, Error> {
    let there: Option<Bare> = lean(bytes(api, name, Shape::Metadata).await?)?;
    Ok(there.map(|bare| bare.meta().version().to_owned()))
}

fn lean<L: Lean>(body: Option<Bytes>) -> Result<Option<L>, Error> {
    body.map(|body| serde_json::from_slice(&body).map_err(|_| Error::broken())).transpose()
}

async fn bytes<K: Stored>(api: &Api<K>, name: &str, shape: Shape) -> Result<Option<Bytes>, Error> {
    // It must not get into a path.
    let is_part = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter)
    };
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_part) {
        return Ok(None);
    }
    let (builder, parameters) = (Request::new(api.resource_url()), GetParams::default());
    let request = match shape {
        Shape::Whole => builder.get(name, &parameters),
        Shape::Metadata => builder.get_metadata(name, &parameters),
    };
    match transport::one(api.clone().into_client(), transport::built(request)?).await {
        Ok(body) => Ok(Some(body)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
