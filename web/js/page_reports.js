/**
 * Tells the studio how it goes in this page: every ten seconds, and soon after something went wrong.
 *
 * Guarantees: at most one report in SOON_MS; figures and ids of a fixed list, never texts; what could not be sent is
 * in the next one.
 */

import { PageSummary } from './page_figures.js';

/** @typedef {import('./messages.js').PageErrorId} PageErrorId */
/** @typedef {import('./page_figures.js').Stat} Stat */

const INTERVAL_MS = 10_000;

/** Errors come together: wait for the others. */
const SOON_MS = 2000;

/** More of one kind say nothing more; the studio takes no larger number. */
const MAX_ERRORS = 1000;

export class PageReports {
  #room;
  #summary = new PageSummary();
  /** @type {Map<PageErrorId, number>} */
  #errors = new Map();
  #sentMs = -Infinity;
  #timer;
  /** @type {number | undefined} */
  #soon;
  #abort = new AbortController();

  /** @param {import('./room.js').Room} room */
  constructor(room) {
    this.#room = room;
    this.#timer = setInterval(() => void this.#report(), INTERVAL_MS);
    const { signal } = this.#abort;
    addEventListener('error', () => this.note('script'), { signal });
    addEventListener('unhandledrejection', () => this.note('script'), { signal });
    let failed = false;
    room.on('connection', ({ publish, subscribe }) => {
      const fails = publish === 'failed' || subscribe === 'failed';
      if (fails && !failed) this.note('connection_failed');
      failed = fails;
    });
    room.on('error', () => this.note('refused'));
  }

  /** Something went wrong. @param {PageErrorId} id */
  note(id) {
    this.#errors.set(id, Math.min(MAX_ERRORS, (this.#errors.get(id) ?? 0) + 1));
    if (this.#abort.signal.aborted || this.#soon !== undefined) return;
    const wait = Math.max(0, this.#sentMs + SOON_MS - performance.now());
    this.#soon = setTimeout(() => void this.#report(), wait);
  }

  close() {
    this.#abort.abort();
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
  }

  async #report() {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    this.#sentMs = performance.now();
    const [publish, subscribe] = await Promise.all([this.#stats('publish'), this.#stats('subscribe')]);
    if (this.#abort.signal.aborted) return;
    const errors = Object.fromEntries(this.#errors);
    if (this.#room.sendPageReport(this.#summary.take(publish, subscribe), errors)) this.#errors.clear();
  }

  /** @param {'publish' | 'subscribe'} transport @returns {Promise<Stat[]>} */
  async #stats(transport) {
    const report = await this.#room.peerConnection(transport)?.getStats();
    /** @type {Stat[]} */
    const entries = [];
    report?.forEach((entry) => entries.push(entry));
    return entries;
  }
}
