//! The properties of requests that limit a key.

use crate::{
    domain::{AddressBlock, AllowedAddresses, LimitsPatch, Quota, QuotaPeriod, RateLimit},
    http::input::InputFields,
};

/// Takes `allowedAddresses`, `rateLimit` and `quota`.
pub(super) fn read(fields: &mut InputFields) -> LimitsPatch {
    let addresses = fields.parse_list("allowedAddresses", AllowedAddresses::MAX, AddressBlock::parse);
    LimitsPatch {
        allowed_addresses: addresses.map(|blocks| AllowedAddresses::new(blocks.unwrap_or_default())),
        rate_limit: fields.parse_object("rateLimit", rate_limit),
        quota: fields.parse_object("quota", quota),
    }
}

pub(super) fn rate_limit(fields: &mut InputFields) -> Option<RateLimit> {
    let requests = fields.required_integer("requests", 1..=RateLimit::MAX_REQUESTS.into());
    let window_seconds = fields.required_integer("windowSeconds", 1..=RateLimit::MAX_WINDOW_SECONDS.into());
    RateLimit::new(requests?, window_seconds?)
}

fn quota(fields: &mut InputFields) -> Option<Quota> {
    let requests = fields.required_integer("requests", 1..=Quota::MAX_REQUESTS);
    let per = fields.required("per", |name| QuotaPeriod::from_name(name).ok_or("must be \"day\" or \"month\""));
    Quota::new(requests?, per?)
}
