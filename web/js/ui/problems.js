/** What failed, in words that say what to do. Keys are the stable ids of docs/protocol.md. */

import { ApiError } from '../api.js';

/** @type {Record<string, string>} */
const WORDS = {
  unreachable: 'The studio does not answer. Check your network connection, then try again.',
  unknown_session: 'There is no session behind this link. Check that it was copied completely, or ask the host for a new one.',
  session_full: 'This session is full. Ask the host to make room, then try again.',
  wrong_host_secret: 'The host part of this link is wrong. Copy the whole host link again, or join as a guest.',
  already_recording: 'The session is being recorded already.',
  too_many_rooms: 'This studio is at its limit right now. Try again in a few minutes.',
  store_unavailable: 'The studio cannot reach its storage right now. Try again in a minute.',
  database_unavailable: 'The studio cannot reach its database right now. Try again in a minute.',
  unauthorized: 'This needs the host link. Open the link that was shown when the session was created.',
  forbidden: 'Only a host may do this. Open the session with the host link.',
};

/** @param {unknown} error */
export function explain(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const known = WORDS[error.id];
  if (known) return known;
  if (error.status >= 500) return `The studio had a problem (${error.id}). Try again; if it stays, tell whoever runs it.`;
  return error.detail;
}
