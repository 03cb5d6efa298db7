//! What goes over the wire of a user, out of what the store and the token say.

use std::borrow::Cow;
use std::sync::Arc;

use hubbub_proto::event::{Me, UserProfile};
use hubbub_proto::{Identity, UserId};
use serde_json::value::RawValue;

use crate::ChatConfig;
use crate::model::{PrivacyChoice, Showing, User};

/// The identity with what was given according to the store, whatever the data plane has heard.
pub(crate) fn standing<'i>(identity: &'i Identity, granted: Arc<[Box<str>]>) -> Cow<'i, Identity> {
    if *identity.granted() == *granted {
        return Cow::Borrowed(identity);
    }
    let mut standing = identity.clone();
    standing.change_rare(|rare| rare.granted = granted);
    Cow::Owned(standing)
}

/// A user as others see them.
pub(crate) fn profile(id: UserId, name: Option<Box<str>>, showing: &Showing) -> UserProfile {
    let Showing { picture, avatar, about, data, .. } = showing;
    UserProfile {
        id,
        name,
        avatar: avatar.clone().or_else(|| picture.clone()),
        about: about.clone(),
        data: data.as_deref().and_then(|text| RawValue::from_string(text.to_owned()).ok()),
    }
}

/// A user as they see themselves, under an identity that has its [`standing`]; `user` is `None` for one whom the store has not seen.
pub(crate) fn me(
    identity: &Identity,
    user: Option<&User>,
    showing: &Showing,
    config: &ChatConfig,
) -> Me {
    let name = user.and_then(|user| user.name.clone()).or_else(|| identity.name.clone());
    let choice = user.map_or(PrivacyChoice::default(), |user| user.privacy);
    Me {
        user: profile(identity.user.clone(), name, showing),
        privacy: choice.effective(config),
        roles: identity.all_roles(),
        rev: showing.rev.0,
    }
}
