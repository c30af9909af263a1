//! A row of the route table, and mounting the table.

use actix_web::{
    Route, guard,
    http::Method,
    web::{self, ServiceConfig},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{Listener, problem::Problem, routes};

/// Makes the schema of something a route takes or gives.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Whom a route serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Anyone.
    Open,
    /// Those with a token.
    Bearer,
    /// Operators, with the admin key.
    AdminKey,
}

/// What a route makes of `Idempotency-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// Nothing.
    Ignored,
    /// The `msg_id`; one is made up without it.
    Optional,
    /// The `msg_id`; 400 without it.
    Required,
}

/// What a route answers when it does as asked.
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) what: &'static str,
    pub(super) content: Content,
}

/// The body of an answer.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// None.
    Empty,
    /// JSON of this schema.
    Json(SchemaOf),
    /// Something else, of this media type.
    Other(&'static str),
}

/// One route: how it is served, and how it is described.
pub(super) struct Row {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) group: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    pub(super) key: KeyUse,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<SchemaOf>,
    pub(super) successes: Vec<Success>,
    route: fn() -> Route,
}

/// The routes that a listener for operations serves.
pub(super) const OPERATIONS: [&str; 2] = ["operations", "admin"];

impl Row {
    pub(super) fn new(
        method: Method,
        path: &'static str,
        summary: &'static str,
        route: fn() -> Route,
    ) -> Self {
        Self {
            method,
            path,
            group: "",
            summary,
            access: Access::Open,
            key: KeyUse::Ignored,
            query: None,
            body: None,
            successes: Vec::new(),
            route,
        }
    }

    pub(super) fn bearer(mut self) -> Self {
        self.access = Access::Bearer;
        self
    }

    pub(super) fn admin_key(mut self) -> Self {
        self.access = Access::AdminKey;
        self
    }

    pub(super) fn key(mut self, key: KeyUse) -> Self {
        self.key = key;
        self
    }

    pub(super) fn query(mut self, query: SchemaOf) -> Self {
        self.query = Some(query);
        self
    }

    pub(super) fn body(mut self, body: SchemaOf) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn json(self, status: u16, what: &'static str, schema: SchemaOf) -> Self {
        self.answer(status, what, Content::Json(schema))
    }

    pub(super) fn answer(mut self, status: u16, what: &'static str, content: Content) -> Self {
        self.successes.push(Success {
            status,
            what,
            content,
        });
        self
    }

    pub(super) fn group(mut self, group: &'static str) -> Self {
        self.group = group;
        self
    }

    fn is_on(&self, listener: Listener) -> bool {
        match listener {
            Listener::Whole => true,
            Listener::Public => !OPERATIONS.contains(&self.group),
            Listener::Operations => OPERATIONS.contains(&self.group),
        }
    }
}

/// Names a type's schema, kept once under `components`.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Writes a type's schema where it is used, without the `room_id` that the path says.
pub(super) fn in_room<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    if let Some(serde_json::Value::Object(properties)) = schema.get_mut("properties") {
        properties.remove("room_id");
    }
    if let Some(serde_json::Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name != "room_id");
    }
    schema
}

/// Mounts the table's routes for one listener: a resource a path, and 405 for the methods it does not have.
pub(super) fn mount(cfg: &mut ServiceConfig, listener: Listener) {
    let mut rows: Vec<Row> = routes::table()
        .into_iter()
        .filter(|row| row.is_on(listener))
        .collect();
    rows.sort_by_key(|row| row.path);
    for rows in rows.chunk_by(|a, b| a.path == b.path) {
        let mut resource = web::resource(rows[0].path);
        for row in rows {
            let guard = guard::Any(guard::Method(row.method.clone()));
            // RFC 9110 section 9.1: what can be got can be asked about.
            resource = resource.route(if row.method == Method::GET {
                (row.route)().guard(guard.or(guard::Head()))
            } else {
                (row.route)().guard(guard)
            });
        }
        let allow = allow(rows);
        resource = resource.default_service(web::to(move || {
            let problem = Problem::wrong_method(&allow);
            async move { Err::<&str, _>(problem) }
        }));
        cfg.service(resource);
    }
}

fn allow(rows: &[Row]) -> String {
    let mut methods = Vec::new();
    for row in rows {
        methods.push(row.method.as_str());
        if row.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.join(", ")
}
