/**
 * REST calls of the program and the PUT to the object store. Every failure is an ApiError with a stable `id`.
 *
 * Secrets travel in the Authorization header or the body, never in a URL. Nothing is retried here.
 */

/** @typedef {import('./messages.js').Identity} Identity */
/** @typedef {import('./messages.js').RecordingView} RecordingView */

const TIMEOUT_MS = 20_000;

/** A PUT that moves no byte for so long is given up and tried again. */
const PUT_STALL_MS = 30_000;

export class ApiError extends Error {
  /**
   * @param {number} status 0: no answer
   * @param {string} id
   * @param {string} detail
   * @param {any} [body] the whole problem document
   */
  constructor(status, id, detail, body) {
    super(detail);
    this.status = status;
    this.id = id;
    this.detail = detail;
    this.body = body;
  }

  /** Worth trying again later without changing anything. */
  get temporary() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/**
 * @param {'GET' | 'POST' | 'DELETE'} method
 * @param {string} path
 * @param {{token?: string, body?: unknown}} [options]
 * @returns {Promise<any>}
 */
async function request(method, path, { token, body } = {}) {
  /** @type {Record<string, string>} */
  const headers = { accept: 'application/json' };
  if (token) headers['authorization'] = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      cache: 'no-store',
      credentials: 'omit',
    });
  } catch {
    throw new ApiError(0, 'unreachable', 'The studio cannot be reached.');
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new ApiError(response.status, String(answer.id ?? 'unexpected'), String(answer.detail ?? response.statusText), answer);
}

/** @param {string} id */
const part = (id) => encodeURIComponent(id);

/**
 * @typedef {object} CreatedSession
 * @property {string} session_id
 * @property {string} title
 * @property {string} host_secret
 * @property {string} host_url
 * @property {string} guest_url
 * @property {number} max_participants
 */

/**
 * @param {{title: string, max_participants?: number}} body
 * @returns {Promise<CreatedSession>}
 */
export const createSession = (body) => request('POST', '/sessions/create', { body });

/**
 * @param {string} sessionId
 * @returns {Promise<{session_id: string, title: string, participants: number, max_participants: number, recording: boolean}>}
 */
export const getSession = (sessionId) => request('GET', `/sessions/${part(sessionId)}`);

/**
 * @param {string} sessionId
 * @param {{display_name: string, host_secret?: string}} body
 * @returns {Promise<Omit<Identity, 'session_id'>>}
 */
export const join = (sessionId, body) => request('POST', `/sessions/${part(sessionId)}/join`, { body });

/**
 * A token for a program that publishes by WHIP.
 * @param {string} sessionId
 * @param {{display_name: string}} body
 * @param {string} token host secret or token of a host
 * @returns {Promise<{participant_id: string, display_name: string, whip_url: string, token: string}>}
 */
export const createIngest = (sessionId, body, token) =>
  request('POST', `/sessions/${part(sessionId)}/ingests`, { token, body });

/**
 * @param {string} sessionId
 * @param {string} token host secret or token of a host
 * @returns {Promise<RecordingView>}
 */
export const startRecording = (sessionId, token) =>
  request('POST', `/sessions/${part(sessionId)}/recordings`, { token, body: {} });

/**
 * @param {string} sessionId
 * @param {string} recordingId
 * @param {string} token
 * @returns {Promise<RecordingView>}
 */
export const stopRecording = (sessionId, recordingId, token) =>
  request('POST', `/sessions/${part(sessionId)}/recordings/${part(recordingId)}/stop`, { token, body: {} });

/**
 * @typedef {object} SegmentFile
 * @property {string} segment_id
 * @property {'server' | 'local'} copy
 * @property {'capturing' | 'finishing' | 'stored' | 'failed'} state
 * @property {string} codec
 * @property {string} content_type
 * @property {number} size_bytes
 * @property {string} file_name
 * @property {string} sha256
 * @property {number} start_ns first sample, on the session clock (exact up to 104 days)
 * @property {number} start_bound_ns
 * @property {number} duration_ns
 * @property {string} problem
 * @property {string | null} play_url null until the file is in the store; of a server copy that is not: what is finished of it
 * @property {string | null} download_url
 * @property {'' | 'pending' | 'redacted'} off_record something in it is off the record: the file without it is being made, or
 *   this is it
 */

/**
 * @typedef {object} OffRecord a range that a host took off the record, in session time
 * @property {string} off_record_id
 * @property {number} start_ms
 * @property {number} stop_ms
 * @property {string | null} marked_by the participant; null: whoever has the host link
 * @property {number} marked_ms
 * @property {'marked' | 'redacted' | 'purging' | 'purged'} state
 */

/** @typedef {'A' | 'B' | 'C' | 'D' | 'E' | 'F'} Grade */

/**
 * @typedef {object} Take
 * @property {string} take_id
 * @property {string} participant_id
 * @property {import('./messages.js').TrackKind} kind
 * @property {number} slot
 * @property {Grade | null} grade of its server copy; null: there is no report yet
 * @property {string[]} reasons sentences, the worst first
 * @property {SegmentFile[]} segments
 */

/**
 * @typedef {RecordingView & {
 *   started_at: string,
 *   grade: Grade | null,
 *   report_url: string | null,
 *   participants: {participant_id: string, display_name: string, role: string}[],
 *   takes: Take[],
 *   off_record: OffRecord[],
 * }} RecordingDetail
 */

/**
 * @param {string} sessionId
 * @param {string} token
 * @returns {Promise<{recordings: RecordingView[]}>}
 */
export const listRecordings = (sessionId, token) => request('GET', `/sessions/${part(sessionId)}/recordings`, { token });

/**
 * @param {string} sessionId
 * @param {string} recordingId
 * @param {string} token
 * @returns {Promise<RecordingDetail>}
 */
export const getRecording = (sessionId, recordingId, token) =>
  request('GET', `/sessions/${part(sessionId)}/recordings/${part(recordingId)}`, { token });

/**
 * @param {string} sessionId
 * @param {string} recordingId
 * @param {string} token
 * @returns {Promise<unknown>}
 */
export const getManifest = (sessionId, recordingId, token) =>
  request('GET', `/sessions/${part(sessionId)}/recordings/${part(recordingId)}/manifest`, { token });

/** @param {string} sessionId @param {string} recordingId */
const offRecord = (sessionId, recordingId) => `/sessions/${part(sessionId)}/recordings/${part(recordingId)}/off-record`;

/**
 * @param {string} sessionId
 * @param {string} recordingId
 * @param {{last_s: number} | {start_ms: number, stop_ms: number}} range
 * @param {string} token host secret or token of a host
 * @returns {Promise<OffRecord>}
 */
export const takeOffRecord = (sessionId, recordingId, range, token) =>
  request('POST', offRecord(sessionId, recordingId), { token, body: range });

/**
 * @param {string} sessionId
 * @param {string} recordingId
 * @param {string} id
 * @param {string} token
 * @returns {Promise<unknown>}
 */
export const putBackOnRecord = (sessionId, recordingId, id, token) =>
  request('DELETE', `${offRecord(sessionId, recordingId)}/${part(id)}`, { token });

/**
 * @param {string} sessionId
 * @param {string} recordingId
 * @param {string} token
 * @returns {Promise<unknown>}
 */
export const purgeOffRecord = (sessionId, recordingId, token) =>
  request('POST', `/sessions/${part(sessionId)}/recordings/${part(recordingId)}/purge`, { token, body: { confirm: recordingId } });

/**
 * Where a local capture's REST calls go, and as whom.
 * @typedef {{session_id: string, recording_id: string, token: string}} CaptureAddress
 */

/** @param {CaptureAddress} to */
const captures = (to) => `/sessions/${part(to.session_id)}/recordings/${part(to.recording_id)}/captures`;

/**
 * @param {CaptureAddress} to
 * @param {{kind: 'camera' | 'microphone', content_type: string, start_ms: number, bound_ms: number, capture_id: string}} body
 *   the same `capture_id` again gives the same segment
 * @returns {Promise<{segment_id: string}>}
 */
export const openCapture = (to, body) => request('POST', captures(to), { token: to.token, body });

/**
 * @param {CaptureAddress} to
 * @param {string} segmentId
 * @param {number} index
 * @param {{size_bytes: number, sha256: string}} body
 * @returns {Promise<{url: string, method: string, headers: Record<string, string>, expires_in_s: number}>}
 */
export const requestChunk = (to, segmentId, index, body) =>
  request('POST', `${captures(to)}/${part(segmentId)}/chunks/${index}`, { token: to.token, body });

/**
 * @param {CaptureAddress} to
 * @param {string} segmentId
 * @param {number} index
 * @param {{size_bytes: number, sha256: string, end_ms: number}} body
 * @returns {Promise<{verified_bytes: number, safe_ms: number}>}
 */
export const confirmChunk = (to, segmentId, index, body) =>
  request('POST', `${captures(to)}/${part(segmentId)}/chunks/${index}/confirm`, { token: to.token, body });

/**
 * @param {CaptureAddress} to
 * @param {string} segmentId
 * @param {number} chunks
 * @returns {Promise<unknown>}
 */
export const finishCapture = (to, segmentId, chunks) =>
  request('POST', `${captures(to)}/${part(segmentId)}/finish`, { token: to.token, body: { chunks } });

/**
 * PUT to a presigned URL. XMLHttpRequest, because fetch tells nothing about bytes under way.
 * @param {string} url
 * @param {Record<string, string>} headers
 * @param {Blob} body
 * @param {(sentBytes: number) => void} onProgress
 * @returns {Promise<void>}
 */
export function putObject(url, headers, body, onProgress) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    let stall = setTimeout(() => xhr.abort(), PUT_STALL_MS);
    const moved = () => {
      clearTimeout(stall);
      stall = setTimeout(() => xhr.abort(), PUT_STALL_MS);
    };
    xhr.open('PUT', url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => {
      moved();
      onProgress(event.loaded);
    };
    xhr.onloadend = () => {
      clearTimeout(stall);
      if (xhr.status >= 200 && xhr.status < 300) resolve();
      else reject(new ApiError(xhr.status, 'put_failed', `The object store answered ${xhr.status || 'nothing'}.`));
    };
    xhr.send(body);
  });
}
