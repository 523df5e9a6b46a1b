/**
 * From MediaRecorder to the disk: what one capture yields, in order, until it stops or cannot be written any more.
 *
 * Whatever happens, its upload ends: what was written before a failure is sent like any other capture.
 */

/** @typedef {import('./messages.js').CaptureProfile} CaptureProfile */
/** @typedef {import('./upload.js').Upload} Upload */

/** Longest wait for a good clock; the capture itself runs meanwhile. */
const CLOCK_WAIT_MS = 3000;

/**
 * @typedef {object} RunningRecorder
 * @property {MediaRecorder} recorder started
 * @property {string} recordingId
 * @property {'camera' | 'microphone'} kind
 * @property {number} startedMs page time
 * @property {BlobEvent[]} early blobs that came, or come while the files are made
 * @property {Promise<void>} stopped
 */

export class CaptureFiles {
  #identity;
  #clock;
  #spool;
  #uploads;

  /**
   * @param {import('./messages.js').Identity} identity
   * @param {import('./clock.js').SessionClock} clock
   * @param {import('./spool.js').Spool} spool
   * @param {import('./uploads.js').Uploads} uploads
   */
  constructor(identity, clock, spool, uploads) {
    this.#identity = identity;
    this.#clock = clock;
    this.#spool = spool;
    this.#uploads = uploads;
  }

  /**
   * From the first blob to the end; rejects with what kept a part from the disk.
   * @param {RunningRecorder} running
   * @param {CaptureProfile} profile
   */
  async write(running, profile) {
    const upload = await this.#begin(running, profile);
    const { recorder, startedMs, early, stopped } = running;
    /** @type {Promise<void>} */
    let writing = Promise.resolve();
    /** @type {unknown} */
    let failure = null;
    const failed = new Promise((/** @type {(value: void) => void} */ resolve) => {
      const write = (/** @type {BlobEvent} */ event) => {
        const endMs = event.timeStamp - startedMs;
        writing = writing
          .then(() => (failure ? undefined : this.#append(upload, event.data, endMs)))
          .catch((error) => {
            failure = error;
            resolve();
          });
      };
      recorder.ondataavailable = write;
      for (const event of early) write(event);
    });
    await Promise.race([stopped, failed]);
    await writing;
    try {
      upload.changed(await this.#spool.end(upload.meta.capture_id));
    } catch (error) {
      failure ??= error;
      upload.cut();
    }
    if (failure) throw failure;
  }

  /** @param {RunningRecorder} running @param {CaptureProfile} profile */
  async #begin({ recorder, recordingId, kind, startedMs }, profile) {
    await Promise.race([this.#clock.settled(), new Promise((resolve) => setTimeout(resolve, CLOCK_WAIT_MS))]);
    return this.#uploads.begin({
      capture_id: newCaptureId(),
      session_id: this.#identity.session_id,
      recording_id: recordingId,
      participant_id: this.#identity.participant_id,
      token: this.#identity.token,
      kind,
      content_type: recorder.mimeType.split(';')[0] ?? 'video/webm',
      start_ms: Math.max(0, this.#clock.at(startedMs) ?? 0),
      bound_ms: Math.min(this.#clock.boundMs, 60_000),
      chunk_ms: profile.chunk_ms,
      chunk_bytes: profile.chunk_bytes,
    });
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

/** Names the capture on this disk and to the server: 128 random bits, 22 characters of base64url. */
function newCaptureId() {
  const bytes = String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16)));
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
