//! Hears the messages of all instances without being one: for commands, which wait for receipts too.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    feed_status::FeedError,
    message::{AcknowledgingKeys, MessageKeys},
    receipts::Receipts,
};
use crate::store::{ChangeFeed, DatabaseUrl, MessageSender, Notification};

/// Between repetitions of a question that is outstanding.
const REPEAT: Duration = Duration::from_secs(1);

/// Runs until the feed breaks, and returns why. `url`: of the server itself.
pub(crate) async fn observe(url: &DatabaseUrl, acknowledging: &AcknowledgingKeys, receipts: &Receipts) -> String {
    let outcome: Result<FeedError, FeedError> = async {
        let mut sender = MessageSender::connect(url).await?;
        let keys = MessageKeys::new(&sender.shared_secret().await?, acknowledging);
        let mut feed = ChangeFeed::listen(url).await?;
        receipts.listen();
        let receive = async {
            while let Some(notification) = feed.next().await? {
                if let Notification::Message(payload) = notification
                    && let Some(message) = keys.verify(&payload)
                {
                    receipts.hear(message);
                }
            }
            Ok::<_, FeedError>(FeedError::Closed)
        };
        let send = async {
            loop {
                tokio::select! {
                    () = receipts.has_outgoing() => {}
                    () = sleep(REPEAT) => receipts.ask_again(),
                }
                let messages: Vec<_> = receipts.outgoing(None).into_iter().map(|message| keys.sign(message)).collect();
                if !messages.is_empty() {
                    sender.send(&messages, true).await?; // questions
                }
            }
        };
        tokio::select! {
            ended = receive => ended,
            ended = send => ended,
        }
    }
    .await;
    outcome.unwrap_or_else(|error| error).to_string()
}
