//! From where the database can be reached: networks of both families, stored by the platform and applied later.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::order;
use crate::api::settings::DriftReason;
use crate::api::{Reason, SupabaseProjectSpec};
use crate::management::{Call, NetworkRestrictions, ProjectRef, restrict_networks};
use crate::settings::{Declared, Digester, Group, Reading, Unusable, Value};

const PATH: &str = "database.networkRestrictions";
const FIELD: &str = "database.networkRestrictions.allowedCIDRs";

/// A network in the one form that all ways to write it have; none if it is none.
fn canonical(text: &str) -> Option<String> {
    let (address, length) = text.trim().split_once('/')?;
    let length: u32 = length.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(length).unwrap_or_default();
            let network = core::net::Ipv4Addr::from(u32::from(address) & !host);
            (length <= 32).then(|| format!("{network}/{length}"))
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(length).unwrap_or_default();
            let network = core::net::Ipv6Addr::from(u128::from(address) & !host);
            (length <= 128).then(|| format!("{network}/{length}"))
        }
    }
}

fn declared(spec: &SupabaseProjectSpec) -> Option<Result<BTreeSet<String>, String>> {
    let declared = spec.database.network_restrictions.as_ref()?;
    let networks = declared.allowed_cidrs.iter();
    Some(networks.map(|text| canonical(text).ok_or_else(|| text.clone())).collect())
}

fn is_v6(network: &str) -> bool {
    network.contains(':')
}

pub(super) fn group(
    spec: &SupabaseProjectSpec,
    answer: &Result<NetworkRestrictions, Reading>,
    digester: Digester<'_>,
) -> Option<Group> {
    let networks = match declared(spec)? {
        Ok(networks) => networks,
        Err(text) => {
            let unusable = Unusable {
                reason: Reason::InvalidSpec,
                path: FIELD.to_owned(),
                words: format!("{text} is no network; write an address, a slash and a length"),
            };
            return Some(Group::unusable(PATH, order::RESTRICTIONS, unusable));
        }
    };
    let reading = match answer {
        Ok(seen) if !seen.entitled => Reading::Unable(DriftReason::PaymentRequired),
        Ok(seen) => {
            let known = |text: &String| canonical(text).unwrap_or_else(|| text.clone());
            let networks = Value::Set(seen.networks.iter().map(known).collect());
            Reading::Seen {
                values: BTreeMap::from([(FIELD.to_owned(), networks)]),
                settled: seen.applied,
            }
        }
        Err(reading) => reading.clone(),
    };
    let fields = vec![(FIELD.to_owned(), Declared::Plain(Value::Set(networks)))];
    Some(digester.group(PATH, order::RESTRICTIONS, fields, reading))
}

pub(super) fn call(spec: &SupabaseProjectSpec, reference: &ProjectRef) -> Option<Call<()>> {
    let networks = declared(spec)?.ok()?;
    let (v6, v4): (Vec<_>, Vec<_>) = networks.into_iter().partition(|network| is_v6(network));
    Some(restrict_networks(reference, &v4, &v6))
}

/// That a family of addresses is closed, because no network of it is named.
pub(super) fn closed_family(spec: &SupabaseProjectSpec) -> Option<String> {
    let networks = declared(spec)?.ok()?;
    let family =
        match (networks.iter().any(|one| !is_v6(one)), networks.iter().any(|one| is_v6(one))) {
            (true, false) => "IPv6",
            (false, true) => "IPv4",
            (true, true) | (false, false) => return None,
        };
    Some(format!(
        "{FIELD} names no {family} network: the database takes no connections over {family}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_one_form() {
        for (written, one) in [
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("203.0.113.7/32", "203.0.113.7/32"),
            ("2001:DB8:0:0::1/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::1/128", "::1/128"),
        ] {
            assert_eq!(canonical(written).as_deref(), Some(one), "{written}");
        }
        for bad in ["203.0.113.7", "203.0.113.7/33", "::/129", "a/8", "1.2.3/8", "1.2.3.4/-1", ""] {
            assert_eq!(canonical(bad), None, "{bad}");
        }
    }
}
