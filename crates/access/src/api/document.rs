//! The OpenAPI 3.1 document, from the table of routes.

use serde_json::{Map, Value, json};

use super::schemas;
use super::scope::Scope;
use super::table::{Body, ROUTES, Route};

const ABOUT: &str = "What back ends ask of Hubbub. Every request brings a key as `Authorization: \
    Bearer hbk_…` (`hubbub key create`), or an administrator's token. A refusal is a problem \
    document (RFC 9457) whose `reason` is one of the protocol's. Where a route takes an \
    `Idempotency-Key`, a request with one can be repeated: it is carried out once, and another \
    request under the same key is a `conflict`; where that holds for a while only, the route says \
    so. Elsewhere the header is refused.";

/// The document as JSON text.
pub(super) fn openapi(version: &str) -> String {
    let mut paths = Map::new();
    for route in ROUTES {
        let at = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(at) = at.as_object_mut() {
            at.insert(route.verb.name().to_ascii_lowercase(), operation(route));
        }
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hubbub",
            "version": version,
            "description": ABOUT,
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "key": [] }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key, `hbk_ID_SECRET`, or an administrator's token.",
                },
            },
        },
    });
    document.to_string()
}

fn tags() -> Value {
    Scope::ALL
        .iter()
        .filter(|scope| ROUTES.iter().any(|route| route.scope == Some(**scope)))
        .map(|scope| json!({ "name": scope.word(), "description": scope.about().trim() }))
        .collect()
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn operation(route: &Route) -> Value {
    let about = match route.scope {
        Some(scope) => format!("{} Scope: `{}`.", route.about, scope.word()),
        None => route.about.to_owned(),
    };
    let (summary, _) = route.about.split_once(['.', ':']).unwrap_or((route.about, ""));
    let mut operation = json!({
        "operationId": route.name,
        "summary": summary,
        "description": about,
        "tags": route.scope.map(Scope::word).into_iter().collect::<Vec<_>>(),
        "parameters": parameters(route),
        "responses": responses(route),
    });
    if let Some((schema, required)) = match route.body {
        Body::None => None,
        Body::Optional(schema) => Some((schema, false)),
        Body::Required(schema) => Some((schema, true)),
    } {
        operation["requestBody"] = json!({
            "required": required,
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let part = |part: &super::table::Part, place: &str| {
        let required = place == "path";
        let schema = reference(part.schema);
        json!({ "name": part.name, "in": place, "required": required, "schema": schema })
    };
    let mut all: Vec<Value> = route.parts.iter().map(|p| part(p, "path")).collect();
    all.extend(route.query.iter().map(|p| part(p, "query")));
    if route.behalf {
        all.push(json!({
            "name": "X-Hubbub-User",
            "in": "header",
            "description": "On behalf of this user; needs the scope `users` too.",
            "schema": reference("UserId"),
        }));
    }
    if route.once {
        all.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The request's own name, the `client_id` of what it writes.",
            "schema": reference("ClientId"),
        }));
    }
    all
}

fn responses(route: &Route) -> Value {
    let problem = |about: &str| {
        json!({
            "description": about,
            "content": { "application/problem+json": { "schema": reference("Problem") } },
        })
    };
    let mut all = json!({
        "200": {
            "description": "Carried out.",
            "content": { "application/json": { "schema": reference(route.answer) } },
        },
        "400": problem("The request is not as it must be."),
        "401": problem("No key, or one that is not valid."),
        "403": problem("The key, or a rule of the conversation, does not allow it."),
        "404": problem("There is no such thing."),
        "409": problem("The idempotency key was used for something else, or the state forbids it."),
        "422": problem("A limit or a rule about content forbids it."),
        "429": problem("Too fast; `Retry-After` says when to come back."),
        "500": problem("The server failed at this request."),
        "503": problem(if route.once {
            "Try again, under the same idempotency key."
        } else {
            "Try again; where there was no answer in time it may have been carried out."
        }),
    });
    if route.body != Body::None {
        all["413"] = problem("The body is over the limit.");
        all["415"] = problem("The body is not said to be JSON.");
    }
    all
}
