/** What a host is told of the space for recordings on the studio's disk. */

import { byId, setText } from './dom.js';

/** @typedef {import('../messages.js').SpaceState} SpaceState */

/**
 * While nothing is recorded; empty: nothing to say.
 * @param {SpaceState} state
 */
export function spaceWords(state) {
  if (state === 'ok') return '';
  return 'There is too little space on the studio’s disk to record. Tell whoever runs the studio to make some; this page says when you can record again.';
}

/** @param {string} words of `spaceWords` */
export function showSpace(words) {
  setText(byId('space-text', HTMLElement), words);
  byId('space-note', HTMLElement).hidden = words === '';
}
