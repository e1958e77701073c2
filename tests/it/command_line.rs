//! The program's commands as a user meets them: what they print and how they end.

use crate::support::gateway::{Said, command, run};
use crate::support::{Client, Folder, Process, Script, Upstream};

/// What was said, with the folder's own name left out.
fn told(folder: &Folder, said: &Said) -> String {
    let shown = format!("status {}\n--- out\n{}--- err\n{}", said.status.code().unwrap(), said.out, said.err);
    shown.replace(&format!("{}/", folder.root().display()), "")
}

#[test]
fn check_tells_every_mistake_in_every_file() {
    let folder = Folder::before(
        "http://127.0.0.1:1",
        "[[route]]\npath = \"/a\"\npolicy = \"a.toml\"\npersona = \"p.toml\"\n[[route]]\npolicy = \"b.toml\"\n",
    );
    folder
        .write("a.toml", "mode = \"enfroce\"\n[[rule]]\nname = \"x\"\naction = \"block\"\npatterns = ['(']\n")
        .write("b.toml", "strem = \"hold\"\n[[rule]]\nname = \"hate\"\nlabels = [\"hate\"]\nat_least = 0.9\naction = \"block\"\n")
        .write("p.toml", "[identity]\nnever = 3\n");
    insta::assert_snapshot!(told(&folder, &run(folder.root(), &["check"])));
}

#[test]
fn check_says_what_is_good() {
    let folder = Folder::before("http://127.0.0.1:1", "");
    folder.write("policy.toml", "[[rule]]\nname = \"loops\"\npatterns = [\"(?i)blah\"]\naction = \"flag\"\n");
    let check = || run(folder.root(), &["check", "--config", "steadfast.toml"]);
    insta::assert_snapshot!(told(&folder, &check()), @r"
    status 0
    --- out
    steadfast.toml: good; 1 upstream, 1 route, no classifier
    --- err
    ");
    folder.write("policy.toml", "");
    let said = check();
    assert!(
        said.status.success() && said.err.contains("policy.toml: rule: there is none, so every answer passes"),
        "{}",
        said.err
    );
}

/// Nobody wants to mend one file to hear of the next.
#[test]
fn check_reads_policies_beside_a_configuration_with_mistakes() {
    let config = "[server]\nlistn = \"x\"\n[[upstream]]\nname = \"a\"\nurl = \"http://h\"\n\
                  [[route]]\nupstream = \"b\"\npolicy = \"a.toml\"\npersona = \"p.toml\"\n[classifier]\npath = ";
    for (classifier, blind) in [("none", true), ("gone", false)] {
        let folder = Folder::new(&format!("{config}\"{classifier}\"\n"));
        folder
            .write("a.toml", "[[rule]]\nname = \"hate\"\nlabels = [\"hate\"]\nat_least = 0.9\naction = \"blok\"\n")
            .write("p.toml", "nme = \"Juno\"\n");
        let said = run(folder.root(), &["check"]);
        assert_eq!(said.status.code(), Some(1), "{}", said.err);
        for wanted in ["server.listn: ", "route[0].upstream: ", "a.toml:5:10: rule[0].action: ", "p.toml:1:1: nme: "] {
            assert!(said.err.contains(wanted), "{wanted}: {}", said.err);
        }
        // That a rule's label cannot be scored is known only where there is to be no classifier.
        assert_eq!(said.err.contains("a.toml:3:"), blind, "{}", said.err);
    }
}

#[test]
fn check_tells_of_rules_that_never_fire() {
    let folder = Folder::before("http://127.0.0.1:1", "");
    folder.write("policy.toml", "[[rule]]\nname = \"not us\"\nsignal = \"voice\"\nat_least = 0.9\naction = \"flag\"\n");
    let said = run(folder.root(), &["check"]);
    assert_eq!(said.status.code(), Some(0), "no mistake: {}", said.err);
    assert!(said.err.contains("policy.toml: rule[0].signal: the rule never fires: voice is not measured"), "{}", said.err);
}

#[test]
fn what_cannot_run_ends_with_2_and_says_what_to_do() {
    let folder = Folder::new(
        "[[upstream]]\nname = \"a\"\nurl = \"http://h\"\n[classifier]\npath = \"none\"\n[server]\nlisten = \"127.0.0.1:0\"\n",
    );
    let empty = Folder::new("");
    std::fs::remove_file(empty.path("steadfast.toml")).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let cases: [(&Folder, &[&str], &str); 6] = [
        (&empty, &["check", "--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (&empty, &["serve", "--classifier", "none"], "--upstream URL"),
        (&empty, &["serve", "--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (&folder, &["serve", "--listen", &addr, "--policy", "/dev/null"], "(server.listen)"),
        (&folder, &["serve", "--listn", "x"], "--listen"),
        (&folder, &["serve", "--upstream", "ftp://x"], "--upstream: upstream[0].url: must begin with http:// or https://"),
    ];
    for (folder, args, wanted) in cases {
        let said = run(folder.root(), args);
        assert_eq!(said.status.code(), Some(2), "{args:?}: {}", said.err);
        assert!(said.err.contains(wanted), "{args:?}: {}", said.err);
        assert!(said.out.is_empty());
    }
}

#[test]
fn without_a_classifier_anywhere_it_says_how_to_go_on() {
    let folder = Folder::new("");
    std::fs::remove_file(folder.path("steadfast.toml")).unwrap();
    let said = run(folder.root(), &["check", "--upstream", "http://127.0.0.1:1"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(said.err.starts_with("no classifier was found; looked in classifiers/collapse, "), "{}", said.err);
    assert!(said.err.contains("--classifier none"), "{}", said.err);
}

#[tokio::test]
async fn a_url_is_enough_to_serve() {
    let upstream = Upstream::always(Script::json(200, "{\"object\":\"list\",\"data\":[]}")).await;
    let folder = Folder::new("");
    std::fs::remove_file(folder.path("steadfast.toml")).unwrap();
    let url = upstream.url();
    let args = ["--upstream", &url, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--classifier", "none"];
    let process = Process::serve(folder.root(), &args);
    let answer = Client::get(process.addr, "/v1/models").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{\"object\":\"list\",\"data\":[]}"));
    let config = Client::get(process.admin, "/api/config").await.json();
    assert_eq!(config["upstream"][0]["url"], format!("{url}/"));
    assert_eq!(config["route"][0]["path"], "/");
    assert_eq!(config["route"][0]["policy"], "built in");
}

/// Shells and service managers start programs with few descriptors and let them have more.
#[tokio::test]
async fn it_takes_all_the_descriptors_it_may_have() {
    let folder = Folder::before("http://127.0.0.1:1", "");
    folder.write("policy.toml", "");
    for (limit, few) in [("-S -n 40", false), ("-n 100", true)] {
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", &format!("ulimit {limit}; exec \"$0\" serve"), env!("CARGO_BIN_EXE_steadfast")])
            .current_dir(folder.root());
        let process = Process::of(shell);
        let mut held = Vec::new();
        for _ in 0..60 {
            held.push(Client::connect(process.addr).await);
        }
        assert_eq!(Client::get(process.admin, "/livez").await.status(), 200, "{limit}: {}", process.log());
        let warned = process.log().contains("too few files may be open for limits.in_flight = 1024");
        assert_eq!(warned, few, "{limit}: {}", process.log());
    }
}

#[test]
fn secrets_from_the_environment_are_in_no_output() {
    let folder = Folder::new(
        "[server]\nlisten = \"127.0.0.1:0\"\nclient_keys = { env = \"KEYS\" }\n[classifier]\npath = \"none\"\n[[upstream]]\nname = \"a\"\n\
         url = \"http://h\"\ncredential = { header = \"authorization\", env = \"KEY\" }\n[[route]]\npolicy = \"policy.toml\"\n",
    );
    folder.write("policy.toml", "x = 1\n");
    let output = command(folder.root(), &["check"]).env("KEYS", "hunter2").env("KEY", "hunter3\nx").output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("credential: holds characters that no header can") && !text.contains("hunter"), "{text}");
}

#[test]
fn completions_are_printed() {
    let folder = Folder::new("");
    let said = run(folder.root(), &["completions", "bash"]);
    assert!(said.status.success() && said.out.contains("_steadfast"));
    let said = run(folder.root(), &["--help"]);
    assert!(said.status.success() && said.out.contains("serve") && said.err.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_asks_a_running_gateway() {
    let folder = Folder::before("http://127.0.0.1:1", "");
    folder.write("policy.toml", "");
    let mut process = Process::serve(folder.root(), &["--config", "steadfast.toml"]);
    let admin = format!("http://{}", process.admin);
    let said = run(folder.root(), &["health", "--admin", &admin]);
    assert_eq!((said.status.code(), said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.starts_with("ready; "), "{}", said.out);

    // The data port is no admin port, and says so.
    let said = run(folder.root(), &["health", "--admin", &format!("http://{}", process.addr)]);
    assert_eq!(said.status.code(), Some(1));
    assert!(said.err.contains("is this server.admin?") && said.out.is_empty(), "{}{}", said.out, said.err);

    process.signal("TERM");
    process.ended().await;
    let said = run(folder.root(), &["health", "--admin", &admin]);
    assert_eq!(said.status.code(), Some(1));
    assert!(said.err.contains("is the gateway running"), "{}", said.err);
    let said = run(folder.root(), &["health", "--admin", "https://127.0.0.1:9464"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(said.err.contains("must begin with http://"), "{}", said.err);
}
