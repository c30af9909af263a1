//! What each role may do, role by role and action by action.

use serde_json::{Value, json};

use crate::support::{Client, Server};

const ROLES: [&str; 5] = ["reader", "member", "moderator", "admin", "owner"];

/// A room with somebody of each role, and its maker, who owns it too.
struct Cast {
    server: Server,
    boss: Client,
    who: Vec<Client>,
    room: String,
}

impl Cast {
    async fn new(kind: &str) -> Self {
        let server = Server::start();
        let mut boss = server.session("boss").await;
        let mut who = Vec::new();
        for role in ROLES {
            who.push(server.session(role).await);
        }
        for target in ["low", "high", "extra"] {
            server.register(target).await;
        }
        let mut members = ROLES.to_vec();
        members.push("low");
        let room = boss.room(json!({ "kind": kind, "members": members })).await;
        for role in ROLES {
            set_role(&mut boss, &room, role, role).await;
        }
        Self {
            server,
            boss,
            who,
            room,
        }
    }

    /// Puts `low` back as a plain member, and `extra` out.
    async fn reset(&mut self) {
        for (kind, payload) in [
            ("room.unban", json!({ "user_id": "low" })),
            ("room.invite", json!({ "user_ids": ["low", "extra"] })),
            ("room.unmute", json!({ "user_id": "low" })),
            ("room.remove", json!({ "user_id": "extra" })),
        ] {
            let payload = in_room(payload, &self.room);
            self.boss.ok(kind, payload).await;
        }
        set_role(&mut self.boss, &self.room, "low", "member").await;
    }
}

fn in_room(mut payload: Value, room: &str) -> Value {
    payload["room_id"] = json!(room);
    payload
}

async fn set_role(boss: &mut Client, room: &str, user: &str, role: &str) {
    boss.ok(
        "room.role",
        json!({ "room_id": room, "user_id": user, "role": role }),
    )
    .await;
}

/// Each action with the least role that may do it, as an index of [`ROLES`].
fn actions(kind: &str) -> Vec<(&'static str, Value, usize)> {
    let inviters = if kind == "group" { 1 } else { 3 };
    vec![
        ("room.get", json!({}), 0),
        ("room.members", json!({}), 0),
        ("history.get", json!({}), 0),
        ("room.subscribe", json!({}), 0),
        ("receipt.read", json!({ "seq": 1 }), 0),
        ("receipt.delivered", json!({ "seq": 1 }), 0),
        ("message.send", json!({ "body": { "text": "x" } }), 1),
        ("typing.start", json!({}), 1),
        ("typing.stop", json!({}), 1),
        ("room.invite", json!({ "user_ids": ["extra"] }), inviters),
        ("room.mute", json!({ "user_id": "low" }), 2),
        ("room.unmute", json!({ "user_id": "low" }), 2),
        ("room.remove", json!({ "user_id": "low" }), 2),
        ("room.ban", json!({ "user_id": "low" }), 2),
        ("room.unban", json!({ "user_id": "low" }), 2),
        ("room.update", json!({ "name": "x" }), 3),
        (
            "room.role",
            json!({ "user_id": "low", "role": "reader" }),
            3,
        ),
        (
            "room.role",
            json!({ "user_id": "low", "role": "moderator" }),
            3,
        ),
        ("room.role", json!({ "user_id": "low", "role": "admin" }), 4),
        ("room.role", json!({ "user_id": "low", "role": "owner" }), 4),
    ]
}

async fn every_role_does_every_action(kind: &str) {
    let mut cast = Cast::new(kind).await;
    for (action, payload, least) in actions(kind) {
        for (index, role) in ROLES.iter().enumerate() {
            cast.reset().await;
            let payload = in_room(payload.clone(), &cast.room);
            let reply = cast.who[index].ask(action, payload.clone()).await;
            if index >= least {
                assert_eq!(
                    reply["type"], "ack",
                    "{role} may {action} {payload}: {reply}"
                );
            } else {
                assert_eq!(
                    reply["payload"]["code"], "forbidden",
                    "{role} may not {action} {payload}"
                );
            }
        }
    }
}

#[tokio::test]
async fn in_a_group_every_role_does_what_it_may() {
    every_role_does_every_action("group").await;
}

#[tokio::test]
async fn in_a_channel_every_role_does_what_it_may() {
    every_role_does_every_action("channel").await;
}

#[tokio::test]
async fn only_those_below_are_moderated() {
    let mut cast = Cast::new("group").await;
    cast.boss
        .ok(
            "room.invite",
            json!({ "room_id": cast.room, "user_ids": ["high"] }),
        )
        .await;
    for (theirs, target_role) in ROLES.iter().enumerate() {
        for (own, role) in ROLES.iter().enumerate().skip(2) {
            for action in ["room.mute", "room.remove", "room.ban"] {
                let high = json!({ "room_id": cast.room, "user_id": "high" });
                cast.boss.ok("room.unban", high.clone()).await;
                cast.boss
                    .ok(
                        "room.invite",
                        json!({ "room_id": cast.room, "user_ids": ["high"] }),
                    )
                    .await;
                set_role(&mut cast.boss, &cast.room, "high", target_role).await;
                let reply = cast.who[own].ask(action, high).await;
                if own > theirs || *role == "owner" {
                    assert_eq!(
                        reply["type"], "ack",
                        "{role} {action} {target_role}: {reply}"
                    );
                } else {
                    assert_eq!(
                        reply["payload"]["code"], "forbidden",
                        "{role} {action} {target_role}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn an_admin_sets_roles_below_admin_of_those_below_admin() {
    let mut cast = Cast::new("group").await;
    let room = cast.room.clone();
    let admin = 3;
    for (user, role, code) in [
        ("owner", "member", "forbidden"),
        ("owner", "reader", "forbidden"),
        ("moderator", "owner", "forbidden"),
        ("moderator", "admin", "forbidden"),
        ("extra", "member", "not_found"),
    ] {
        let ask = json!({ "room_id": room, "user_id": user, "role": role });
        assert_eq!(
            cast.who[admin].code("room.role", ask).await,
            code,
            "{user} {role}"
        );
    }
    let up = json!({ "room_id": room, "user_id": "admin", "role": "owner" });
    assert_eq!(cast.who[admin].code("room.role", up).await, "forbidden");
    let ask = json!({ "room_id": room, "user_id": "moderator", "role": "reader" });
    cast.who[admin].ok("room.role", ask).await;
}

#[tokio::test]
async fn a_new_role_is_told_and_holds() {
    let server = Server::start();
    let mut ana = server.session("ana").await;
    let mut ben = server.session("ben").await;
    let room = ana.room(json!({ "members": ["ben"] })).await;
    let ask = json!({ "room_id": room, "user_id": "ben", "role": "reader" });
    let ack = ana.ok("room.role", ask.clone()).await;
    assert_eq!(ack["seq"], 2);
    let told = ben.expect("member.role").await;
    assert_eq!(told["user_id"], "ben");
    assert_eq!(told["role"], "reader");
    assert_eq!(told["sender"], "ana");
    assert_eq!(told["seq"], 2);
    let send = json!({ "room_id": room, "body": { "text": "x" } });
    assert_eq!(ben.code("message.send", send).await, "forbidden");
    let seen = ben.ok("room.get", json!({ "room_id": room })).await;
    assert_eq!(seen["room"]["role"], "reader");
    let again = ana.ok("room.role", ask).await;
    assert_eq!(again["seq"], 2, "the role is so already");
    for role in ["king", "Owner", ""] {
        let refusal = ana
            .refused(
                "room.role",
                json!({ "room_id": room, "user_id": "ben", "role": role }),
            )
            .await;
        assert_eq!(refusal["code"], "bad_frame");
        assert_eq!(refusal["field"], "role");
    }
}

#[tokio::test]
async fn who_is_no_member_has_no_role() {
    let cast = Cast::new("group").await;
    let mut stranger = cast.server.session("stranger").await;
    for (action, payload, _) in actions("group") {
        let payload = in_room(payload, &cast.room);
        assert_eq!(
            stranger.code(action, payload).await,
            "not_found",
            "{action}"
        );
    }
}
