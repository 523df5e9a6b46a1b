/**
 * What this browser remembers: who it is in a session and what it muted there (this tab only), the host secret (this
 * tab only), and harmless preferences (this browser). Storage may be refused; then nothing is remembered and everything else works.
 */

/** @typedef {import('./messages.js').Identity} Identity */
/** @typedef {import('./devices.js').Choice} Choice */
/** @typedef {import('./publisher.js').OwnKind} OwnKind */
/** @typedef {Choice & {display_name: string}} Preferences */

const PREFERENCES_KEY = 'stemroom.preferences';

/** @type {Preferences} */
const DEFAULTS = { display_name: '', camera: '', microphone: '', headphones: false, height: 720 };

/** @param {string} sessionId */
const identityKey = (sessionId) => `stemroom.identity.${sessionId}`;

/** @param {string} sessionId */
const mutesKey = (sessionId) => `stemroom.mutes.${sessionId}`;

/** @param {string} sessionId */
const hostKey = (sessionId) => `stemroom.host.${sessionId}`;

/**
 * @param {() => Storage} storage reading the property itself may throw
 * @param {string} key
 */
function read(storage, key) {
  try {
    return storage().getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {() => Storage} storage
 * @param {string} key
 * @param {string | null} value null removes
 */
function write(storage, key, value) {
  try {
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, value);
  } catch {
    // Not remembered: the participant types it again.
  }
}

const tab = () => sessionStorage;
const browser = () => localStorage;

/** @param {string} sessionId @returns {Identity | null} */
export function loadIdentity(sessionId) {
  const text = read(tab, identityKey(sessionId));
  return text ? JSON.parse(text) : null;
}

/** @param {Identity} identity */
export const saveIdentity = (identity) => write(tab, identityKey(identity.session_id), JSON.stringify(identity));

/** Mutes belong to the identity: both outlive a reload, and both end with the call. @param {string} sessionId */
export function forgetIdentity(sessionId) {
  write(tab, identityKey(sessionId), null);
  write(tab, mutesKey(sessionId), null);
}

/** What was muted before a reload. @param {string} sessionId @returns {OwnKind[]} */
export function loadMutes(sessionId) {
  const kept = (read(tab, mutesKey(sessionId)) ?? '').split(' ');
  return /** @type {OwnKind[]} */ (['microphone', 'camera']).filter((kind) => kept.includes(kind));
}

/** @param {string} sessionId @param {OwnKind[]} muted */
export const saveMutes = (sessionId, muted) => write(tab, mutesKey(sessionId), muted.join(' '));

/**
 * The host secret from the URL's fragment, or as this tab saw it before; '' for guests.
 * @param {string} sessionId
 */
export function hostSecret(sessionId) {
  const given = new URLSearchParams(location.hash.slice(1)).get('host');
  if (given) write(tab, hostKey(sessionId), given);
  return given ?? read(tab, hostKey(sessionId)) ?? '';
}

/** @param {string} sessionId */
export const forgetHostSecret = (sessionId) => write(tab, hostKey(sessionId), null);

/** @returns {Preferences} */
export function loadPreferences() {
  try {
    return { ...DEFAULTS, ...JSON.parse(read(browser, PREFERENCES_KEY) ?? '{}') };
  } catch {
    return { ...DEFAULTS };
  }
}

/** @param {Preferences} preferences */
export const savePreferences = (preferences) => write(browser, PREFERENCES_KEY, JSON.stringify(preferences));

/** Links of a session on this origin. @param {string} sessionId */
export const guestLink = (sessionId) => `${location.origin}/session/${sessionId}`;

/** @param {string} sessionId @param {string} secret */
export const hostLink = (sessionId, secret) => `${guestLink(sessionId)}#host=${secret}`;

/** @param {string} sessionId @param {string} secret */
export const filesLink = (sessionId, secret) => `${guestLink(sessionId)}/files${secret ? `#host=${secret}` : ''}`;

/** The session id of a page under /session/{id}. */
export const sessionIdOfPage = () => location.pathname.split('/')[2] ?? '';
