/**
 * Tells the server in how many lines each received picture is shown (0: not at all), so that it sends the layer that
 * fits and nothing that nobody sees. Only changes are told; what could not be sent is told the next time.
 */

/** Sizes are rounded up to a multiple of this: a window that is dragged larger is not news at every pixel. */
const STEP_LINES = 30;

export class Shown {
  #send;
  /** @type {Map<string, number>} */
  #told = new Map();

  /** @param {(message: import('./messages.js').PageMessage) => boolean} send false: it was not sent */
  constructor(send) {
    this.#send = send;
  }

  /** All pictures that there are. @param {ReadonlyMap<string, number>} lines by track id */
  show(lines) {
    for (const trackId of this.#told.keys()) {
      if (!lines.has(trackId)) this.#told.delete(trackId);
    }
    for (const [trackId, exact] of lines) {
      const height = Math.ceil(exact / STEP_LINES) * STEP_LINES;
      if (this.#told.get(trackId) === height) continue;
      if (this.#send({ type: 'layer', track_id: trackId, height })) this.#told.set(trackId, height);
    }
  }

  /** The server knows nothing of it any more. */
  forget() {
    this.#told.clear();
  }
}
