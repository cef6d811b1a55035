//! The regions that an organization can choose from.

use serde::Deserialize;

use super::Undecodable;
use super::loose::Loose;
use super::names::word;

/// Where an organization can create projects now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// Codes of regions, such as `eu-central-1`.
    pub specific: Vec<String>,
    /// Codes of groups, such as `emea`.
    pub groups: Vec<String>,
}

/// The most that are kept of each.
const MOST: usize = 128;

pub(in super::super) fn regions(_: &str, body: &[u8]) -> Result<Regions, Undecodable> {
    #[derive(Deserialize)]
    struct Raw {
        all: All,
    }
    #[derive(Deserialize)]
    struct All {
        #[serde(rename = "smartGroup", default)]
        groups: Vec<Loose<Entry>>,
        #[serde(default)]
        specific: Vec<Loose<Entry>>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        code: Loose,
        /// Why nothing can be created there now.
        #[serde(default)]
        status: Loose,
    }
    let Raw { all } = serde_json::from_slice(body)?;
    let codes = |entries: Vec<Loose<Entry>>| -> Vec<String> {
        let open = entries.into_iter().filter_map(|entry| {
            let Entry { code, status } = entry.object()?;
            if status.text().is_some() { None } else { word(&code.text()?) }
        });
        open.take(MOST).collect()
    };
    Ok(Regions { specific: codes(all.specific), groups: codes(all.groups) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_by_code_and_those_without_room_left_out() {
        let body = br#"{"recommendations": 7, "all": {
            "smartGroup": [{"code": "emea", "name": "x", "type": "smartGroup"}],
            "specific": [{"code": "eu-central-1"}, {"code": "us-east-1", "status": "capacity"}, 7, {"code": "a b"}]}}"#;
        let read = regions("", body).unwrap();
        assert_eq!(read.specific, ["eu-central-1"]);
        assert_eq!(read.groups, ["emea"]);
        for bad in ["", "{}", "[]", "null", "<html>"] {
            assert!(regions("", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
