/**
 * All uploads of this page: those of the running capture and those that other page loads left on the disk.
 *
 * Holds the Web Lock of each capture as long as its upload runs. `safe` is true exactly when nothing of this
 * participant would be lost by closing the page.
 */

import { Emitter } from './emitter.js';
import { emptyState } from './spool-log.js';
import { Upload, lockName } from './upload.js';

/** @typedef {import('./messages.js').CaptureView} CaptureView */

/** Waits before what an earlier page left is read again. */
const RECOVERY_RETRY_MS = [500, 2000, 10_000];

/** @type {CaptureView} */
const NOTHING_CAPTURED = { captured_bytes: 0, verified_bytes: 0, captured_ms: 0, safe_ms: 0, state: 'failed' };

/** @extends {Emitter<{progress: Uploads}>} */
export class Uploads extends Emitter {
  #spool;
  /** @type {Upload[]} */
  #uploads = [];
  /** @type {Map<string, string>} */
  #unreadable = new Map();

  /** @param {import('./spool.js').Spool} spool */
  constructor(spool) {
    super();
    this.#spool = spool;
    addEventListener('online', () => {
      for (const upload of this.#uploads) upload.nudge();
    });
  }

  get all() {
    return /** @type {readonly Upload[]} */ (this.#uploads);
  }

  /** Captures on this disk that could not be recovered, with the reason. @returns {ReadonlyMap<string, string>} */
  get unreadable() {
    return this.#unreadable;
  }

  get safe() {
    return this.#uploads.every((upload) => upload.state === 'done');
  }

  /**
   * Begin a capture: takes its lock, makes its files, starts uploading.
   * @param {import('./spool-log.js').CaptureMeta} meta
   * @returns {Promise<Upload>} when the files exist
   */
  begin(meta) {
    return new Promise((resolve, reject) => {
      const locked = navigator.locks.request(lockName(meta.capture_id), async () => {
        await this.#spool.create(meta);
        const upload = new Upload(this.#spool, meta, { ...emptyState(), meta });
        resolve(upload);
        await this.#run(upload);
      });
      locked.catch(reject);
    });
  }

  /** Finish what earlier page loads could not; waits behind other tabs that still work on theirs. */
  async recover() {
    const ids = await this.#persistently(() => this.#spool.list());
    for (const id of ids) {
      if (this.#uploads.some((upload) => upload.meta.capture_id === id)) continue;
      navigator.locks
        .request(lockName(id), async () => {
          if (!(await this.#spool.exists(id))) return;
          const state = await this.#persistently(() => this.#spool.recover(id));
          if (state?.meta) await this.#run(new Upload(this.#spool, state.meta, state));
        })
        .catch((error) => {
          console.warn('recovery of a local copy failed', id, error);
          this.#unreadable.set(id, error instanceof Error ? error.message : String(error));
          this.emit('progress', this);
        });
    }
  }

  /**
   * @template T
   * @param {() => Promise<T>} attempt
   */
  async #persistently(attempt) {
    for (const wait of RECOVERY_RETRY_MS) {
      try {
        return await attempt();
      } catch (error) {
        console.warn('the local copies on this disk do not answer', error);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
    return attempt();
  }

  /**
   * Figures of this participant's captures of one recording, as one. Null: there are none.
   * @param {string} recordingId
   * @param {import('./capture.js').CaptureProgress} [progress] of the capture, if it is the recording that runs:
   *   while it does, `done` is never said
   * @returns {CaptureView | null}
   */
  view(recordingId, progress = 'off') {
    const mine = this.#uploads
      .filter((upload) => upload.meta.recording_id === recordingId)
      .sort((a, b) => a.meta.start_ms - b.meta.start_ms);
    const first = mine[0];
    if (!first) return progress === 'failed' ? NOTHING_CAPTURED : null;
    const since = (/** @type {Upload} */ upload) => upload.meta.start_ms - first.meta.start_ms;
    const behind = mine.find((upload) => upload.safeMs < upload.capturedMs || upload.state === 'capturing') ?? mine.at(-1);
    return {
      captured_bytes: mine.reduce((sum, upload) => sum + upload.capturedBytes, 0),
      verified_bytes: mine.reduce((sum, upload) => sum + upload.verifiedBytes, 0),
      captured_ms: Math.max(...mine.map((upload) => since(upload) + upload.capturedMs), 0),
      safe_ms: behind ? Math.max(0, since(behind) + behind.safeMs) : 0,
      state: viewState(mine.map((upload) => upload.state), progress),
    };
  }

  /** @param {Upload} upload a failed one: give its bytes up */
  async discard(upload) {
    await upload.discard();
    this.#uploads = this.#uploads.filter((other) => other !== upload);
    this.emit('progress', this);
  }

  /** @param {Upload} upload */
  async #run(upload) {
    this.#uploads.push(upload);
    upload.on('progress', () => this.emit('progress', this));
    this.emit('progress', this);
    await upload.run();
  }
}

/**
 * @param {import('./upload.js').UploadState[]} states
 * @param {import('./capture.js').CaptureProgress} progress
 * @returns {CaptureView['state']}
 */
function viewState(states, progress) {
  if (progress === 'failed') return 'failed';
  if (progress === 'running' || progress === 'retrying' || states.includes('capturing')) return 'recording';
  if (states.includes('failed')) return 'failed';
  return progress === 'off' && states.every((state) => state === 'done') ? 'done' : 'uploading';
}
