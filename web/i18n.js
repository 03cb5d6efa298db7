/**
 * The page's words in English and Chinese. Invariant: both languages have the same keys.
 * Elements name theirs in `data-i18n` (text), `data-i18n-placeholder` or `data-i18n-label`.
 */

export const WORDS = {
  en: {
    'signin.lead': 'Sign in to chat.',
    'signin.name': 'Your name',
    'signin.name_example': 'alice',
    'signin.token': 'Your token',
    'signin.submit': 'Sign in',
    'signin.use_token': 'Use a token instead',
    'signin.use_name': 'Use a name instead',
    'signin.bad_name': 'Letters, digits and . _ @ + = ~ | - please, without spaces.',
    'signin.wants_token': 'This server only lets in who has a token.',
    'signin.unreachable': 'The server cannot be reached.',
    'signin.rejected': 'The server did not accept the token. Sign in again.',
    'signout': 'Sign out',
    'cancel': 'Cancel',
    'close': 'Close',
    'back': 'Back to the conversations',
    'list.title': 'Conversations',
    'list.empty': 'No conversations yet. Begin one!',
    'list.unread': '{n} unread',
    'list.you': 'You: {text}',
    'chat.new': 'New chat',
    'chat.user': 'Whom do you want to write to?',
    'chat.start': 'Start',
    'group.new': 'New group',
    'group.name': 'Name of the group',
    'group.invitees': 'Members, separated by commas',
    'group.create': 'Create',
    'group.info': 'Group info',
    'group.count': '{n} members',
    'group.invite': 'Invite',
    'group.leave': 'Leave group',
    'group.left_it': 'You are not in this group any more.',
    'group.untitled': 'Group',
    'role.owner': 'owner',
    'role.admin': 'admin',
    'role.member': '',
    'thread.none': 'Choose a conversation, or begin one.',
    'thread.messages': 'Messages',
    'thread.older': 'Loading older messages …',
    'thread.begin': 'This is where it begins.',
    'thread.unread': 'Unread messages',
    'thread.typing': '{who} is typing …',
    'thread.typing_many': '{who} are typing …',
    'thread.new': 'New messages ↓',
    'thread.latest': 'To the latest ↓',
    'compose.label': 'Message',
    'compose.placeholder': 'Write a message',
    'compose.send': 'Send',
    'mark.pending': 'Waiting to be sent',
    'mark.sent': 'Sent',
    'mark.delivered': 'Delivered',
    'mark.read': 'Read',
    'mark.failed': 'Not sent',
    'failed.retry': 'Try again',
    'failed.discard': 'Discard',
    'state.idle': '',
    'state.connecting': 'connecting …',
    'state.online': 'online',
    'state.reconnecting': 'offline',
    'state.offline': 'offline',
    'state.closed': 'disconnected',
    'banner.connecting': 'Connecting …',
    'banner.reconnecting': 'No connection. What you write is sent later.',
    'banner.in': 'Next attempt in {n} s',
    'banner.offline': 'No connection.',
    'banner.replaced': 'This chat was opened somewhere else.',
    'banner.closed': 'The server ended the connection ({reason}).',
    'banner.now': 'Try now',
    'banner.here': 'Use it here',
    'system.group_created': '{who} created the group “{name}”',
    'system.group_renamed': '{who} named the group “{name}”',
    'system.group_updated': '{who} changed the group',
    'system.group_dissolved': '{who} dissolved the group',
    'system.member_joined': '{user} joined',
    'system.member_invited': '{who} invited {user}',
    'system.member_left': '{user} left',
    'system.member_kicked': '{who} removed {user}',
    'system.member_role': '{user} is now {role}',
    'system.role.owner': 'the owner',
    'system.role.admin': 'an admin',
    'system.role.member': 'a member',
    'you': 'You',
    'yesterday': 'Yesterday',
    'today': 'Today',
    'error.generic': 'That did not work: {reason}',
    'error.too_big': 'too long',
    'error.not_a_member': 'you are not a member',
    'error.not_allowed': 'your role does not allow it',
    'error.not_found': 'there is no such thing',
    'error.already_member': 'is a member already',
    'error.last_owner': 'the last owner cannot leave',
    'error.group_full': 'the group is full',
    'error.expired': 'it waited too long',
    'error.queue_full': 'too much is waiting to be sent',
    'error.bad_field': 'there is a character that is not allowed',
    'language': '中文',
  },
  zh: {
    'signin.lead': '登录后开始聊天。',
    'signin.name': '你的名字',
    'signin.name_example': 'alice',
    'signin.token': '你的令牌',
    'signin.submit': '登录',
    'signin.use_token': '改用令牌登录',
    'signin.use_name': '改用名字登录',
    'signin.bad_name': '只能使用字母、数字和 . _ @ + = ~ | -,不能有空格。',
    'signin.wants_token': '此服务器只允许持有令牌的用户登录。',
    'signin.unreachable': '无法连接服务器。',
    'signin.rejected': '服务器不接受该令牌,请重新登录。',
    'signout': '退出',
    'cancel': '取消',
    'close': '关闭',
    'back': '返回会话列表',
    'list.title': '会话',
    'list.empty': '还没有会话,开始一个吧!',
    'list.unread': '{n} 条未读',
    'list.you': '我:{text}',
    'chat.new': '新聊天',
    'chat.user': '你想和谁聊天?',
    'chat.start': '开始',
    'group.new': '新群组',
    'group.name': '群名称',
    'group.invitees': '成员,用逗号分隔',
    'group.create': '创建',
    'group.info': '群信息',
    'group.count': '{n} 名成员',
    'group.invite': '邀请',
    'group.leave': '退出群组',
    'group.left_it': '你已不在此群组中。',
    'group.untitled': '群组',
    'role.owner': '群主',
    'role.admin': '管理员',
    'role.member': '',
    'thread.none': '选择一个会话,或开始新的会话。',
    'thread.messages': '消息',
    'thread.older': '正在加载更早的消息……',
    'thread.begin': '会话从这里开始。',
    'thread.unread': '未读消息',
    'thread.typing': '{who} 正在输入……',
    'thread.typing_many': '{who} 正在输入……',
    'thread.new': '有新消息 ↓',
    'thread.latest': '回到最新 ↓',
    'compose.label': '消息',
    'compose.placeholder': '输入消息',
    'compose.send': '发送',
    'mark.pending': '等待发送',
    'mark.sent': '已发送',
    'mark.delivered': '已送达',
    'mark.read': '已读',
    'mark.failed': '发送失败',
    'failed.retry': '重试',
    'failed.discard': '删除',
    'state.idle': '',
    'state.connecting': '连接中……',
    'state.online': '在线',
    'state.reconnecting': '离线',
    'state.offline': '离线',
    'state.closed': '已断开',
    'banner.connecting': '正在连接……',
    'banner.reconnecting': '连接已断开,你写的内容会稍后发送。',
    'banner.in': '{n} 秒后重试',
    'banner.offline': '没有连接。',
    'banner.replaced': '此聊天已在别处打开。',
    'banner.closed': '服务器结束了连接({reason})。',
    'banner.now': '立即重试',
    'banner.here': '在此处使用',
    'system.group_created': '{who}创建了群组“{name}”',
    'system.group_renamed': '{who}将群名改为“{name}”',
    'system.group_updated': '{who}修改了群组',
    'system.group_dissolved': '{who}解散了群组',
    'system.member_joined': '{user}加入了群组',
    'system.member_invited': '{who}邀请了{user}',
    'system.member_left': '{user}退出了群组',
    'system.member_kicked': '{who}移除了{user}',
    'system.member_role': '{user}成为了{role}',
    'system.role.owner': '群主',
    'system.role.admin': '管理员',
    'system.role.member': '普通成员',
    'you': '你',
    'yesterday': '昨天',
    'today': '今天',
    'error.generic': '操作失败:{reason}',
    'error.too_big': '内容太长',
    'error.not_a_member': '你不是成员',
    'error.not_allowed': '你的角色不允许这样做',
    'error.not_found': '不存在',
    'error.already_member': '已经是成员',
    'error.last_owner': '最后一位群主不能退出',
    'error.group_full': '群组已满',
    'error.expired': '等待时间过长',
    'error.queue_full': '等待发送的内容过多',
    'error.bad_field': '含有不允许的字符',
    'language': 'English',
  },
};

const KEPT_AS = 'hubbub/language';
const listeners = new Set();

/** @returns {'en' | 'zh'} */
function preferred() {
  const kept = localStorage.getItem(KEPT_AS);
  if (kept === 'en' || kept === 'zh') return kept;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

let language = preferred();

/** The BCP 47 tag, for dates and the document. */
export const locale = () => (language === 'zh' ? 'zh-CN' : 'en');

/**
 * A text in the chosen language, its `{names}` filled in.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const text = WORDS[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/** What went wrong, in words, from a reason of the protocol. @param {string} reason */
export function reasonText(reason) {
  return WORDS[language][`error.${reason}`] ?? reason;
}

/** Puts the words into every element that names its own. */
export function translate(root = document) {
  document.documentElement.lang = locale();
  for (const element of root.querySelectorAll('[data-i18n]')) {
    element.textContent = t(element.dataset.i18n);
  }
  for (const element of root.querySelectorAll('[data-i18n-placeholder]')) {
    element.placeholder = t(element.dataset.i18nPlaceholder);
  }
  for (const element of root.querySelectorAll('[data-i18n-label]')) {
    element.setAttribute('aria-label', t(element.dataset.i18nLabel));
  }
  for (const button of root.querySelectorAll('button.language')) {
    button.textContent = t('language');
    button.lang = language === 'zh' ? 'en' : 'zh-CN';
  }
}

/** Changes to the other language and tells who listens. */
export function switchLanguage() {
  language = language === 'zh' ? 'en' : 'zh';
  localStorage.setItem(KEPT_AS, language);
  translate();
  for (const listener of listeners) listener();
}

/** @param {() => void} listener called after each change of language */
export function onLanguage(listener) {
  listeners.add(listener);
}
