//! Tokens: JWTs (RFC 7519) in JWS compact form (RFC 7515), checked and signed.
//!
//! The library checks the signature, against an allow list of algorithms in which `none` has no
//! place; every rule about claims is [`admit`], a pure function of the claims and the time.
//! Invariant: nothing of a token is believed before its signature was checked, and nothing longer
//! than [`TOKEN_BYTES_MAX`] is looked at. Absent: keys fetched over the network, and any state, so
//! a token cannot be revoked here.

use std::sync::Arc;

use hubbub_proto::claim::{CLAIMS_MAX, ChannelClaim};
use hubbub_proto::command::{ROLES_MAX, is_device_kind, is_picture, is_role};
use hubbub_proto::route::Rare;
use hubbub_proto::{
    Channel, ChannelAction, ChannelClaims, ChannelPattern, DeviceId, Identity, Reason, Refusal,
    Timestamp, UserId,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::api::keys::is_of_key;
use crate::secret::Secret;

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest display name, in bytes.
pub const DISPLAY_NAME_BYTES_MAX: usize = 256;

/// The algorithms that can be allowed.
pub const ALGORITHMS: [&str; 3] = ["HS256", "HS384", "HS512"];

/// What a token must satisfy.
#[derive(Clone, Debug, Default)]
pub struct TokenPolicy {
    /// Out of [`ALGORITHMS`].
    pub algorithms: Vec<String>,
    /// The `iss` that a token must carry.
    pub issuer: Option<String>,
    /// The `aud` that a token must carry, alone or among others.
    pub audience: Option<String>,
    /// Seconds by which the issuer's clock may differ from this one's.
    pub leeway_s: u64,
}

/// The policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// An algorithm that is not in [`ALGORITHMS`].
    #[error("`{0}` is not one of HS256, HS384, HS512")]
    Algorithm(String),
    /// Nothing is allowed.
    #[error("no algorithm is allowed; use [\"HS256\"]")]
    Empty,
}

/// Checks tokens. Cheap: one HMAC, no state, no I/O.
pub struct Verifier {
    key: DecodingKey,
    signature: Validation,
    policy: TokenPolicy,
}

impl Verifier {
    /// A verifier for tokens signed with `secret`.
    ///
    /// # Errors
    /// [`PolicyError`] for an algorithm that cannot be allowed.
    pub fn new(secret: &Secret, policy: TokenPolicy) -> Result<Self, PolicyError> {
        let algorithms = policy
            .algorithms
            .iter()
            .map(|name| algorithm(name).ok_or_else(|| PolicyError::Algorithm(name.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        let first = *algorithms.first().ok_or(PolicyError::Empty)?;
        let mut signature = Validation::new(first);
        signature.algorithms = algorithms;
        // The claims are judged by `admit`, at a time that is passed in.
        signature.required_spec_claims.clear();
        signature.validate_exp = false;
        signature.validate_nbf = false;
        signature.validate_aud = false;
        Ok(Self { key: DecodingKey::from_secret(secret.as_bytes()), signature, policy })
    }

    /// Who speaks, as `token` says at `now`. `device` is what the client calls its device; the
    /// token's own `device` claim wins.
    ///
    /// # Errors
    /// `token_expired`, or `bad_token` with a sentence that says what is wrong.
    pub fn verify(
        &self,
        token: &str,
        device: Option<&DeviceId>,
        now: Timestamp,
    ) -> Result<Identity, Refusal> {
        let claims = self.decode(token)?;
        if claims.channel.is_some() {
            return Err(bad("this is a token for a channel; nobody signs in with it"));
        }
        admit(claims, device, &self.policy, now)
    }

    /// Whom a token for one channel, or for a pattern of them, lets in where: its `sub` and its
    /// `channel`. It must end some time (`exp`).
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn verify_channel(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<(UserId, ChannelPattern), Refusal> {
        let mut claims = self.decode(token)?;
        let channel = claims.channel.take().ok_or_else(|| bad("the token names no `channel`"))?;
        if claims.exp.is_none() {
            return Err(bad("a token for a channel must end (`exp`)"));
        }
        let pattern = ChannelPattern::new(&channel)
            .map_err(|_| bad("the token's `channel` is no channel and no pattern of them"))?;
        let identity = admit(claims, None, &self.policy, now)?;
        Ok((identity.user, pattern))
    }

    fn decode(&self, token: &str) -> Result<Claims, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(bad("the token is longer than 8 KiB"));
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &self.signature)
            .map_err(|error| bad(decoding_error(error.kind())))?;
        if decoded.header.crit.is_some() {
            // RFC 7515 §4.1.11: an extension that is not understood makes the token invalid.
            return Err(bad("the token has a `crit` header, and none is known here"));
        }
        Ok(decoded.claims)
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "HS256" => Some(Algorithm::HS256),
        "HS384" => Some(Algorithm::HS384),
        "HS512" => Some(Algorithm::HS512),
        _ => None,
    }
}

fn bad(detail: impl Into<Box<str>>) -> Refusal {
    Refusal::with(Reason::BadToken, detail)
}

/// A sentence without anything out of the token itself.
fn decoding_error(kind: &jsonwebtoken::errors::ErrorKind) -> String {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => "the token's signature is not valid".into(),
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => {
            "the token's algorithm is not allowed".into()
        }
        ErrorKind::Json(error) if error.is_data() => {
            format!("the token's header or claims are not as expected: {error}")
        }
        _ => "this is not a JSON Web Token".into(),
    }
}

/// The claims that mean something here; all others are passed over.
#[derive(Clone, Debug, Default, Deserialize)]
struct Claims {
    sub: Option<UserId>,
    id: Option<UserId>,
    exp: Option<Seconds>,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
    #[serde(default)]
    iss: OneOrMany,
    #[serde(default)]
    aud: OneOrMany,
    name: Option<String>,
    username: Option<String>,
    #[serde(default)]
    roles: OneOrMany,
    #[serde(default)]
    role: OneOrMany,
    device: Option<DeviceId>,
    device_kind: Option<String>,
    /// What is no address of a picture is none.
    #[serde(default)]
    picture: serde_json::Value,
    #[serde(default)]
    channels: OneOrMany,
    #[serde(default)]
    caps: Vec<Cap>,
    #[serde(default)]
    subs: OneOrMany,
    channel: Option<String>,
}

/// What a token permits on some channels.
#[derive(Clone, Debug, Deserialize)]
struct Cap {
    channels: OneOrMany,
    allow: OneOrMany,
}

/// A NumericDate: seconds since the epoch, perhaps with a fraction (RFC 7519 §2).
#[derive(Clone, Copy, Debug, Deserialize)]
struct Seconds(f64);

impl Seconds {
    /// In milliseconds. Out-of-range values saturate, which `as` does.
    fn at(self) -> Timestamp {
        Timestamp((self.0 * 1000.0) as u64)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Judges the claims of a token whose signature is good.
fn admit(
    claims: Claims,
    device: Option<&DeviceId>,
    policy: &TokenPolicy,
    now: Timestamp,
) -> Result<Identity, Refusal> {
    let leeway_ms = policy.leeway_s.saturating_mul(1000);
    // The moment at which a session under this token ends is the moment from which the token is
    // refused: a client never gets a session that is over already.
    let expires_at = claims.exp.map(|exp| exp.at().plus_ms(leeway_ms));
    if expires_at.is_some_and(|end| now >= end) {
        return Err(Reason::TokenExpired.into());
    }
    let latest_start = now.plus_ms(leeway_ms);
    if claims.nbf.is_some_and(|nbf| nbf.at() > latest_start) {
        return Err(bad("the token is not valid yet (`nbf`)"));
    }
    if claims.iat.is_some_and(|iat| iat.at() > latest_start) {
        return Err(bad("the token was issued in the future (`iat`)"));
    }
    for (claim, expected, found) in
        [("iss", &policy.issuer, &claims.iss), ("aud", &policy.audience, &claims.aud)]
    {
        if let Some(expected) = expected
            && !found.as_slice().contains(expected)
        {
            return Err(bad(format!("the token's `{claim}` is not the expected one")));
        }
    }
    let user = match (claims.sub, claims.id) {
        (Some(sub), Some(id)) if sub != id => {
            return Err(bad("the token's `sub` and `id` name different users"));
        }
        (Some(user), _) | (None, Some(user)) => user,
        (None, None) => return Err(bad("the token names no user (`sub`)")),
    };
    if is_of_key(&user) {
        return Err(bad("the token's user is one of those of keys (`api.`)"));
    }
    let (device, device_named) = match claims.device.as_ref().or(device) {
        Some(device) => (device.clone(), true),
        None => (made_up_device(), false),
    };
    Ok(Identity {
        user,
        name: display_name(claims.name.or(claims.username).as_deref())?,
        roles: roles(&claims.roles, &claims.role)?,
        device,
        device_named,
        expires_at,
        issued_at: claims.iat.map(Seconds::at),
        authority: hubbub_proto::route::Authority::default(),
        rare: Rare {
            device_kind: device_kind(claims.device_kind.as_deref())?,
            picture: picture(claims.picture),
            channels: channels(&claims.channels, &claims.caps, &claims.subs)?,
            ..Rare::default()
        }
        .boxed(),
    })
}

/// What the token says of channels: `channels` permits everything on those it names, `caps` what
/// each of them allows, `subs` is what its user is subscribed to from the start.
fn channels(
    channels: &OneOrMany,
    caps: &[Cap],
    subs: &OneOrMany,
) -> Result<Option<Arc<ChannelClaims>>, Refusal> {
    let mut permitted = Vec::new();
    let whole = (channels.as_slice(), ChannelAction::ALL.map(ChannelAction::name));
    for name in whole.0 {
        permitted.push(claim(name, &whole.1)?);
    }
    for cap in caps {
        let allow: Vec<&str> = cap.allow.as_slice().iter().map(String::as_str).collect();
        for name in cap.channels.as_slice() {
            permitted.push(claim(name, &allow)?);
        }
    }
    let subscribed = subs.as_slice().iter().map(|name| {
        Channel::new(name).map_err(|_| bad("the token's `subs` names something that is no channel"))
    });
    let subscribed: Box<[Channel]> = subscribed.collect::<Result<_, _>>()?;
    if permitted.len() > CLAIMS_MAX || subscribed.len() > CLAIMS_MAX {
        return Err(bad("the token names more than 64 channels"));
    }
    let claims = ChannelClaims { permitted: permitted.into(), subscribed };
    Ok((!claims.is_empty()).then(|| Arc::new(claims)))
}

fn claim(name: &str, allow: &[&str]) -> Result<ChannelClaim, Refusal> {
    let pattern = ChannelPattern::new(name)
        .map_err(|_| bad("the token names something that is no channel and no pattern of them"))?;
    let actions = allow.iter().map(|word| {
        let known = ChannelAction::ALL.into_iter().find(|action| action.name() == *word);
        known.ok_or_else(|| {
            bad("a token's `caps` allow `subscribe`, `publish`, `presence` or `history`")
        })
    });
    Ok(ChannelClaim { pattern, actions: actions.collect::<Result<_, _>>()? })
}

/// The address of a picture, if it can be shown on a page that came over https. Issuers put all sorts
/// of things there, and nobody is kept out for it.
fn picture(claim: serde_json::Value) -> Option<Box<str>> {
    let serde_json::Value::String(url) = claim else { return None };
    let relative = url.starts_with('/') && !url.starts_with("//");
    (is_picture(&url) && (relative || url.starts_with("https://"))).then(|| url.into())
}

fn device_kind(kind: Option<&str>) -> Result<Option<Box<str>>, Refusal> {
    match kind {
        Some(kind) if !is_device_kind(kind) => {
            Err(bad("the token's `device_kind` is not of 1 to 32 characters out of a-z 0-9 _ -"))
        }
        kind => Ok(kind.map(Into::into)),
    }
}

fn display_name(name: Option<&str>) -> Result<Option<Box<str>>, Refusal> {
    let name = name.map_or("", str::trim);
    if name.len() > DISPLAY_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(bad("the token's `name` has control characters or more than 256 bytes"));
    }
    Ok((!name.is_empty()).then(|| name.into()))
}

fn roles(roles: &OneOrMany, role: &OneOrMany) -> Result<Box<[Box<str>]>, Refusal> {
    let mut all: Vec<Box<str>> = Vec::new();
    for role in roles.as_slice().iter().chain(role.as_slice()) {
        if !is_role(role) {
            return Err(bad("a role of the token is empty, has control characters or is too long"));
        }
        if !all.iter().any(|known| **known == **role) {
            all.push(role.as_str().into());
        }
    }
    if all.len() > ROLES_MAX {
        return Err(bad("the token has more than 64 roles"));
    }
    Ok(all.into())
}

/// A device for one connection, where the client named none.
fn made_up_device() -> DeviceId {
    // Half the bits are enough among the connections of one user, and each idle one keeps its own.
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    DeviceId::new(&format!("{:016x}", high ^ low)).expect("16 hex digits are a device id")
}

/// Signs tokens for `hubbub token` and the development page.
pub struct Signer {
    key: EncodingKey,
}

/// What a token is to say.
#[derive(Clone, Debug, Serialize)]
pub struct Grant {
    /// The user.
    pub sub: UserId,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user's roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The client instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// The issuer, where the server asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The audience, where the server asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// When it was made, in seconds since the epoch.
    pub iat: u64,
    /// When it ends, in seconds since the epoch.
    pub exp: u64,
    /// What it says of channels.
    #[serde(flatten)]
    pub of_channels: GrantOfChannels,
}

/// What a token is to say of channels.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GrantOfChannels {
    /// Channels, and patterns of them, that its user may use where a rule says `claim`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Channels to which its connections are subscribed from the start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subs: Vec<String>,
    /// The channel, or pattern, that it is for and for nothing else: nobody signs in with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

impl Signer {
    /// A signer with `secret`.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self { key: EncodingKey::from_secret(secret.as_bytes()) }
    }

    /// A token signed with `algorithm`, one of [`ALGORITHMS`].
    ///
    /// # Errors
    /// For another algorithm, or a grant with which the token would be refused.
    pub fn sign(&self, grant: &Grant, algorithm_name: &str) -> Result<String, SignError> {
        let algorithm = algorithm(algorithm_name).ok_or(SignError::Algorithm)?;
        let refused = |refusal: Refusal| SignError::Claims(refusal.message().to_owned());
        display_name(grant.name.as_deref()).map_err(refused)?;
        roles(&OneOrMany::Many(grant.roles.clone()), &OneOrMany::default()).map_err(refused)?;
        let named = OneOrMany::Many(grant.of_channels.channels.clone());
        let subs = OneOrMany::Many(grant.of_channels.subs.clone());
        channels(&named, &[], &subs).map_err(refused)?;
        let own = OneOrMany::Many(grant.of_channels.channel.iter().cloned().collect());
        channels(&own, &[], &OneOrMany::None).map_err(refused)?;
        let token = jsonwebtoken::encode(&Header::new(algorithm), grant, &self.key)
            .map_err(|error| SignError::Failed(error.to_string()))?;
        if token.len() > TOKEN_BYTES_MAX { Err(SignError::Long) } else { Ok(token) }
    }
}

/// Why a token was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Not one of [`ALGORITHMS`].
    #[error("tokens are signed with HS256, HS384 or HS512")]
    Algorithm,
    /// A name, role or channel that a server would refuse.
    #[error("{0}")]
    Claims(String),
    /// Names or roles are too long.
    #[error("the token would be longer than 8 KiB: use fewer or shorter roles")]
    Long,
    /// The library failed.
    #[error("signing failed: {0}")]
    Failed(String),
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
