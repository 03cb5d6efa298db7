//! Who may compress with what: offer and answer in `Sec-WebSocket-Extensions` (RFC 7692 §5, §7.1).
//!
//! Invariants: both functions are pure; an answer accepts exactly one of the offers and stays within
//! it; an offer that has an unknown parameter, one twice, or one with a value it must not have is
//! declined, and the next one is looked at. An offer that asks for a window of 8 bits is declined too,
//! since nothing could be compressed for it.

use std::fmt::Write;

pub use super::list::MalformedHeader;
use super::list::{Extension, extensions};
use super::window::WindowBits;

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";

/// What both sides keep to. The same on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The server's messages may refer to its earlier ones.
    pub server_context: bool,
    /// The client's messages may refer to its earlier ones.
    pub client_context: bool,
    /// How far back the server's messages may refer.
    pub server_window: WindowBits,
    /// How far back the client's messages may refer. `None` for 8 bits, which only a server that is
    /// not this one asks for: the client then must not compress.
    pub client_window: Option<WindowBits>,
}

/// What a server wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Both sides may keep their context, if the client wants that too.
    pub context: bool,
    /// The largest window for its own messages.
    pub server_window: WindowBits,
    /// The largest window for the client's messages, if the client can be told.
    pub client_window: WindowBits,
}

/// What a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offer {
    /// Asks the server to do without its context.
    pub server_no_context: bool,
    /// Announces that the client does without its context.
    pub client_no_context: bool,
    /// Asks the server to use no larger window.
    pub server_window: Option<WindowBits>,
    /// Allows the server to choose the client's window.
    pub client_window: ClientWindow,
}

/// What a client says about its own window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientWindow {
    /// Nothing: it is 15 bits.
    Unsaid,
    /// The server may choose.
    #[default]
    Any,
    /// The server may choose, and it will be no larger than this.
    AtMost(WindowBits),
}

/// Why a client must fail the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// See [`MalformedHeader`].
    #[error(transparent)]
    Malformed(#[from] MalformedHeader),
    /// An extension that was not offered, or one twice (RFC 6455 §9.1).
    #[error("the server answered with an extension that was not offered")]
    NotOffered,
    /// Parameters that are invalid or do not correspond to the offer (RFC 7692 §7.1).
    #[error("the server's answer does not correspond to the offer")]
    Parameters,
}

/// The parameters of one extension, as they came.
#[derive(Default)]
struct Params {
    server_no_context: bool,
    client_no_context: bool,
    /// 8 to 15.
    server_window: Option<u8>,
    /// 8 to 15, or said without a value.
    client_window: Option<Option<u8>>,
}

/// A parameter that is unknown, there twice, or has a value that it must not have.
struct Invalid;

impl Params {
    fn read(extension: Extension<'_>) -> Result<Self, Invalid> {
        let mut params = Self::default();
        for (name, value) in extension.params() {
            let is_new = match (name, value) {
                (SERVER_NO_CONTEXT, None) => {
                    !std::mem::replace(&mut params.server_no_context, true)
                }
                (CLIENT_NO_CONTEXT, None) => {
                    !std::mem::replace(&mut params.client_no_context, true)
                }
                (SERVER_WINDOW, Some(value)) => {
                    params.server_window.replace(bits(value)?).is_none()
                }
                (CLIENT_WINDOW, None) => params.client_window.replace(None).is_none(),
                (CLIENT_WINDOW, Some(value)) => {
                    params.client_window.replace(Some(bits(value)?)).is_none()
                }
                _ => false,
            };
            if !is_new {
                return Err(Invalid);
            }
        }
        Ok(params)
    }
}

/// A decimal from 8 to 15 without leading zeros (§7.1.2).
fn bits(value: &str) -> Result<u8, Invalid> {
    match value {
        "8" => Ok(8),
        "9" => Ok(9),
        "10" => Ok(10),
        "11" => Ok(11),
        "12" => Ok(12),
        "13" => Ok(13),
        "14" => Ok(14),
        "15" => Ok(15),
        _ => Err(Invalid),
    }
}

/// A server's decision: the first of the client's offers that is valid and possible, and the header
/// that accepts it. `lines` are the values of all `Sec-WebSocket-Extensions` headers, in order.
///
/// # Errors
/// [`MalformedHeader`]: the handshake is to be refused (RFC 6455 §9.1).
pub fn accept<'a>(
    lines: impl IntoIterator<Item = &'a str>,
    policy: &Policy,
) -> Result<Option<(Agreement, String)>, MalformedHeader> {
    let mut accepted = None;
    for line in lines {
        for extension in extensions(line) {
            let extension = extension?;
            if accepted.is_none()
                && extension.name.eq_ignore_ascii_case(NAME)
                && let Ok(params) = Params::read(extension)
            {
                accepted = answer(&params, policy);
            }
        }
    }
    Ok(accepted)
}

/// The answer to one valid offer, or `None` to decline it.
fn answer(offer: &Params, policy: &Policy) -> Option<(Agreement, String)> {
    // 15 is what an offer that says nothing means.
    let server_asked = WindowBits::new(offer.server_window.unwrap_or(15))?;
    let client_asked = WindowBits::new(offer.client_window.flatten().unwrap_or(15))?;
    let server_window = server_asked.min(policy.server_window);
    let client_window = match offer.client_window {
        Some(_) => client_asked.min(policy.client_window),
        // A client that does not know the parameter cannot be told.
        None => WindowBits::MAX,
    };
    let agreement = Agreement {
        server_context: policy.context && !offer.server_no_context,
        client_context: policy.context && !offer.client_no_context,
        server_window,
        client_window: Some(client_window),
    };
    let mut header = NAME.to_owned();
    if !agreement.server_context {
        header = header + "; " + SERVER_NO_CONTEXT;
    }
    if !agreement.client_context {
        header = header + "; " + CLIENT_NO_CONTEXT;
    }
    if offer.server_window.is_some() || server_window < WindowBits::MAX {
        let _ = write!(header, "; {SERVER_WINDOW}={}", server_window.get());
    }
    if client_window < WindowBits::MAX {
        let _ = write!(header, "; {CLIENT_WINDOW}={}", client_window.get());
    }
    Some((agreement, header))
}

impl Offer {
    /// The value of the client's `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn header(&self) -> String {
        let mut header = NAME.to_owned();
        if self.server_no_context {
            header = header + "; " + SERVER_NO_CONTEXT;
        }
        if self.client_no_context {
            header = header + "; " + CLIENT_NO_CONTEXT;
        }
        if let Some(window) = self.server_window {
            let _ = write!(header, "; {SERVER_WINDOW}={}", window.get());
        }
        match self.client_window {
            ClientWindow::Unsaid => {}
            ClientWindow::Any => header = header + "; " + CLIENT_WINDOW,
            ClientWindow::AtMost(window) => {
                let _ = write!(header, "; {CLIENT_WINDOW}={}", window.get());
            }
        }
        header
    }

    /// A client's check of the answer: what was agreed, or `None` when the server does not compress.
    /// `lines` are the values of all `Sec-WebSocket-Extensions` headers of the response.
    ///
    /// # Errors
    /// The connection must be failed.
    pub fn check<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<Agreement>, BadAnswer> {
        let mut agreed = None;
        for line in lines {
            for extension in extensions(line) {
                let extension = extension?;
                if agreed.is_some() || !extension.name.eq_ignore_ascii_case(NAME) {
                    return Err(BadAnswer::NotOffered);
                }
                let params = Params::read(extension).map_err(|Invalid| BadAnswer::Parameters)?;
                agreed = Some(self.agree(&params).ok_or(BadAnswer::Parameters)?);
            }
        }
        Ok(agreed)
    }

    fn agree(&self, answer: &Params) -> Option<Agreement> {
        let server_window = match (self.server_window, answer.server_window) {
            (Some(asked), answered) => WindowBits::new(answered?).filter(|bits| *bits <= asked)?,
            // Inflating reads 8 bits like 9.
            (None, answered) => WindowBits::new(answered.unwrap_or(15).max(9))?,
        };
        let own = match self.client_window {
            ClientWindow::Unsaid | ClientWindow::Any => WindowBits::MAX,
            ClientWindow::AtMost(window) => window,
        };
        let client_window = match (self.client_window, answer.client_window) {
            (_, None) => Some(own),
            // Not offered, or answered without the value it must have.
            (ClientWindow::Unsaid, Some(_)) | (_, Some(None)) => return None,
            (_, Some(Some(bits))) if bits > own.get() => return None,
            (_, Some(Some(bits))) => WindowBits::new(bits),
        };
        if self.server_no_context && !answer.server_no_context {
            return None;
        }
        Some(Agreement {
            server_context: !answer.server_no_context,
            client_context: !answer.client_no_context && !self.client_no_context,
            server_window,
            client_window,
        })
    }
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
