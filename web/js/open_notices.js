/** Which notices to hosts are open. */

/** @typedef {import('./messages.js').Notice} Notice */

export class OpenNotices {
  /** @type {Map<string, Notice>} */
  #open = new Map();

  /** The oldest first. */
  get all() {
    return [...this.#open.values()];
  }

  /** @param {Notice} notice */
  take(notice) {
    const key = noticeKey(notice);
    if (notice.over) this.#open.delete(key);
    else this.#open.set(key, notice);
  }

  /** The studio tells them anew. @returns {boolean} whether there were any */
  forget() {
    const some = this.#open.size > 0;
    this.#open.clear();
    return some;
  }
}

/** What is wrong and where. @param {Notice} notice */
export const noticeKey = (notice) => `${notice.code} ${notice.take_id}`;
