//! Conversations in a real Redis, over TLS too: shared by gateways, there after a restart, and what happens while Redis is down. Needs
//! `redis-server` (Debian: `apt-get install redis-server`).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::sessions::{LEADING, PATH, Talk, Tie, flagged, gateway, upstream};
use crate::steering;
use crate::support::web::Certificate;
use crate::support::{Client, PATIENCE, Upstream};

/// A Redis of this test's own, on loopback. Dropped, it is killed.
struct Redis {
    child: Option<Child>,
    port: u16,
    folder: tempfile::TempDir,
    more: Vec<String>,
}

impl Redis {
    async fn start() -> Self {
        Redis::with(tempfile::tempdir().unwrap(), free_port().await, Vec::new()).await
    }

    /// With more settings.
    async fn with(folder: tempfile::TempDir, port: u16, more: Vec<String>) -> Self {
        let mut redis = Redis { child: None, port, folder, more };
        redis.run().await;
        redis
    }

    /// Over TLS only, with this certificate, a database of 16 and a user.
    async fn over_tls(certificate: &Certificate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificate.write(folder.path());
        let (port, file) = (free_port().await, |name: &str| folder.path().join(name).display().to_string());
        let files = [("cert", file("cert.pem")), ("key", file("key.pem")), ("ca-cert", file("ca.pem"))];
        let mut more = vec!["--port".to_owned(), "0".to_owned(), "--tls-port".to_owned(), port.to_string()];
        more.extend(files.into_iter().flat_map(|(what, path)| [format!("--tls-{what}-file"), path]));
        more.extend(["--tls-auth-clients", "no", "--user", "gate", "on", ">p@ss", "~{steadfast}*", "+@all"].map(str::to_owned));
        Redis::with(folder, port, more).await
    }

    /// Starts the server and waits until it answers.
    async fn run(&mut self) {
        let (port, folder): (String, &Path) = (self.port.to_string(), self.folder.path());
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port,
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
                "--dir",
            ])
            .arg(folder)
            .args(&self.more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server runs; apt-get install redis-server");
        self.child = Some(child);
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn config(&self) -> String {
        format!("[session]\nstore = \"redis://127.0.0.1:{}/0\"\n", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn free_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn conversations_hop_between_gateways_and_outlive_them() {
    let redis = Redis::start().await;
    let upstream = upstream().await;
    for tie in [Tie::Header, Tie::History] {
        let mut gateways = [gateway(&upstream, &redis.config()).await, gateway(&upstream, &redis.config()).await];
        let mut talk = Talk::new(tie, "ann");
        for turn in 0..4 {
            talk.ask(&gateways[turn % 2], LEADING).await;
        }
        // One is killed while it answers: the turn it was at may be lost, what was before is not.
        let mut client = Client::connect(gateways[1].addr).await;
        let body = json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": "hello" }] }).to_string();
        client.send("POST", PATH, &["content-type: application/json"], body.as_bytes()).await;
        gateways[1] = gateway(&upstream, &redis.config()).await;
        drop(client);
        let mut turns = 4;
        while talk.ask(&gateways[turns % 2], LEADING).await != flagged() {
            turns += 1;
            assert!(turns < 14, "{tie:?}: no drift was found");
        }
        assert!(turns >= 5, "{tie:?}: {turns}");
        for gateway in gateways {
            gateway.stop().await;
        }
        let fresh = gateway(&upstream, &redis.config()).await;
        assert_eq!(talk.ask(&fresh, LEADING).await, flagged(), "{tie:?}: a fresh gateway knows it");
        let page = Client::get(fresh.admin, "/api/sessions").await.json();
        assert_eq!((&page["store"], &page["reachable"]), (&"redis".into(), &true.into()), "{page}");
        assert_eq!(page["sessions"][0]["turns"], turns + 2, "{page}");
        assert!(fresh.metric("steadfast_sessions", &["store=\"redis\""]) >= 1.0);
    }
}

#[tokio::test]
async fn turns_that_end_at_once_add_up() {
    let redis = Redis::start().await;
    let upstream = upstream().await;
    let gateways = [gateway(&upstream, &redis.config()).await, gateway(&upstream, &redis.config()).await];
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] }).to_string();
    let headers = ["content-type: application/json", "x-steadfast-session: busy"];
    let all = (0..40).map(|index| Client::request(gateways[index % 2].addr, "POST", PATH, &headers, body.clone()));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status(), 200);
    }
    let page = Client::get(gateways[0].admin, "/api/sessions").await.json();
    assert_eq!((&page["count"], &page["sessions"][0]["turns"]), (&1.into(), &40.into()), "{page}");
}

#[tokio::test]
async fn while_redis_is_down_the_policy_decides_and_the_gateway_serves() {
    let mut redis = Redis::start().await;
    let upstream: Upstream = upstream().await;
    let closed = gateway(&upstream, &redis.config()).await;
    let open = gateway(&upstream, &redis.config()).await;
    let policy = std::fs::read_to_string(open.folder.path("policy.toml")).unwrap();
    open.folder.write("policy.toml", &policy.replacen("on_error    = \"block\"", "on_error = \"allow\"", 1));
    assert_eq!(Client::request(open.admin, "POST", "/api/reload", &["content-type: application/json"], "{}").await.status(), 200);

    let mut talk = Talk::new(Tie::Header, "ann");
    for _ in 0..3 {
        assert_eq!(talk.ask(&closed, LEADING).await.0, "allow");
    }
    redis.stop();
    for _ in 0..3 {
        // The drift rule might have fired, so with `block` it does: its action is to flag.
        assert_eq!(talk.ask(&closed, LEADING).await, flagged());
        assert_eq!(talk.ask(&open, LEADING).await.0, "unscored", "what could not be asked is counted and let through");
    }
    assert!(open.metric("steadfast_unscored_total", &["reason=\"error\""]) >= 3.0);
    let page = Client::get(closed.admin, "/api/sessions").await.json();
    assert_eq!(page["reachable"], false, "{page}");

    redis.run().await;
    let begun = Instant::now();
    while talk.ask(&closed, LEADING).await.0 != "allow" {
        assert!(begun.elapsed() < PATIENCE, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let page = Client::get(closed.admin, "/api/sessions").await.json();
    let turns = page["sessions"][0]["turns"].as_u64().unwrap();
    assert!((4..8).contains(&turns), "what was remembered before the outage is still there, and its turns go on: {page}");
}

#[tokio::test]
async fn a_gateway_starts_without_redis() {
    let config = format!("[session]\nstore = \"redis://127.0.0.1:{}/0\"\n", free_port().await);
    let upstream = upstream().await;
    let gateway = gateway(&upstream, &config).await;
    assert_eq!(Talk::new(Tie::Header, "ann").ask(&gateway, "the weather?").await, flagged());
}

#[tokio::test]
async fn what_is_done_about_a_conversation_is_done_by_every_gateway() {
    let redis = Redis::start().await;
    let upstream = steering::forgetful().await;
    let (policy, config) = (steering::policy(""), redis.config());
    let started = || steering::gateway(&upstream, &policy, &config);
    let gateways = [started().await, started().await];
    let mut turns = 0;
    while !steering::ask(&gateways[turns % 2], PATH, "ann", &steering::chat(false)).await.text().contains("weather") {
        turns += 1;
        assert!(turns < 20, "it is never reminded");
    }
    // Both remind it until it is calm, also below the limit, and so does one that was not there when it began.
    let fresh = started().await;
    let mut reminded = 1;
    loop {
        let page = Client::get(fresh.admin, "/api/sessions").await.json();
        if page["sessions"][0]["measures"] == json!([]) {
            assert_eq!(page["sessions"][0]["drift"], 0.0, "{page}");
            break;
        }
        let gateway = [&gateways[0], &gateways[1], &fresh][reminded % 3];
        assert!(steering::ask(gateway, PATH, "ann", &steering::chat(false)).await.text().contains("weather"), "{page}");
        reminded += 1;
        assert!(reminded < 40, "it does not calm down");
    }
    assert!(reminded > 3, "{reminded}");
    let with = upstream.seen().iter().filter(|seen| seen.text().contains(steering::REMINDER)).count();
    assert_eq!((with, upstream.seen().len()), (reminded, turns + reminded));
}

#[tokio::test]
async fn a_redis_over_tls_is_held_against_its_certificate_and_asked_for_a_password() {
    let certificate = Certificate::new();
    let redis = Redis::over_tls(&certificate).await;
    let upstream = upstream().await;
    let config = |url: &str, ca: &Path| {
        format!("[session]\nstore = \"rediss://{url}@localhost:{}/3\"\nca = \"{}\"\n", redis.port, ca.display())
    };
    let ca = redis.folder.path().join("ca.pem");
    let known = config("gate:p%40ss", &ca);
    let gateways = [gateway(&upstream, &known).await, gateway(&upstream, &known).await];
    let mut talk = Talk::new(Tie::Header, "ann");
    let mut turns = 0;
    while talk.ask(&gateways[turns % 2], LEADING).await != flagged() {
        turns += 1;
        assert!(turns < 14, "no drift was found");
    }
    let page = Client::get(gateways[1].admin, "/api/sessions").await.json();
    assert_eq!((&page["reachable"], &page["sessions"][0]["turns"]), (&true.into(), &(turns + 1).into()), "{page}");

    // Another authority, another password, and no TLS at all: each is an outage, and no turn is remembered.
    let other = tempfile::tempdir().unwrap();
    Certificate::new().write(other.path());
    let plain = format!("[session]\nstore = \"redis://gate:p%40ss@localhost:{}/3\"\n", redis.port);
    for wrong in [config("gate:p%40ss", &other.path().join("ca.pem")), config("gate:guess", &ca), plain] {
        let gateway = gateway(&upstream, &wrong).await;
        let page = Client::get(gateway.admin, "/api/sessions").await.json();
        assert_eq!(page["reachable"], false, "{page}");
        gateway.stop().await;
    }
}

/// What is lost is the connection: the next request opens another, whether it was closed while idle or Redis forgot its scripts.
#[tokio::test]
async fn a_connection_that_redis_closes_is_opened_again_at_once() {
    let redis = Redis::start().await;
    let upstream = upstream().await;
    let gateway = gateway(&upstream, &redis.config()).await;
    let mut talk = Talk::new(Tie::Header, "ann");
    for turn in 1..4u64 {
        assert_eq!(talk.ask(&gateway, LEADING).await.0, "allow");
        let page = Client::get(gateway.admin, "/api/sessions").await.json();
        assert_eq!(page["sessions"][0]["turns"], turn, "{page}");
        for command in [&["client", "kill", "type", "normal"][..], &["script", "flush"]] {
            let port = redis.port.to_string();
            let done = Command::new("redis-cli").args(["-p", &port]).args(command).stdout(Stdio::null()).status().unwrap();
            assert!(done.success());
        }
    }
    assert_eq!(gateway.metric("steadfast_unscored_total", &["reason=\"error\""]), 0.0);
}

/// Turns of every kind, remembered in Redis and in memory: what is written in Lua does what is written in Rust.
#[tokio::test]
async fn redis_remembers_what_memory_does() {
    use steadfast::dialect::{Api, Exchange};
    use steadfast::drift::{Random, Residuals};
    use steadfast::policy::Measures;
    use steadfast::session::{
        Caller, Charts, KeyPart, MemorySessions, Place, Record, Request, SessionKey, Sessions, Trail, Turn,
    };

    let redis = Redis::start().await;
    let ttl = Duration::from_secs(600);
    let shared = steadfast::session::RedisSessions::new(&format!("redis://127.0.0.1:{}/0", redis.port), None, ttl).unwrap();
    let stores: [&dyn Sessions; 2] = [&shared, &MemorySessions::new(ttl)];
    let key = |name: &str| -> SessionKey {
        let headers = http::HeaderMap::from_iter([(http::HeaderName::from_static("x-s"), name.parse().unwrap())]);
        let exchange = Exchange::unknown(Api::OpenAiChat);
        let request = Request { caller: Caller::of(&headers), scope: "", headers: &headers, body: b"", exchange: &exchange };
        Trail::of(&[KeyPart::Header(http::HeaderName::from_static("x-s"))], &request).unwrap().named().unwrap()
    };
    let mut random = Random::new(11);
    let mut before = None;
    for turn in 0..200_usize {
        let residuals =
            Residuals(std::array::from_fn(|_| if random.below(5) == 0 { f64::NAN } else { 0.7 + 2.0 * random.normal() }));
        let measures = |random: &mut Random| Measures::from_bits(u8::try_from(random.below(4)).unwrap());
        let (asked, held) = (measures(&mut random), measures(&mut random));
        // Half of them are turns of a named conversation, the others lengthen a history.
        let place = if turn % 2 == 0 {
            Place::At(key("named"))
        } else {
            Place::After { before: before.clone(), keys: vec![key(&format!("history {turn}"))] }
        };
        let turn = Turn { residuals, flagged: random.below(3) == 0, asked, held };
        let record = Record { place, turn, charts: Charts::default(), name: "n".into(), route: "/".into(), now: 7 };
        let mut after = Vec::new();
        for store in stores {
            after.push(store.record(record.clone()).await.unwrap());
        }
        let [one, other] = &after[..] else { unreachable!() };
        assert_eq!(one.state, other.state, "after {turn:?}");
        if let Place::After { keys, .. } = record.place {
            for store in stores {
                assert_eq!(store.recall(keys.clone()).await.unwrap().unwrap().state, one.state);
            }
            before = Some(one.clone());
        }
    }
    assert!(before.unwrap().state.flags > 20);
}
