//! Regions and region groups.

use serde_json::{Value, json};

use crate::answer::{Outcome, Reply};
use crate::world::{Call, World};

/// Code, name, continent, group.
const REGIONS: &[(&str, &str, &str, &str)] = &[
    ("us-east-1", "East US (North Virginia)", "NA", "americas"),
    ("us-east-2", "East US (Ohio)", "NA", "americas"),
    ("us-west-1", "West US (North California)", "NA", "americas"),
    ("us-west-2", "West US (Oregon)", "NA", "americas"),
    ("ca-central-1", "Canada (Central)", "NA", "americas"),
    ("sa-east-1", "South America (São Paulo)", "SA", "americas"),
    ("eu-central-1", "Central EU (Frankfurt)", "EU", "emea"),
    ("eu-central-2", "Central Europe (Zurich)", "EU", "emea"),
    ("eu-north-1", "North EU (Stockholm)", "EU", "emea"),
    ("eu-west-1", "West EU (Ireland)", "EU", "emea"),
    ("eu-west-2", "West EU (London)", "EU", "emea"),
    ("eu-west-3", "West EU (Paris)", "EU", "emea"),
    ("ap-southeast-1", "Southeast Asia (Singapore)", "AS", "apac"),
    ("ap-southeast-2", "Oceania (Sydney)", "OC", "apac"),
    ("ap-northeast-1", "Northeast Asia (Tokyo)", "AS", "apac"),
    ("ap-northeast-2", "Northeast Asia (Seoul)", "AS", "apac"),
    ("ap-east-1", "East Asia (Hong Kong)", "AS", "apac"),
    ("ap-south-1", "South Asia (Mumbai)", "AS", "apac"),
];

const GROUPS: &[(&str, &str)] =
    &[("americas", "Americas"), ("emea", "Europe, Middle East, Africa"), ("apac", "Asia-Pacific")];

/// The region that is meant by a concrete code.
pub(crate) fn specific(code: &str) -> Option<&'static str> {
    REGIONS.iter().map(|region| region.0).find(|known| *known == code)
}

/// The regions of a group.
pub(crate) fn of_group(code: &str) -> Vec<&'static str> {
    REGIONS.iter().filter(|region| region.3 == code).map(|region| region.0).collect()
}

impl World {
    pub(crate) fn list_regions(&self, call: &Call<'_>) -> Outcome {
        let slug = call
            .query("organization_slug")
            .ok_or_else(|| call.invalid(&["organization_slug is required"]))?;
        self.organization_of(call, &slug)?;
        let continent = call.query("continent");
        let wanted = continent.as_deref().unwrap_or("EU");
        let specific = |only: Option<&str>| -> Vec<Value> {
            REGIONS
                .iter()
                .filter(|region| only.is_none_or(|continent| region.2 == continent))
                .map(|region| {
                    json!({ "name": region.1, "code": region.0, "type": "specific", "provider": "AWS" })
                })
                .collect()
        };
        let group = |(code, name): &(&str, &str)| json!({ "name": name, "code": code, "type": "smartGroup" });
        let near =
            REGIONS.iter().find(|region| region.2 == wanted).map_or("americas", |region| region.3);
        let recommended = GROUPS.iter().find(|(code, _)| *code == near).map(group);
        Ok(Reply::ok(json!({
            "recommendations": { "smartGroup": recommended, "specific": specific(Some(wanted)) },
            "all": { "smartGroup": GROUPS.iter().map(group).collect::<Vec<_>>(), "specific": specific(None) },
        })))
    }
}
