/** What a host is told of the space for recordings on the studio's disk. */

import { byId, setText } from './dom.js';

/** @typedef {import('../messages.js').SpaceState} SpaceState */

/**
 * Empty: nothing to say.
 * @param {SpaceState} state
 * @param {boolean} recording a recording runs
 */
export function spaceWords(state, recording) {
  if (state === 'ok') return '';
  if (recording) {
    return 'The studio’s disk is nearly full. This recording goes on; if the disk gets full it ends, and what was recorded is kept. Tell whoever runs the studio to make space.';
  }
  return 'There is too little space on the studio’s disk to record. Tell whoever runs the studio to make some; this page says when you can record again.';
}

/** @param {string} words of `spaceWords` */
export function showSpace(words) {
  setText(byId('space-text', HTMLElement), words);
  byId('space-note', HTMLElement).hidden = words === '';
}
