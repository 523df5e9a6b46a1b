/**
 * The session clock as this page knows it: `session = performance.now() + offset`, with an error bound.
 *
 * Every exchange (page sends its time, server answers with the session's) is off by at most half its round trip, so
 * the exchange with the smallest round trip among recent ones wins. No I/O: times are arguments.
 */

/** Exchanges kept; the oldest goes first. */
const WINDOW = 16;

/** Exchanges after which the estimate is worth using for timestamps. */
const SETTLED = 4;

/** Added to half the round trip: MediaRecorder takes its first sample 2-3 ms after the call, timers are rounded. */
const EXTRA_BOUND_MS = 10;

export class SessionClock {
  /** @type {{rtt: number, offset: number}[]} */
  #exchanges = [];
  /** @type {number | null} */
  #rough = null;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** Forget everything: the connection is new, or the machine slept. */
  reset() {
    this.#exchanges = [];
  }

  /**
   * A one-way reading (welcome): better than nothing until the first exchange.
   * @param {number} sessionMs
   * @param {number} pageMs
   */
  guess(sessionMs, pageMs) {
    this.#rough = sessionMs - pageMs;
  }

  /**
   * @param {number} sentMs page time when asked
   * @param {number} sessionMs the server's answer
   * @param {number} receivedMs page time when answered
   */
  add(sentMs, sessionMs, receivedMs) {
    const rtt = receivedMs - sentMs;
    if (!(rtt >= 0)) return;
    this.#exchanges.push({ rtt, offset: sessionMs + rtt / 2 - receivedMs });
    if (this.#exchanges.length > WINDOW) this.#exchanges.shift();
    if (this.#exchanges.length >= SETTLED) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  get #best() {
    /** @type {{rtt: number, offset: number} | null} */
    let best = null;
    for (const exchange of this.#exchanges) if (!best || exchange.rtt <= best.rtt) best = exchange;
    return best;
  }

  /**
   * Session time of a page time; null while nothing is known.
   * @param {number} pageMs
   */
  at(pageMs) {
    const offset = this.#best?.offset ?? this.#rough;
    return offset === null ? null : pageMs + offset;
  }

  /** Error bound of `at`, +-ms. Infinity while only the welcome was heard. */
  get boundMs() {
    const best = this.#best;
    return best ? best.rtt / 2 + EXTRA_BOUND_MS : Infinity;
  }

  /** Round trip of the best exchange, ms; null before the first. */
  get rttMs() {
    return this.#best?.rtt ?? null;
  }

  /** Resolves when several exchanges were made. */
  settled() {
    if (this.#exchanges.length >= SETTLED) return Promise.resolve();
    return /** @type {Promise<void>} */ (new Promise((resolve) => this.#waiting.push(resolve)));
  }
}
