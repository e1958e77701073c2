//! What goes through the gateway and what stays: headers, paths, credentials, keys, routes.

use crate::support::upstream::Step;
use crate::support::{Client, Folder, Gateway, Script, Upstream};

/// A path in no wire format that the gateway knows.
const UNKNOWN: &str = "/v1/unknown/thing";

#[tokio::test]
async fn one_hops_headers_stay_on_that_hop() {
    let answer = Script::new()
        .head(
            200,
            &[
                "content-type: text/plain",
                "connection: x-hop",
                "x-hop: 1",
                "keep-alive: timeout=1",
                "alt-svc: h3=\":443\"",
                "x-steadfast-verdict: allow",
                "x-upstream: kept",
                "content-length: 2",
            ],
        )
        .send("ok");
    let upstream = Upstream::always(answer).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let headers = [
        "connection: keep-alive, x-mine",
        "x-mine: 1",
        "te: trailers",
        "proxy-authorization: Basic x",
        "x-steadfast-session: s",
        "x-request-id: abc",
        "x-forwarded-for: 10.1.1.1",
        "authorization: Bearer client",
        "content-type: text/plain",
    ];
    let answer = Client::request(gateway.addr, "POST", UNKNOWN, &headers, "hello").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.header("x-upstream").as_deref(), Some("kept"));
    assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some("unscored"), "whatever the upstream says");
    for gone in ["x-hop", "keep-alive", "alt-svc", "connection"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    let id = answer.header("x-steadfast-request-id").unwrap();
    assert!(id.len() == 26 && id.parse::<ulid::Ulid>().is_ok(), "{id}");

    let seen = upstream.only();
    assert_eq!(seen.header("host"), Some(upstream.addr().to_string()));
    assert_eq!(seen.header("x-request-id").as_deref(), Some("abc"));
    assert_eq!(seen.header("authorization").as_deref(), Some("Bearer client"));
    assert_eq!(seen.header("te").as_deref(), Some("trailers"));
    assert_eq!(seen.header("content-length").as_deref(), Some("5"));
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("10.1.1.1, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(seen.header("x-forwarded-host").as_deref(), Some("localhost"));
    for gone in ["connection", "x-mine", "proxy-authorization", "x-steadfast-session", "transfer-encoding", "accept-encoding"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    assert_eq!(seen.text(), "hello");
}

#[tokio::test]
async fn targets_go_on_undecoded_and_below_the_upstreams_path() {
    let upstream = Upstream::always(Script::whole(200, "text/plain", b"")).await;
    let gateway = Gateway::before(&format!("{}/base/", upstream.url()), "").await;
    let target = "/model/anthropic.claude%3A0/a%2Fb//c?x=%20y&z";
    Client::get(gateway.addr, target).await;
    Client::get(gateway.addr, "/").await;
    let targets: Vec<String> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, [format!("/base{target}"), "/base/".to_owned()]);
}

#[tokio::test]
async fn a_prefix_can_be_left_out() {
    let upstream = Upstream::always(Script::whole(200, "text/plain", b"")).await;
    let more = "[[route]]\npath = \"/openai\"\nstrip_prefix = true\npolicy = \"policy.toml\"\n";
    let gateway = Gateway::before(&upstream.url(), more).await;
    Client::get(gateway.addr, "/openai/v1/models?a=b").await;
    Client::get(gateway.addr, "/openai").await;
    Client::get(gateway.addr, "/openai?q").await;
    let targets: Vec<String> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/v1/models?a=b", "/", "/?q"]);
}

#[tokio::test]
async fn the_upstreams_credential_takes_the_place_of_the_clients() {
    let upstream = Upstream::always(Script::whole(200, "text/plain", b"")).await;
    let folder = Folder::new(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nclient_keys = {{ file = \"keys\" }}\n[classifier]\npath = \"none\"\n\
         [incidents]\nstore = \"none\"\n[[upstream]]\nname = \"main\"\nurl = \"{}\"\n\
         credential = {{ header = \"authorization\", file = \"key\", prefix = \"Bearer \" }}\n[[route]]\npolicy = \"policy.toml\"\n",
        upstream.url()
    ));
    folder.write("keys", "alpha\nbeta\n").write("key", "upstream-key\n").write("policy.toml", "");
    let gateway = Gateway::start(folder).await;
    for (header, status) in [
        ("authorization: Bearer alpha", 200),
        ("x-api-key: beta", 200),
        ("x-steadfast-key: beta", 200),
        ("authorization: Bearer gamma", 401),
        ("cookie: alpha", 401),
    ] {
        let answer = Client::request(gateway.addr, "GET", "/v1/chat/completions", &[header], "").await;
        assert_eq!(answer.status(), status, "{header}");
        if status == 401 {
            assert_eq!(answer.json()["error"]["code"], "invalid_client_key");
            assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer"));
        }
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3, "strangers never reach the upstream");
    for seen in seen {
        assert_eq!(seen.header("authorization").as_deref(), Some("Bearer upstream-key"));
        assert!(seen.headers.iter().all(|(_, value)| !value.contains("alpha") && !value.contains("beta")), "{seen:?}");
    }
    assert_eq!(gateway.metric("steadfast_requests_total", &["code=\"401\""]), 2.0);
}

#[tokio::test]
async fn routes_are_picked_by_host_header_and_model() {
    let (a, b) = (Upstream::always(Script::json(200, "{}")).await, Upstream::always(Script::json(200, "{}")).await);
    let more = format!(
        "[[upstream]]\nname = \"other\"\nurl = \"{}\"\n\
         [[route]]\nmodel = \"grok-*\"\nupstream = \"other\"\npolicy = \"policy.toml\"\n\
         [[route]]\nhost = \"*.other.test\"\nupstream = \"other\"\npolicy = \"policy.toml\"\n\
         [[route]]\nheaders = {{ x-team = \"b*\" }}\nupstream = \"other\"\npolicy = \"policy.toml\"\n\
         [[route]]\npath = \"/v1\"\nupstream = \"main\"\npolicy = \"policy.toml\"\n",
        b.url()
    );
    let gateway = Gateway::before(&a.url(), &more).await;
    let chat = "/v1/chat/completions";
    let json = "content-type: application/json";
    let ask = async |target: &str, headers: &[&str], body: &str| {
        let before = (a.seen().len(), b.seen().len());
        let status = Client::request(gateway.addr, "POST", target, headers, body).await.status();
        (status, a.seen().len() - before.0, b.seen().len() - before.1)
    };
    let body = r#"{"model":"Grok-4","messages":[{"role":"user","content":"hi"}]}"#;
    assert_eq!(ask(chat, &[json], body).await, (200, 0, 1));
    assert_eq!(b.seen()[0].text(), body, "a body that was read for its model goes on as it was");
    assert_eq!(ask(chat, &[json], r#"{"model":"gpt-5","messages":[]}"#).await, (200, 1, 0));
    assert_eq!(ask(chat, &[json, "host: api.other.test:80"], r#"{"messages":[]}"#).await, (200, 0, 1));
    assert_eq!(ask("/v1/files", &["x-team: blue"], "grok-1").await, (200, 0, 1));
    assert_eq!(ask("/v1/files", &["x-team: red"], "grok-1").await, (200, 1, 0));
    assert_eq!(ask("/v2/chat/completions", &[json], r#"{"model":"gpt-5"}"#).await, (404, 0, 0));
    // What model these ask for is known to the upstream alone.
    for body in [r#"{"model":"gpt-5","model":"grok-4"}"#, r#"{"model":"gpt-5","Model":"grok-4"}"#, "\u{1f}\u{8b} compressed"] {
        assert_eq!(ask(chat, &[json], body).await, (400, 0, 0), "{body:?}");
    }
    let azure = "/v1/openai/deployments/grok-4/chat/completions";
    assert_eq!(ask(azure, &[json], r#"{"model":"gpt-5","messages":[]}"#).await, (200, 0, 1), "a deployment is the model");
}

#[tokio::test]
async fn a_fallback_is_asked_where_the_first_cannot_be_reached() {
    let down = crate::support::upstream::nobody().await;
    let up = Upstream::always(Script::json(200, "{}")).await;
    let more = format!(
        "[[upstream]]\nname = \"spare\"\nurl = \"{}\"\n[[route]]\nupstream = \"main\"\nfallback = [\"spare\"]\npolicy = \"policy.toml\"\n",
        up.url()
    );
    let gateway = Gateway::before(&format!("http://{down}"), &more).await;
    let body = r#"{"model":"gpt-5","messages":[]}"#;
    assert_eq!(Client::post(gateway.addr, "/v1/chat/completions", body).await.status(), 200);
    assert_eq!(up.only().text(), body);
    assert_eq!(Client::get(gateway.addr, UNKNOWN).await.status(), 200);
    // An upload that is streamed can be sent only once.
    assert_eq!(Client::request(gateway.addr, "POST", UNKNOWN, &[], "x").await.status(), 502);
}

/// Without chunks a client could not tell a stream that broke off from one that ended.
#[tokio::test]
async fn an_upstream_of_http_1_0_makes_no_client_speak_it() {
    let head = "HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let answer = Script::new().send(head).send("data: {}\n\n").pause(50).send("data: {}\n\n").then(Step::Close);
    let upstream = Upstream::always(answer).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let answer = Client::request(gateway.addr, "POST", UNKNOWN, &[], "").await;
    assert_eq!(answer.header("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!((answer.status(), answer.text().as_str()), (200, "data: {}\n\ndata: {}\n\n"));
}
