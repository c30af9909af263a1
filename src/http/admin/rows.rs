//! The rows of the admin API in the table of routes.

use actix_web::{http::Method, web};

use super::{
    Added, ClusterAnswer, Disconnected, Draining, IssuedAnswer, PasswordPut, SessionsAnswer,
    TokenPost, UsersAnswer, UsersQuery,
};
use crate::{
    auth::RegisterRequest,
    http::table::{Content, Row, of},
};

/// Returns them.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = node_rows();
    rows.extend(user_rows());
    rows.extend(session_rows());
    rows.into_iter().map(Row::admin_key).collect()
}

fn node_rows() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/admin/v1/cluster",
            "Tells of this node, and of the others as it sees them",
            || web::to(super::cluster),
        )
        .json(200, "The cluster", of::<ClusterAnswer>),
        Row::new(
            Method::POST,
            "/admin/v1/drain",
            "Has this node leave as SIGTERM does, and its process end",
            || web::to(super::drain),
        )
        .json(202, "It leaves", of::<Draining>),
    ]
}

fn user_rows() -> Vec<Row> {
    vec![
        Row::new(Method::GET, "/admin/v1/users", "Lists accounts", || {
            web::to(super::users)
        })
        .query(of::<UsersQuery>)
        .json(200, "Accounts", of::<UsersAnswer>),
        Row::new(
            Method::POST,
            "/admin/v1/users",
            "Makes an account, without a login",
            || web::to(super::add_user),
        )
        .body(of::<RegisterRequest>)
        .json(201, "The account is made", of::<Added>),
        Row::new(
            Method::POST,
            "/admin/v1/users/{user_id}/revoke",
            "Ends every login of a user; the sockets close with 4403",
            || web::to(super::revoke),
        )
        .answer(204, "The logins ended", Content::Empty),
        Row::new(
            Method::POST,
            "/admin/v1/users/{user_id}/disable",
            "Closes an account, and ends its logins",
            || web::to(super::disable),
        )
        .answer(204, "The account is closed", Content::Empty),
        Row::new(
            Method::POST,
            "/admin/v1/users/{user_id}/enable",
            "Opens a closed account again",
            || web::to(super::enable),
        )
        .answer(204, "The account is open", Content::Empty),
        Row::new(
            Method::PUT,
            "/admin/v1/users/{user_id}/password",
            "Sets a password, and ends the logins",
            || web::to(super::password),
        )
        .body(of::<PasswordPut>)
        .answer(204, "The password is set", Content::Empty),
        Row::new(
            Method::POST,
            "/admin/v1/users/{user_id}/token",
            "Makes an access token of a user",
            || web::to(super::token),
        )
        .body(of::<TokenPost>)
        .json(201, "The token", of::<IssuedAnswer>),
    ]
}

fn session_rows() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/admin/v1/users/{user_id}/sessions",
            "Lists the sessions of a user on all nodes",
            || web::to(super::sessions),
        )
        .json(200, "Sessions", of::<SessionsAnswer>),
        Row::new(
            Method::DELETE,
            "/admin/v1/users/{user_id}/sessions",
            "Closes all sockets of a user, on all nodes, with 4500",
            || web::to(super::disconnect),
        )
        .json(200, "They close", of::<Disconnected>),
        Row::new(
            Method::DELETE,
            "/admin/v1/users/{user_id}/sessions/{session_id}",
            "Closes one socket of a user, on whichever node, with 4500",
            || web::to(super::disconnect_one),
        )
        .json(200, "It closes", of::<Disconnected>),
    ]
}
