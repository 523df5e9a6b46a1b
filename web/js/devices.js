/**
 * Camera and microphone of this page: at most one track of each, opened, exchanged and lost in one place.
 *
 * `changed` comes after every change of the set of live tracks. Failures are MediaProblem with a sentence that says
 * what to do. Of requests for one kind that overlap the last one counts: what the others, or a request that outlives
 * `close`, bring is stopped at once. A muted track stays open (`enabled = false`): the local copy and the call go on without a break.
 */

import { Emitter } from './emitter.js';

/** @typedef {import('./publisher.js').OwnKind} OwnKind */

/** The device id that means none. */
export const NO_DEVICE = 'none';

/**
 * @typedef {object} Choice
 * @property {string} camera device id, '' for the default, `NO_DEVICE` for none
 * @property {string} microphone likewise
 * @property {boolean} headphones true: unprocessed sound; false: echo cancellation and noise suppression
 * @property {number} height of the picture, pixels
 */

export class MediaProblem extends Error {
  /**
   * @param {'insecure' | 'denied' | 'missing' | 'busy' | 'other'} id
   * @param {string} message
   */
  constructor(id, message) {
    super(message);
    this.id = id;
  }
}

/** Why this page can have no devices at all, or null. */
export function devicesUnavailable() {
  if (!isSecureContext) {
    const secure = `https://${location.host}${location.pathname}`;
    return new MediaProblem(
      'insecure',
      `This page came over plain http, and browsers give camera and microphone only to secure pages. Open ${secure} instead, `
        + 'or http://localhost on the machine itself. If https does not answer, ask whoever runs this studio to set up a certificate '
        + '(http.tls_cert and http.tls_key in config.toml). You can still join and listen.',
    );
  }
  if (!navigator.mediaDevices?.getUserMedia) {
    return new MediaProblem('other', 'This browser gives no access to camera and microphone. Use a current Chrome, Edge or Firefox. You can still join and listen.');
  }
  return null;
}

/** @type {Record<string, 'denied' | 'missing' | 'busy'>} */
const CAUSES = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
};

/**
 * What getUserMedia threw, as a sentence about one or both kinds.
 * @param {unknown} error
 * @param {string} what
 */
function explained(error, what) {
  const name = error instanceof DOMException ? error.name : '';
  const cause = CAUSES[name] ?? 'other';
  const sentences = {
    denied: `The browser was not allowed to use the ${what}. Click the camera symbol in the address bar and allow it, then try again.`,
    missing: `No ${what} was found. Plug one in, then try again; or join without.`,
    busy: `The ${what} does not answer. Close other programs that use it, or unplug it and plug it in again; then try again.`,
    other: `The ${what} could not be opened (${name || error}).`,
  };
  return new MediaProblem(cause, sentences[cause]);
}

/** @extends {Emitter<{changed: Map<OwnKind, MediaStreamTrack>, lost: OwnKind, devices: void}>} */
export class Devices extends Emitter {
  /** @type {Map<OwnKind, MediaStreamTrack>} */
  #tracks = new Map();
  /** @type {Map<OwnKind, boolean>} */
  #muted = new Map();
  /** Counts requests by kind: an answer to an older one is stale. @type {Map<OwnKind, number>} */
  #generations = new Map();
  #closed = false;
  /** @type {Choice} */
  choice;

  /** @param {Choice} choice */
  constructor(choice) {
    super();
    this.choice = choice;
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.emit('devices', undefined));
  }

  get tracks() {
    return new Map(this.#tracks);
  }

  /** All kinds that are muted, open or not. @returns {OwnKind[]} */
  get muted() {
    return [...this.#muted].filter(([, muted]) => muted).map(([kind]) => kind);
  }

  /** @param {OwnKind} kind */
  isMuted(kind) {
    return this.#muted.get(kind) ?? false;
  }

  /** @returns {Promise<{cameras: MediaDeviceInfo[], microphones: MediaDeviceInfo[]}>} */
  async list() {
    const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    const usable = all.filter((device) => device.deviceId !== '');
    return {
      cameras: usable.filter((device) => device.kind === 'videoinput'),
      microphones: usable.filter((device) => device.kind === 'audioinput'),
    };
  }

  /** @param {OwnKind} kind @param {boolean} muted */
  setMuted(kind, muted) {
    this.#muted.set(kind, muted);
    const track = this.#tracks.get(kind);
    if (track) track.enabled = !muted;
  }

  /**
   * Open what `choice` says for these kinds, instead of what was open. One that fails leaves the other alone.
   * @param {OwnKind[]} kinds
   * @returns {Promise<MediaProblem[]>} why kinds are without a track now, though one was chosen
   */
  async open(kinds) {
    /** @type {{kind: OwnKind, error: unknown}[]} */
    const failures = [];
    if (this.#closed) return [];
    const generations = kinds.map((kind) => this.#nextGeneration(kind));
    for (const [i, kind] of kinds.entries()) {
      const isStale = () => this.#closed || this.#generations.get(kind) !== generations[i];
      if (isStale()) continue;
      this.#release(kind);
      try {
        const track = await this.#request(kind);
        if (isStale()) track?.stop();
        else this.#adopt(kind, track);
      } catch (error) {
        if (!isStale()) failures.push({ kind, error });
      }
    }
    if (this.#closed) return [];
    // Once for all: a running local copy begins a new file with every change.
    this.emit('changed', this.tracks);
    const problems = failures.map(({ kind, error }) => (error instanceof MediaProblem ? error : explained(error, kind)));
    // Both for the same reason: said once.
    if (problems.length === 2 && problems[0]?.id === problems[1]?.id) return [explained(failures[0]?.error, 'camera and microphone')];
    return problems;
  }

  /** For good: nothing is open or opened any more. */
  close() {
    this.#closed = true;
    for (const kind of [...this.#tracks.keys()]) this.#release(kind);
    this.emit('changed', this.tracks);
  }

  /** @param {OwnKind} kind */
  #nextGeneration(kind) {
    const generation = (this.#generations.get(kind) ?? 0) + 1;
    this.#generations.set(kind, generation);
    return generation;
  }

  /** @param {OwnKind} kind */
  async #request(kind) {
    if ((kind === 'camera' ? this.choice.camera : this.choice.microphone) === NO_DEVICE) return undefined;
    const unavailable = devicesUnavailable();
    if (unavailable) throw unavailable;
    const constraints = kind === 'camera' ? { video: this.#camera() } : { audio: this.#microphone() };
    return (await navigator.mediaDevices.getUserMedia(constraints)).getTracks()[0];
  }

  /** @returns {MediaTrackConstraints} */
  #camera() {
    const { camera, height } = this.choice;
    return {
      ...(camera ? { deviceId: { ideal: camera } } : {}),
      width: { ideal: Math.round((height * 16) / 9) },
      height: { ideal: height },
      frameRate: { ideal: 30 },
    };
  }

  /** @returns {MediaTrackConstraints} */
  #microphone() {
    const { microphone, headphones } = this.choice;
    return {
      ...(microphone ? { deviceId: { ideal: microphone } } : {}),
      echoCancellation: !headphones,
      noiseSuppression: !headphones,
      autoGainControl: !headphones,
      sampleRate: { ideal: 48_000 },
      ...(headphones ? { channelCount: { ideal: 2 } } : {}),
    };
  }

  /** @param {OwnKind} kind @param {MediaStreamTrack | undefined} track */
  #adopt(kind, track) {
    this.#release(kind);
    if (!track) return;
    track.enabled = !this.isMuted(kind);
    track.onended = () => {
      if (this.#tracks.get(kind) !== track) return;
      this.#tracks.delete(kind);
      this.emit('lost', kind);
      this.emit('changed', this.tracks);
    };
    this.#tracks.set(kind, track);
  }

  /** @param {OwnKind} kind */
  #release(kind) {
    const track = this.#tracks.get(kind);
    if (!track) return;
    this.#tracks.delete(kind);
    track.onended = null;
    track.stop();
  }
}
