/** The user's own dialog: how they are, what others may see and do, their devices, language, signing out. */
import { ask } from './dialogs.js';
import { button, byId, make } from './dom.js';
import { clockTime, dayName } from './format.js';
import { t } from './i18n.js';
import { toast } from './menu.js';

const AUDIENCES = ['everyone', 'friends', 'nobody'];
const ASPECTS = ['presence', 'last_seen', 'messages', 'invites'];

/** @param {import('/sdk/index.js').Client} client */
export function showPreferences(client) {
  const { people, presence } = client;
  const { attempt, signal } = ask('settings-dialog', async () => {
    const about = byId('profile-about').value.trim();
    await people.update({ about: about === '' ? null : about });
    toast(t('saved'));
    return 'stay';
  });

  const draw = () => {
    const { me } = people;
    if (!me) return;
    byId('settings-name').textContent = me.user.name ?? me.user.id;
    if (document.activeElement !== byId('profile-about')) byId('profile-about').value = me.user.about ?? '';
    for (const aspect of ASPECTS) byId(`privacy-${aspect}`).value = me.privacy[aspect];
    byId('privacy-receipts').checked = me.privacy.receipts;
  };

  const devices = async () => {
    const list = await people.devices();
    byId('devices').replaceChildren(
      ...list.map(({ id, kind, name, last_seen, current }) => {
        const seen = last_seen ? `${dayName(last_seen)}, ${clockTime(last_seen)}` : '';
        const parts = [
          make('span', { className: 'who' }, [
            make('span', { text: name ?? (kind ? t(`device.${kind}`) : id) }),
            make('span', { className: 'muted note', text: current ? t('device.this') : seen }),
          ]),
        ];
        if (!current) {
          const out = () => attempt(() => people.signOut(id).then(devices));
          parts.push(button(t('device.sign_out'), out, { className: 'quiet', testid: 'device-out' }));
        }
        return make('li', { testid: 'device' }, parts);
      }),
    );
    byId('devices-others').hidden = !list.some(({ current }) => !current);
  };

  for (const aspect of ASPECTS) {
    const select = byId(`privacy-${aspect}`);
    select.replaceChildren(
      ...AUDIENCES.map((audience) => {
        const option = make('option', { text: t(`audience.${audience}`) });
        option.setAttribute('value', audience);
        return option;
      }),
    );
    const change = () => people.setPrivacy({ [aspect]: select.value });
    select.addEventListener('change', () => attempt(change), { signal });
  }
  const receipts = () => people.setPrivacy({ receipts: byId('privacy-receipts').checked });
  byId('privacy-receipts').addEventListener('change', () => attempt(receipts), { signal });
  const status = byId('presence-status');
  status.value = presence.of(client.user)?.status ?? 'online';
  status.addEventListener('change', () => attempt(() => presence.set(status.value)), { signal });
  const others = () => people.signOutOthers().then(devices);
  byId('devices-others').addEventListener('click', () => attempt(others), { signal });
  client.on('user_updated', draw, { signal });
  draw();
  void attempt(() => people.load());
  void attempt(devices);
}
