/**
 * What is wrong with what is recorded, on top of a host's page: a line for each, until it is over or dismissed.
 *
 * What was dismissed is shown again when it was over meanwhile. Of many the newest are shown, and how many more there are.
 */

import { noticeKey } from '../open_notices.js';
import { byId, h, setText } from './dom.js';
import { icon } from './icons.js';

/** @typedef {import('../messages.js').Notice} Notice */

/** More lines than this push the room off a phone's screen. */
const MAX_SHOWN = 3;

export class NoticeList {
  #list = byId('notices', HTMLElement);
  #more = byId('notices-more', HTMLElement);
  /** @type {Set<string>} */
  #dismissed = new Set();
  /** @type {Map<string, HTMLElement>} */
  #lines = new Map();
  /** @type {readonly Notice[]} */
  #notices = [];

  /** @param {readonly Notice[]} notices the oldest first */
  show(notices) {
    this.#notices = notices;
    const keys = new Set(notices.map(noticeKey));
    for (const key of this.#dismissed) if (!keys.has(key)) this.#dismissed.delete(key);
    this.#render();
  }

  close() {
    this.show([]);
  }

  #render() {
    const open = this.#notices.filter((notice) => !this.#dismissed.has(noticeKey(notice)));
    const shown = new Map(open.slice(-MAX_SHOWN).map((notice) => [noticeKey(notice), notice]));
    for (const [key, line] of this.#lines) {
      if (shown.has(key)) continue;
      line.remove();
      this.#lines.delete(key);
    }
    // Lines that stay are left alone: a screen reader says what is new, and nothing twice.
    for (const [key, notice] of shown) {
      if (this.#lines.has(key)) continue;
      const line = this.#line(key, notice);
      this.#lines.set(key, line);
      this.#list.append(line);
    }
    const more = open.length - shown.size;
    setText(this.#more, more > 0 ? `and ${more} more` : '');
    this.#more.hidden = more <= 0;
  }

  /** @param {string} key @param {Notice} notice */
  #line(key, notice) {
    const dismiss = () => {
      this.#dismissed.add(key);
      this.#render();
    };
    return h(
      'li',
      { class: 'notice-line', 'data-code': notice.code },
      icon('warning'),
      h('p', {}, notice.text),
      h('button', { type: 'button', class: 'icon-button', 'aria-label': 'Dismiss', onclick: dismiss }, icon('close')),
    );
  }
}
