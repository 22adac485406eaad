//! The MCP server behind every contender: answers `tools/call` on `POST /mcp`, nothing else.

use std::convert::Infallible;

use anyhow::Context;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::args::Workload;
use crate::call;

/// Serves until the process ends.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) fn run(arguments: &Workload) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let answer_len = arguments.answer_bytes;
    runtime.block_on(async {
        let listener = TcpListener::bind(arguments.listen)
            .await
            .with_context(|| format!("cannot listen on {}", arguments.listen))?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service_fn(move |request| async move {
                Ok::<_, Infallible>(respond(request, answer_len).await.unwrap_or_else(refusal))
            });
            Handle::current()
                .spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn respond(
    request: Request<Incoming>,
    answer_len: usize,
) -> Result<Response<Full<Bytes>>, StatusCode> {
    if request.uri().path() != call::PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|_gone| StatusCode::BAD_REQUEST)?;
    let call: Value =
        serde_json::from_slice(&body.to_bytes()).map_err(|_not_json| StatusCode::BAD_REQUEST)?;
    let id = call["id"].as_u64().ok_or(StatusCode::BAD_REQUEST)?;
    if call["method"] != "tools/call" || call["params"]["name"] != call::TOOL {
        return Err(StatusCode::BAD_REQUEST);
    }
    let mut response = Response::new(Full::from(call::answer(id, answer_len)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
