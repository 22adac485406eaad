//! The one call that is measured: an MCP `tools/call` of revision 2026-07-28 and its answer.

use anyhow::ensure;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    USER_AGENT,
};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

/// The path of the MCP endpoint.
pub(crate) const PATH: &str = "/mcp";
/// The tool that is called.
pub(crate) const TOOL: &str = "search_purchase_orders";

const ARGUMENTS_AND_META: &str = r#""arguments":{"query":"open purchase orders","supplier":"Example Machine Works","delivered_from":"2026-01-01","delivered_to":"2026-06-30","limit":25},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"procurement-agent","version":"1.4.2"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

const RECORD: &str = "order 4500017 | Example Machine Works | 12 x bearing 6204 | delivered; ";

/// Everything about the call that does not change from one request to the next.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    headers: HeaderMap,
    uri: Uri,
    answer_len: usize,
}

impl Call {
    /// The call to the proxy that answers as `host`, for answers of `answer_len` bytes.
    ///
    /// # Errors
    /// When `host` cannot be a header value.
    pub(crate) fn new(host: &str, answer_len: usize) -> anyhow::Result<Self> {
        let fixed = HeaderValue::from_static;
        let headers = [
            (HOST, HeaderValue::from_str(host)?),
            (USER_AGENT, fixed("python-httpx/0.28.1")),
            (ACCEPT, fixed("application/json, text/event-stream")),
            (ACCEPT_ENCODING, fixed("gzip, deflate")),
            (CONTENT_TYPE, fixed("application/json")),
            (
                HeaderName::from_static("mcp-protocol-version"),
                fixed("2026-07-28"),
            ),
            (HeaderName::from_static("mcp-method"), fixed("tools/call")),
            (HeaderName::from_static("mcp-name"), fixed(TOOL)),
        ];
        Ok(Self {
            headers: headers.into_iter().collect(),
            uri: Uri::from_static(PATH),
            answer_len,
        })
    }

    /// The request with this JSON-RPC id.
    pub(crate) fn request(&self, id: u64) -> Request<Full<Bytes>> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{TOOL}",{ARGUMENTS_AND_META}}}}}"#
        );
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Whether `head` and `body` are the whole answer to the request with this id.
    ///
    /// # Errors
    /// What differs.
    pub(crate) fn check(
        &self,
        id: u64,
        head: &http::response::Parts,
        body: &[u8],
    ) -> anyhow::Result<()> {
        let text = String::from_utf8_lossy(body);
        ensure!(
            head.status == 200,
            "status {} with body {text:.200}",
            head.status
        );
        let declared = head.headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
        ensure!(
            declared.is_none_or(|value| value == body.len().to_string().as_bytes()),
            "Content-Length {declared:?} for {} bytes",
            body.len()
        );
        ensure!(
            body == answer(id, self.answer_len),
            "wrong answer to id {id}: {text:.200}"
        );
        Ok(())
    }
}

/// The JSON-RPC answer to `id`, `answer_len` bytes long (or as short as an answer can be).
pub(crate) fn answer(id: u64, answer_len: usize) -> Vec<u8> {
    const TAIL: &[u8] = br#""}],"isError":false}}"#;
    let head = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","content":[{{"type":"text","text":""#
    );
    let text_len = answer_len.saturating_sub(head.len() + TAIL.len());
    let mut answer = Vec::with_capacity(answer_len);
    answer.extend_from_slice(head.as_bytes());
    answer.extend(RECORD.bytes().cycle().take(text_len));
    answer.extend_from_slice(TAIL);
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;

    #[test]
    fn answer_is_json_of_the_length_asked_for() {
        let answer = answer(77, 1024);
        assert_eq!(answer.len(), 1024);
        let value: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(value["id"], 77);
    }

    #[tokio::test]
    async fn request_is_a_tools_call_whose_headers_agree_with_its_body() {
        let request = Call::new("127.0.0.1:1", 1024).unwrap().request(5);
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!((400..500).contains(&body.len()), "{} bytes", body.len());
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            value["method"],
            head.headers["mcp-method"].to_str().unwrap()
        );
        assert_eq!(
            value["params"]["name"],
            head.headers["mcp-name"].to_str().unwrap()
        );
        assert_eq!(
            value["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"],
            head.headers["mcp-protocol-version"].to_str().unwrap()
        );
    }

    #[test]
    fn notices_the_answer_to_another_id() {
        let call = Call::new("127.0.0.1:1", 512).unwrap();
        let (head, ()) = http::Response::new(()).into_parts();
        call.check(1, &head, &answer(1, 512)).unwrap();
        assert!(call.check(1, &head, &answer(2, 512)).is_err());
    }
}
