/**
 * The local copy: MediaRecorder over this participant's own tracks while the room is recorded, into the spool.
 *
 * One capture is one uninterrupted set of tracks; when a device changes, a new one begins on the same session clock.
 * One that ends though nobody stopped it is begun anew a few times; then it has failed, and `progress` says so.
 * Muting never interrupts it: muted tracks are recorded as silence or black. The start time is the session clock at
 * the call of `start()`, where MediaRecorder takes its first sample (2-3 ms later, FACTS.md).
 */

import { CaptureFiles } from './capture-files.js';
import { Emitter } from './emitter.js';
import { Spool } from './spool.js';

/** @typedef {import('./publisher.js').OwnKind} OwnKind */
/** @typedef {import('./messages.js').CaptureProfile} CaptureProfile */

const TIMESLICE_MS = 1000;

/** In order of preference. WebM only: MP4 yields nothing before its first key frame. */
const VIDEO_TYPES = ['video/webm;codecs=vp8,opus', 'video/webm;codecs=vp9,opus', 'video/webm'];
const AUDIO_TYPES = ['audio/webm;codecs=opus', 'audio/webm'];

/** Waits before a capture that broke off is begun anew; after the last one it has failed. */
const RETRY_MS = [1000, 2000, 5000];

/** A capture that ran for so long was a good one: the next failure is the first again. */
const GOOD_AFTER_MS = 60_000;

const INSTEAD = 'The server still records you. To try again, reload this page.';

/** @typedef {{recorder: MediaRecorder, startedMs: number, finished: Promise<void>, told: boolean}} Running */

/**
 * `off`: nothing is recorded. `idle`: the room is recorded, and there is no open device. `retrying`: it broke off and
 * is begun anew soon. `failed`: the room is recorded and this page gave up.
 * @typedef {'off' | 'idle' | 'running' | 'retrying' | 'failed'} CaptureProgress
 */

/** @extends {Emitter<{problem: string, running: boolean}>} */
export class Capture extends Emitter {
  #files;
  /** @type {CaptureProfile | null} */
  #profile = null;
  /** @type {string | null} */
  #recordingId = null;
  /** @type {Map<OwnKind, MediaStreamTrack>} */
  #tracks = new Map();
  /** @type {Running | null} */
  #running = null;
  /** @type {CaptureProgress} */
  #progress = 'off';
  #problem = '';
  #failures = 0;
  /** @type {number | undefined} */
  #retryTimer;

  /**
   * @param {import('./messages.js').Identity} identity
   * @param {import('./clock.js').SessionClock} clock
   * @param {Spool} spool
   * @param {import('./uploads.js').Uploads} uploads
   */
  constructor(identity, clock, spool, uploads) {
    super();
    this.#files = new CaptureFiles(identity, clock, spool, uploads);
  }

  get running() {
    return this.#running !== null;
  }

  get progress() {
    return this.#progress;
  }

  /** Why it failed and what to do; '' unless `progress` is `failed`. */
  get problem() {
    return this.#problem;
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
    if (this.#recordingId) this.#beginAnew();
  }

  /** Never throws: what goes wrong is a problem and a `progress`. @param {string} recordingId */
  start(recordingId) {
    if (this.#recordingId === recordingId) return;
    this.#recordingId = recordingId;
    this.#beginAnew();
  }

  /** @returns {Promise<void>} when everything captured is on disk */
  stop() {
    this.#recordingId = null;
    const finished = this.#running?.finished ?? Promise.resolve();
    this.#stopRecorder();
    this.#become('off');
    return finished;
  }

  #beginAnew() {
    this.#stopRecorder();
    this.#failures = 0;
    this.#begin();
  }

  #stopRecorder() {
    clearTimeout(this.#retryTimer);
    const running = this.#running;
    this.#running = null;
    if (running) halt(running.recorder);
  }

  #begin() {
    const recordingId = this.#recordingId;
    const tracks = [...this.#tracks.values()].filter((track) => track.readyState === 'live');
    if (!recordingId || tracks.length === 0 || !this.#profile) {
      this.#become(recordingId ? 'idle' : 'off');
      return;
    }
    if (!Spool.available) {
      this.#become('failed', 'This browser window cannot keep a local copy (a private window, or no https). The server still records you.');
      return;
    }
    try {
      const camera = tracks.some((track) => track.kind === 'video');
      const recorder = openRecorder(new MediaStream(tracks), camera, this.#profile);
      if (recorder) this.#startRecorder(recorder, recordingId, camera, this.#profile);
      else this.#become('failed', 'This browser cannot record a local copy. The server still records you.');
    } catch (error) {
      this.#brokeOff(error);
    }
  }

  /**
   * @param {MediaRecorder} recorder
   * @param {string} recordingId
   * @param {boolean} camera
   * @param {CaptureProfile} profile
   */
  #startRecorder(recorder, recordingId, camera, profile) {
    /** @type {BlobEvent[]} */
    const early = [];
    recorder.ondataavailable = (event) => early.push(event);
    const startedMs = performance.now();
    recorder.start(TIMESLICE_MS);
    /** @type {Running} */
    const running = { recorder, startedMs, finished: Promise.resolve(), told: false };
    this.#running = running;
    recorder.onerror = (event) => {
      this.#ended(running, 'error' in event ? event.error : event);
      halt(recorder);
    };
    const stopped = new Promise((/** @type {(value: void) => void} */ resolve) => {
      recorder.onstop = () => {
        resolve();
        this.#ended(running, 'the recorder stopped');
      };
    });
    const kind = camera ? 'camera' : 'microphone';
    running.finished = this.#files.write({ recorder, recordingId, kind, startedMs, early, stopped }, profile).catch((error) => {
      // What was asked to stop and could not be written to its end is told, but not begun anew.
      if (this.#running === running) this.#ended(running, error);
      else if (!running.told) this.emit('problem', captureProblem(error));
      halt(recorder);
    });
    this.#become('running');
  }

  /** A capture that nobody stopped has ended. @param {Running} running @param {unknown} cause */
  #ended(running, cause) {
    if (this.#running !== running) return;
    this.#running = null;
    running.told = true;
    if (performance.now() - running.startedMs > GOOD_AFTER_MS) this.#failures = 0;
    this.#brokeOff(cause);
  }

  /** @param {unknown} cause */
  #brokeOff(cause) {
    console.warn('the local copy broke off', cause);
    const wait = RETRY_MS[this.#failures++];
    if (wait === undefined) {
      this.#become('failed', captureProblem(cause));
      return;
    }
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#begin(), wait);
    this.#become('retrying');
  }

  /** @param {CaptureProgress} progress @param {string} [problem] */
  #become(progress, problem = '') {
    this.#progress = progress;
    this.#problem = problem;
    if (problem) this.emit('problem', problem);
    this.emit('running', this.running);
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

/** @param {MediaRecorder} recorder */
function halt(recorder) {
  if (recorder.state !== 'inactive') recorder.stop();
}

/** @param {unknown} error */
function captureProblem(error) {
  if (error instanceof DOMException && error.name === 'QuotaExceededError') {
    return 'The disk is full: your local copy stops here, what exists is kept. Free some space, then reload this page to go on. The server still records you.';
  }
  return `Your local copy stops here, what exists is kept. ${INSTEAD}`;
}
