/** What is off the record in one recording, in words, and the form that takes more: for keyboards and screen readers. */

import * as api from '../api.js';
import { h, setText } from './dom.js';
import { clockTime, lengthTime, parseTime } from './format.js';
import { explain } from './problems.js';
import { announce } from './notices.js';

/** @typedef {import('../api.js').OffRecord} OffRecord */
/** @typedef {import('../api.js').RecordingDetail} RecordingDetail */

/** `0:10.0 to 0:20.0`, since the recording began. @param {OffRecord} range @param {number} zeroMs */
export const rangeWords = ({ start_ms, stop_ms }, zeroMs) =>
  `${lengthTime(Math.max(0, start_ms - zeroMs))} to ${lengthTime(Math.max(0, stop_ms - zeroMs))}`;

const STATES = { marked: 'Held back', redacted: 'Left out', purging: 'Purging…', purged: 'Purged' };

export class OffRecordPanel {
  #sessionId;
  #recordingId;
  #token;
  #changed;
  #zeroMs = 0;
  #seen = '';
  #list = h('ul', { class: 'off-record-ranges', 'aria-label': 'Ranges off the record' });
  #purge = h('button', { type: 'button', class: 'button button-small button-danger', hidden: true, onclick: () => this.#question.showModal() }, 'Purge…');
  #question;
  #problem = h('p', { class: 'notice notice-error', role: 'alert', hidden: true });
  #from;
  #to;
  element;

  /**
   * @param {string} sessionId
   * @param {string} recordingId
   * @param {() => string} token
   * @param {() => void} changed is called when a range was taken off the record or put back
   */
  constructor(sessionId, recordingId, token, changed) {
    this.#sessionId = sessionId;
    this.#recordingId = recordingId;
    this.#token = token;
    this.#changed = changed;
    this.#from = timeField(`${recordingId}-off-from`, '0:00');
    this.#to = timeField(`${recordingId}-off-to`, '0:10');
    this.#question = h(
      'dialog',
      { class: 'dialog', 'aria-labelledby': `${recordingId}-purge-title` },
      h(
        'form',
        { method: 'dialog', class: 'form' },
        h('h2', { id: `${recordingId}-purge-title` }, 'Delete what is off the record for good?'),
        h('p', {}, 'The whole files, and all that they were made from, are deleted. The files without what is off the record stay. This cannot be taken back.'),
        h(
          'div',
          { class: 'actions' },
          h('button', { class: 'button button-danger', onclick: () => void this.#deleteForGood() }, 'Delete for good'),
          h('button', { class: 'button button-quiet', autofocus: true }, 'Keep them'),
        ),
      ),
    );
    this.element = h(
      'details',
      { class: 'off-record' },
      h('summary', {}, 'Off the record'),
      h('p', { class: 'hint' }, 'Every file that holds something of such a range, in both copies, is given out without it only. Times are those of the recording.'),
      this.#list,
      h(
        'form',
        { class: 'off-record-form', onsubmit: (event) => void this.#take(event) },
        h('label', { for: this.#from.id }, 'From'),
        this.#from,
        h('label', { for: this.#to.id }, 'to'),
        this.#to,
        h('button', { class: 'button button-small' }, 'Take off the record'),
      ),
      this.#purge,
      this.#question,
      this.#problem,
    );
  }

  /** Something is still being deleted. */
  get busy() {
    return this.#seen.includes('"purging"');
  }

  /** @param {RecordingDetail} recording */
  update(recording) {
    this.#zeroMs = recording.started_ms;
    const seen = JSON.stringify([recording.off_record, recording.participants]);
    if (seen === this.#seen) return;
    this.#seen = seen;
    if (recording.off_record.length > 0) this.element.open = true;
    this.#purge.hidden = !recording.off_record.some(({ state }) => state === 'redacted');
    const names = new Map(recording.participants.map(({ participant_id, display_name }) => [participant_id, display_name]));
    this.#list.replaceChildren(...recording.off_record.map((range) => this.#row(range, names)));
  }

  /** @param {OffRecord} range @param {Map<string, string>} names */
  #row(range, names) {
    const words = rangeWords(range, this.#zeroMs);
    const who = range.marked_by === null ? 'with the host link' : `by ${names.get(range.marked_by) ?? 'a host'}`;
    const putBack = () => void this.#ask(() => api.putBackOnRecord(this.#sessionId, this.#recordingId, range.off_record_id, this.#token()), `On the record again: ${words}`);
    return h(
      'li',
      { 'data-off-record-id': range.off_record_id },
      h('span', { class: 'off-record-range' }, words),
      h('span', { class: 'hint' }, h('bdi', {}, who), ` at ${clockTime(range.marked_ms - this.#zeroMs)}`),
      h('span', { class: 'pill pill-small' }, STATES[range.state]),
      h('button', { type: 'button', class: 'button button-small button-quiet', 'aria-label': `Put back ${words}`, hidden: range.state.startsWith('purg'), onclick: putBack }, 'Put back'),
    );
  }

  /** @param {Event} event */
  async #take(event) {
    event.preventDefault();
    const [from, to] = [parseTime(this.#from.value), parseTime(this.#to.value)];
    if (from === null || to === null || from >= to) {
      this.#show('Give two times such as 1:20 and 1:35.5, the earlier one first.');
      (from === null ? this.#from : this.#to).focus();
      return;
    }
    const range = { start_ms: this.#zeroMs + from, stop_ms: this.#zeroMs + to };
    await this.#ask(() => api.takeOffRecord(this.#sessionId, this.#recordingId, range, this.#token()), `Off the record: ${lengthTime(from)} to ${lengthTime(to)}`);
  }

  #deleteForGood() {
    return this.#ask(() => api.purgeOffRecord(this.#sessionId, this.#recordingId, this.#token()), 'What is off the record is being deleted for good');
  }

  /** @param {() => Promise<unknown>} call @param {string} done */
  async #ask(call, done) {
    try {
      await call();
      this.#show('');
      announce(done);
      this.#changed();
    } catch (error) {
      this.#show(explain(error));
    }
  }

  /** @param {string} problem */
  #show(problem) {
    setText(this.#problem, problem);
    this.#problem.hidden = problem === '';
  }
}

/** @param {string} id @param {string} example */
const timeField = (id, example) => h('input', { id, type: 'text', required: true, maxlength: '12', autocomplete: 'off', placeholder: example });
