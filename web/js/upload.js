/**
 * Uploads of local captures: each closed chunk is requested, PUT, confirmed by the server, and only then deleted here.
 *
 * Any step may fail and is tried again with backoff; what cannot be cured by waiting ends in `failed` and keeps the
 * bytes on this disk. A Web Lock per capture makes sure that two tabs never upload the same one; a capture whose page
 * is gone is taken over by whichever page gets its lock.
 */

import * as api from './api.js';
import { Emitter } from './emitter.js';
import { apply } from './spool-log.js';

/** @typedef {import('./spool-log.js').CaptureState} CaptureState */
/** @typedef {import('./spool-log.js').CaptureMeta} CaptureMeta */
/** @typedef {import('./spool-log.js').ChunkState} ChunkState */
/** @typedef {'capturing' | 'uploading' | 'done' | 'failed'} UploadState */

/** Waits after the 1st, 2nd, ... failure in a row; the last one repeats. */
const BACKOFF_MS = [500, 1000, 2000, 5000, 10_000, 20_000];

/** A chunk that arrives damaged so often has a cause that sending again does not cure. */
const MAX_MISMATCHES = 5;

/** @param {string} captureId */
export const lockName = (captureId) => `stemroom-capture-${captureId}`;

/** @param {Blob} blob @returns {Promise<string>} SHA-256 in hex */
async function sha256(blob) {
  const digest = await crypto.subtle.digest('SHA-256', await blob.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One capture's way to the server. Runs under the capture's lock, which its owner holds. @extends {Emitter<{progress: Upload}>} */
export class Upload extends Emitter {
  #spool;
  /** @type {CaptureMeta} */
  meta;
  /** @type {CaptureState} */
  #capture;
  /** @type {UploadState} */
  #state = 'capturing';
  /** Why it failed, in words for the participant. */
  problem = '';
  /** Failures in a row: above zero the page says that it is trying again. */
  failures = 0;
  #inFlightBytes = 0;
  #mismatches = 0;
  /** @type {(() => void) | null} */
  #wake = null;

  /**
   * @param {import('./spool.js').Spool} spool
   * @param {CaptureMeta} meta
   * @param {CaptureState} capture owned from now on
   */
  constructor(spool, meta, capture) {
    super();
    this.#spool = spool;
    this.meta = meta;
    this.#capture = capture;
    if (capture.ended !== null) this.#state = 'uploading';
  }

  get state() {
    return this.#state;
  }

  get capturedBytes() {
    return this.#capture.chunks.reduce((sum, chunk) => sum + chunk.size_bytes, 0);
  }

  get verifiedBytes() {
    return this.#capture.chunks.reduce((sum, chunk) => sum + (chunk.confirmed ? chunk.size_bytes : 0), 0);
  }

  /** Verified, and what is under way. */
  get sentBytes() {
    return this.verifiedBytes + this.#inFlightBytes;
  }

  get capturedMs() {
    return this.#capture.chunks.at(-1)?.end_ms ?? 0;
  }

  get safeMs() {
    let safe = 0;
    for (const chunk of this.#capture.chunks) {
      if (!chunk.confirmed) break;
      safe = chunk.end_ms;
    }
    return safe;
  }

  /**
   * The capture grew or ended.
   * @param {import('./spool-log.js').LogRecord[]} records
   */
  changed(records) {
    for (const record of records) apply(this.#capture, record);
    if (this.#capture.ended !== null && this.#state === 'capturing') this.#state = 'uploading';
    this.#wake?.();
    this.emit('progress', this);
  }

  /** The capture ended and its disk cannot say so: what was noted counts. */
  cut() {
    const last = this.#capture.chunks.at(-1);
    const closed = last && !last.closed ? [/** @type {const} */ ({ t: 'closed', index: last.index })] : [];
    this.changed([...closed, { t: 'ended', chunks: this.#capture.chunks.length }]);
  }

  /** Try at once: the network is back. */
  nudge() {
    this.#wake?.();
  }

  /** Until everything is verified and finished, or it failed for good. */
  async run() {
    while (this.#state !== 'done' && this.#state !== 'failed') {
      try {
        if (!(await this.#step())) await this.#sleep(null);
        this.failures = 0;
      } catch (error) {
        this.#inFlightBytes = 0;
        if (error instanceof api.ApiError && error.id === 'capture_finished') await this.#finished();
        else if (isFinal(error) || this.#mismatches > MAX_MISMATCHES) this.#fail(error);
        else await this.#sleep(BACKOFF_MS[Math.min(this.failures++, BACKOFF_MS.length - 1)] ?? 20_000);
      }
    }
    this.emit('progress', this);
  }

  /** Everything that is still on this disk, joined: the way out when the server cannot take it. */
  async localBlob() {
    const kept = this.#capture.chunks.filter((chunk) => !chunk.confirmed);
    const files = await Promise.all(kept.map((chunk) => this.#spool.chunk(this.meta.capture_id, chunk.index)));
    return new Blob(files, { type: this.meta.content_type });
  }

  discard() {
    return this.#spool.remove(this.meta.capture_id);
  }

  /** @returns {Promise<boolean>} false: nothing to do until the capture grows */
  async #step() {
    const { chunks, ended, segment_id } = this.#capture;
    if (ended === 0 && !segment_id) return this.#finished();
    if (!segment_id) return this.#open();
    const next = chunks.find((chunk) => chunk.closed && !chunk.confirmed);
    if (next) return this.#send(segment_id, next);
    if (ended === null) return false;
    await api.finishCapture(this.meta, segment_id, ended);
    return this.#finished();
  }

  async #open() {
    const { kind, content_type, start_ms, bound_ms, capture_id } = this.meta;
    const { segment_id } = await api.openCapture(this.meta, { kind, content_type, start_ms, bound_ms, capture_id });
    await this.#note({ t: 'opened', segment_id });
    return true;
  }

  /**
   * @param {string} segmentId
   * @param {ChunkState} chunk
   */
  async #send(segmentId, chunk) {
    const file = await this.#spool.chunk(this.meta.capture_id, chunk.index);
    const described = { size_bytes: file.size, sha256: await sha256(file) };
    const { url, headers } = await api.requestChunk(this.meta, segmentId, chunk.index, described);
    await api.putObject(url, headers, file, (sentBytes) => {
      this.#inFlightBytes = sentBytes;
      this.emit('progress', this);
    });
    try {
      await api.confirmChunk(this.meta, segmentId, chunk.index, { ...described, end_ms: chunk.end_ms });
    } catch (error) {
      if (error instanceof api.ApiError && error.id === 'chunk_mismatch') this.#mismatches++;
      throw error;
    }
    this.#inFlightBytes = 0;
    await this.#note({ t: 'confirmed', index: chunk.index });
    return true;
  }

  async #finished() {
    this.#state = 'done'; // what follows is only cleaning: the next page load would do it again
    await this.#spool.remove(this.meta.capture_id).catch((error) => console.warn('finished capture not removed', error));
    return true;
  }

  /** @param {import('./spool-log.js').LogRecord} record */
  async #note(record) {
    this.changed(await this.#spool.note(this.meta.capture_id, record));
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#state = 'failed';
    this.problem = error instanceof Error ? error.message : String(error);
  }

  /** @param {number | null} ms null: until woken */
  async #sleep(ms) {
    this.emit('progress', this);
    await /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        this.#wake = resolve;
        if (ms !== null) setTimeout(resolve, ms);
      })
    );
    this.#wake = null;
  }
}

/**
 * Failures that waiting does not cure: the session, recording or token is gone, or the capture was refused.
 * A missing or damaged chunk is sent again; a refused PUT (old signature) gets a new URL.
 * @param {unknown} error
 */
function isFinal(error) {
  if (!(error instanceof api.ApiError)) return error instanceof DOMException && error.name === 'NotFoundError';
  if (error.temporary || error.id === 'put_failed') return false;
  return !['chunk_missing', 'chunk_mismatch'].includes(error.id);
}
