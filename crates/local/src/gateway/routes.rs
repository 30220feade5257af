//! The explicit routes of the HTTP API and the choice among them.
//!
//! AWS, "Create routes for HTTP APIs in API Gateway": a route key is `METHOD /path`, `ANY` stands for
//! every method, `{name}` for exactly one segment. Greedy parameters and `$default` have no user here.

use std::collections::BTreeMap;

use http::Method;

/// Which function answers which request. `T` names a function.
#[derive(Clone, Debug)]
pub struct Routes<T> {
    routes: Vec<Route<T>>,
}

impl<T: Copy> Routes<T> {
    /// Reads a table of route keys, such as `("POST /token", Function::Token)`.
    pub fn parse(table: &[(&str, T)]) -> Result<Self, InvalidRouteKey> {
        let routes = table.iter().map(|(key, target)| Route::parse(key, *target)).collect::<Result<_, _>>()?;
        Ok(Self { routes })
    }

    /// The most specific route for a request, by its decoded path.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<RouteMatch<'_, T>> {
        let segments = segments(path);
        let candidates = self.routes.iter().filter(|route| route.matches(method, &segments));
        let route = candidates.max_by_key(|route| route.specificity())?;
        Some(RouteMatch { key: &route.key, target: route.target, parameters: route.parameters(&segments) })
    }
}

/// The route that a request takes.
pub(super) struct RouteMatch<'a, T> {
    pub(super) key: &'a str,
    pub(super) target: T,
    pub(super) parameters: BTreeMap<&'a str, String>,
}

/// A route key that this API cannot serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRouteKey(String);

impl std::fmt::Display for InvalidRouteKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "route key {:?} is not `METHOD /path` or `ANY /path/{{parameter}}`", self.0)
    }
}

impl std::error::Error for InvalidRouteKey {}

#[derive(Clone, Debug)]
struct Route<T> {
    key: String,
    /// `None` is `ANY`.
    method: Option<Method>,
    segments: Vec<Segment>,
    target: T,
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(String),
    Parameter(String),
}

impl<T> Route<T> {
    fn parse(key: &str, target: T) -> Result<Self, InvalidRouteKey> {
        let invalid = || InvalidRouteKey(key.to_owned());
        let (method, path) = key.split_once(' ').ok_or_else(invalid)?;
        let method = parse_method(method).ok_or_else(invalid)?;
        let segments = parse_path(path).ok_or_else(invalid)?;
        Ok(Self { key: key.to_owned(), method, segments, target })
    }

    fn matches(&self, method: &Method, segments: &[&str]) -> bool {
        self.method.as_ref().is_none_or(|own| own == method)
            && self.segments.len() == segments.len()
            && self.segments.iter().zip(segments).all(|(own, segment)| own.matches(segment))
    }

    /// The page orders full matches only by example; that the method counts before the path was observed.
    fn specificity(&self) -> (bool, Vec<bool>) {
        (self.method.is_some(), self.segments.iter().map(|own| matches!(own, Segment::Literal(_))).collect())
    }

    fn parameters(&self, segments: &[&str]) -> BTreeMap<&str, String> {
        let pairs = self.segments.iter().zip(segments);
        pairs.filter_map(|(own, segment)| Some((own.parameter()?, (*segment).to_owned()))).collect()
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix('{') else {
            let literal = !text.is_empty() && !text.contains(['{', '}', '?', '#', '%']);
            return literal.then(|| Self::Literal(text.to_owned()));
        };
        let name = rest.strip_suffix('}')?;
        let named = !name.is_empty() && !name.contains(['{', '}', '+']);
        named.then(|| Self::Parameter(name.to_owned()))
    }

    /// A parameter never matches an empty segment: `/mcp/` is not `/mcp/{server}`.
    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == segment,
            Self::Parameter(_) => !segment.is_empty(),
        }
    }

    fn parameter(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) => Some(name),
        }
    }
}

fn parse_method(text: &str) -> Option<Option<Method>> {
    match text {
        "ANY" => Some(None),
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" => Some(Some(text.parse().ok()?)),
        _ => None,
    }
}

fn parse_path(path: &str) -> Option<Vec<Segment>> {
    let rest = path.strip_prefix('/')?;
    if rest.is_empty() {
        return Some(vec![Segment::Literal(String::new())]);
    }
    rest.split('/').map(Segment::parse).collect()
}

fn segments(path: &str) -> Vec<&str> {
    path.strip_prefix('/').unwrap_or(path).split('/').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str) -> Option<(String, Vec<(String, String)>)> {
        let table = [
            ("ANY /", 0),
            ("ANY /mcp", 1),
            ("ANY /mcp/{server}", 2),
            ("ANY /mcp/health", 3),
            ("POST /mcp/{server}", 4),
            ("GET /connect/{upstream}/{step}", 5),
        ];
        let routes = Routes::parse(&table).unwrap();
        let found = routes.find(&method, path)?;
        let parameters = found.parameters.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        Some((found.key.to_owned(), parameters))
    }

    fn key(method: Method, path: &str) -> Option<String> {
        found(method, path).map(|(key, _)| key)
    }

    #[test]
    fn most_specific_route_wins() {
        assert_eq!(key(Method::GET, "/").unwrap(), "ANY /");
        assert_eq!(key(Method::GET, "/mcp").unwrap(), "ANY /mcp");
        assert_eq!(key(Method::GET, "/mcp/orders").unwrap(), "ANY /mcp/{server}");
        assert_eq!(key(Method::GET, "/mcp/health").unwrap(), "ANY /mcp/health");
        assert_eq!(key(Method::POST, "/mcp/orders").unwrap(), "POST /mcp/{server}");
        assert_eq!(key(Method::POST, "/mcp/health").unwrap(), "POST /mcp/{server}");
    }

    #[test]
    fn paths_without_a_route_match_nothing() {
        for path in ["/mcp/", "/mcp//", "//mcp", "/MCP", "/mcp/a/b", "/tokens", "*"] {
            assert_eq!(key(Method::GET, path), None, "{path}");
        }
        assert_eq!(key(Method::POST, "/connect/crm/1"), None);
    }

    #[test]
    fn parameters_carry_what_the_path_says() {
        let (_, parameters) = found(Method::GET, "/connect/a b/ü").unwrap();
        assert_eq!(parameters, [("step".into(), "ü".into()), ("upstream".into(), "a b".into())]);
        assert_eq!(found(Method::GET, "/mcp").unwrap().1, []);
    }

    #[test]
    fn unusable_route_keys_are_refused() {
        let keys =
            ["/mcp", "get /mcp", "FETCH /mcp", "GET mcp", "GET /mcp/", "GET //mcp", "GET /{}", "$default", "GET"];
        for key in keys.into_iter().chain(["GET /{a+}", "GET /{a", "GET /a}", "GET /x{a}", "GET /a?b", ""]) {
            assert!(Routes::parse(&[(key, ())]).is_err(), "{key}");
        }
    }
}
