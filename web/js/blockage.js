/**
 * Judges whether media cannot get through this network; told of every change of a connection.
 *
 * `blocked` becomes true when connections have been trying for BLOCKED_AFTER_MS and none is up, and stays true until
 * one is.
 */

const BLOCKED_AFTER_MS = 10_000;

export class Blockage {
  #changed;
  #blocked = false;
  /** @type {number | undefined} */
  #timer;

  /** @param {() => void} changed it is blocked */
  constructor(changed) {
    this.#changed = changed;
  }

  get blocked() {
    return this.#blocked;
  }

  /** @param {(RTCPeerConnectionState | 'none')[]} states of all connections */
  update(states) {
    if (states.includes('connected')) {
      this.close();
      this.#blocked = false;
    } else if (states.includes('connecting') && !this.#blocked) {
      this.#timer ??= setTimeout(() => {
        this.#blocked = true;
        this.#changed();
      }, BLOCKED_AFTER_MS);
    }
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
