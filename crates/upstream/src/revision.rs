//! Revisions of MCP that are spoken here.

/// The one without a handshake.
pub const MODERN: &str = "2026-07-28";
/// Those that begin with `initialize`, the newest first.
pub const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The newest revision with a handshake among those that an upstream says it speaks.
pub fn newest_legacy(supported: &[String]) -> Option<&'static str> {
    LEGACY.into_iter().find(|revision| supported.iter().any(|said| said == revision))
}

/// The legacy revision with this name.
pub fn legacy(name: &str) -> Option<&'static str> {
    LEGACY.into_iter().find(|revision| *revision == name)
}
