//! `Sforce-Limit-Info`: how many of the requests of 24 hours the org has made.

use serde::Serialize;

/// Requests of the org, and of our app where Salesforce tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LimitInfo {
    /// Requests made.
    pub used: u64,
    /// Requests allowed.
    pub allowed: u64,
    /// Of our app: made and allowed.
    pub app: Option<(u64, u64)>,
}

impl LimitInfo {
    /// Reads `api-usage=18/5000; per-app-api-usage=17/250(appName=X)`; `None` when it says no usage.
    pub fn parse(header: &str) -> Option<LimitInfo> {
        let part =
            |name: &str| header.split([';', ',']).find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        let (used, allowed) = fraction(part("api-usage")?)?;
        Some(LimitInfo { used, allowed, app: part("per-app-api-usage").and_then(fraction) })
    }
}

fn fraction(text: &str) -> Option<(u64, u64)> {
    let (used, allowed) = text.split('(').next()?.split_once('/')?;
    Some((used.trim().parse().ok()?, allowed.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_with_and_without_that_of_the_app() {
        let both = LimitInfo { used: 18, allowed: 5_000, app: Some((17, 250)) };
        assert_eq!(LimitInfo::parse("api-usage=18/5000; per-app-api-usage=17/250(appName=X)"), Some(both));
        assert_eq!(LimitInfo::parse("api-usage=18/5000"), Some(LimitInfo { app: None, ..both }));
        for text in ["", "api-usage", "api-usage=18", "api-usage=a/b", "per-app-api-usage=1/2", "api-usage=-1/2"] {
            assert_eq!(LimitInfo::parse(text), None, "{text}");
        }
    }
}
