/**
 * The worker that owns the files of local captures (Origin Private File System, synchronous access handles).
 *
 * Every `append` is on disk when it is answered: written, flushed, then noted in the log. Kill -9 of the browser loses
 * at most what was not appended yet. Chunk files are closed at `chunk_bytes` or before `chunk_ms` are over; a blob that
 * does not fit is split, so no chunk is larger. One handler runs at a time.
 */

import { LOG_NAME, SPOOL_FOLDER, apply, chunkName, emptyState, replay } from './spool-log.js';

/** @typedef {import('./spool-log.js').LogRecord} LogRecord */
/** @typedef {import('./spool-log.js').CaptureState} CaptureState */
/** @typedef {import('./spool-log.js').CaptureMeta} CaptureMeta */

/** A timeslice of MediaRecorder: a chunk is closed when another one could exceed its time. */
const SLICE_MS = 1100;

/**
 * @typedef {object} OpenCapture
 * @property {FileSystemDirectoryHandle} folder
 * @property {FileSystemSyncAccessHandle} log
 * @property {CaptureState} state
 * @property {LogRecord[]} news noted, not told yet
 * @property {FileSystemSyncAccessHandle | null} chunk being written
 * @property {number} chunkStartMs
 * @property {number} lastEndMs
 */

/** @type {Map<string, OpenCapture>} */
const open = new Map();
const encoder = new TextEncoder();

async function spoolFolder() {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(SPOOL_FOLDER, { create: true });
}

/**
 * @param {FileSystemDirectoryHandle} folder
 * @param {string} name
 */
async function openFile(folder, name) {
  return (await folder.getFileHandle(name, { create: true })).createSyncAccessHandle();
}

/**
 * @param {OpenCapture} capture
 * @param {LogRecord} record
 */
function note(capture, record) {
  capture.log.write(encoder.encode(`${JSON.stringify(record)}\n`), { at: capture.log.getSize() });
  capture.log.flush();
  apply(capture.state, record);
  capture.news.push(record);
}

/**
 * What was noted since the last answer.
 * @param {OpenCapture} capture
 */
const news = (capture) => capture.news.splice(0);

/**
 * @param {FileSystemDirectoryHandle} folder
 * @param {FileSystemSyncAccessHandle} log
 * @param {CaptureState} state
 * @returns {OpenCapture}
 */
const newCapture = (folder, log, state) => ({ folder, log, state, news: [], chunk: null, chunkStartMs: 0, lastEndMs: 0 });

/**
 * A capture with its log, which the worker before this one may have left.
 * @param {string} id
 */
async function captureOf(id) {
  const known = open.get(id);
  if (known) return known;
  const folder = await (await spoolFolder()).getDirectoryHandle(id);
  const log = await openFile(folder, LOG_NAME);
  const bytes = new Uint8Array(log.getSize());
  log.read(bytes, { at: 0 });
  const text = new TextDecoder().decode(bytes);
  // A torn last line would swallow the next one.
  if (!text.endsWith('\n')) log.truncate(encoder.encode(text.slice(0, text.lastIndexOf('\n') + 1)).byteLength);
  const capture = newCapture(folder, log, replay(text));
  open.set(id, capture);
  return capture;
}

/** @param {OpenCapture} capture */
function closeChunk(capture) {
  capture.chunk?.close();
  capture.chunk = null;
  const last = capture.state.chunks.at(-1);
  if (last && !last.closed) note(capture, { t: 'closed', index: last.index });
}

/**
 * Write one piece into the current chunk.
 * @param {OpenCapture} capture
 * @param {Uint8Array} piece
 * @param {number} endMs everything captured before this is in the file
 */
async function appendPiece(capture, piece, endMs) {
  const { chunks } = capture.state;
  let index = chunks.length - 1;
  if (!capture.chunk) {
    index = chunks.length;
    capture.chunk = await openFile(capture.folder, chunkName(index));
    capture.chunk.truncate(0);
    capture.chunkStartMs = capture.lastEndMs;
  }
  const at = capture.chunk.getSize();
  const written = capture.chunk.write(piece, { at });
  capture.chunk.flush();
  if (written !== piece.byteLength) throw new DOMException('the disk is full', 'QuotaExceededError');
  note(capture, { t: 'append', index, size_bytes: at + written, end_ms: endMs });
}

const handlers = {
  /** @param {{meta: CaptureMeta}} request */
  async create({ meta }) {
    const folder = await (await spoolFolder()).getDirectoryHandle(meta.capture_id, { create: true });
    const log = await openFile(folder, LOG_NAME);
    const capture = newCapture(folder, log, emptyState());
    open.set(meta.capture_id, capture);
    note(capture, { t: 'meta', meta });
    return news(capture);
  },

  /**
   * Take over what a page that is gone left behind: whatever was flushed counts, nothing will follow.
   * @param {{capture_id: string}} request
   */
  async recover({ capture_id }) {
    const capture = await captureOf(capture_id);
    const { folder, state } = capture;
    if (!state.meta) return handlers.remove({ capture_id });
    closeChunk(capture);
    if (state.ended === null) note(capture, { t: 'ended', chunks: state.chunks.length });
    for (const chunk of state.chunks) {
      if (chunk.confirmed) continue;
      // The file may hold more than the last line says: flushed, but not noted yet.
      chunk.size_bytes = (await (await folder.getFileHandle(chunkName(chunk.index))).getFile()).size;
    }
    news(capture);
    return state;
  },

  /** @param {{capture_id: string, data: ArrayBuffer, end_ms: number}} request */
  async append({ capture_id, data, end_ms }) {
    const capture = open.get(capture_id);
    // Taken up from its log it may lack what was under way: what follows a hole cannot be played.
    if (!capture) throw new Error(`capture ${capture_id} was broken off`);
    const meta = /** @type {CaptureMeta} */ (capture.state.meta);
    let rest = new Uint8Array(data);
    while (rest.byteLength > 0) {
      const size = capture.chunk?.getSize() ?? 0;
      const piece = rest.subarray(0, meta.chunk_bytes - size);
      rest = rest.subarray(piece.byteLength);
      // Only the last piece makes this timeslice complete.
      await appendPiece(capture, piece, rest.byteLength === 0 ? end_ms : capture.lastEndMs);
      if (size + piece.byteLength >= meta.chunk_bytes) closeChunk(capture);
    }
    capture.lastEndMs = end_ms;
    if (end_ms - capture.chunkStartMs + SLICE_MS > meta.chunk_ms) closeChunk(capture);
    return news(capture);
  },

  /** @param {{capture_id: string}} request */
  async end({ capture_id }) {
    const capture = await captureOf(capture_id);
    closeChunk(capture);
    note(capture, { t: 'ended', chunks: capture.state.chunks.length });
    return news(capture);
  },

  /** @param {{capture_id: string, record: LogRecord}} request */
  async note({ capture_id, record }) {
    const capture = await captureOf(capture_id);
    note(capture, record);
    if (record.t === 'confirmed') await capture.folder.removeEntry(chunkName(record.index)).catch(() => undefined);
    return news(capture);
  },

  /** @param {{capture_id: string}} request */
  async remove({ capture_id }) {
    const capture = await captureOf(capture_id);
    open.delete(capture_id);
    capture.chunk?.close();
    capture.log.close();
    await (await spoolFolder()).removeEntry(capture_id, { recursive: true });
    return null;
  },
};

/** @type {Promise<unknown>} */
let work = Promise.resolve();

addEventListener('message', (event) => {
  const { id, operation, request } = event.data;
  const handler = /** @type {(request: any) => Promise<unknown>} */ (
    handlers[/** @type {keyof typeof handlers} */ (operation)]
  );
  work = work
    .then(() => handler(request))
    .then(
      (result) => postMessage({ id, result }),
      (error) => postMessage({ id, error: { name: error?.name ?? 'Error', message: String(error?.message ?? error) } }),
    );
});
