/**
 * The panel about the local copy: how much is safe, progress and speed after the recording, and whether the page may
 * be closed. Shown as soon as there is a capture of this browser that was not done when the page was opened.
 */

import { announce } from './notices.js';
import { byId, h, setText } from './dom.js';
import { byteSize, clockTime, waitTime } from './format.js';
import { setIcon } from './icons.js';

/** @typedef {import('../uploads.js').Uploads} Uploads */
/** @typedef {import('../upload.js').Upload} Upload */

const REFRESH_MS = 500;

/** Speed is the mean over this time. */
const SPEED_WINDOW_MS = 10_000;

/** So many failures in a row are shown; fewer are over before anybody reads them. */
const SHOWN_FAILURES = 2;

export class TransferPanel {
  #uploads;
  #capture;
  #isInRoom;
  #panel = byId('transfer', HTMLElement);
  #title = byId('transfer-title', HTMLElement);
  #detail = byId('transfer-detail', HTMLElement);
  #bar = byId('transfer-progress', HTMLProgressElement);
  #icon = byId('transfer-icon', HTMLElement);
  #failed = byId('transfer-failed', HTMLElement);
  #phase = '';
  /** @type {{atMs: number, bytes: number}[]} */
  #samples = [];

  /**
   * @param {Uploads} uploads
   * @param {() => import('../capture.js').Capture | null} capture of the call, null without one
   * @param {() => boolean} isInRoom
   */
  constructor(uploads, capture, isInRoom) {
    this.#isInRoom = isInRoom;
    this.#uploads = uploads;
    this.#capture = capture;
    setInterval(() => this.#refresh(), REFRESH_MS);
    uploads.on('progress', () => this.#showFailed());
  }

  #refresh() {
    const { all, safe, unreadable } = this.#uploads;
    const progress = this.#capture()?.progress ?? 'off';
    const alone = progress === 'off' || progress === 'idle';
    this.#panel.hidden = all.length === 0 && unreadable.size === 0 && alone;
    if (this.#panel.hidden) return;
    const captured = all.reduce((sum, upload) => sum + upload.capturedBytes, 0);
    const sent = all.reduce((sum, upload) => sum + upload.sentBytes, 0);
    this.#measure(sent);
    const failed = unreadable.size > 0 || all.some((upload) => upload.state === 'failed');
    const busy = all.some((upload) => upload.state === 'capturing' || upload.state === 'uploading');
    const rest = busy ? 'uploading' : failed ? 'failed' : !safe ? 'uploading' : progress === 'idle' ? 'idle' : 'done';
    this.#setPhase(progress === 'running' ? 'recording' : progress === 'retrying' || progress === 'failed' ? 'broken' : rest);
    this.#bar.max = Math.max(captured, 1);
    this.#bar.value = sent;
    this.#bar.hidden = ['failed', 'broken', 'idle'].includes(this.#phase);
    setText(this.#detail, this.#describe(captured, sent));
  }

  /** @param {'recording' | 'broken' | 'idle' | 'uploading' | 'failed' | 'done'} phase */
  #setPhase(phase) {
    const done = this.#isInRoom() ? 'Everything is safe. You can leave.' : 'Everything is safe. You can close this page.';
    if (phase === 'done') setText(this.#title, done);
    if (phase === this.#phase) return;
    const before = this.#phase;
    this.#phase = phase;
    this.#panel.dataset['phase'] = phase;
    const words = {
      recording: 'Your local copy is being recorded',
      broken: 'Your local copy is not being recorded',
      idle: 'Your local copy waits for a camera or microphone',
      uploading: 'Uploading your local copy – keep this page open',
      failed: 'Part of your local copy could not be uploaded',
      done,
    };
    setText(this.#title, words[phase]);
    setIcon(this.#icon, { recording: 'record', broken: 'warning', idle: 'warning', uploading: 'upload', failed: 'warning', done: 'shield' }[phase]);
    if (before || phase !== 'done') announce(words[phase]);
  }

  /** @param {number} captured @param {number} sent */
  #describe(captured, sent) {
    const { all } = this.#uploads;
    const retrying = all.some((upload) => upload.failures >= SHOWN_FAILURES);
    switch (this.#phase) {
      case 'recording': {
        const current = all.filter((upload) => upload.state === 'capturing').at(-1);
        const safe = current ? clockTime(current.safeMs) : '0:00';
        return retrying
          ? `Safe up to ${safe}. The studio does not answer: the rest is kept on this computer and sent later.`
          : `Safe up to ${safe} · ${byteSize(sent)} of ${byteSize(captured)} sent`;
      }
      case 'broken':
        return this.#capture()?.problem || 'It broke off. Trying again…';
      case 'idle':
        return 'Choose one under Devices. What was recorded before is safe.';
      case 'uploading': {
        if (retrying) return `${byteSize(sent)} of ${byteSize(captured)}. The studio does not answer; trying again. Nothing is lost.`;
        const speed = this.#speed();
        const left = speed > 0 ? ` · ${byteSize(Math.round(speed))}/s · ${waitTime((captured - sent) / speed)} left` : '';
        return `${byteSize(sent)} of ${byteSize(captured)}${left}`;
      }
      case 'done':
        return `${byteSize(captured)} uploaded and verified.`;
      default:
        return '';
    }
  }

  /** @param {number} sent */
  #measure(sent) {
    const now = performance.now();
    this.#samples.push({ atMs: now, bytes: sent });
    while ((this.#samples[0]?.atMs ?? now) < now - SPEED_WINDOW_MS) this.#samples.shift();
  }

  /** Bytes per second. */
  #speed() {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.atMs - first.atMs < 1000) return 0;
    return (Math.max(0, last.bytes - first.bytes) * 1000) / (last.atMs - first.atMs);
  }

  #showFailed() {
    const failed = this.#uploads.all.filter((upload) => upload.state === 'failed');
    const shown = new Set([...this.#failed.children].map((item) => item.getAttribute('data-capture')));
    for (const upload of failed) if (!shown.has(upload.meta.capture_id)) this.#failed.append(this.#failure(upload));
    for (const [id, reason] of this.#uploads.unreadable) if (!shown.has(id)) this.#failed.append(unreadable(id, reason));
    this.#failed.hidden = this.#failed.children.length === 0;
  }

  /** @param {Upload} upload */
  #failure(upload) {
    const item = h('li', { 'data-capture': upload.meta.capture_id });
    const save = () => void saveToDisk(upload);
    const discard = () => {
      if (confirm('Delete this part of your local copy from this computer for good?')) {
        void this.#uploads.discard(upload).then(() => item.remove());
      }
    };
    item.append(
      h('p', {}, `${byteSize(upload.capturedBytes - upload.verifiedBytes)} are kept on this computer only. ${upload.problem}. Save them as a file and send it to the host.`),
      h('button', { type: 'button', class: 'button button-small', onclick: save }, 'Save as file'),
      h('button', { type: 'button', class: 'button button-small button-quiet', onclick: discard }, 'Delete'),
    );
    return item;
  }
}

/** @param {string} id @param {string} reason */
function unreadable(id, reason) {
  const text = `A local copy that an earlier page left on this computer cannot be read (${reason}). It is kept. Close other tabs of this studio, then reload this page.`;
  return h('li', { 'data-capture': id }, h('p', {}, text));
}

/** @param {Upload} upload */
async function saveToDisk(upload) {
  const url = URL.createObjectURL(await upload.localBlob());
  h('a', { href: url, download: `stemroom-${upload.meta.recording_id}-${upload.meta.kind}.webm` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
