/** Grades of the integrity report (docs/producer.md) and the reasons for them. The words say all that the colours do. */

import { h, setText } from './dom.js';

/** @typedef {import('../api.js').Grade} Grade */

/** @type {Record<Grade, string>} */
const WORDS = {
  A: 'whole',
  B: 'nearly whole',
  C: 'small flaws',
  D: 'clear flaws',
  E: 'damaged',
  F: 'missing',
};

const NOTHING = 'Nothing is missing, and nothing else was found.';

/** Into an element of class `grade`. @param {HTMLElement} badge @param {Grade | null} grade null: hidden */
export function showGrade(badge, grade) {
  badge.hidden = grade === null;
  if (grade === null) return;
  badge.dataset['grade'] = grade;
  setText(badge, `Grade ${grade}: ${WORDS[grade]}`);
}

/** One take: what it is, its grade, and why. */
export class TakeGrade {
  #badge = h('span', { class: 'grade' });
  #reasons = h('ul', { class: 'grade-reasons' });
  #seen = '';
  element;

  /** @param {string} label such as `Camera 2` */
  constructor(label) {
    const what = h('div', { class: 'take-grade-what' }, h('span', { class: 'copy-badge', 'data-copy': 'server' }, 'Server'), h('span', {}, label));
    this.element = h('li', { class: 'take-grade' }, what, this.#badge, this.#reasons);
  }

  /** @param {Grade | null} grade @param {string[]} reasons */
  update(grade, reasons) {
    showGrade(this.#badge, grade);
    const seen = JSON.stringify(reasons);
    if (seen === this.#seen) return;
    this.#seen = seen;
    const sentences = reasons.length > 0 ? reasons : [NOTHING];
    this.#reasons.replaceChildren(...sentences.map((sentence) => h('li', {}, sentence)));
  }
}
