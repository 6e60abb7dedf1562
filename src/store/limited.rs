//! A pooled connection on which every statement has a time limit on this side, and which goes back to its pool only
//! between two statements.
//!
//! PostgreSQL's own limits (`statement_timeout`) end nothing if the server, a pooler or the network is silent. Without
//! this limit the connection would then be lost until TCP gives up, a quarter of an hour by Linux's defaults.

use std::{io, task::Poll, time::Duration};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Execute, Executor, Postgres, SqlStr,
    error::DatabaseError,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::time::{sleep, timeout};

/// From the start of a statement to its last row. Longer than `statement_timeout`, which leaves a usable connection.
pub(super) const STATEMENT_LIMIT: Duration = Duration::from_secs(6);

#[derive(Debug)]
pub(super) struct LimitedConnection {
    connection: PoolConnection<Postgres>,
    /// A statement has begun and not ended. If it is dropped, the rest of its response is still to come.
    in_statement: bool,
    /// The server takes no writes: it is not the one that is wanted.
    pub(super) is_read_only: bool,
}

impl LimitedConnection {
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        Self { connection, in_statement: false, is_read_only: false }
    }

    /// Gives the connection back to its pool, or closes it if a statement was dropped or took too long. Returns when
    /// that is done.
    pub(super) async fn give_back(mut self, in_transaction: bool) {
        if in_transaction && !self.in_statement && (&mut self).execute("ROLLBACK").await.is_err() {
            self.in_statement = true;
        }
        if self.in_statement || self.is_read_only {
            drop(self.connection.detach());
        } else {
            // It is also tested, which may take for ever.
            let _ = timeout(STATEMENT_LIMIT, self.connection.return_to_pool()).await;
        }
    }
}

/// A standby, or a server that an operator has fenced off.
fn is_of_read_only(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "25006")
}

fn too_slow() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no response to a statement in time"))
}

impl<'c> Executor<'c> for &'c mut LimitedConnection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let LimitedConnection { connection, in_statement, is_read_only } = self;
        *in_statement = true;
        let mut rows = connection.fetch_many(query);
        let mut limit = Box::pin(sleep(STATEMENT_LIMIT));
        let mut has_ended = false;
        stream::poll_fn(move |context| {
            if has_ended {
                return Poll::Ready(None);
            }
            let polled = rows.poll_next_unpin(context);
            match &polled {
                // After an error, sqlx reads what is left of the response before the next statement.
                Poll::Ready(None) => *in_statement = false,
                Poll::Ready(Some(Err(error))) => {
                    *in_statement = false;
                    *is_read_only |= is_of_read_only(error);
                }
                Poll::Pending if limit.poll_unpin(context).is_ready() => {
                    has_ended = true;
                    return Poll::Ready(Some(Err(too_slow())));
                }
                _ => {}
            }
            polled
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move {
            self.in_statement = true;
            let row = timeout(STATEMENT_LIMIT, self.connection.fetch_optional(query)).await;
            self.in_statement = row.is_err();
            let row = row.unwrap_or_else(|_| Err(too_slow()));
            self.is_read_only |= row.as_ref().is_err_and(is_of_read_only);
            row
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.describe(sql)
    }
}
