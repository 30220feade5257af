//! What a browser is shown: plain pages that say what happened and what to do next, and redirects. Nothing of a page comes
//! from a request.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use oauth_client::Identity;

use crate::callback::Connected;
use crate::refusal::{Refusal, Words};
use crate::target::Party;

const STYLE: &str = "body{font:1.125rem/1.5 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1.5rem;\
color:#1b1b1b;background:#fff}h1{font-size:1.75rem;line-height:1.25}code{overflow-wrap:anywhere}\
footer{margin-top:3rem;color:#595959}";

/// [`STYLE`] by its hash (CSP Level 3 §2.3.1), and nothing else: no script, no image, no form, no frame.
const POLICY: &str = "default-src 'none'; style-src 'sha256-pK5z/3nTOxoBIumJI2UJ6RGgKGcydRfGSNASTtBJLPY='; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The page of a consent that has become a grant.
pub fn connected(connected: &Connected) -> Response<Bytes> {
    let Party { name, command, .. } = &connected.party;
    let who = match &connected.identity {
        Some(Identity { org, user }) => {
            format!("Northstar may now use {} as the user {} of {}.", code(name.as_str()), code(user), code(org))
        }
        None => format!("Northstar may now use {}.", code(name.as_str())),
    };
    let mut paragraphs = vec![who];
    if connected.without_refresh_token {
        paragraphs.push(
            "But no refresh token came with the consent: the connection ends with its first access token, after a few \
             minutes or hours. Let the app allow the scope refresh_token (of servers other than Salesforce: \
             offline_access), ask for it in the registration, and consent again."
                .to_owned(),
        );
    }
    paragraphs.push(format!(
        "You may close this page. Next, see whether all is well: {}",
        code(&format!("{command} test {name}"))
    ));
    html(StatusCode::OK, "Connected", &paragraphs, connected.outcome())
}

/// The page of a refusal; `party` is the connection, if it is known.
pub fn refused(refusal: &Refusal, party: Option<&Party>) -> Response<Bytes> {
    let (connect, show) = match party {
        Some(Party { name, command, .. }) => {
            let show = if *command == "northstar org" { "list".to_owned() } else { format!("show {name}") };
            (code(&format!("{command} connect {name}")), code(&format!("{command} {show}")))
        }
        None => {
            let both = format!(
                "{} (of an org {})",
                code("northstar upstream connect NAME"),
                code("northstar org connect NAME")
            );
            (both, code("northstar upstream show NAME"))
        }
    };
    let Words { title, cause, remedy } = refusal.words(&connect, &show);
    let mut response = html(refusal.status(), title, &[cause, remedy], refusal.code());
    if *refusal == Refusal::Method {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    if matches!(refusal, Refusal::Unavailable { .. }) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    }
    response
}

/// A redirect to the page that a registration names, with how it ended; `None` when its URL cannot be sent.
pub fn result(result_page: &str, reason: Option<&'static str>) -> Option<Response<Bytes>> {
    let (page, fragment) = result_page.split_once('#').map_or((result_page, None), |(page, rest)| (page, Some(rest)));
    let separator = match page.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let outcome = reason.map_or_else(|| "oauth=success".to_owned(), |code| format!("oauth=error&reason={code}"));
    let fragment = fragment.map_or_else(String::new, |fragment| format!("#{fragment}"));
    redirect(&format!("{page}{separator}{outcome}{fragment}"))
}

/// A redirect by GET (RFC 9110 §15.4.4); `None` when the URL cannot be sent.
pub fn redirect(url: &str) -> Option<Response<Bytes>> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(url).ok()?);
    guard(response.headers_mut());
    Some(response)
}

/// Paragraphs are HTML, whose every value went through [`code`].
fn html(status: StatusCode, title: &str, paragraphs: &[String], outcome: &str) -> Response<Bytes> {
    let paragraphs: String = paragraphs.iter().map(|text| format!("<p>{text}</p>\n")).collect();
    let footer = if outcome == "ok" { String::new() } else { format!("<p>Code: {}</p>\n", code(outcome)) };
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} - Northstar</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{paragraphs}</main>\n\
         <footer>\n{footer}<p>Northstar</p>\n</footer>\n</body>\n</html>\n"
    );
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    guard(response.headers_mut());
    response
}

/// The ticket or the code is in the URL of the page: nobody else may learn it, and no copy be kept.
fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn code(text: &str) -> String {
    let escaped: String = text.chars().map(escape).collect();
    format!("<code>{escaped}</code>")
}

fn escape(character: char) -> String {
    match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        character => character.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::{SHA256, digest};
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    #[test]
    fn the_policy_lets_the_style_in_by_its_hash() {
        let hash = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }

    #[test]
    fn a_result_page_keeps_its_query_and_its_fragment() {
        let location = |page, reason| result(page, reason).map(|response| response.headers()["location"].clone());
        for (page, expected) in [
            ("https://a.example/", "https://a.example/?oauth=success"),
            ("https://a.example/?", "https://a.example/?oauth=success"),
            ("https://a.example/?b=c", "https://a.example/?b=c&oauth=success"),
            ("https://a.example/?b=c#d", "https://a.example/?b=c&oauth=success#d"),
        ] {
            assert_eq!(location(page, None).unwrap(), expected);
        }
        let refused = location("https://a.example/", Some("consent_denied")).unwrap();
        assert_eq!(refused, "https://a.example/?oauth=error&reason=consent_denied");
        assert!(result("https://a.example/\n", None).is_none());
    }

    #[test]
    fn what_is_shown_is_text_and_no_markup() {
        assert_eq!(code("<b a=\"1\">&'"), "<code>&lt;b a=&quot;1&quot;&gt;&amp;&#39;</code>");
    }
}
