//! A request on its way: from address, headers and body to a command, and from its reply to an
//! answer.
//!
//! A command is put together as text of the wire's form and read by the wire's own decoder, so that
//! what a body may hold is said in one place. Invariant: the body is one JSON object before it
//! becomes a part of that text, so that it cannot end its part and begin another. A field that comes
//! twice, by the address and in the body, is refused by the decoder.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::RawPathParams;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body_util::LengthLimitError;
use hubbub_proto::codec::Codec;
use hubbub_proto::command::Class;
use hubbub_proto::route::{Authority, Stamp, Work as What};
use hubbub_proto::{Ack, ClientId, Command, Identity, Reason, Refusal, Request, UserId};
use serde_json::value::RawValue;

use super::keys::{OF_KEYS, identity, is_of_key};
use super::problem::Problem;
use super::scope::Scope;
use super::table::{Body, Does, Part, Place, Route};
use super::{Api, Principal};
use crate::accept::count;
use crate::credentials::percent_decode;

/// Names who is acted for.
const USER: &str = "x-hubbub-user";
/// Names a request, so that repeating it does nothing more.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Most entries of a page.
const LIMIT_MAX: u64 = 200;
/// Largest number that every JSON reader takes exactly.
const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Bytes of a command besides its body.
const ENVELOPE: usize = 256;

/// A request of which nothing is open any more.
pub(super) struct Call<'r> {
    pub(super) route: &'static Route,
    pub(super) principal: Principal,
    /// As whom the principal acts.
    pub(super) identity: Arc<Identity>,
    pub(super) path: &'r RawPathParams,
    pub(super) parts: &'r Parts,
    /// One JSON object.
    pub(super) body: Box<RawValue>,
}

impl Call<'_> {
    /// A part of the path.
    pub(super) fn part(&self, name: &str) -> Result<&str, Problem> {
        let found = self.path.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value).ok_or_else(Problem::not_found)
    }

    /// The body, in this form.
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_str(self.body.get()).map_err(|error| {
            // Where it stands says nothing: it is a part of what was sent.
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            Problem::bad_field(format!("The body is not as expected: {said}."))
        })
    }

    /// What the request is called, so that repeating it does nothing more.
    pub(super) fn idempotency_key(&self) -> Result<Option<ClientId>, Problem> {
        let Some(value) = single(&self.parts.headers, IDEMPOTENCY_KEY)? else { return Ok(None) };
        let id = ClientId::new(value)
            .map_err(|error| Problem::bad_field(format!("`Idempotency-Key`: {error}.")))?;
        Ok(Some(id))
    }
}

impl Api {
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        route: &'static Route,
        principal: Principal,
        parts: &Parts,
        path: &RawPathParams,
        body: HttpBody,
    ) -> Result<Response, Problem> {
        let identity = actor(route, &principal, &parts.headers, path)?;
        if !route.once && parts.headers.contains_key(IDEMPOTENCY_KEY) {
            return Err(Problem::bad_field("This route takes no `Idempotency-Key`."));
        }
        let body = self.read_body(route, &parts.headers, body).await?;
        let call = Call { route, principal, identity, path, parts, body };
        match route.does {
            Does::Command(kind) => {
                let command = self.command(kind, &call)?;
                let ack = self.ask(&call.identity, command).await?;
                Ok(said(&ack))
            }
            _ => self.act(&call).await,
        }
    }

    /// The body as one JSON object; an empty one where there is none to be had.
    async fn read_body(
        &self,
        route: &Route,
        headers: &HeaderMap,
        body: HttpBody,
    ) -> Result<Box<RawValue>, Problem> {
        const EMPTY: &str = "{}";
        let nothing =
            || RawValue::from_string(EMPTY.to_owned()).map_err(|_| Reason::Internal.into());
        if route.body == Body::None {
            return nothing();
        }
        let bytes = to_bytes(body, self.parts.limits.body_bytes_max).await.map_err(|error| {
            use std::error::Error as _;
            let is_long = error.source().map(<dyn std::error::Error>::is::<LengthLimitError>);
            if is_long == Some(true) {
                count(&self.parts.stats.api_too_big);
                Problem::from(Refusal::with(Reason::TooBig, "The body is over the limit."))
            } else {
                Refusal::with(Reason::BadJson, "The body did not come whole.").into()
            }
        })?;
        if bytes.is_empty() && matches!(route.body, Body::Optional(_)) {
            return nothing();
        }
        if headers.get_all(CONTENT_TYPE).iter().any(|value| !is_json(value)) {
            return Err(Problem::media_type());
        }
        let not_json = |error: serde_json::Error| {
            Refusal::with(Reason::BadJson, format!("The body is not JSON: {error}."))
        };
        let object: &RawValue = serde_json::from_slice(&bytes).map_err(not_json)?;
        if !object.get().starts_with('{') {
            return Err(Refusal::with(Reason::BadJson, "The body must be a JSON object.").into());
        }
        Ok(object.to_owned())
    }

    /// The command that a request stands for.
    fn command(&self, kind: &str, call: &Call<'_>) -> Result<Command, Problem> {
        let mut fields = Fields::default();
        for (part, value) in given(call)? {
            fields.add(part, &value)?;
        }
        if !call.route.once {
            return self.decode(kind, &fields, &call.body);
        }
        let own = own_name(&call.body);
        let client_id = match (call.idempotency_key()?, &own) {
            (None, Named::No | Named::Null) if call.route.named => Some(made_up()?),
            (given, _) => given,
        };
        if let Some(id) = client_id {
            fields.text("client_id", id.as_str());
        }
        match own {
            Named::Null => self.decode(kind, &fields, &without_name(&call.body)?),
            Named::No | Named::Yes => self.decode(kind, &fields, &call.body),
        }
    }

    /// Reads a command of these fields and of those of `body`.
    pub(super) fn decode(
        &self,
        kind: &str,
        fields: &Fields,
        body: &RawValue,
    ) -> Result<Command, Problem> {
        let rest = body.get().trim_start_matches('{').trim_start();
        let between = if fields.0.is_empty() || rest.starts_with('}') { "" } else { "," };
        let text = format!(r#"{{"type":"{kind}","payload":{{{}{between}{rest}}}"#, fields.0);
        let mut limits = self.parts.limits.content;
        let bytes_max = self.parts.limits.body_bytes_max + ENVELOPE * 8;
        limits.message_bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        let incoming = Codec::Json.decode(text.as_bytes(), &limits);
        incoming.map(|incoming| incoming.command).map_err(|malformed| malformed.refusal.into())
    }

    /// Carries out a command and waits for its reply.
    pub(super) async fn ask(
        &self,
        identity: &Arc<Identity>,
        command: Command,
    ) -> Result<Ack, Problem> {
        let reception = &self.parts.reception;
        let ticket = reception
            .take()
            .ok_or_else(|| Problem::busy("As many wait for a reply as may; try again."))?;
        if command.class() == Class::Live {
            self.parts.planes.call(ticket.conn(), identity, command)?;
        } else {
            let work = What::Command { id: None, command };
            let identity = Arc::clone(identity);
            let mut request = Box::new(Request {
                conn: ticket.conn(),
                read_at: Stamp::default(),
                identity,
                work,
            });
            loop {
                // Asked for before it is known to be needed, so that none is missed.
                let room = reception.room();
                match self.parts.planes.submit(*request) {
                    Ok(()) => break,
                    Err(back) => request = back,
                }
                room.await;
            }
        }
        match ticket.outcome().await {
            Some(outcome) => Ok(outcome?),
            None => Err(Reason::Internal.into()),
        }
    }
}

/// As whom the request is carried out.
fn actor(
    route: &Route,
    principal: &Principal,
    headers: &HeaderMap,
    path: &RawPathParams,
) -> Result<Arc<Identity>, Problem> {
    let header = single(headers, USER)?;
    let of_path = route.parts.iter().find(|p| matches!(p.place, Place::Actor | Place::ActorIn(_)));
    let user = match (of_path, header) {
        (Some(part), None) => path.iter().find(|(name, _)| *name == part.name).map(|(_, v)| v),
        (None, Some(user)) if route.behalf => {
            principal.needs(Scope::Users)?;
            if UserId::new(user).is_ok_and(|user| is_of_key(&user)) {
                return Err(Refusal::with(Reason::NotAllowed, OF_KEYS).into());
            }
            Some(user)
        }
        (_, Some(_)) => {
            return Err(Problem::bad_field(
                "This cannot be done on behalf of a user: leave `X-Hubbub-User` out.",
            ));
        }
        (None, None) => None,
    };
    match user {
        None => Ok(Arc::clone(&principal.identity)),
        Some(user) => {
            let user = UserId::new(user)
                .map_err(|error| Problem::bad_field(format!("The user: {error}.")))?;
            Ok(Arc::new(identity(user, None, Authority::Behalf)))
        }
    }
}

/// A header that may come once.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| Problem::bad_field(format!("`{name}` is not ASCII."))),
        (Some(_), Some(_)) => Err(Problem::bad_field(format!("`{name}` comes twice."))),
    }
}

fn is_json(value: &HeaderValue) -> bool {
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().strip_suffix("+json").is_some_and(|s| s.contains('/'))
}

/// What the address says, part by part.
fn given(call: &Call<'_>) -> Result<Vec<(Part, String)>, Problem> {
    let mut given = Vec::new();
    for part in call.route.parts {
        given.push((*part, call.part(part.name)?.to_owned()));
    }
    let mut seen: Vec<&str> = Vec::new();
    let query = call.parts.uri.query().unwrap_or_default();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let Some(part) = call.route.query.iter().find(|part| part.name == name) else { continue };
        if seen.contains(&name) {
            return Err(Problem::bad_field(format!("`{name}` comes twice in the query.")));
        }
        seen.push(name);
        let value = percent_decode(value)
            .ok_or_else(|| Problem::bad_field("The query is not percent-encoded UTF-8."))?;
        given.push((*part, value));
    }
    Ok(given)
}

/// Fields of a command, as JSON text.
#[derive(Default)]
pub(super) struct Fields(String);

impl Fields {
    fn add(&mut self, part: Part, value: &str) -> Result<(), Problem> {
        match part.place {
            Place::Actor | Place::Own => {}
            Place::Text(field) => self.text(field, value),
            Place::ActorIn(field) => self.json(field, &format!("[{}]", quoted(value))),
            Place::Number(field) => self.number(field, part.name, value, 0, NUMBER_MAX)?,
            Place::Limit => self.number("limit", part.name, value, 1, LIMIT_MAX)?,
        }
        Ok(())
    }

    /// A field that is text.
    pub(super) fn text(&mut self, field: &str, value: &str) {
        self.json(field, &quoted(value));
    }

    /// A field that is JSON.
    pub(super) fn json(&mut self, field: &str, json: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&format!(r#""{field}":{json}"#));
    }

    fn number(
        &mut self,
        field: &str,
        name: &str,
        value: &str,
        min: u64,
        max: u64,
    ) -> Result<(), Problem> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse::<u64>() {
            Ok(number) if digits && (min..=max).contains(&number) => {
                self.json(field, &number.to_string());
                Ok(())
            }
            _ => {
                let said = format!("`{name}` must be a whole number of {min} to {max}.");
                Err(Problem::bad_field(said))
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether a body brings a client id of its own.
enum Named {
    No,
    /// `null`, which means the same.
    Null,
    Yes,
}

fn own_name(body: &RawValue) -> Named {
    #[derive(serde::Deserialize)]
    struct Own<'b> {
        #[serde(borrow)]
        client_id: Option<&'b RawValue>,
    }
    // One that is `null` reads like one that is not there.
    match serde_json::from_str::<Own<'_>>(body.get()).map(|own| own.client_id.map(RawValue::get)) {
        Ok(None) => {
            let may_be_there = body.get().contains("\"client_id\"");
            if may_be_there { Named::Null } else { Named::No }
        }
        Ok(Some(_)) | Err(_) => Named::Yes,
    }
}

/// A body in which `client_id` is `null`, without it.
fn without_name(body: &RawValue) -> Result<Box<RawValue>, Problem> {
    let fields = serde_json::from_str::<BTreeMap<String, &RawValue>>(body.get());
    let mut fields = fields.map_err(|_| Problem::from(Reason::BadJson))?;
    fields.remove("client_id");
    serde_json::value::to_raw_value(&fields).map_err(|_| Reason::Internal.into())
}

/// A client id for a request that nobody means to repeat.
pub(super) fn made_up() -> Result<ClientId, Problem> {
    let id = format!("api-{}", uuid::Uuid::new_v4().simple());
    ClientId::new(&id).map_err(|_| Reason::Internal.into())
}

/// An answer that is JSON.
pub(super) fn json(bytes: impl Into<Bytes>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, bytes.into()).into_response()
}

/// The same, of a value.
pub(super) fn said(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => json(bytes),
        Err(_) => Problem::from(Reason::Internal).into_response(),
    }
}
