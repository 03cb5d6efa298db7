//! What the API does besides commands: several at once, tokens, keys, connections.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::{Body as HttpBody, to_bytes};
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Uri};
use hubbub_proto::command::{Data, Publish};
use hubbub_proto::id::InvalidName;
use hubbub_proto::route::Authority;
use hubbub_proto::{Ack, Channel, Command, DeviceId, Effect, Reason, Refusal, Timestamp, UserId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tower_service::Service as _;

use super::call::{Call, Fields, made_up, said};
use super::keys::{KeyError, KeyRecord, NewSecret, OF_KEYS, identity, is_of_key};
use super::problem::Problem;
use super::scope::Scopes;
use super::table::Does;
use super::{Api, Inner};
use crate::token::{Grant, GrantOfChannels, SignError};

/// Most channels of one broadcast, and requests of one batch.
const PARTS_MAX: usize = 100;
/// Largest answer of one request of a batch, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How long a token holds where nobody says, and at most, in seconds.
const TTL_S: u64 = 3_600;
const TTL_S_MAX: u64 = 366 * 24 * 3_600;
/// How long an old secret holds where nobody says, and at most, in seconds.
const GRACE_S: u64 = 3_600;
const GRACE_S_MAX: u64 = 30 * 24 * 3_600;
/// How long a key may hold, in seconds.
const EXPIRES_IN_S_MAX: u64 = 100 * 366 * 24 * 3_600;

#[derive(Deserialize)]
struct Broadcast {
    channels: Vec<Channel>,
    data: Data,
}

#[derive(Serialize)]
struct Published<'a> {
    channel: &'a Channel,
    #[serde(flatten)]
    outcome: serde_json::Value,
}

#[derive(Deserialize)]
struct Disconnect {
    device: Option<DeviceId>,
}

#[derive(Deserialize)]
struct NewToken {
    user: UserId,
    name: Option<String>,
    roles: Option<Vec<String>>,
    device: Option<DeviceId>,
    /// For rules of namespaces that say `claim`.
    channels: Option<Vec<String>>,
    #[serde(default, deserialize_with = "whole")]
    ttl_s: Option<u64>,
}

#[derive(Serialize)]
struct Token {
    token: String,
    user: UserId,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct NewKey {
    name: String,
    scopes: Vec<String>,
    #[serde(default, deserialize_with = "whole")]
    expires_in_s: Option<u64>,
}

#[derive(Deserialize)]
struct Rotation {
    #[serde(default, deserialize_with = "whole")]
    grace_s: Option<u64>,
}

#[derive(Serialize)]
struct KeyMade {
    key: KeyRecord,
    token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoomMessage {
    room_id: RoomId,
    text: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RoomId {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
struct Batch {
    requests: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    method: String,
    path: String,
    body: Option<Box<RawValue>>,
    user: Option<String>,
    idempotency_key: Option<String>,
}

#[derive(Serialize)]
struct Results<T> {
    results: Vec<T>,
}

#[derive(Serialize)]
struct PartResult {
    status: u16,
    body: Box<RawValue>,
}

impl Api {
    pub(super) async fn act(self: &Arc<Self>, call: &Call<'_>) -> Result<Response, Problem> {
        match call.route.does {
            Does::Broadcast => self.broadcast(call).await,
            Does::Disconnect => self.disconnect(call),
            Does::Subscribe => self.subscribe(call, true),
            Does::Unsubscribe => self.subscribe(call, false),
            Does::MakeToken => self.make_token(call),
            Does::ListKeys | Does::MakeKey | Does::RotateKey | Does::RevokeKey => {
                self.keys(call).await
            }
            Does::Batch => self.batch(call).await,
            Does::RoomMessage => self.room_message(call).await,
            Does::Command(_) => Err(Reason::Internal.into()),
        }
    }

    async fn broadcast(&self, call: &Call<'_>) -> Result<Response, Problem> {
        let Broadcast { channels, data } = call.read()?;
        let Some(first) = channels.first().filter(|_| channels.len() <= PARTS_MAX) else {
            return Err(Problem::bad_field("`channels` must name 1 to 100 channels."));
        };
        // The decoder says whether the data can be passed on; it is the same for all.
        let mut fields = Fields::default();
        fields.text("channel", first.as_str());
        fields.json("data", data.get());
        let none = RawValue::from_string("{}".to_owned()).map_err(|_| Reason::Internal)?;
        self.decode("publish", &fields, &none)?;
        let publish = |channel: &Channel| {
            let publish = Publish {
                channel: channel.clone(),
                data: data.clone(),
                client_id: None,
                key: None,
            };
            Box::pin(self.ask(&call.identity, Command::Publish(publish))) as Asked<'_>
        };
        let outcomes = in_order(channels.iter().map(publish).collect()).await;
        let results = channels.iter().zip(outcomes).map(|(channel, outcome)| {
            let outcome = match outcome {
                Ok(ack) => serde_json::to_value(ack),
                Err(problem) => serde_json::from_slice(&problem.body()),
            };
            Published { channel, outcome: outcome.unwrap_or_default() }
        });
        Ok(said(&Results { results: results.collect() }))
    }

    fn disconnect(&self, call: &Call<'_>) -> Result<Response, Problem> {
        let Disconnect { device } = call.read()?;
        let user = UserId::new(call.part("user")?)
            .map_err(|error| Problem::bad_field(format!("The user: {error}.")))?;
        let (device, others) = match device {
            Some(device) => (device, false),
            // All but one that is nobody's.
            None => (DeviceId::new(made_up()?.as_str()).map_err(|_| Reason::Internal)?, true),
        };
        self.parts.planes.post(Effect::SignOut { user, device, others });
        Ok(said(&Ack::Done))
    }

    fn subscribe(&self, call: &Call<'_>, present: bool) -> Result<Response, Problem> {
        let invalid = |error: InvalidName| Problem::bad_field(format!("{error}."));
        let user = UserId::new(call.part("user")?).map_err(invalid)?;
        let channel = Channel::new(call.part("channel")?).map_err(invalid)?;
        self.parts.planes.subscribe(&user, &channel, present)?;
        Ok(said(&Ack::Done))
    }

    fn make_token(&self, call: &Call<'_>) -> Result<Response, Problem> {
        let NewToken { user, name, roles, device, channels, ttl_s } = call.read()?;
        let ttl_s = bounded("ttl_s", ttl_s, TTL_S, 1, TTL_S_MAX)?;
        if is_of_key(&user) {
            return Err(Problem::bad_field(OF_KEYS));
        }
        let roles = roles.unwrap_or_default();
        // An administrator's token is as good as a key with every scope.
        let mut bearer = identity(user.clone(), None, Authority::default());
        bearer.roles = roles.iter().map(|role| role.trim().into()).collect();
        if self.parts.admin.permits(&bearer) && !call.principal.scopes.covers(Scopes::EVERYTHING) {
            let said =
                "These roles are an administrator's ([admin] who); a key needs `*` for that.";
            return Err(Refusal::with(Reason::NotAllowed, said).into());
        }
        let mint = &self.parts.mint;
        let iat = (self.parts.clock)().as_secs();
        let exp = iat.saturating_add(ttl_s);
        let grant = Grant {
            sub: user.clone(),
            name,
            roles,
            device,
            iss: mint.issuer.clone(),
            aud: mint.audience.clone(),
            iat,
            exp,
            of_channels: GrantOfChannels {
                channels: channels.unwrap_or_default(),
                ..GrantOfChannels::default()
            },
        };
        let token = mint.signer.sign(&grant, &mint.algorithm).map_err(|error| match error {
            SignError::Claims(_) | SignError::Long => Problem::bad_field(error.to_string()),
            SignError::Algorithm | SignError::Failed(_) => Reason::Internal.into(),
        })?;
        let expires_at = Timestamp(exp.saturating_mul(1_000));
        Ok(said(&Token { token, user, expires_at }))
    }

    /// Everything about keys; the file is changed on a thread that may wait.
    async fn keys(self: &Arc<Self>, call: &Call<'_>) -> Result<Response, Problem> {
        let now = (self.parts.clock)();
        let file = self.parts.keys.file().clone();
        let held = call.principal.scopes;
        let id = call.part("key").map(str::to_owned).unwrap_or_default();
        let work: Box<dyn FnOnce() -> Result<Response, Problem> + Send> = match call.route.does {
            Does::MakeKey => {
                let NewKey { name, scopes, expires_in_s } = call.read()?;
                let scopes = Scopes::parse(scopes.iter().map(String::as_str))
                    .map_err(|error| Problem::bad_field(error.to_string()))?;
                covers(held, scopes)?;
                let seconds = expires_in_s
                    .map(|s| bounded("expires_in_s", Some(s), 0, 1, EXPIRES_IN_S_MAX))
                    .transpose()?;
                let expires = seconds.map(|s| now.plus_ms(s.saturating_mul(1_000)));
                Box::new(move || Ok(shown(file.create(&name, scopes, expires, now)?)))
            }
            Does::RotateKey => {
                let Rotation { grace_s } = call.read()?;
                let grace_s = bounded("grace_s", grace_s, GRACE_S, 0, GRACE_S_MAX)?;
                Box::new(move || {
                    let known = file.list()?.into_iter().find(|key| *key.id == *id);
                    covers(held, known.ok_or(KeyError::Unknown)?.scopes)?;
                    Ok(shown(file.rotate(&id, grace_s.saturating_mul(1_000), now)?))
                })
            }
            Does::RevokeKey => Box::new(move || {
                let known = file.list()?.into_iter().find(|key| *key.id == *id);
                covers(held, known.ok_or(KeyError::Unknown)?.scopes)?;
                Ok(said(&file.revoke(&id, now)?))
            }),
            _ => Box::new(move || {
                #[derive(Serialize)]
                struct Keys {
                    keys: Vec<KeyRecord>,
                }
                Ok(said(&Keys { keys: file.list()? }))
            }),
        };
        let api = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || {
            let answer = work();
            api.parts.keys.reload();
            answer
        });
        answer.await.map_err(|_| Problem::from(Reason::Internal))?
    }

    async fn room_message(&self, call: &Call<'_>) -> Result<Response, Problem> {
        let RoomMessage { room_id, text } = call.read()?;
        let room = match room_id {
            RoomId::Text(text) => text,
            RoomId::Number(number) => number.to_string(),
        };
        let mut fields = Fields::default();
        match room.contains(':') {
            true => fields.text("to", &room),
            false => fields.text("to", &format!("group:{room}")),
        }
        fields.text("content", &text);
        let client_id = match call.idempotency_key()? {
            Some(id) => id,
            None => made_up()?,
        };
        fields.text("client_id", client_id.as_str());
        let none = RawValue::from_string("{}".to_owned()).map_err(|_| Reason::Internal)?;
        let command = self.decode("send", &fields, &none)?;
        self.ask(&call.identity, command).await?;
        Ok(said(&serde_json::json!({ "sent": true })))
    }

    /// Each request takes the same way as alone; all are handed on before any is waited for.
    async fn batch(self: &Arc<Self>, call: &Call<'_>) -> Result<Response, Problem> {
        let Batch { requests } = call.read()?;
        if requests.is_empty() || requests.len() > PARTS_MAX {
            return Err(Problem::bad_field("`requests` must be 1 to 100 requests."));
        }
        let client = call.parts.extensions.get().copied();
        let inner = Inner { principal: call.principal.clone(), client };
        let answers = requests.into_iter().map(|part| {
            Box::pin(self.part(part, inner.clone())) as Pin<Box<dyn Future<Output = _> + Send>>
        });
        let results = in_order(answers.collect()).await;
        Ok(said(&Results { results }))
    }

    async fn part(self: &Arc<Self>, part: Part, inner: Inner) -> PartResult {
        let answer = match request(part, inner) {
            Ok(request) => self.router().call(request).await.map_err(|never| match never {}),
            Err(problem) => Err(problem),
        };
        let answer = answer.unwrap_or_else(axum::response::IntoResponse::into_response);
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.unwrap_or_default();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| RawValue::NULL.to_owned());
        PartResult { status, body }
    }
}

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Ack, Problem>> + Send + 'a>>;

fn request(part: Part, inner: Inner) -> Result<Request<HttpBody>, Problem> {
    let method = Method::from_bytes(part.method.as_bytes());
    let method = method.map_err(|_| Problem::bad_field("`method` is no method."))?;
    let uri = part.path.parse::<Uri>().ok().filter(|uri| uri.path().starts_with("/api/"));
    let uri = uri.ok_or_else(|| Problem::bad_field("`path` must begin with /api/."))?;
    let body = part.body.map_or_else(HttpBody::empty, |body| body.get().to_owned().into());
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [("x-hubbub-user", part.user), ("idempotency-key", part.idempotency_key)] {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value);
            let value = value.map_err(|_| {
                Problem::bad_field("`user` and `idempotency_key` must be printable.")
            })?;
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    request.extensions_mut().insert(inner);
    Ok(request)
}

/// Polls all in the order given and answers when the last one is done: what they hand on before they
/// first wait is handed on in that order.
async fn in_order<T>(mut all: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waits = false;
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *done = Some(value),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A whole number, also one that is written as `60.0`.
fn whole<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(d)? else { return Ok(None) };
    let exact = |float: &f64| (0.0..9e15).contains(float) && float.fract() == 0.0;
    let written = number.as_f64().filter(exact).map(|float| float as u64);
    let whole = number.as_u64().or(written);
    whole.map(Some).ok_or_else(|| D::Error::custom("expected a whole number, 0 or more"))
}

fn bounded(
    name: &str,
    given: Option<u64>,
    default: u64,
    min: u64,
    max: u64,
) -> Result<u64, Problem> {
    match given {
        None => Ok(default),
        Some(number) if (min..=max).contains(&number) => Ok(number),
        Some(_) => Err(Problem::bad_field(format!("`{name}` must be {min} to {max}."))),
    }
}

/// Nobody gives what they do not have.
fn covers(held: Scopes, wanted: Scopes) -> Result<(), Problem> {
    if held.covers(wanted) {
        return Ok(());
    }
    let said = "The key has scopes that yours does not have.";
    Err(Refusal::with(Reason::NotAllowed, said).into())
}

fn shown(made: NewSecret) -> Response {
    said(&KeyMade { key: made.record, token: made.token })
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => Refusal::with(Reason::NotFound, error.to_string()).into(),
            KeyError::Name => Self::bad_field(error.to_string()),
            KeyError::Revoked | KeyError::Expired | KeyError::Crowded | KeyError::Full => {
                Self::new(http::StatusCode::CONFLICT, "key_refused", error.to_string())
            }
            KeyError::Io(..) | KeyError::Damaged(..) => {
                tracing::error!(%error, "a key was not changed");
                Reason::StoreFailed.into()
            }
        }
    }
}
