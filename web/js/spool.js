/**
 * The page's side of the spool worker: captures on this browser's disk until the server has confirmed them.
 *
 * Requests are answered in the order they were made. A worker that died fails what waited for it and is replaced at the
 * next request; the new one takes up captures from their logs, so only an append that was under way is lost. Reading a closed chunk needs no copy in memory: it is a File.
 */

import { LOG_NAME, SPOOL_FOLDER, chunkName } from './spool-log.js';

/** @typedef {import('./spool-log.js').CaptureMeta} CaptureMeta */
/** @typedef {import('./spool-log.js').CaptureState} CaptureState */
/** @typedef {import('./spool-log.js').LogRecord} LogRecord */

export class Spool {
  /** @type {Worker | null} */
  #worker = null;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();
  #lastId = 0;

  /** Load the worker's script now: when a recording begins the studio may be out of reach. */
  preload() {
    this.#worker ??= this.#start();
  }

  /** Whether this browser can keep a capture safely: not in insecure contexts and some private windows. */
  static get available() {
    return isSecureContext && 'getDirectory' in (navigator.storage ?? {}) && 'locks' in navigator;
  }

  /** @param {CaptureMeta} meta @returns {Promise<LogRecord[]>} what was noted, as of all below */
  create(meta) {
    return this.#ask('create', { meta });
  }

  /** @param {string} captureId @returns {Promise<CaptureState | null>} null: nothing of use was left, removed */
  recover(captureId) {
    return this.#ask('recover', { capture_id: captureId });
  }

  /**
   * @param {string} captureId
   * @param {ArrayBuffer} data transferred, unusable afterwards
   * @param {number} endMs since the capture began
   * @returns {Promise<LogRecord[]>}
   */
  append(captureId, data, endMs) {
    return this.#ask('append', { capture_id: captureId, data, end_ms: endMs }, [data]);
  }

  /** @param {string} captureId @returns {Promise<LogRecord[]>} */
  end(captureId) {
    return this.#ask('end', { capture_id: captureId });
  }

  /** @param {string} captureId @param {LogRecord} record @returns {Promise<LogRecord[]>} */
  note(captureId, record) {
    return this.#ask('note', { capture_id: captureId, record });
  }

  /** @param {string} captureId @returns {Promise<void>} */
  remove(captureId) {
    return this.#ask('remove', { capture_id: captureId });
  }

  /** Names of all captures on this disk, those of other tabs included. */
  async list() {
    const folder = await this.#folder();
    /** @type {string[]} */
    const ids = [];
    for await (const [name, handle] of folder.entries()) if (handle.kind === 'directory') ids.push(name);
    return ids;
  }

  /** @param {string} captureId */
  async exists(captureId) {
    try {
      const folder = await (await this.#folder()).getDirectoryHandle(captureId);
      await folder.getFileHandle(LOG_NAME);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * @param {string} captureId
   * @param {number} index of a closed chunk
   */
  async chunk(captureId, index) {
    const folder = await (await this.#folder()).getDirectoryHandle(captureId);
    return (await folder.getFileHandle(chunkName(index))).getFile();
  }

  async #folder() {
    return (await navigator.storage.getDirectory()).getDirectoryHandle(SPOOL_FOLDER, { create: true });
  }

  /**
   * @param {string} operation
   * @param {object} request
   * @param {Transferable[]} [transfer]
   * @returns {Promise<any>}
   */
  #ask(operation, request, transfer = []) {
    const worker = this.#worker ?? this.#start();
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, operation, request }, transfer);
    });
  }

  #start() {
    const worker = new Worker(new URL('./spool-worker.js', import.meta.url), { type: 'module', name: 'spool' });
    worker.onmessage = (event) => {
      const waiting = this.#waiting.get(event.data.id);
      this.#waiting.delete(event.data.id);
      if (event.data.error) waiting?.reject(new DOMException(event.data.error.message, event.data.error.name));
      else waiting?.resolve(event.data.result);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      console.warn('the spool worker stopped', event.message);
      worker.terminate();
      if (worker !== this.#worker) return;
      this.#worker = null;
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const { reject } of waiting) reject(new Error('the part of this page that writes to the disk stopped'));
    };
    this.#worker = worker;
    return worker;
  }
}
