/**
 * The local copy: MediaRecorder over this participant's own tracks while the room is recorded, into the spool.
 *
 * One capture is one uninterrupted set of tracks; when a device changes, a new one begins on the same session clock.
 * Muting never interrupts it: muted tracks are recorded as silence or black. The start time is the session clock at
 * the call of `start()`, where MediaRecorder takes its first sample (2-3 ms later, FACTS.md).
 */

import { Emitter } from './emitter.js';
import { Spool } from './spool.js';

/** @typedef {import('./publisher.js').OwnKind} OwnKind */
/** @typedef {import('./messages.js').CaptureProfile} CaptureProfile */
/** @typedef {import('./upload.js').Upload} Upload */

const TIMESLICE_MS = 1000;

/** Longest wait for a good clock; the capture itself runs meanwhile. */
const CLOCK_WAIT_MS = 3000;

/** In order of preference. WebM only: MP4 yields nothing before its first key frame. */
const VIDEO_TYPES = ['video/webm;codecs=vp8,opus', 'video/webm;codecs=vp9,opus', 'video/webm'];
const AUDIO_TYPES = ['audio/webm;codecs=opus', 'audio/webm'];

/** @typedef {{recorder: MediaRecorder, finished: Promise<void>}} Running */

/** @extends {Emitter<{problem: string, running: boolean}>} */
export class Capture extends Emitter {
  #identity;
  #clock;
  #spool;
  #uploads;
  /** @type {CaptureProfile | null} */
  #profile = null;
  /** @type {string | null} */
  #recordingId = null;
  /** @type {Map<OwnKind, MediaStreamTrack>} */
  #tracks = new Map();
  /** @type {Running | null} */
  #running = null;

  /**
   * @param {import('./messages.js').Identity} identity
   * @param {import('./clock.js').SessionClock} clock
   * @param {Spool} spool
   * @param {import('./uploads.js').Uploads} uploads
   */
  constructor(identity, clock, spool, uploads) {
    super();
    this.#identity = identity;
    this.#clock = clock;
    this.#spool = spool;
    this.#uploads = uploads;
  }

  get running() {
    return this.#running !== null;
  }

  get recordingId() {
    return this.#recordingId;
  }

  get mimeType() {
    return this.#running?.recorder.mimeType ?? '';
  }

  /** @param {CaptureProfile} profile */
  setProfile(profile) {
    this.#profile = profile;
  }

  /**
   * Own tracks changed: a running capture ends, and another begins with these.
   * @param {Map<OwnKind, MediaStreamTrack>} tracks
   */
  setTracks(tracks) {
    this.#tracks = new Map(tracks);
    if (!this.#recordingId) return;
    this.#stopRecorder();
    this.#startRecorder(this.#recordingId);
  }

  /** @param {string} recordingId */
  start(recordingId) {
    if (this.#recordingId === recordingId) return;
    this.stop();
    this.#recordingId = recordingId;
    this.#startRecorder(recordingId);
  }

  /** @returns {Promise<void>} when everything captured is on disk */
  stop() {
    this.#recordingId = null;
    const finished = this.#running?.finished ?? Promise.resolve();
    this.#stopRecorder();
    return finished;
  }

  #stopRecorder() {
    const running = this.#running;
    this.#running = null;
    if (running && running.recorder.state !== 'inactive') running.recorder.stop();
    this.emit('running', false);
  }

  /** @param {string} recordingId */
  #startRecorder(recordingId) {
    const tracks = [...this.#tracks.values()].filter((track) => track.readyState === 'live');
    if (tracks.length === 0 || !this.#profile) return;
    if (!Spool.available) {
      this.emit('problem', 'This browser window cannot keep a local copy (a private window, or no https). The server still records you.');
      return;
    }
    const camera = tracks.some((track) => track.kind === 'video');
    const recorder = openRecorder(new MediaStream(tracks), camera, this.#profile);
    if (!recorder) {
      this.emit('problem', 'This browser cannot record a local copy. The server still records you.');
      return;
    }
    /** @type {BlobEvent[]} */
    const early = [];
    recorder.ondataavailable = (event) => early.push(event);
    const startedMs = performance.now();
    recorder.start(TIMESLICE_MS);
    const finished = this.#record(recorder, recordingId, camera, startedMs, early).catch((error) => {
      if (recorder.state !== 'inactive') recorder.stop();
      this.emit('problem', captureProblem(error));
    });
    this.#running = { recorder, finished };
    this.emit('running', true);
  }

  /**
   * From the first blob to the end of the capture.
   * @param {MediaRecorder} recorder
   * @param {string} recordingId
   * @param {boolean} camera
   * @param {number} startedMs
   * @param {BlobEvent[]} early blobs that came while the files were made
   */
  async #record(recorder, recordingId, camera, startedMs, early) {
    const profile = /** @type {CaptureProfile} */ (this.#profile);
    const stopped = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.onerror = (event) => {
      console.warn('MediaRecorder stopped', event);
      this.emit('problem', 'The local copy was interrupted. The server still records you.');
    };
    await Promise.race([this.#clock.settled(), new Promise((resolve) => setTimeout(resolve, CLOCK_WAIT_MS))]);
    const upload = await this.#uploads.begin({
      capture_id: newCaptureId(),
      session_id: this.#identity.session_id,
      recording_id: recordingId,
      participant_id: this.#identity.participant_id,
      token: this.#identity.token,
      kind: camera ? 'camera' : 'microphone',
      content_type: recorder.mimeType.split(';')[0] ?? 'video/webm',
      start_ms: Math.max(0, this.#clock.at(startedMs) ?? 0),
      bound_ms: Math.min(this.#clock.boundMs, 60_000),
      chunk_ms: profile.chunk_ms,
      chunk_bytes: profile.chunk_bytes,
    });
    /** @type {Promise<void>} */
    let writing = Promise.resolve();
    /** @type {unknown} */
    let failure = null;
    const write = (/** @type {BlobEvent} */ event) => {
      const endMs = event.timeStamp - startedMs;
      writing = writing
        .then(() => (failure ? undefined : this.#append(upload, event.data, endMs)))
        .catch((error) => {
          failure = error;
          if (recorder.state !== 'inactive') recorder.stop();
        });
    };
    recorder.ondataavailable = write;
    for (const event of early) write(event);
    if (recorder.state !== 'inactive') await stopped;
    await writing;
    upload.changed(await this.#spool.end(upload.meta.capture_id));
    if (failure) throw failure;
  }

  /**
   * @param {Upload} upload
   * @param {Blob} blob
   * @param {number} endMs
   */
  async #append(upload, blob, endMs) {
    if (blob.size === 0) return;
    upload.changed(await this.#spool.append(upload.meta.capture_id, await blob.arrayBuffer(), Math.max(0, endMs)));
  }
}

/**
 * @param {MediaStream} stream
 * @param {boolean} camera
 * @param {CaptureProfile} profile
 */
function openRecorder(stream, camera, profile) {
  if (typeof MediaRecorder === 'undefined') return null;
  const mimeType = (camera ? VIDEO_TYPES : AUDIO_TYPES).find((type) => MediaRecorder.isTypeSupported(type));
  if (!mimeType) return null;
  return new MediaRecorder(stream, {
    mimeType,
    audioBitsPerSecond: profile.audio_bps,
    ...(camera ? { videoBitsPerSecond: profile.video_bps } : {}),
  });
}

/** Names the capture on this disk; 80 random bits. */
function newCaptureId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {unknown} error */
function captureProblem(error) {
  if (error instanceof DOMException && error.name === 'QuotaExceededError') {
    return 'The disk is full: the local copy stops here, what exists is kept. Free some space; the server still records you.';
  }
  console.warn('local copy failed', error);
  return 'The local copy could not be written. The server still records you.';
}
