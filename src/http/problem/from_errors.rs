//! The one place where an error of another layer becomes a [`Problem`]. Defects are logged here; why the database did not
//! respond is logged with the request.

use axum::response::{IntoResponse, Response};
use tracing::error;

use super::{Code, Problem};
use crate::{auth, store, turns::Overloaded};

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&store::Error> for Problem {
    fn from(error: &store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) | store::Error::TooSlow => Self::because_of(Code::DatabaseUnavailable, error),
            store::Error::Overloaded(overloaded) => (*overloaded).into(),
            store::Error::Internal(_) | store::Error::BadRow { .. } => {
                error!(%error, "a request failed with status 500, because of a defect in a query or in stored data");
                Code::InternalError.into()
            }
        }
    }
}

impl From<Overloaded> for Problem {
    fn from(_: Overloaded) -> Self {
        Code::Busy.into()
    }
}

impl From<auth::error::Error> for Problem {
    fn from(error: auth::error::Error) -> Self {
        use auth::error::Error;
        match error {
            Error::TenantNotFound(example) => Self::with_detail(
                Code::TenantNotFound,
                format!("The host names no tenant. Use your tenant's own host, as in {example}."),
            ),
            Error::AmbiguousTenant(why) => {
                Self::with_detail(Code::AmbiguousTenant, format!("The request was refused because {why}."))
            }
            Error::MissingHost => Code::MissingHost.into(),
            Error::AmbiguousCredentials => Code::AmbiguousCredentials.into(),
            Error::MissingCredentials => Code::MissingCredentials.into(),
            Error::PlainHttp => Code::PlainHttp.into(),
            Error::InvalidKey | Error::Decoy(_) => Code::InvalidKey.into(),
            Error::KeyExpired => Code::KeyExpired.into(),
            Error::KeyRevoked => Code::KeyRevoked.into(),
            Error::KeySuspended => Code::KeySuspended.into(),
            Error::AddressNotAllowed(None) => Code::AddressNotAllowed.into(),
            Error::AddressNotAllowed(Some(address)) => Self::with_detail(
                Code::AddressNotAllowed,
                format!(
                    "The request came from {address}, which is not among the key's allowedAddresses. If it is your own \
                     address, ask an admin of the tenant to add it."
                ),
            ),
            Error::InvalidToken(why) => {
                Self::with_detail(Code::InvalidToken, format!("The Bearer token was refused: {why}."))
            }
            Error::IssuerUnavailable => Code::IssuerUnavailable.into(),
            Error::TokenExpired => Code::TokenExpired.into(),
            Error::WrongTenant(why) => Self::with_detail(Code::WrongTenant, why),
            Error::InsufficientScope(scope) => {
                Self::insufficient_scope(scope, format!("This request needs the scope `{scope}`."))
            }
            Error::TokenLacksScope(scope, read) => {
                Self::insufficient_scope(scope, format!("This request needs the scope `{scope}`. {read}"))
            }
            Error::KeyRequired => Code::KeyRequired.into(),
            Error::RateLimited { budget, until } => Self::rate_limited(budget, until),
            Error::SecretRetired => Code::SecretRetired.into(),
            Error::QuotaExceeded(quota) => Self::quota_exceeded(&quota),
            Error::Overloaded(overloaded) => overloaded.into(),
            Error::Store(error) => Self::from(&*error),
            Error::Misrouted(_) | Error::Panicked => {
                error!(%error, "a request failed with status 500, because of a defect in the program");
                Code::InternalError.into()
            }
        }
    }
}

impl IntoResponse for auth::error::Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
