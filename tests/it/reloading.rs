//! Reloading: by file, by link, by signal, on request; atomic for each exchange, and a bad file changes nothing.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::support::{Client, Folder, Gateway, Process, Script, Upstream, eventually};

const CHAT: &str = "/v1/chat/completions";
const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

/// Blocks answers that hold the word.
fn policy(word: &str) -> String {
    format!("[[rule]]\nname = \"no {word}\"\npatterns = ['{word}']\naction = \"block\"\n[block]\nstatus = 403\n")
}

async fn upstream() -> Upstream {
    saying("apples and pears").await
}

async fn saying(text: &str) -> Upstream {
    let choice = serde_json::json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
    let body = serde_json::json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice] });
    Upstream::always(Script::json(200, &body.to_string())).await
}

async fn rule(gateway: std::net::SocketAddr) -> Option<String> {
    Client::post(gateway, CHAT, ASK).await.header("x-steadfast-rule")
}

/// Waits until answers are blocked by this rule.
async fn becomes(gateway: std::net::SocketAddr, wanted: &str) {
    for _ in 0..200 {
        if rule(gateway).await.as_deref() == Some(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the rule {wanted:?} never came into force");
}

#[tokio::test]
async fn a_changed_policy_comes_into_force_and_a_bad_one_does_not() {
    let upstream = upstream().await;
    let gateway = Gateway::with_policy(&upstream.url(), &policy("apples")).await;
    assert_eq!(rule(gateway.addr).await.as_deref(), Some("no apples"));
    let connections = upstream.connections();
    gateway.folder.write("policy.toml", &policy("pears"));
    becomes(gateway.addr, "no pears").await;
    assert_eq!(gateway.metric("steadfast_policy_reloads_total", &["\"success\""]), 1.0);
    assert_eq!(upstream.connections(), connections, "connections to an upstream that has not changed are kept");

    gateway.folder.write("policy.toml", "[[rule]]\nname = \"x\"\n");
    eventually("the bad one is counted", || gateway.metric("steadfast_policy_reloads_total", &["\"failure\""]) >= 1.0).await;
    assert_eq!(rule(gateway.addr).await.as_deref(), Some("no pears"));
    assert_eq!(Client::get(gateway.admin, "/readyz").await.status(), 200);

    // An editor writes another file and renames it.
    gateway.folder.write("policy.toml.tmp", &policy("apples"));
    std::fs::rename(gateway.folder.path("policy.toml.tmp"), gateway.folder.path("policy.toml")).unwrap();
    becomes(gateway.addr, "no apples").await;
}

#[tokio::test]
async fn a_config_map_that_swaps_its_link_is_noticed() {
    let upstream = upstream().await;
    let folder = Folder::new(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[classifier]\npath = \"none\"\n[incidents]\nstore = \"none\"\n\
         [[upstream]]\nname = \"main\"\nurl = \"{}\"\n[[route]]\npolicy = \"mount/policy.toml\"\n",
        upstream.url()
    ));
    swap(&folder.path("mount"), "..2026_01", &[("policy.toml", &policy("apples"))]);
    let gateway = Gateway::start(folder).await;
    assert_eq!(rule(gateway.addr).await.as_deref(), Some("no apples"));
    for (version, word) in [("..2026_02", "pears"), ("..2026_03", "and")] {
        swap(&gateway.folder.path("mount"), version, &[("policy.toml", &policy(word))]);
        becomes(gateway.addr, &format!("no {word}")).await;
    }
}

#[tokio::test]
async fn so_are_config_maps_of_the_configuration_the_policies_and_the_personas() {
    let upstream = saying("My name is Grok, built by xAI. Have some apples.").await;
    let config = |policy: &str| {
        let route = format!("[[route]]\npolicy = \"policies/{policy}.toml\"\npersona = \"personas/own.toml\"\n");
        crate::support::gateway::config(&upstream.url(), &route)
    };
    let persona =
        |name: &str, maker: &str| format!("name = \"{name}\"\n[identity]\nmaker = \"{maker}\"\nis = \"an AI assistant\"\n");
    let identity = "[[rule]]\nname = \"identity\"\nlabels = [\"identity_swap\"]\nat_least = \"calibrated\"\naction = \"block\"\n\
                    [[rule]]\nname = \"odd\"\npatterns = ['apples']\naction = \"flag\"\n";
    let folder = Folder::new("");
    std::fs::remove_file(folder.path("steadfast.toml")).unwrap();
    swap(folder.root(), "..1", &[("steadfast.toml", &config("identity"))]);
    swap(&folder.path("policies"), "..1", &[("identity.toml", identity), ("apples.toml", &policy("apples"))]);
    swap(&folder.path("personas"), "..1", &[("own.toml", &persona("Aria", "Acme"))]);
    let gateway = Gateway::start(folder).await;
    assert_eq!(rule(gateway.addr).await.as_deref(), Some("identity"));

    swap(&gateway.folder.path("personas"), "..2", &[("own.toml", &persona("Grok", "xAI"))]);
    becomes(gateway.addr, "odd").await;
    swap(gateway.folder.root(), "..2", &[("steadfast.toml", &config("apples"))]);
    becomes(gateway.addr, "no apples").await;
    swap(&gateway.folder.path("personas"), "..3", &[("own.toml", &persona("Aria", "Acme"))]);
    swap(gateway.folder.root(), "..3", &[("steadfast.toml", &config("identity"))]);
    becomes(gateway.addr, "identity").await;
    assert_eq!(gateway.metric("steadfast_policy_reloads_total", &["\"failure\""]), 0.0);
}

/// What the kubelet does: writes a new folder, points a new link at it, and renames that over the old one. The first time it makes the links too.
fn swap(mount: &Path, version: &str, files: &[(&str, &str)]) {
    std::fs::create_dir_all(mount.join(version)).unwrap();
    for (name, text) in files {
        std::fs::write(mount.join(version).join(name), text).unwrap();
    }
    symlink(version, mount.join("..data_tmp")).unwrap();
    let old = std::fs::read_link(mount.join("..data"));
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    match old {
        Ok(old) => std::fs::remove_dir_all(mount.join(old)).unwrap(),
        Err(_) => files.iter().for_each(|(name, _)| symlink(format!("..data/{name}"), mount.join(name)).unwrap()),
    }
}

#[tokio::test]
async fn an_exchange_keeps_the_policy_it_began_with() {
    let gate = Arc::new(Notify::new());
    let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"apples"},"finish_reason":"stop"}]}"#;
    let upstream = Upstream::always(
        Script::new()
            .gate(&gate)
            .head(200, &["content-type: application/json", &format!("content-length: {}", body.len())])
            .send(body),
    )
    .await;
    let gateway = Gateway::with_policy(&upstream.url(), &policy("apples")).await;
    let mut client = Client::connect(gateway.addr).await;
    client.send("POST", CHAT, &["content-type: application/json"], ASK.as_bytes()).await;
    eventually("it is upstream", || upstream.seen().len() == 1).await;
    gateway.folder.write("policy.toml", "");
    gateway.parts().reloader.reload().await.unwrap();
    gate.notify_one();
    assert_eq!(client.answer().await.header("x-steadfast-rule").as_deref(), Some("no apples"));
    gate.notify_one();
    assert_eq!(Client::post(gateway.addr, CHAT, ASK).await.status(), 200);
}

#[tokio::test]
async fn the_admin_api_reloads_and_tells_every_mistake() {
    let upstream = upstream().await;
    let gateway = Gateway::with_policy(&upstream.url(), &policy("apples")).await;
    // The file does not change, so only the order can have done it.
    let answer = Client::post(gateway.admin, "/api/reload", "{}").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    gateway.folder.write("policy.toml", "mode = \"enfroce\"\n[[rule]]\n");
    let answer = Client::post(gateway.admin, "/api/reload", "{}").await;
    assert_eq!(answer.status(), 422);
    let text = answer.text();
    assert!(text.contains("policy.toml:1:8") && text.contains("enforce") && text.contains("rule[0]"), "{text}");
    assert_eq!(rule(gateway.addr).await.as_deref(), Some("no apples"));
}

#[tokio::test]
async fn routes_and_keys_reload_and_ports_do_not() {
    let (upstream, other) = (upstream().await, Upstream::always(Script::json(200, "{}")).await);
    let gateway = Gateway::before(&upstream.url(), "").await;
    assert_eq!(Client::get(gateway.addr, "/x/y").await.status(), 200);
    gateway.folder.write("steadfast.toml", &crate::support::gateway::config(&other.url(), "[limits]\nheader_read = \"1s\"\n"));
    let reloaded = Client::post(gateway.admin, "/api/reload", "{}").await.json();
    assert_eq!(reloaded, serde_json::json!({ "reloaded": true, "restart_needed": ["limits.header_read"] }));
    assert_eq!(Client::get(gateway.addr, "/x/y").await.status(), 200);
    assert_eq!((upstream.seen().len(), other.seen().len()), (1, 1));
}

#[tokio::test]
async fn sighup_reloads() {
    let upstream = upstream().await;
    let folder = Folder::before(&upstream.url(), "");
    folder.write("policy.toml", &policy("apples"));
    let process = Process::serve(folder.root(), &[]);
    assert_eq!(rule(process.addr).await.as_deref(), Some("no apples"));
    process.signal("HUP");
    eventually("it says so", || process.log().contains("the configuration was reloaded")).await;
    folder.write("policy.toml", &policy("pears"));
    process.signal("HUP");
    becomes(process.addr, "no pears").await;
}

#[tokio::test]
async fn a_policy_that_was_bad_when_it_was_first_named_is_read_again_once_it_is_mended() {
    let upstream = upstream().await;
    let gateway = Gateway::with_policy(&upstream.url(), &policy("apples")).await;
    gateway.folder.write("elsewhere/other.toml", "mode = 3\n");
    let config = crate::support::gateway::config(&upstream.url(), "[[route]]\npolicy = \"elsewhere/other.toml\"\n");
    gateway.folder.write("steadfast.toml", &config);
    eventually("it is refused", || gateway.metric("steadfast_policy_reloads_total", &["\"failure\""]) >= 1.0).await;
    assert_eq!(rule(gateway.addr).await.as_deref(), Some("no apples"));
    gateway.folder.write("elsewhere/other.toml", &policy("pears"));
    becomes(gateway.addr, "no pears").await;
}

#[tokio::test]
async fn renewed_certificates_and_keys_are_taken_up() {
    use crate::support::web::{Certificate, tls_client};
    let (old, new) = (Certificate::new(), Certificate::new());
    let upstream = upstream().await;
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n\
                  client_keys = { file = \"keys\" }\n";
    let folder = Folder::before(&upstream.url(), server);
    old.write(folder.root());
    folder.write("policy.toml", "").write("keys", "alpha");
    let gateway = Gateway::start(folder).await;
    let ask = async |certificate: &Certificate, key: &str| {
        let uri = format!("https://localhost:{}/x", gateway.addr.port());
        let request = http::Request::builder().uri(uri).header("x-api-key", key).body(http_body_util::Full::default()).unwrap();
        tls_client(certificate).request(request).await.map(|response| response.status().as_u16()).ok()
    };
    assert_eq!(ask(&old, "alpha").await, Some(200));
    new.write(gateway.folder.root());
    gateway.folder.write("keys", "beta");
    for _ in 0..200 {
        if ask(&new, "beta").await == Some(200) {
            assert_eq!(ask(&old, "beta").await, None);
            assert_eq!(ask(&new, "alpha").await, Some(401));
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the new certificate was never shown");
}
