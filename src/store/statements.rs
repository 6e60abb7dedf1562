//! How statements are prepared. Usually under a name, once for each connection. A pooler that gives each transaction another
//! connection, and knows no prepared statements, loses the names: behind it each statement is prepared anew, without a
//! name, and always within a transaction, since preparing and executing are two steps.

use std::fmt::Debug;

use futures_util::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Connection as _, Either, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction,
    error::BoxDynError,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

/// Whether statements are prepared under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statements {
    /// Once for each connection.
    Named,
    /// Anew for each execution.
    Unnamed,
}

/// Executes statements on a connection. Unnamed ones need a transaction around them.
#[derive(Debug)]
pub(super) struct Session<'c, C = PgConnection> {
    pub(super) connection: &'c mut C,
    pub(super) statements: Statements,
}

impl<'c> Session<'c> {
    /// For what is executed once.
    pub(super) fn unnamed(transaction: &'c mut PgConnection) -> Self {
        Self { connection: transaction, statements: Statements::Unnamed }
    }
}

/// A connection for one statement that needs no transaction of its own, and sets its role by itself.
pub(super) enum SingleStatement<'c> {
    Named(&'c mut PgConnection),
    Unnamed(Transaction<'c, Postgres>),
}

impl<'c> SingleStatement<'c> {
    pub(super) async fn begin(connection: &'c mut PgConnection, statements: Statements) -> Result<Self, sqlx::Error> {
        Ok(match statements {
            Statements::Named => Self::Named(connection),
            Statements::Unnamed => Self::Unnamed(connection.begin_with("SET LOCAL search_path = ''; BEGIN").await?),
        })
    }

    pub(super) fn session(&mut self) -> Session<'_> {
        match self {
            Self::Named(connection) => Session { connection, statements: Statements::Named },
            Self::Unnamed(connection) => Session { connection, statements: Statements::Unnamed },
        }
    }

    pub(super) async fn end(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Named(_) => Ok(()),
            Self::Unnamed(transaction) => transaction.commit().await,
        }
    }
}

/// A statement that is not prepared under a name.
struct Anonymous<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Anonymous<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'c, C> Executor<'c> for Session<'c, C>
where
    C: Debug,
    &'c mut C: Executor<'c, Database = Postgres>,
{
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.statements {
            Statements::Named => self.connection.fetch_many(query),
            Statements::Unnamed => self.connection.fetch_many(Anonymous(query)),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.statements {
            Statements::Named => self.connection.fetch_optional(query),
            Statements::Unnamed => self.connection.fetch_optional(Anonymous(query)),
        }
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

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.describe(sql)
    }
}
