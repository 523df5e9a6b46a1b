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
  spool_full: 'There is too little space on the studio’s disk to record. Tell whoever runs the studio to make some; you can record again as soon as there is.',
  spool_unavailable: 'The studio’s disk does not answer, so nothing could be recorded or changed. Tell whoever runs the studio, and try again.',
  store_unavailable: 'The studio cannot reach its storage right now. Try again in a minute.',
  database_unavailable: 'The studio cannot reach its database right now. Try again in a minute.',
  journals_gone: 'This recording is too old: the studio keeps what is needed to change it for some days only.',
  off_record_outside: 'Nothing is recorded in that range. Give times between the beginning and the end of the recording.',
  already_purged: 'That range was purged: nothing of it is left that could be put back.',
  redaction_pending: 'The files without what is off the record are not all there yet. Try again when they are.',
  too_many_off_record: 'Too many ranges of this recording are off the record. Put some back, or mark one long range.',
  unauthorized: 'This needs the host link. Open the link that was shown when the session was created.',
  forbidden: 'Only a host may do this. Open the session with the host link.',
};

/**
 * What the studio says over the WebSocket while a call goes on.
 * @type {Record<string, string>}
 */
const IN_CALL = {
  sends_too_much: 'More sound and picture comes from you than this studio takes, so some of it is dropped. Choose a smaller picture under Devices.',
  too_many_streams: 'Your browser sends more streams than this studio takes. Some of what you send is not seen; join again, and tell whoever runs the studio if it stays.',
  too_many_subscriptions: 'There are more people and pictures here than this studio sends to one page: you do not see or hear all of them.',
  too_many_tracks: 'You send as many sounds and pictures as this studio takes from one person. End one of them first.',
};

/**
 * Words for the id of an `error` message, or undefined: nothing that a person should know.
 * @param {string} id
 */
export function explainInCall(id) {
  return IN_CALL[id];
}

/** @param {unknown} error */
export function explain(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const known = WORDS[error.id];
  if (known) return known;
  if (error.status >= 500) return `The studio had a problem (${error.id}). Try again; if it stays, tell whoever runs it.`;
  return error.detail;
}
