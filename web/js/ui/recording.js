/**
 * One recording on the files page: state, timeline, and every file of every participant in both copies.
 *
 * Rows are kept across updates, so that what plays goes on playing; only texts and links are replaced.
 */

import * as api from '../api.js';
import { h, setText } from './dom.js';
import { clockTime } from './format.js';
import { TakeGrade, showGrade } from './grade.js';
import { icon } from './icons.js';
import { OffRecordPanel } from './off_record.js';
import { explain } from './problems.js';
import { SegmentRow } from './segment.js';
import { Timeline } from './timeline.js';
import { toast } from './notices.js';

/** @typedef {import('../api.js').RecordingDetail} RecordingDetail */
/** @typedef {import('../api.js').Take} Take */

/** Links are fetched anew when they are older; they live at least 5 minutes by default. */
const LINKS_FRESH_MS = 110_000;

/** A local copy may still arrive for so long after the last change; then the page stops asking every 2 s. */
const QUIET_AFTER_MS = 120_000;

const STATES = { recording: 'Recording now', finishing: 'Finishing files…', finished: 'Finished', failed: 'Failed' };
/** @type {Record<string, string>} */
const KINDS = { camera: 'Camera', microphone: 'Microphone', screen: 'Screen', screen_audio: 'Screen sound' };

export class RecordingCard {
  #sessionId;
  #recordingId;
  #token;
  #state = h('span', { class: 'pill' });
  #grade = h('span', { class: 'grade', hidden: true });
  #report = h('a', { class: 'button button-small', hidden: true }, icon('download'), h('span', {}, 'Report'));
  #summary = h('p', { class: 'hint' });
  #timeline = new Timeline();
  #offRecord;
  #people = h('div', { class: 'people' });
  /** @type {Map<string, HTMLElement>} */
  #sections = new Map();
  /** @type {Map<string, SegmentRow>} */
  #rows = new Map();
  /** @type {Map<string, TakeGrade>} */
  #grades = new Map();
  #loadedMs = -Infinity;
  #seen = '';
  #changedMs = performance.now();
  #finished = false;
  element;

  /**
   * @param {string} sessionId
   * @param {string} recordingId
   * @param {number} number shown, from 1
   * @param {() => string} token
   * @param {() => void} changed is called when something was changed here
   */
  constructor(sessionId, recordingId, number, token, changed) {
    this.#sessionId = sessionId;
    this.#recordingId = recordingId;
    this.#token = token;
    this.#offRecord = new OffRecordPanel(sessionId, recordingId, token, () => {
      this.#loadedMs = -Infinity;
      changed();
    });
    const manifest = h('button', { type: 'button', class: 'button button-small', onclick: () => void this.#downloadManifest() }, icon('download'), 'Manifest');
    this.element = h(
      'article',
      { class: 'card recording', 'data-recording-id': recordingId, 'aria-labelledby': `${recordingId}-title` },
      h('header', { class: 'recording-head' }, h('h2', { id: `${recordingId}-title` }, `Recording ${number}`), this.#state, this.#grade, h('span', { class: 'spacer' }), this.#report, manifest),
      this.#summary,
      this.#timeline.element,
      this.#offRecord.element,
      this.#people,
    );
  }

  /** Nothing is expected to change soon. */
  get settled() {
    const open = this.#offRecord.busy || [...this.#rows.values()].some((row) => row.open);
    return this.#finished && (!open || performance.now() - this.#changedMs > QUIET_AFTER_MS);
  }

  /** Its links are about to expire. */
  get stale() {
    return performance.now() - this.#loadedMs > LINKS_FRESH_MS;
  }

  /** @param {RecordingDetail} recording */
  update(recording) {
    this.#loadedMs = performance.now();
    this.#finished = recording.state === 'finished' || recording.state === 'failed';
    const seen = JSON.stringify(recording.takes.map((take) => take.segments.map(({ state, size_bytes, off_record }) => [state, size_bytes, off_record])));
    if (seen !== this.#seen) this.#changedMs = performance.now();
    this.#seen = seen;
    setText(this.#state, STATES[recording.state]);
    this.element.dataset['state'] = recording.state;
    showGrade(this.#grade, recording.grade);
    this.#report.hidden = recording.report_url === null;
    if (recording.report_url) this.#report.href = recording.report_url;
    setText(this.#summary, summary(recording));
    this.#timeline.update(recording);
    this.#offRecord.update(recording);
    for (const participant of recording.participants) {
      const takes = recording.takes.filter((take) => take.participant_id === participant.participant_id);
      if (takes.length > 0) this.#updateParticipant(participant.participant_id, participant.display_name, takes, recording.started_ms);
    }
  }

  /**
   * @param {string} id
   * @param {string} name
   * @param {Take[]} takes
   * @param {number} zeroMs
   */
  #updateParticipant(id, name, takes, zeroMs) {
    let section = this.#sections.get(id);
    if (!section) {
      section = h('section', { class: 'person', 'aria-label': `Files of ${name}` }, h('h3', {}, h('bdi', {}, name)), h('ul', { class: 'segments' }), h('ul', { class: 'take-grades', 'aria-label': `Server copies of ${name}, graded` }));
      this.#sections.set(id, section);
      this.#people.append(section);
    }
    const [, list, grades] = /** @type {HTMLElement[]} */ ([...section.children]);
    if (!list || !grades) return;
    for (const take of takes) {
      this.#updateGrade(take, grades);
      for (const segment of take.segments) {
        let row = this.#rows.get(segment.segment_id);
        if (!row) {
          row = new SegmentRow(label(take, segment.copy), name, () => this.#freshUrl(segment.segment_id));
          this.#rows.set(segment.segment_id, row);
          insertSorted(list, row.element, `${segment.copy === 'local' ? 0 : 1} ${take.kind} ${take.slot} ${segment.start_ns}`);
        }
        row.update(segment, zeroMs);
      }
    }
  }

  /** @param {Take} take @param {HTMLElement} list */
  #updateGrade(take, list) {
    let grade = this.#grades.get(take.take_id);
    if (!grade) {
      if (!take.grade) return;
      grade = new TakeGrade(label(take, 'server'));
      this.#grades.set(take.take_id, grade);
      insertSorted(list, grade.element, `${take.kind} ${take.slot}`);
    }
    grade.update(take.grade, take.reasons);
  }

  /** @param {string} segmentId */
  async #freshUrl(segmentId) {
    this.update(await api.getRecording(this.#sessionId, this.#recordingId, this.#token()));
    return this.#rows.get(segmentId)?.playUrl ?? null;
  }

  async #downloadManifest() {
    try {
      const manifest = await api.getManifest(this.#sessionId, this.#recordingId, this.#token());
      const url = URL.createObjectURL(new Blob([JSON.stringify(manifest, null, 2)], { type: 'application/json' }));
      h('a', { href: url, download: `${this.#recordingId}-manifest.json` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      const early = error instanceof api.ApiError && error.id === 'manifest_not_ready';
      toast(early ? 'The manifest is written when the recording is finished. Try again then.' : explain(error), { kind: 'error' });
    }
  }
}

/** @param {Take} take @param {'server' | 'local'} copy */
function label(take, copy) {
  const kind = KINDS[take.kind] ?? take.kind;
  const slot = take.slot > 0 ? ` ${take.slot + 1}` : '';
  return copy === 'local' && take.kind === 'camera' ? `${kind}${slot} and microphone` : `${kind}${slot}`;
}

/**
 * Local copies first, then by kind, slot and time: rows come in any order while files are finished.
 * @param {HTMLElement} list
 * @param {HTMLElement} element
 * @param {string} key
 */
function insertSorted(list, element, key) {
  element.dataset['order'] = key;
  const after = [...list.children].find((other) => (other.getAttribute('data-order') ?? '').localeCompare(key, 'en', { numeric: true }) > 0);
  list.insertBefore(element, after ?? null);
}

/** @param {RecordingDetail} recording */
function summary(recording) {
  const { started_at, stopped_ms, started_ms, participants, takes } = recording;
  const files = takes.reduce((sum, take) => sum + take.segments.length, 0);
  const length = stopped_ms === null ? '' : `${clockTime(stopped_ms - started_ms)} long · `;
  const people = participants.length === 1 ? '1 person' : `${participants.length} people`;
  const when = new Date(started_at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  return `${when} · ${length}${people} · ${files === 1 ? '1 file' : `${files} files`}`;
}
