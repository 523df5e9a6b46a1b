/**
 * One file: what it is, play in place, download. An expired link is fetched anew and playback goes on where it was.
 *
 * Of a server copy that is not in the store yet a link gives what is finished of it. At its end the player waits until
 * there is more, and goes on with that.
 */

import { h, setText } from './dom.js';
import { byteSize, lengthTime, nsToMs, preciseTime } from './format.js';
import { icon } from './icons.js';

/** @typedef {import('../api.js').SegmentFile} SegmentFile */

const COPIES = { server: 'Server', local: 'Local' };
const STATES = { capturing: 'Recording', finishing: 'Finishing', stored: 'Ready', failed: 'Failed' };

const HELD_BACK = 'Something in this file is off the record: it is held back until the file without it is there.';
const NOTHING_LEFT = 'All of it is off the record.';

/** A recording that grew by less is not worth interrupting the player that waits for it. */
const WORTHWHILE_MS = 3_000;

/** A link that fails sooner after it was fetched is not cured by fetching it again. */
const RETRY_AFTER_MS = 30_000;

export class SegmentRow {
  #label;
  #owner;
  #freshUrl;
  /** @type {SegmentFile | null} */
  #segment = null;
  #facts = h('span', { class: 'segment-facts' });
  #state = h('span', { class: 'pill pill-small' });
  #copy = h('span', { class: 'copy-badge' });
  #problem = h('p', { class: 'notice notice-warning', hidden: true });
  #play;
  #playText = h('span', {}, 'Play');
  #download;
  /** @type {HTMLMediaElement | null} */
  #player = null;
  #playerMs = 0;
  /** What the player has: its length, and whether there can be more. */
  #loadedMs = 0;
  #partly = false;
  /** The player came to the end of what there was. */
  #waits = false;
  #newest = h('button', { type: 'button', class: 'button button-small', hidden: true, onclick: () => this.#goOn() }, 'Load the newest');
  element;

  /**
   * @param {string} label
   * @param {string} owner
   * @param {() => Promise<string | null>} freshUrl
   */
  constructor(label, owner, freshUrl) {
    this.#label = label;
    this.#owner = owner;
    this.#freshUrl = freshUrl;
    this.#play = h('button', { type: 'button', class: 'button button-small', onclick: () => this.#togglePlayer() }, icon('play'), this.#playText);
    this.#download = h('a', { class: 'button button-small' }, icon('download'), h('span', {}, 'Download'));
    this.element = h(
      'li',
      { class: 'segment' },
      h('div', { class: 'segment-what' }, this.#copy, h('span', { class: 'segment-label' }, label), this.#state),
      this.#facts,
      h('div', { class: 'segment-actions' }, this.#newest, this.#play, this.#download),
      this.#problem,
    );
  }

  /** Its file may still change. */
  get open() {
    const { state, off_record } = this.#segment ?? {};
    return state === 'capturing' || state === 'finishing' || off_record === 'pending';
  }

  get playUrl() {
    return this.#segment?.play_url ?? null;
  }

  /** @param {SegmentFile} segment @param {number} zeroMs session time of the recording's start */
  update(segment, zeroMs) {
    this.#segment = segment;
    this.element.dataset['segmentId'] = segment.segment_id;
    this.element.dataset['state'] = segment.state;
    this.#copy.dataset['copy'] = segment.copy;
    setText(this.#copy, COPIES[segment.copy]);
    this.element.dataset['offRecord'] = segment.off_record;
    setText(this.#state, { '': STATES[segment.state], pending: 'Redacting…', redacted: 'Redacted' }[segment.off_record]);
    setText(this.#facts, facts(segment, zeroMs));
    this.#facts.title = segment.sha256 ? `${segment.segment_id} · SHA-256 ${segment.sha256}` : segment.segment_id;
    const without = segment.play_url ? '' : NOTHING_LEFT;
    const problem = segment.problem || { '': '', pending: HELD_BACK, redacted: without }[segment.off_record];
    setText(this.#problem, problem);
    this.#problem.hidden = problem === '';
    this.#play.hidden = !segment.play_url;
    this.#play.setAttribute('aria-label', `Play ${this.#label}, ${COPIES[segment.copy]} copy, of ${this.#owner}`);
    this.#download.hidden = !segment.download_url;
    this.#download.setAttribute('aria-label', `Download ${this.#label}, ${COPIES[segment.copy]} copy, of ${this.#owner}`);
    if (segment.download_url) this.#download.href = segment.download_url;
    this.#download.download = segment.file_name;
    this.#newest.setAttribute('aria-label', `Load what was recorded meanwhile of ${this.#label} of ${this.#owner}`);
    this.#offerMore();
  }

  /** There is more than the player has. */
  get #more() {
    const { playUrl } = this;
    const segment = this.#segment;
    if (!this.#player || !this.#partly || !playUrl || !segment) return false;
    return segment.state === 'stored' || nsToMs(segment.duration_ns) > this.#loadedMs + WORTHWHILE_MS;
  }

  #offerMore() {
    this.#newest.hidden = !this.#more;
    if (this.#waits && this.#more) this.#goOn();
  }

  /** With what there is by now, from where the player is. */
  #goOn() {
    const player = this.#player;
    if (!player || !this.playUrl) return;
    const at = player.currentTime;
    const playing = this.#waits || !player.paused;
    this.#load(this.playUrl);
    player.currentTime = at;
    if (playing) void player.play().catch(() => undefined);
    this.#offerMore();
  }

  #togglePlayer() {
    const { playUrl } = this;
    if (this.#player) {
      this.#player.removeAttribute('src');
      this.#player.remove();
      this.#player = null;
      this.#offerMore();
    } else if (playUrl) {
      const video = this.#segment?.content_type.startsWith('video/');
      this.#player = h(video ? 'video' : 'audio', { class: 'player', controls: true, preload: 'metadata', 'aria-label': `${this.#label} of ${this.#owner}` });
      this.#player.addEventListener('error', () => void this.#renew());
      this.#player.addEventListener('ended', () => {
        this.#waits = this.#partly;
        this.#offerMore();
      });
      this.#load(playUrl);
      this.element.append(this.#player);
      void this.#player.play().catch(() => undefined);
    }
    setText(this.#playText, this.#player ? 'Close' : 'Play');
    this.#play.setAttribute('aria-expanded', String(this.#player !== null));
  }

  /** @param {string} url */
  #load(url) {
    if (!this.#player) return;
    this.#playerMs = performance.now();
    this.#loadedMs = nsToMs(this.#segment?.duration_ns ?? 0);
    this.#partly = this.open;
    this.#waits = false;
    this.#player.src = url;
  }

  async #renew() {
    const player = this.#player;
    if (!player || performance.now() - this.#playerMs < RETRY_AFTER_MS) return;
    const at = player.currentTime;
    const url = await this.#freshUrl().catch(() => null);
    if (!url || player !== this.#player) return;
    this.#load(url);
    player.currentTime = at;
    void player.play().catch(() => undefined);
  }
}

/** @param {SegmentFile} segment @param {number} zeroMs */
function facts(segment, zeroMs) {
  if (segment.state === 'capturing') {
    const soFar = segment.play_url ? [`${lengthTime(nsToMs(segment.duration_ns))} so far`, byteSize(segment.size_bytes)] : [];
    return ['being recorded', ...soFar].join(' · ');
  }
  const offset = nsToMs(segment.start_ns) - zeroMs;
  return [
    segment.codec.replaceAll(',', ' + ').toUpperCase(),
    segment.size_bytes ? byteSize(segment.size_bytes) : '',
    segment.duration_ns ? lengthTime(nsToMs(segment.duration_ns)) : '',
    `starts ${offset < 0 ? '−' : '+'}${preciseTime(Math.abs(offset))} (±${Math.round(nsToMs(segment.start_bound_ns))}\u00a0ms)`,
  ]
    .filter(Boolean)
    .join(' · ');
}
