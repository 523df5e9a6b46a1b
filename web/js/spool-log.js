/**
 * The log of one local capture: append-only JSON lines beside the chunk files, enough to resume after a crash.
 *
 * A torn last line is ignored. `apply` and `replay` are pure; the worker writes, everybody reads. A chunk is written
 * and flushed before the line that says so, and confirmed by the server before its file is deleted.
 */

/**
 * Everything needed to finish an upload from another page load.
 * @typedef {object} CaptureMeta
 * @property {string} capture_id made here, names the folder, and makes opening it at the server repeatable
 * @property {string} session_id
 * @property {string} recording_id
 * @property {string} participant_id
 * @property {string} token of the participant
 * @property {'camera' | 'microphone'} kind
 * @property {string} content_type
 * @property {number} start_ms on the session clock
 * @property {number} bound_ms
 * @property {number} chunk_ms
 * @property {number} chunk_bytes
 */

/** @typedef {{index: number, size_bytes: number, end_ms: number, closed: boolean, confirmed: boolean}} ChunkState */

/**
 * @typedef {{t: 'meta', meta: CaptureMeta}
 *   | {t: 'append', index: number, size_bytes: number, end_ms: number}
 *   | {t: 'closed', index: number}
 *   | {t: 'opened', segment_id: string}
 *   | {t: 'confirmed', index: number}
 *   | {t: 'ended', chunks: number}} LogRecord
 */

/**
 * @typedef {object} CaptureState
 * @property {CaptureMeta | null} meta
 * @property {string} segment_id empty until the server knows the capture
 * @property {ChunkState[]} chunks by index
 * @property {number | null} ended number of chunks, once it is final
 */

/** @returns {CaptureState} */
export const emptyState = () => ({ meta: null, segment_id: '', chunks: [], ended: null });

/**
 * @param {CaptureState} state changed in place
 * @param {LogRecord} record
 */
export function apply(state, record) {
  switch (record.t) {
    case 'meta':
      state.meta = record.meta;
      break;
    case 'append': {
      const { index, size_bytes, end_ms } = record;
      state.chunks[index] = { index, size_bytes, end_ms, closed: false, confirmed: false };
      break;
    }
    case 'closed': {
      const chunk = state.chunks[record.index];
      if (chunk) chunk.closed = true;
      break;
    }
    case 'confirmed': {
      const chunk = state.chunks[record.index];
      if (chunk) chunk.closed = chunk.confirmed = true;
      break;
    }
    case 'opened':
      state.segment_id = record.segment_id;
      break;
    case 'ended':
      state.ended = record.chunks;
      break;
  }
}

/**
 * State from the text of a log.
 * @param {string} text
 */
export function replay(text) {
  const state = emptyState();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    try {
      apply(state, JSON.parse(line));
    } catch {
      break; // torn by a crash: nothing after it was acknowledged
    }
  }
  return state;
}

/** @param {number} index */
export const chunkName = (index) => `chunk-${String(index).padStart(6, '0')}.bin`;

export const LOG_NAME = 'log.ndjson';
export const SPOOL_FOLDER = 'stemroom-captures';
