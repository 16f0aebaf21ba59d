//! Owns which web pages may talk to the node (CORS, Fetch standard section 3.2), for REST and Engine.IO alike.

use super::response::Response;

const METHODS: &str = "GET, POST, OPTIONS";
const HEADERS: &str = "Authorization, Content-Type, X-API-Key";
/// How long a browser may remember a preflight: two hours, the most that Chromium keeps one.
const PREFLIGHT_SECONDS: &str = "7200";

/// A policy says which origins are allowed; an origin is compared whole, so no prefix or suffix of an allowed one passes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cors {
    /// Pages of every origin, without credentials (`*`).
    Any,
    /// Pages of these origins, with credentials. `null` is allowed only when it is listed.
    List(Vec<String>),
}

impl Cors {
    /// Reads a setting: `*` alone, or origins separated by commas; blanks and slashes at an origin's end are dropped.
    ///
    /// A list that contains `*` is [`Cors::Any`]. An empty setting allows no foreign page.
    pub fn from_setting(setting: &str) -> Self {
        let origins: Vec<String> = setting
            .split(',')
            .map(|origin| origin.trim().trim_end_matches('/').to_ascii_lowercase())
            .filter(|origin| !origin.is_empty())
            .collect();
        if origins.iter().any(|origin| origin == "*") { Self::Any } else { Self::List(origins) }
    }

    /// Whether a request with this `Origin` may be served: the check before a WebSocket upgrade and before polling.
    ///
    /// A request without the header passes: it is no page of another origin. Browsers send it with every WebSocket
    /// and every foreign request; clients that are not browsers, and pages of the same origin that poll, send none.
    pub fn is_allowed(&self, origin: Option<&str>) -> bool {
        match (self, origin) {
            (Self::Any, _) | (_, None) => true,
            (Self::List(origins), Some(origin)) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    /// The headers that a response to a request with this `Origin` carries.
    ///
    /// Under [`Cors::Any`] the origin is never echoed and credentials are never allowed. Under a list every response
    /// carries `Vary: Origin`, so that a cache does not give one page's answer to another.
    pub fn headers(&self, origin: Option<&str>) -> Vec<(&'static str, String)> {
        match (self, origin) {
            (Self::Any, None) => Vec::new(),
            (Self::Any, Some(_)) => vec![("Access-Control-Allow-Origin", "*".to_owned())],
            (Self::List(_), Some(origin)) if self.is_allowed(Some(origin)) => vec![
                ("Access-Control-Allow-Origin", origin.to_owned()),
                ("Access-Control-Allow-Credentials", "true".to_owned()),
                ("Vary", "Origin".to_owned()),
            ],
            (Self::List(_), _) => vec![("Vary", "Origin".to_owned())],
        }
    }

    /// The answer to a preflight (OPTIONS): 204; only for an allowed origin does it allow anything.
    pub fn preflight(&self, origin: Option<&str>) -> Response {
        let response = Response::empty(204).with_all(self.headers(origin));
        if origin.is_none() || !self.is_allowed(origin) {
            return response;
        }
        response
            .with("Access-Control-Allow-Methods", METHODS)
            .with("Access-Control-Allow-Headers", HEADERS)
            .with("Access-Control-Max-Age", PREFLIGHT_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::Cors;

    fn value(headers: &[(&'static str, String)], name: &str) -> Option<String> {
        headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn only_whole_origins_match() {
        let cors = Cors::from_setting(" https://App.example/ , http://localhost:3000");
        for origin in ["https://app.example", "http://localhost:3000"] {
            assert!(cors.is_allowed(Some(origin)), "{origin}");
        }
        for origin in [
            "https://app.example.evil",
            "https://evil-app.example",
            "https://evil.example/https://app.example",
            "http://app.example",
            "https://app.example:8443",
            "https://app.example/",
            "http://localhost:30001",
            "null",
            "*",
            "",
        ] {
            assert!(!cors.is_allowed(Some(origin)), "{origin}");
        }
        assert!(cors.is_allowed(None));
        assert!(Cors::from_setting("null").is_allowed(Some("null")));
        assert!(!Cors::from_setting("").is_allowed(Some("https://app.example")));
    }

    #[test]
    fn any_origin_is_never_echoed_with_credentials() {
        let cors = Cors::from_setting("*");
        let headers = cors.headers(Some("https://evil.example"));
        assert_eq!(headers, [("Access-Control-Allow-Origin", "*".to_owned())]);
        assert!(cors.headers(None).is_empty());
        assert!(
            value(&cors.preflight(Some("https://a.example")).headers, "Access-Control-Allow-Credentials")
                .is_none()
        );
    }

    #[test]
    fn a_listed_origin_is_echoed_and_the_answer_varies() {
        let cors = Cors::from_setting("https://a.example");
        let headers = cors.headers(Some("https://a.example"));
        assert_eq!(value(&headers, "Access-Control-Allow-Origin").as_deref(), Some("https://a.example"));
        assert_eq!(value(&headers, "Access-Control-Allow-Credentials").as_deref(), Some("true"));
        for origin in [None, Some("https://b.example"), Some("https://a.example")] {
            assert_eq!(value(&cors.headers(origin), "Vary").as_deref(), Some("Origin"), "{origin:?}");
        }
        assert_eq!(value(&cors.headers(Some("https://b.example")), "Access-Control-Allow-Origin"), None);
    }

    #[test]
    fn a_preflight_allows_methods_and_headers_to_allowed_origins_only() {
        let cors = Cors::from_setting("https://a.example");
        let allowed = cors.preflight(Some("https://a.example"));
        assert_eq!(allowed.status, 204);
        let headers = value(&allowed.headers, "Access-Control-Allow-Headers");
        assert_eq!(headers.as_deref(), Some("Authorization, Content-Type, X-API-Key"));
        let refused = cors.preflight(Some("https://b.example"));
        assert_eq!(refused.status, 204);
        assert!(value(&refused.headers, "Access-Control-Allow-Methods").is_none());
    }
}
