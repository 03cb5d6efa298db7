/** The public face of `@hubbub/client`. */
export { Client } from './client.js';
export { HubbubError } from './errors.js';
export { directId } from './ids.js';
export { memoryStorage, webStorage } from './storage.js';
export { isSystemKind } from './store.js';
