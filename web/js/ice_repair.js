/**
 * Brings an interrupted peer connection back: by ICE restarts, which keep its tracks, keys and recordings, and only
 * when they do not help by a new connection.
 *
 * A connection that was never up is not restarted but replaced when it fails. The owner tells every change of the
 * connection's state, and does what `restart` and `replace` ask.
 */

/** Short interruptions heal by themselves: the browser goes on checking. */
const RESTART_AFTER_MS = 2000;

/** Between two restarts of one interruption: gathering, an exchange with the server, and checks need part of it. */
const AGAIN_MS = 4000;

/** The server gives a connection up that it heard nothing of for 30 s (LOST_AFTER_S in sfu/ice.py). */
const GIVE_UP_MS = 30_000;

/** Of several signs that the network changed, the first one counts. */
const SIGNS_APART_MS = 1000;

export class IceRepair {
  #restart;
  #replace;
  #wasConnected = false;
  #closed = false;
  /** @type {number | null} */
  #interruptedMs = null;
  #restartedMs = -Infinity;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {() => void} restart
   * @param {() => void} replace called once at most
   */
  constructor(restart, replace) {
    this.#restart = restart;
    this.#replace = replace;
  }

  /** @param {RTCPeerConnectionState} state */
  update(state) {
    if (this.#closed) return;
    if (state === 'connected') {
      this.#wasConnected = true;
      this.#interruptedMs = null;
      clearTimeout(this.#timer);
    } else if (state === 'disconnected') {
      this.#begin(RESTART_AFTER_MS);
    } else if (state === 'failed') {
      if (this.#wasConnected) this.#begin(0);
      else this.#giveUp();
    }
  }

  /** The network is another one, or the way to the server is back: what can be done is done now. */
  networkChanged() {
    if (this.#closed || !this.#wasConnected) return;
    if (performance.now() - this.#restartedMs < SIGNS_APART_MS) return;
    if (this.#interruptedMs !== null) this.#attempt();
    else {
      this.#restartedMs = performance.now();
      this.#restart();
    }
  }

  /** The WebSocket is back: what was asked for meanwhile may not have been heard. */
  lineIsBack() {
    if (this.#interruptedMs !== null) this.networkChanged();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** @param {number} wait until the next restart, unless one is to come sooner */
  #begin(wait) {
    const goesOn = this.#interruptedMs !== null;
    this.#interruptedMs ??= performance.now();
    if (goesOn && (wait > 0 || performance.now() - this.#restartedMs < SIGNS_APART_MS)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#attempt(), wait);
  }

  #attempt() {
    const now = performance.now();
    if (this.#closed || this.#interruptedMs === null) return;
    if (now - this.#interruptedMs >= GIVE_UP_MS) {
      this.#giveUp();
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#attempt(), AGAIN_MS);
    this.#restartedMs = now;
    this.#restart();
  }

  #giveUp() {
    this.close();
    this.#replace();
  }
}
