//! HTTP/2 and TLS on both sides.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};

use crate::support::web::{Certificate, Mirror, h2_client, text, tls_client};
use crate::support::{Client, Folder, Gateway, Script, Upstream};

const UNKNOWN: &str = "/v1/unknown/thing";

fn get(uri: String) -> Request<Full<Bytes>> {
    Request::builder().uri(uri).body(Full::default()).unwrap()
}

#[tokio::test]
async fn http2_in_the_clear_goes_on_as_http1() {
    let mirror = Mirror::start(None).await;
    let gateway = Gateway::before(&format!("http://{}", mirror.addr), "").await;
    let client = h2_client();
    let ask = |n: usize| {
        let request = Request::builder()
            .uri(format!("http://{}/unknown/{n}", gateway.addr))
            .method("POST")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Full::from("hello"))
            .unwrap();
        client.request(request)
    };
    for (n, response) in futures_util::future::join_all((0..20).map(ask)).await.into_iter().enumerate() {
        let response = response.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
        assert!(response.headers().contains_key("x-steadfast-request-id"));
        let said = text(response.into_body()).await;
        assert_eq!(said, format!("HTTP/1.1 host={} path=/unknown/{n} cookies=a=1; b=2 body=5", mirror.addr));
    }
}

#[tokio::test]
async fn errors_reach_http2_clients_as_answers_and_breaks_as_breaks() {
    let upstream = Upstream::start(|seen, _| {
        if seen.target.ends_with("break") {
            Script::sse().chunk("data: 1\n\n").then(crate::support::upstream::Step::Close)
        } else {
            Script::json(429, "{\"error\":\"slow down\"}")
        }
    })
    .await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let client = h2_client();
    let response = client.request(get(format!("http://{}/v1/models", gateway.addr))).await.unwrap();
    assert_eq!((response.status().as_u16(), text(response.into_body()).await.as_str()), (429, "{\"error\":\"slow down\"}"));
    let response = client.request(get(format!("http://{}/unknown/break", gateway.addr))).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.into_body().collect().await.is_err(), "a stream that broke must not look complete");
    // The connection lives on.
    assert_eq!(client.request(get(format!("http://{}/x", gateway.addr))).await.unwrap().status().as_u16(), 429);
}

#[tokio::test]
async fn the_data_port_speaks_tls_with_either_version() {
    let certificate = Certificate::new();
    let upstream = Upstream::always(Script::json(200, "{}")).await;
    let folder = Folder::before(
        &upstream.url(),
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n",
    );
    certificate.write(folder.root());
    folder.write("policy.toml", "");
    let gateway = Gateway::start(folder).await;
    let uri = format!("https://localhost:{}{UNKNOWN}", gateway.addr.port());
    let response = tls_client(&certificate).request(get(uri)).await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
    assert_eq!(upstream.only().header("x-forwarded-proto").as_deref(), Some("https"));
    // Plain text on a TLS port ends, and quickly.
    let mut plain = Client::connect(gateway.addr).await;
    plain.raw(b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(plain.closed().await < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn upstreams_speak_tls_with_the_version_that_they_offer() {
    let certificate = Certificate::new();
    let signed = "authorization: AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=y";
    for (offers, protocol, version) in [
        (&["h2", "http/1.1"][..], "auto", "HTTP/2.0"),
        (&["http/1.1"][..], "auto", "HTTP/1.1"),
        (&["h2", "http/1.1"][..], "http1", "HTTP/1.1"),
        (&["h2"][..], "http2", "HTTP/2.0"),
    ] {
        let mirror = Mirror::start(Some((&certificate, offers))).await;
        let folder = Folder::new(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[classifier]\npath = \"none\"\n[incidents]\nstore = \"none\"\n\
             [[upstream]]\nname = \"main\"\nurl = \"https://localhost:{}\"\nca = \"ca.pem\"\nprotocol = \"{protocol}\"\n\
             [[route]]\npolicy = \"policy.toml\"\n",
            mirror.addr.port()
        ));
        certificate.write(folder.root());
        folder.write("policy.toml", "");
        let gateway = Gateway::start(folder).await;
        let answers = futures_util::future::join_all((0..5).map(|_| Client::get(gateway.addr, UNKNOWN))).await;
        for answer in answers {
            let host = format!("localhost:{}", mirror.addr.port());
            assert_eq!(answer.text(), format!("{version} host={host} path={UNKNOWN} cookies= body=0"), "{offers:?} {protocol}");
        }
        if protocol == "auto" {
            let answer = Client::request(gateway.addr, "GET", UNKNOWN, &[signed, "host: bedrock.test"], "").await;
            assert!(answer.text().starts_with("HTTP/1.1 host=bedrock.test "), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn http2_in_the_clear_to_an_upstream_only_where_asked_for() {
    let mirror = Mirror::start(None).await;
    for (protocol, version) in [("auto", "HTTP/1.1"), ("http2", "HTTP/2.0")] {
        let folder = Folder::new(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[classifier]\npath = \"none\"\n[incidents]\nstore = \"none\"\n\
             [[upstream]]\nname = \"main\"\nurl = \"http://{}\"\nprotocol = \"{protocol}\"\n[[route]]\npolicy = \"policy.toml\"\n",
            mirror.addr
        ));
        folder.write("policy.toml", "");
        let gateway = Gateway::start(folder).await;
        assert!(Client::get(gateway.addr, UNKNOWN).await.text().starts_with(version), "{protocol}");
    }
}

#[tokio::test]
async fn an_upstream_whose_certificate_nobody_vouches_for_is_a_502() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let mirror = Mirror::start(Some((&certificate, &["h2"]))).await;
    let folder = Folder::new(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[classifier]\npath = \"none\"\n[incidents]\nstore = \"none\"\n\
         [[upstream]]\nname = \"main\"\nurl = \"https://localhost:{}\"\nca = \"ca.pem\"\n[[route]]\npolicy = \"policy.toml\"\n",
        mirror.addr.port()
    ));
    other.write(folder.root());
    folder.write("policy.toml", "");
    let gateway = Gateway::start(folder).await;
    let answer = Client::get(gateway.addr, UNKNOWN).await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str().unwrap()), (502, "upstream_unreachable"));
}
