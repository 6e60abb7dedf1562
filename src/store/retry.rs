//! Attempts on pooled connections that may be dead.
//!
//! After a restart of the database every idle connection is dead, and each failed attempt removes one from the pool. To
//! test each connection before its use would cost a round trip per request.
//!
//! Macros, since the compiler cannot prove that the future of a function that takes an async closure is `Send` ("not
//! general enough", rust-lang/rust#110338).

/// Repeats what failed for a lost connection, which must be safe to do twice, with a limit on each attempt once it has a
/// connection. After the limit the connection is closed: the rest of a response may still be on its way. The query is a
/// single statement that takes a [`Session`].
///
/// [`Session`]: super::statements::Session
macro_rules! retry_within {
    ($limit:expr, $pool:expr, $statements:expr, |$session:ident| $query:expr) => {{
        let mut left = $pool.options().get_max_connections();
        loop {
            let mut held = match $pool.acquire().await {
                Ok(held) => held,
                Err(error) => break Err($crate::store::Error::from(error)),
            };
            let outcome = tokio::time::timeout($limit, async {
                let mut single = $crate::store::statements::SingleStatement::begin(&mut *held, $statements).await?;
                let $session = single.session();
                let result = $query.await?;
                single.end().await?;
                Ok::<_, sqlx::Error>(result)
            })
            .await;
            match outcome {
                Ok(Err(error)) if left > 0 && $crate::store::retry::is_connection_loss(&error) => left -= 1,
                Ok(outcome) => break outcome.map_err($crate::store::Error::from),
                Err(_) => {
                    held.close_on_drop();
                    break Err($crate::store::Error::TooSlow);
                }
            }
        }
    }};
}

pub(super) use retry_within;

/// Whether the connection is gone, and not merely the statement failed, so that another connection may do.
pub(super) fn is_connection_loss(error: &sqlx::Error) -> bool {
    match error {
        // A statement that ran into its time limit is not repeated.
        sqlx::Error::Io(error) => error.kind() != std::io::ErrorKind::TimedOut,
        sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
    }
}
