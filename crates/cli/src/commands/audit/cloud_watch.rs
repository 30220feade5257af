//! The lines of deployed functions, from CloudWatch Logs (`FilterLogEvents`).

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatchlogs::Client;

use crate::output::Failure;
use crate::stack::aws_config;

/// How late a line may come that is still found when following: CloudWatch Logs takes lines in within seconds.
const LATEST: Duration = Duration::from_secs(60);

/// Reads log groups.
pub struct LogGroups {
    client: Client,
    names: Vec<String>,
    pattern: String,
    /// What has been read of the time since [`LATEST`] ago.
    seen: HashSet<Event>,
}

/// Its time in milliseconds since 1970, and the line.
type Event = (i64, String);

impl LogGroups {
    /// Reads with the credentials, the region and the endpoint of the AWS environment.
    ///
    /// # Errors
    /// When that names no region.
    pub async fn new(names: &[String], pattern: String) -> Result<LogGroups, Failure> {
        let config = aws_config().await?;
        Ok(LogGroups { client: Client::new(&config), names: names.to_owned(), pattern, seen: HashSet::new() })
    }

    /// What `show` makes of the lines since a time: the last `most` of each group, together in order.
    ///
    /// # Errors
    /// When CloudWatch Logs does not answer or refuses.
    pub async fn read(
        &mut self,
        since: SystemTime,
        now: SystemTime,
        most: usize,
        show: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, Failure> {
        let mut seen = HashSet::new();
        let mut shown: Vec<Event> = Vec::new();
        for name in &self.names {
            let mut last = VecDeque::new();
            let request = self.client.filter_log_events().log_group_name(name).start_time(milliseconds(since));
            let mut pages = request.filter_pattern(&self.pattern).into_paginator().send();
            while let Some(page) = pages.next().await {
                for event in page.map_err(|error| about(name, error))?.events.unwrap_or_default() {
                    let event = (event.timestamp.unwrap_or_default(), event.message.unwrap_or_default());
                    if !self.seen.contains(&event) {
                        last.extend(show(&event.1).map(|shown| (event.0, shown)));
                    }
                    if last.len() > most {
                        last.pop_front();
                    }
                    if event.0 >= milliseconds(earliest(now)) {
                        seen.insert(event);
                    }
                }
            }
            shown.extend(last);
        }
        self.seen = seen;
        // What has one time stays in its order.
        shown.sort_by_key(|(time, _)| *time);
        Ok(shown.into_iter().map(|(_, shown)| shown).collect())
    }

    /// The lines that a pattern takes, from one time to another: those of the first group first, each in order.
    ///
    /// # Errors
    /// As [`LogGroups::read`].
    pub async fn between(&self, pattern: &str, from: SystemTime, to: SystemTime) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        for name in &self.names {
            let request = self.client.filter_log_events().log_group_name(name).filter_pattern(pattern);
            let request = request.start_time(milliseconds(from)).end_time(milliseconds(to));
            let mut pages = request.into_paginator().send();
            while let Some(page) = pages.next().await {
                let events = page.map_err(|error| about(name, error))?.events.unwrap_or_default();
                lines.extend(events.into_iter().filter_map(|event| event.message));
            }
        }
        Ok(lines)
    }

    /// What `show` makes of the lines that have come since the last call, if they are not from before `since`.
    ///
    /// # Errors
    /// As [`LogGroups::read`].
    pub async fn read_on(
        &mut self,
        since: SystemTime,
        now: SystemTime,
        show: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, Failure> {
        self.read(since.max(earliest(now)), now, usize::MAX, show).await
    }
}

fn earliest(now: SystemTime) -> SystemTime {
    now.checked_sub(LATEST).unwrap_or(UNIX_EPOCH)
}

fn about(group: &str, error: impl std::error::Error) -> Failure {
    match Failure::from(error) {
        Failure::Message(message) => Failure::Message(format!("log group {group}: {message}")),
        other => other,
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
