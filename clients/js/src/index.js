/** The public face of `@hubbub/client`. */
export { Client } from './client.js';
export { isSystemKind } from './conversation.js';
export { HubbubError } from './errors.js';
export { directId } from './ids.js';
export { FOREVER_MS } from './settings.js';
export { memoryStorage, webStorage } from './storage.js';
