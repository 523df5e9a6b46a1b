/** How good connections are: bars on each tile, and words about one's own. Never by colour alone. */

import { byId, h, setText } from './dom.js';

/** @typedef {import('../messages.js').Quality} Quality */
/** @typedef {import('../messages.js').Finding} Finding */

const BARS = 3;

/** @type {Record<Quality, {bars: number, words: string}>} */
const LEVELS = {
  good: { bars: 3, words: 'Good connection' },
  fair: { bars: 2, words: 'Fair connection' },
  poor: { bars: 1, words: 'Poor connection' },
  lost: { bars: 0, words: 'No connection' },
};

/** @type {Record<Finding['trouble'], (value: number) => string>} */
const TROUBLES = {
  uplink_loss: (value) => `Your network loses ${percent(value)} of the packets you send: the others hear and see gaps.`,
  uplink_repair: (value) => `Your network loses ${percent(value)} of the packets you send. They are sent again, so the others get you late.`,
  downlink_loss: (value) => `Your network loses ${percent(value)} of what is sent to you.`,
  round_trip: (value) => `Your network takes ${(value / 1000).toFixed(1)} s to the studio and back: others hear you late.`,
  jitter: () => 'Your sound reaches the studio unevenly, as over a weak Wi-Fi.',
  silent: () => 'Nothing of your microphone or camera reaches the studio, though it is on.',
};

const ADVICE = 'A cable, or a place nearer to the Wi-Fi, helps most.';

/** @param {number} value */
const percent = (value) => `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} %`;

/** In words. @param {Quality} quality */
export function qualityWords(quality) {
  return LEVELS[quality].words;
}

/**
 * What is wrong with one's own connection, in one or two sentences; empty if nothing is.
 * @param {readonly Finding[]} findings the worst first
 */
export function troubleWords(findings) {
  const [worst] = findings;
  if (!worst) return '';
  const words = TROUBLES[worst.trouble](worst.value);
  return worst.trouble === 'silent' ? words : `${words} ${ADVICE}`;
}

/** Three bars, as many of them filled as the connection is good. */
export class QualityBars {
  element = h('span', { class: 'tile-quality', role: 'img', hidden: true });

  constructor() {
    for (let bar = 0; bar < BARS; bar++) this.element.append(h('span', {}));
  }

  /** @param {Quality | null} quality null: not known yet */
  show(quality) {
    this.element.hidden = quality === null;
    if (quality === null || this.element.dataset['quality'] === quality) return;
    const { bars, words } = LEVELS[quality];
    this.element.dataset['quality'] = quality;
    this.element.setAttribute('aria-label', words);
    this.element.title = words;
    [...this.element.children].forEach((bar, place) => bar.classList.toggle('is-filled', place < bars));
  }
}

/** Say what is wrong with one's own connection, or that nothing is. @param {readonly Finding[]} findings */
export function showOwnTrouble(findings) {
  const words = troubleWords(findings);
  setText(byId('quality-text', HTMLElement), words);
  byId('quality-note', HTMLElement).hidden = words === '';
}
