/**
 * The WebSocket of one participant: hello, heartbeats, dead detection, resuming with backoff, clock exchanges.
 *
 * Guarantees: `welcome` is emitted once per established connection, before any other message of it; what is sent
 * while nothing is established is dropped (the owner re-sends its state at `welcome`); after `closed` nothing happens
 * any more. The token travels in `hello`, never in the URL.
 */

import { Emitter } from './emitter.js';

/** @typedef {import('./messages.js').ServerMessage} ServerMessage */
/** @typedef {import('./messages.js').PageMessage} PageMessage */
/** @typedef {import('./messages.js').Welcome} Welcome */
/** @typedef {'connecting' | 'open' | 'waiting' | 'closed'} SignalingState */
/** @typedef {'left' | 'replaced' | 'refused' | 'full' | 'unknown_session' | 'misunderstood'} CloseReason */

/** Nothing heard for so long, or for some heartbeats if that is longer: the connection is dead. */
const DEAD_AFTER_MS = 15_000;
const DEAD_AFTER_HEARTBEATS = 3;

/** A line that is asked whether it is still there must answer so soon. */
const PROBE_MS = 3000;

/** Waits before the 1st, 2nd, ... attempt to come back; the last one repeats. */
const BACKOFF_MS = [500, 1000, 2000, 4000, 5000];

/** Clock exchanges right after welcome; later one with every heartbeat. */
const FIRST_EXCHANGES = 5;
const FIRST_EXCHANGE_INTERVAL_MS = 60;

/** What the browser may hold unsent; beyond it messages are dropped: the connection is as good as dead. */
const MAX_BUFFERED_BYTES = 1 << 20;

/**
 * Close codes after which coming back makes no sense.
 * @type {Record<number, CloseReason>}
 */
const FINAL_CODES = { 1000: 'left', 1008: 'misunderstood', 1009: 'misunderstood', 4401: 'refused', 4403: 'full', 4404: 'unknown_session', 4409: 'replaced' };

/**
 * @extends {Emitter<{
 *   state: SignalingState, welcome: Welcome, message: ServerMessage, closed: CloseReason,
 * }>}
 */
export class Signaling extends Emitter {
  #url;
  #token;
  #clock;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {SignalingState} */
  #state = 'waiting';
  #resume = false;
  #attempt = 0;
  #heardMs = 0;
  #heartbeatMs = 5000;
  /** @type {number | undefined} */
  #retryTimer;
  /** @type {number | undefined} */
  #watchTimer;
  #beatMs = 0;

  /**
   * @param {string} url WebSocket URL, with participant_id and without the token
   * @param {string} token
   * @param {import('./clock.js').SessionClock} clock fed by this connection
   */
  constructor(url, token, clock) {
    super();
    this.#url = url;
    this.#token = token;
    this.#clock = clock;
    addEventListener('online', this.#online);
  }

  get state() {
    return this.#state;
  }

  connect() {
    if (this.#state === 'closed' || this.#socket) return;
    clearTimeout(this.#retryTimer);
    this.#setState('connecting');
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#heardMs = performance.now();
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', token: this.#token, resume: this.#resume }));
    socket.onmessage = (event) => this.#received(socket, event.data);
    socket.onclose = (event) => this.#lost(socket, event.code, event.reason);
    clearInterval(this.#watchTimer);
    this.#watchTimer = setInterval(() => this.#watch(socket), 1000);
  }

  /**
   * @param {PageMessage} message
   * @returns {boolean} false: not connected, dropped
   */
  send(message) {
    const socket = this.#socket;
    if (this.#state !== 'open' || !socket || socket.bufferedAmount > MAX_BUFFERED_BYTES) return false;
    socket.send(JSON.stringify(message));
    return true;
  }

  /** Something else was interrupted: find out soon whether this connection is dead too. */
  probe() {
    const socket = this.#socket;
    if (!socket || !this.send({ type: 'heartbeat' })) return;
    const askedMs = performance.now();
    setTimeout(() => this.#heardMs < askedMs && this.#lost(socket, 1006), PROBE_MS);
  }

  /** Come back as the same participant with new peer connections. */
  rejoin() {
    if (this.#state === 'closed') return;
    this.#resume = false;
    this.#drop();
    this.connect();
  }

  /** Leave: tells the server, and nothing is tried again. */
  leave() {
    this.send({ type: 'participant_left' });
    this.#finish('left');
  }

  #online = () => {
    if (this.#state === 'waiting') this.connect();
    else this.probe();
  };

  /**
   * @param {WebSocket} socket
   * @param {unknown} data
   */
  #received(socket, data) {
    if (socket !== this.#socket) return;
    const now = performance.now();
    this.#heardMs = now;
    /** @type {ServerMessage} */
    const message = JSON.parse(String(data));
    switch (message.type) {
      case 'welcome':
        this.#welcomed(socket, message, now);
        break;
      case 'clock':
        this.#clock.add(message.page_ms, message.session_ms, now);
        break;
      case 'heartbeat':
        break;
      default:
        this.emit('message', message);
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {Welcome} welcome
   * @param {number} now
   */
  #welcomed(socket, welcome, now) {
    this.#attempt = 0;
    this.#resume = true;
    this.#heartbeatMs = welcome.heartbeat_ms;
    this.#beatMs = now;
    this.#clock.reset();
    this.#clock.guess(welcome.session_ms, now);
    this.#setState('open');
    this.emit('welcome', welcome);
    for (let i = 0; i < FIRST_EXCHANGES; i++) {
      setTimeout(() => socket === this.#socket && this.#ask(), i * FIRST_EXCHANGE_INTERVAL_MS);
    }
  }

  #ask() {
    this.send({ type: 'clock', page_ms: performance.now() });
  }

  /** @param {WebSocket} socket */
  #watch(socket) {
    const now = performance.now();
    if (now - this.#heardMs > Math.max(DEAD_AFTER_MS, DEAD_AFTER_HEARTBEATS * this.#heartbeatMs)) {
      this.#lost(socket, 1006);
    } else if (this.#state === 'open' && now - this.#beatMs >= this.#heartbeatMs - 500) {
      this.#beatMs = now;
      this.send({ type: 'heartbeat' });
      this.#ask();
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   * @param {string} [reason]
   */
  #lost(socket, code, reason = '') {
    if (socket !== this.#socket) return;
    this.#drop();
    // 1000 without `left` is a line that somebody between here and the studio closed politely.
    const final = code === 1000 && reason !== 'left' ? undefined : FINAL_CODES[code];
    if (final) {
      this.#finish(final);
      return;
    }
    this.#setState('waiting');
    const wait = BACKOFF_MS[Math.min(this.#attempt++, BACKOFF_MS.length - 1)] ?? 5000;
    this.#retryTimer = setTimeout(() => this.connect(), wait * (0.8 + 0.4 * Math.random()));
  }

  #drop() {
    clearInterval(this.#watchTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {CloseReason} reason */
  #finish(reason) {
    if (this.#state === 'closed') return;
    clearTimeout(this.#retryTimer);
    removeEventListener('online', this.#online);
    this.#drop();
    this.#setState('closed');
    this.emit('closed', reason);
  }

  /** @param {SignalingState} state */
  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.emit('state', state);
  }
}
