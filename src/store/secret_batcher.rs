//! The look-up of presented secrets. Those that come while others are being looked up go together, in
//! one statement: most of what one costs is the way to the database and back.
//!
//! A secret that comes alone is asked for at once. At most [`EAGER`] statements are under way as long
//! as they are quick; where one is not, within [`PATIENCE`], more connections are put to work, up to
//! all of the pool. So neither a slow statement nor a dead connection holds up the others.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{PgConnection, PgPool};
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use super::{CHECK_TIMEOUT, Error, Store};
use crate::domain::{ApiKeyId, KeyHint, LookupDigest, ScopeSet, TenantId, Timestamp};

/// Statements that are under way at once, while they are quick.
const EAGER: u32 = 2;
/// How long a secret waits for that before it gets a statement of its own.
const PATIENCE: Duration = Duration::from_millis(2);
/// Secrets per statement: what is asked for first waits for the rest.
const TOGETHER: usize = 64;

/// What a check of a presented secret finds.
pub struct SecretRow {
    /// The secret's key.
    pub key_id: ApiKeyId,
    /// What the key allows.
    pub scopes: ScopeSet,
    /// When the key ends.
    pub key_expires_at: Option<Timestamp>,
    /// When this secret ends, where it is before the key.
    pub secret_expires_at: Option<Timestamp>,
    /// When a newer secret took its place.
    pub secret_retired_at: Option<Timestamp>,
    /// When the key was taken away.
    pub revoked_at: Option<Timestamp>,
    /// Argon2id in PHC form.
    pub phc: String,
    /// The HMAC under the pepper, with the pepper's id.
    pub stamp: Option<(Vec<u8>, String)>,
    /// What may be shown of the secret.
    pub hint: KeyHint,
}

/// A row as `find_api_key_secrets` returns it.
struct FoundSecret {
    /// Of what it was asked for, counted from 1.
    place: i32,
    key_id: Uuid,
    scopes: String,
    key_expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    phc: String,
    stamp: Option<Vec<u8>>,
    pepper_id: Option<String>,
    secret_expires_at: Option<Timestamp>,
    secret_retired_at: Option<Timestamp>,
    last4: String,
}

impl TryFrom<FoundSecret> for SecretRow {
    type Error = Error;

    fn try_from(row: FoundSecret) -> Result<Self, Error> {
        let bad = |column| Error::BadRow { table: "api_key_secrets", column };
        Ok(Self {
            key_id: ApiKeyId(row.key_id),
            scopes: ScopeSet::parse(&row.scopes).map_err(|_| bad("scopes"))?,
            key_expires_at: row.key_expires_at,
            secret_expires_at: row.secret_expires_at,
            secret_retired_at: row.secret_retired_at,
            revoked_at: row.revoked_at,
            phc: row.phc,
            stamp: row.stamp.zip(row.pepper_id),
            hint: KeyHint::from_last4(&row.last4).ok_or(bad("last4"))?,
        })
    }
}

/// The row of a secret, if there is one. An error is shared by those who asked together.
type Answer = Result<Option<SecretRow>, Arc<Error>>;

struct Question {
    tenant: TenantId,
    digest: LookupDigest,
    answer: oneshot::Sender<Answer>,
}

/// Asks for secrets. Clones share everything.
#[derive(Clone)]
pub(super) struct SecretBatcher(Arc<Inner>);

struct Inner {
    /// For checks.
    pool: PgPool,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Question>,
    /// How many were taken out since the start, to be asked or because nobody waited for them.
    taken: u64,
    askers: u32,
}

impl Queue {
    /// Removes questions that nobody waits for any more from the front: all wait equally long, so that is
    /// where they are.
    fn forget_abandoned(&mut self) {
        while self.waiting.front().is_some_and(|question| question.answer.is_closed()) {
            self.waiting.pop_front();
            self.taken += 1;
        }
    }

    /// What is asked together.
    fn take(&mut self) -> Vec<Question> {
        let mut questions = Vec::new();
        while questions.len() < TOGETHER
            && let Some(question) = self.waiting.pop_front()
        {
            self.taken += 1;
            if !question.answer.is_closed() {
                questions.push(question);
            }
        }
        questions
    }
}

impl SecretBatcher {
    pub(super) fn new(pool: PgPool) -> Self {
        Self(Arc::new(Inner { pool, queue: Mutex::default() }))
    }

    /// How many wait to be asked.
    pub(super) fn waiting(&self) -> usize {
        self.0.queue().waiting.len()
    }

    async fn find(&self, tenant: TenantId, digest: LookupDigest) -> Answer {
        let (answer, mut answered) = oneshot::channel();
        let number = self.0.enqueue(Question { tenant, digest, answer });
        self.put_to_work(EAGER);
        if let Ok(answer) = timeout(PATIENCE, &mut answered).await {
            return answer.unwrap_or_else(|_| Err(lost()));
        }
        self.put_to_work(u32::MAX);
        // As long as one waits for a connection elsewhere.
        if let Ok(answer) = timeout(self.0.pool.options().get_acquire_timeout(), &mut answered).await {
            return answer.unwrap_or_else(|_| Err(lost()));
        }
        if self.0.is_under_way(number) {
            return answered.await.unwrap_or_else(|_| Err(lost()));
        }
        drop(answered);
        self.0.queue().forget_abandoned();
        Err(Arc::new(Error::Unavailable(sqlx::Error::PoolTimedOut)))
    }

    /// Starts one more asker, unless there are as many, or as there are connections.
    fn put_to_work(&self, at_most: u32) {
        let inner = &self.0;
        let started = {
            let mut queue = inner.queue();
            let wanted =
                !queue.waiting.is_empty() && queue.askers < at_most.min(inner.pool.options().get_max_connections());
            queue.askers += u32::from(wanted);
            wanted
        };
        if started {
            tokio::spawn(BatchWorker { inner: inner.clone(), has_left: false }.work());
        }
    }
}

/// Whoever should have answered has panicked; the panic itself was logged by the hook.
fn lost() -> Arc<Error> {
    Arc::new(Error::Unavailable(sqlx::Error::WorkerCrashed))
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a question is being asked, or was; its number is what `enqueue` told.
    fn is_under_way(&self, number: u64) -> bool {
        self.queue().taken >= number
    }

    /// Tells how many will have been taken out when this one is.
    fn enqueue(&self, question: Question) -> u64 {
        let mut queue = self.queue();
        queue.waiting.push_back(question);
        queue.taken + u64::try_from(queue.waiting.len()).unwrap_or(u64::MAX)
    }
}

/// Asks the database as long as somebody waits.
struct BatchWorker {
    inner: Arc<Inner>,
    has_left: bool,
}

impl BatchWorker {
    async fn work(mut self) {
        while let Some(questions) = self.next() {
            match self.look_up(&questions).await {
                // A row that cannot even be read is a fault of its own secret's.
                Err(Error::Internal(_)) if questions.len() > 1 => {
                    for question in questions {
                        let outcome = self.look_up(std::slice::from_ref(&question)).await;
                        answer(vec![question], outcome);
                    }
                }
                outcome => answer(questions, outcome),
            }
        }
    }

    /// What is asked together, by tenant. None: nobody waits, and this asker is counted no more.
    fn next(&mut self) -> Option<Vec<Question>> {
        let mut questions = {
            let mut queue = self.inner.queue();
            let questions = queue.take();
            if questions.is_empty() {
                queue.askers -= 1;
                self.has_left = true;
                return None;
            }
            questions
        };
        questions.sort_unstable_by_key(|question| question.tenant.0);
        Some(questions)
    }

    async fn look_up(&self, questions: &[Question]) -> Result<Vec<FoundSecret>, Error> {
        let tenants: Vec<_> = questions.iter().map(|question| question.tenant.0).collect();
        let digests: Vec<_> = questions.iter().map(|question| question.digest.as_bytes()).collect();
        within!(CHECK_TIMEOUT, self.inner.pool, |connection| find_on(connection, &tenants, &digests))
    }
}

impl Drop for BatchWorker {
    fn drop(&mut self) {
        if !self.has_left {
            self.inner.queue().askers -= 1;
        }
    }
}

fn answer(questions: Vec<Question>, outcome: Result<Vec<FoundSecret>, Error>) {
    let rows = match outcome {
        Ok(rows) => rows,
        Err(error) => {
            let error = Arc::new(error);
            return questions.into_iter().for_each(|question| drop(question.answer.send(Err(error.clone()))));
        }
    };
    let mut rows = rows.into_iter().peekable();
    for (place, question) in (1..).zip(questions) {
        let row = rows.next_if(|row| row.place == place);
        let _ = question.answer.send(row.map(SecretRow::try_from).transpose().map_err(Arc::new));
    }
}

async fn find_on(
    connection: &mut PgConnection,
    tenants: &[Uuid],
    digests: &[&[u8]],
) -> Result<Vec<FoundSecret>, sqlx::Error> {
    sqlx::query_as!(
        FoundSecret,
        r#"SELECT place AS "place!", key_id AS "key_id!", scopes AS "scopes!", key_expires_at, revoked_at, phc AS "phc!",
                  stamp, pepper_id, secret_expires_at, secret_retired_at, last4 AS "last4!"
           FROM find_api_key_secrets($1, $2)"#,
        tenants,
        digests as &[&[u8]],
    )
    .fetch_all(connection)
    .await
}

/// Has a connection prepare and plan the look-up.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    find_on(connection, &[Uuid::nil()], &[LookupDigest::NONE.as_bytes()]).await.map(drop)
}

impl Store {
    /// The row of a presented secret, whatever its state. One round trip.
    pub async fn find_secret(&self, tenant: TenantId, digest: LookupDigest) -> Answer {
        self.look_ups.find(tenant, digest).await
    }
}
