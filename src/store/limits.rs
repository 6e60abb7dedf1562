//! The columns of a key's limits.

use ipnet::IpNet;

use super::Error;
use crate::domain::{AddressBlock, AllowedAddresses, KeyLimits, Quota, QuotaPeriod, RateLimit};

/// As a query returns them.
pub(super) struct LimitRow {
    pub(super) allowed_addresses: Vec<IpNet>,
    pub(super) rate_limit_requests: Option<i32>,
    pub(super) rate_limit_window_seconds: Option<i32>,
    pub(super) quota_requests: Option<i64>,
    pub(super) quota_period: Option<String>,
}

impl TryFrom<LimitRow> for KeyLimits {
    type Error = Error;

    fn try_from(row: LimitRow) -> Result<Self, Error> {
        let bad = |column| Error::BadRow { table: "api_keys", column };
        let rate_limit = row.rate_limit_requests.zip(row.rate_limit_window_seconds).map(|(requests, seconds)| {
            RateLimit::new(requests.into(), seconds.into()).ok_or(bad("rate_limit_requests"))
        });
        let quota = row.quota_requests.zip(row.quota_period).map(|(requests, period)| {
            let period = QuotaPeriod::from_name(&period).ok_or(bad("quota_period"))?;
            Quota::new(requests, period).ok_or(bad("quota_requests"))
        });
        Ok(Self {
            allowed_addresses: AllowedAddresses::new(
                row.allowed_addresses.into_iter().map(AddressBlock::stored).collect(),
            ),
            rate_limit: rate_limit.transpose()?,
            quota: quota.transpose()?,
        })
    }
}

/// As a statement stores them.
pub(super) struct LimitColumns {
    pub(super) allowed_addresses: Vec<IpNet>,
    pub(super) rate_limit_requests: Option<i32>,
    pub(super) rate_limit_window_seconds: Option<i32>,
    pub(super) quota_requests: Option<i64>,
    pub(super) quota_period: Option<&'static str>,
}

impl From<&KeyLimits> for LimitColumns {
    fn from(limits: &KeyLimits) -> Self {
        let small = |number: u32| i32::try_from(number).unwrap_or(i32::MAX); // at most a million
        Self {
            allowed_addresses: limits.allowed_addresses.blocks().iter().map(AddressBlock::as_net).collect(),
            rate_limit_requests: limits.rate_limit.map(|limit| small(limit.requests())),
            rate_limit_window_seconds: limits.rate_limit.map(|limit| small(limit.window_seconds())),
            quota_requests: limits.quota.map(Quota::requests),
            quota_period: limits.quota.map(|quota| quota.per().as_str()),
        }
    }
}
