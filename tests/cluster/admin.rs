//! The admin API over two nodes: what it tells, whom it closes, and a node that it has leave.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    node::{Node, Site},
    people::about,
    place::owner,
    support::Client,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Starts two nodes with an admin key and more settings.
async fn pair(site: &Site, settings: &[(&str, &str)]) -> (Node, Node) {
    let file = site.file("admin-key", KEY.as_bytes());
    let launch = async |name| {
        let mut command = site.command(name);
        command.env("PARLOR__AUTH__ADMIN_KEY_FILE", &file);
        command.envs(settings.iter().copied());
        site.launch(command).await
    };
    let (one, two) = (launch("one").await, launch("two").await);
    one.sees(2).await;
    two.sees(2).await;
    (one, two)
}

/// Asks an admin route; answers the status and the body.
async fn admin(node: &Node, method: &str, path: &str) -> (u16, Value) {
    let url = format!("http://{}/admin/v1{path}", node.address);
    let method = method.parse().unwrap();
    let request = reqwest::Client::new().request(method, url).bearer_auth(KEY);
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Waits for the end of a socket; answers its code.
async fn code(client: &mut Client) -> u16 {
    let began = Instant::now();
    let code = client.closed().await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "P-6: {:?}",
        began.elapsed()
    );
    code
}

/// Lists the nodes that a user's sessions are on; none while the answering node cannot tell of all nodes.
async fn nodes_of(node: &Node, user: &str) -> Option<Vec<String>> {
    let (status, answer) = admin(node, "GET", &format!("/users/{user}/sessions")).await;
    assert_eq!(status, 200, "{answer}");
    let sessions = answer["sessions"].as_array().unwrap().iter();
    let mut nodes: Vec<String> = sessions
        .map(|session| session["node_id"].as_str().unwrap().to_owned())
        .collect();
    nodes.sort();
    (answer["complete"] == true).then_some(nodes)
}

async fn until_on(node: &Node, user: &str, nodes: &[&str]) {
    let began = Instant::now();
    loop {
        let found = nodes_of(node, user).await;
        if found.as_deref().is_some_and(|found| found == nodes) {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{found:?} are not {nodes:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn sessions_are_seen_and_closed_from_every_node() {
    let site = Site::new();
    let (one, two) = pair(&site, &[]).await;
    let token = one.register("ana").await;
    let mut here = one.hello(&token, json!({})).await;
    let mut there = two.hello(&token, json!({})).await;
    for node in [&one, &two] {
        assert_eq!(nodes_of(node, "ana").await.unwrap(), ["one", "two"]);
    }
    let (status, answer) = admin(&one, "GET", "/cluster").await;
    assert_eq!((status, &answer["node_id"]), (200, &json!("one")));
    assert_eq!(answer["nodes"].as_array().unwrap().len(), 2, "{answer}");
    let link = json!({ "carrier": "redis", "reached": true });
    assert_eq!(answer["nodes"][1]["link"], link, "{answer}");
    assert_eq!(answer["redis"]["commands"]["up"], true, "{answer}");
    assert_eq!(answer["store"]["backend"], "cql", "{answer}");
    assert_eq!(answer["store"]["up"], true, "{answer}");

    // One socket, by the node that does not have it; the client may come back.
    let session = there.welcome["session_id"].as_str().unwrap();
    let path = format!("/users/ana/sessions/{session}");
    let closed = admin(&one, "DELETE", &path).await;
    assert_eq!(closed, (200, json!({ "sessions": 1 })));
    assert_eq!(code(&mut there).await, 4500);
    until_on(&one, "ana", &["one"]).await;
    assert_eq!(admin(&two, "DELETE", &path).await.0, 404);
    let mut there = two.hello(&token, json!({})).await;
    let closed = admin(&two, "DELETE", "/users/ana/sessions").await;
    assert_eq!(closed, (200, json!({ "sessions": 2 })));
    assert_eq!(
        [code(&mut here).await, code(&mut there).await],
        [4500, 4500]
    );
    until_on(&two, "ana", &[]).await;

    // Sessions of a node that ends without a word end with it.
    let _here = one.hello(&token, json!({})).await;
    let _there = two.hello(&token, json!({})).await;
    until_on(&two, "ana", &["one", "two"]).await;
    one.kill();
    until_on(&two, "ana", &["two"]).await;
}

/// Returns the load that a node tells of each node: sessions, rooms, owned rooms.
async fn loads(node: &Node) -> Vec<[u64; 3]> {
    let (_, answer) = admin(node, "GET", "/cluster").await;
    let nodes = answer["nodes"].as_array().unwrap().iter();
    let load = |node: &Value| ["sessions", "rooms", "owned_rooms"].map(|key| node[key].as_u64());
    nodes
        .map(|node| load(node).map(|count| count.unwrap_or(u64::MAX)))
        .collect()
}

async fn until_loaded(node: &Node, wanted: &[[u64; 3]]) {
    let began = Instant::now();
    loop {
        let found = loads(node).await;
        if found == wanted {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(25),
            "{found:?} are not {wanted:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn each_node_tells_of_the_load_and_the_owned_rooms_of_all() {
    let site = Site::new();
    let (one, two) = pair(&site, &[]).await;
    let mut ana = one.session("ana").await;
    let mut ben = two.session("ben").await;
    let mut eve = two.session("eve").await;
    let mut owned = [0; 2];
    let mut rooms = 0;
    // Until each owns some; both hold all, as each has members of all.
    while owned.contains(&0) || rooms < 6 {
        let room = ana.room(json!({ "members": ["ben", "eve"] })).await;
        for member in [&mut ben, &mut eve] {
            about(member, "room.created", &room).await;
        }
        owned[usize::from(owner(&room, &["one", "two"]) == "two")] += 1;
        rooms += 1;
        assert!(rooms < 60, "{owned:?}");
    }
    println!("{rooms} rooms, owned {owned:?}");
    let all = [[1, rooms, owned[0]], [2, rooms, owned[1]]];
    for node in [&one, &two] {
        until_loaded(node, &all).await;
    }
    assert_eq!(one.metric("parlor_owned_rooms").await, owned[0] as f64);

    // The rooms of a node that ended are the other's.
    two.kill();
    until_loaded(&one, &[[1, rooms, rooms]]).await;
}

#[tokio::test]
async fn a_revoked_user_is_out_on_every_node_and_does_not_resume() {
    let site = Site::new();
    let (one, two) = pair(&site, &[]).await;
    let token = one.register("ana").await;
    let mut here = one.hello(&token, json!({})).await;
    let mut there = two.hello(&token, json!({})).await;
    let room = here.room(json!({})).await;
    let revoked = Instant::now();
    let (status, _) = admin(&two, "POST", "/users/ana/revoke").await;
    assert_eq!(status, 204);
    assert_eq!(
        [code(&mut here).await, code(&mut there).await],
        [4403, 4403]
    );
    for node in [&one, &two] {
        let mut back = Client::connect(node.address).await;
        let resume = json!({ "token": token, "resume": { "rooms": { room.clone(): 1 } } });
        assert_eq!(
            back.ask("hello", resume).await["payload"]["code"],
            "unauthorized"
        );
    }
    assert!(
        revoked.elapsed() < Duration::from_secs(1),
        "P-6: {:?}",
        revoked.elapsed()
    );
}

#[tokio::test]
async fn the_command_beside_running_nodes_closes_sockets_at_once() {
    let site = Site::new();
    let listen = format!("127.0.0.1:{}", crate::redis::free_port());
    let two = site.node("two").await;
    let mut command = site.command("one");
    command.env("PARLOR__SERVER__LISTEN", &listen).env(
        "PARLOR__AUTH__ADMIN_KEY_FILE",
        site.file("admin-key", KEY.as_bytes()),
    );
    let mut operator = site.command("one");
    operator.envs(
        command
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    let one = site.launch(command).await;
    one.sees(2).await;
    two.sees(2).await;
    let token = one.register("ana").await;
    let mut there = two.hello(&token, json!({})).await;
    let mut run = async |words: &[&str]| {
        let command = operator.args(words).output();
        let output = command.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        run(&["user", "revoke", "ana"]).await,
        "logins of ana ended\n"
    );
    assert_eq!(code(&mut there).await, 4403);
}

#[tokio::test]
async fn the_connections_of_a_user_are_limited_over_all_nodes() {
    let mut site = Site::new();
    let limit = ("PARLOR__LIMITS__CONNECTIONS_PER_USER", "2");
    let (one, two) = pair(&site, &[limit]).await;
    let token = one.register("ana").await;
    let hello = json!({ "token": token });
    let first = one.hello(&token, json!({})).await;
    let _second = two.hello(&token, json!({})).await;
    let mut third = Client::connect(two.address).await;
    let refused = third.ask("hello", hello.clone()).await;
    assert_eq!(refused["payload"]["code"], "rate_limited", "{refused}");
    assert_eq!(third.closed().await, 4429);
    let series =
        |answer| format!("parlor_shared_limits_total{{limit=\"connections\",answer=\"{answer}\"}}");
    assert_eq!(two.metric(&series("refused")).await, 1.0);

    // It comes in as soon as another has ended, on whichever node.
    let mut third = Client::connect(two.address).await;
    let (reply, ()) = tokio::join!(third.ask("hello", hello.clone()), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(first);
    });
    assert_eq!(reply["type"], "welcome", "{reply}");

    // Nobody is refused because Redis is away: each node counts its own.
    site.redis.kill();
    let _fourth = one.hello(&token, json!({})).await;
    assert!(one.metric(&series("away")).await >= 1.0);
    site.redis.begin();
    until_on(&one, "ana", &["one", "two", "two"]).await;
}

#[tokio::test]
async fn logins_and_sends_are_limited_over_all_nodes() {
    let site = Site::new();
    let settings = [
        ("PARLOR__LIMITS__REGISTERS_PER_MINUTE", "3"),
        ("PARLOR__LIMITS__SENDS_PER_S", "5"),
        ("PARLOR__LIMITS__BURST", "40"),
    ];
    let (one, two) = pair(&site, &settings).await;
    let token = one.register("ana").await;
    two.register("ben").await;
    one.register("cat").await;
    let url = format!("http://{}/v1/auth/register", two.address);
    let body = json!({ "user_id": "dan", "password": "correct horse" }).to_string();
    let fourth = reqwest::Client::new().post(url).body(body).send().await;
    assert_eq!(fourth.unwrap().status().as_u16(), 429);

    let mut here = one.hello(&token, json!({})).await;
    let mut there = two.hello(&token, json!({})).await;
    let room = here.room(json!({})).await;
    let mut refused = None;
    // Each node alone would let 39 and 40 pass at once.
    for turn in 0..78 {
        let client = if turn % 2 == 0 { &mut here } else { &mut there };
        let send = json!({ "room_id": room, "body": { "text": "x" } });
        let id = uuid::Uuid::now_v7().to_string();
        let reply = client.ask_as(&id, "message.send", send).await;
        if reply["type"] == "error" {
            assert_eq!(reply["payload"]["code"], "rate_limited", "{reply}");
            refused = Some((turn, reply["payload"]["retry_after_ms"].as_u64().unwrap()));
            break;
        }
        // Slower than they come in, faster than the rate.
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let (turn, wait) = refused.expect("who sends on two nodes is limited too");
    println!("refused after {turn} sends, for {wait} ms");
    assert!(turn >= 40, "no earlier than on one node: {turn}");
}

#[tokio::test]
async fn an_operator_has_a_node_leave() {
    let site = Site::new();
    let (one, two) = pair(&site, &[("PARLOR__NODE__DRAIN_MS", "3000")]).await;
    let token = one.register("ana").await;
    let mut ana = one.hello(&token, json!({})).await;
    let (status, answer) = admin(&one, "POST", "/drain").await;
    assert_eq!((status, answer), (202, json!({ "drain_ms": 3000 })));
    let goaway = ana.expect("goaway").await;
    assert!(
        goaway["reconnect_in_ms"].as_u64().unwrap() <= 3_000,
        "{goaway}"
    );
    let (status, ready) = one.get("/health/ready").await;
    assert_eq!(status, 503);
    assert!(ready.contains("draining"), "{ready}");
    let (_, answer) = admin(&one, "GET", "/cluster").await;
    assert!(answer["draining_ms"].is_u64(), "{answer}");
    assert_eq!(one.metric("parlor_draining").await, 1.0);
    drop(ana);
    assert!(one.ended().await, "the process ends with 0");
    two.sees(1).await;
}
