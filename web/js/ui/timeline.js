/** All segments of a recording on the session clock, as a picture. The list below it says the same in words. */

import { h } from './dom.js';
import { clockTime, nsToMs } from './format.js';

/** @typedef {import('../api.js').RecordingDetail} RecordingDetail */
/** @typedef {import('../api.js').SegmentFile} SegmentFile */

const SVG = 'http://www.w3.org/2000/svg';

/** Ticks at the first of these steps, in seconds, that leaves TICK_PX between them. */
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const TICK_PX = 70;

/** About the width of a lane's label and of the figure's padding. */
const LABEL_PX = 140;

/** Shorter segments are drawn this wide (percent), or nobody sees them. */
const MIN_PERCENT = 0.4;

/** @type {Record<string, string>} */
const KIND_WORDS = { camera: 'camera', microphone: 'mic', screen: 'screen', screen_audio: 'screen sound' };

export class Timeline {
  element = h('figure', { class: 'timeline', 'aria-hidden': 'true' });
  #seen = '';

  /** @param {RecordingDetail} recording */
  update(recording) {
    const lanes = lanesOf(recording);
    const [fromMs, toMs] = spanOf(recording, lanes);
    const ticks = Math.max(2, (this.element.clientWidth - LABEL_PX) / TICK_PX);
    const off = recording.off_record.map(({ start_ms, stop_ms }) => ({ startMs: Math.max(start_ms, fromMs), endMs: Math.min(stop_ms, toMs) }));
    const seen = JSON.stringify([lanes, off, fromMs, toMs, Math.round(ticks)]);
    if (seen === this.#seen) return;
    this.#seen = seen;
    const percent = (/** @type {number} */ ms) => ((ms - fromMs) / (toMs - fromMs)) * 100;
    this.element.replaceChildren(
      ...lanes.map((lane) =>
        h('div', { class: 'lane' }, h('span', { class: 'lane-label' }, h('bdi', {}, lane.name), ` ${lane.kind}`), bars(lane.segments, off, percent)),
      ),
      h('div', { class: 'lane lane-axis' }, h('span', { class: 'lane-label' }), axis(recording.started_ms, fromMs, toMs, ticks)),
      h('figcaption', {}, key('server', 'server copy'), key('local', 'local copy'), off.length > 0 ? key('off', 'off the record') : null),
    );
  }
}

/** @typedef {{copy: string, state: string, startMs: number, endMs: number}} Bar */

/** @param {RecordingDetail} recording */
function lanesOf({ participants, takes, stopped_ms }) {
  return participants.flatMap((participant) =>
    takes
      .filter((take) => take.participant_id === participant.participant_id)
      .map((take) => ({
        name: participant.display_name,
        kind: `${KIND_WORDS[take.kind] ?? take.kind}${take.slot ? ` ${take.slot + 1}` : ''}`,
        segments: take.segments.filter((segment) => segment.duration_ns > 0 || stopped_ms === null).map(barOf),
      })),
  );
}

/** @param {SegmentFile} segment @returns {Bar} */
const barOf = ({ copy, state, start_ns, duration_ns }) => ({
  copy,
  state,
  startMs: nsToMs(start_ns),
  endMs: nsToMs(start_ns + duration_ns),
});

/**
 * @param {RecordingDetail} recording
 * @param {{segments: Bar[]}[]} lanes
 * @returns {[number, number]}
 */
function spanOf({ started_ms, stopped_ms }, lanes) {
  const bars = lanes.flatMap((lane) => lane.segments).filter((bar) => bar.endMs > bar.startMs);
  const from = Math.min(started_ms, ...bars.map((bar) => bar.startMs));
  const to = Math.max(stopped_ms ?? started_ms + 1000, ...bars.map((bar) => bar.endMs));
  return [from, Math.max(to, from + 1000)];
}

/** @param {string} tag @param {Record<string, string>} attributes */
function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/**
 * @param {Bar[]} segments
 * @param {{startMs: number, endMs: number}[]} off what is off the record
 * @param {(ms: number) => number} percent
 */
function bars(segments, off, percent) {
  const picture = svg('svg', { class: 'lane-bars', preserveAspectRatio: 'none' });
  for (const bar of segments) {
    const width = Math.max(MIN_PERCENT, percent(bar.endMs) - percent(bar.startMs));
    const rect = svg('rect', {
      x: `${percent(bar.startMs).toFixed(3)}%`,
      y: bar.copy === 'server' ? '3' : '14',
      width: `${width.toFixed(3)}%`,
      height: '9',
      rx: '2.5',
      class: `bar bar-${bar.copy} bar-${bar.state}`,
    });
    picture.append(rect);
  }
  for (const { startMs, endMs } of off) {
    const width = Math.max(MIN_PERCENT, percent(endMs) - percent(startMs));
    picture.append(svg('rect', { x: `${percent(startMs).toFixed(3)}%`, y: '0', width: `${width.toFixed(3)}%`, height: '26', class: 'bar-off' }));
  }
  return picture;
}

/**
 * @param {number} zeroMs
 * @param {number} fromMs
 * @param {number} toMs
 * @param {number} ticks at most
 */
function axis(zeroMs, fromMs, toMs, ticks) {
  const percent = (/** @type {number} */ ms) => ((ms - fromMs) / (toMs - fromMs)) * 100;
  const picture = svg('svg', { class: 'lane-bars' });
  const length = (toMs - fromMs) / 1000;
  const step = (STEPS_S.find((candidate) => length / candidate <= ticks) ?? 14_400) * 1000;
  for (let passed = 0; zeroMs + passed <= toMs; passed += step) {
    const at = percent(zeroMs + passed);
    const x = `${at.toFixed(3)}%`;
    const anchor = at > 94 ? 'end' : at < 3 ? 'start' : 'middle';
    const text = svg('text', { x, y: '17', class: 'tick', 'text-anchor': anchor });
    text.textContent = clockTime(passed);
    picture.append(svg('line', { x1: x, x2: x, y1: '0', y2: '5', class: 'tick-line' }), text);
  }
  return picture;
}

/** @param {string} copy @param {string} text */
const key = (copy, text) => h('span', { class: `key key-${copy}` }, text);
