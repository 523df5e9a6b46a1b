/** The bar at the bottom of the room, its keyboard shortcuts (M, V, R, O), and what it says about the recording. */

import { byId, setText } from './dom.js';
import { clockTime } from './format.js';
import { setIcon } from './icons.js';

/**
 * @typedef {object} Actions
 * @property {() => void} mute
 * @property {() => void} camera
 * @property {() => void} record
 * @property {(seconds: number) => void} offRecord the last of them
 * @property {() => void} leave
 */

/** Keys do nothing while one of these has the focus: they are typed text there. */
const TYPING = 'input, select, textarea, [contenteditable], dialog *';

export class Controls {
  #actions;
  #mute = byId('mute', HTMLButtonElement);
  #camera = byId('camera-toggle', HTMLButtonElement);
  #record = byId('record', HTMLButtonElement);
  #pill = byId('recording-pill', HTMLElement);
  #time = byId('recording-time', HTMLElement);
  #offRecord = byId('off-record', HTMLButtonElement);
  #offRecordDialog = byId('off-record-dialog', HTMLDialogElement);
  #stopDialog = byId('stop-dialog', HTMLDialogElement);
  #abort = new AbortController();
  #recording = false;
  #host;

  /**
   * @param {Actions} actions
   * @param {boolean} host
   */
  constructor(actions, host) {
    this.#actions = actions;
    this.#host = host;
    const { signal } = this.#abort;
    const on = (/** @type {HTMLElement} */ element, /** @type {() => void} */ run) =>
      element.addEventListener('click', () => run(), { signal });
    on(this.#mute, actions.mute);
    on(this.#camera, actions.camera);
    on(this.#record, actions.record);
    on(byId('leave', HTMLButtonElement), actions.leave);
    on(byId('stop-confirm', HTMLButtonElement), actions.record);
    this.#record.hidden = !host;
    for (const [opener, dialog] of [['links-open', 'links-dialog'], ['devices-open', 'devices-dialog']]) {
      on(byId(String(opener), HTMLButtonElement), () => byId(String(dialog), HTMLDialogElement).showModal());
    }
    on(this.#offRecord, () => this.#askOffRecord());
    this.#offRecordDialog.addEventListener('close', () => this.#takeOffRecord(), { signal });
    addEventListener('keydown', (event) => this.#key(event), { signal });
  }

  close() {
    this.#abort.abort();
    this.#pill.hidden = true;
  }

  /**
   * @param {{microphone: boolean, camera: boolean, microphoneMuted: boolean, cameraMuted: boolean}} own which tracks exist
   */
  showOwn(own) {
    this.#toggle(this.#mute, own.microphone, own.microphoneMuted, ['mic', 'mic-off'], ['Mute', 'Unmute']);
    this.#toggle(this.#camera, own.camera, own.cameraMuted, ['camera', 'camera-off'], ['Camera off', 'Camera on']);
  }

  /** @param {boolean} recording @param {boolean} pending a request is under way */
  showRecording(recording, pending) {
    this.#recording = recording;
    this.#pill.hidden = !recording;
    this.#record.disabled = pending;
    this.#offRecord.hidden = !this.#host || !recording;
    this.#record.classList.toggle('control-recording', recording);
    this.#label(this.#record, recording ? 'Stop' : 'Record');
    this.#record.setAttribute('aria-label', recording ? 'Stop recording (R)' : 'Start recording (R)');
    setIcon(iconOf(this.#record), recording ? 'stop' : 'record');
    document.body.classList.toggle('is-recording', recording);
    if (!recording) for (const dialog of [this.#stopDialog, this.#offRecordDialog]) if (dialog.open) dialog.close();
  }

  /** Why nothing can be recorded now, which the button says when asked; empty: it can. @param {string} words */
  showRefusal(words) {
    this.#record.title = words;
    this.#record.setAttribute('aria-description', words);
  }

  /** @param {number} ms */
  showTime(ms) {
    setText(this.#time, clockTime(ms));
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {boolean} exists
   * @param {boolean} muted
   * @param {[string, string]} icons
   * @param {[string, string]} labels
   */
  #toggle(button, exists, muted, icons, labels) {
    const off = muted || !exists;
    button.disabled = !exists;
    button.setAttribute('aria-pressed', String(off));
    button.classList.toggle('control-off', off);
    setIcon(iconOf(button), icons[off ? 1 : 0]);
    this.#label(button, labels[off ? 1 : 0]);
  }

  /** @param {HTMLButtonElement} button @param {string} text */
  #label(button, text) {
    const label = button.querySelector('.control-label');
    if (label) setText(label, text);
  }

  #askOffRecord() {
    this.#offRecordDialog.returnValue = '';
    this.#offRecordDialog.showModal();
  }

  #takeOffRecord() {
    const seconds = Number(this.#offRecordDialog.returnValue);
    if (seconds > 0) this.#actions.offRecord(seconds);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target instanceof Element && event.target.matches(TYPING)) return;
    switch (event.key.toLowerCase()) {
      case 'm':
        if (!this.#mute.disabled) this.#actions.mute();
        break;
      case 'v':
        if (!this.#camera.disabled) this.#actions.camera();
        break;
      case 'r':
        if (!this.#host || this.#record.disabled) return;
        // A key is hit by accident more easily than a button: stopping for everybody asks first.
        if (this.#recording) this.#stopDialog.showModal();
        else this.#actions.record();
        break;
      case 'o':
        if (!this.#offRecord.hidden) this.#askOffRecord();
        break;
      default:
        return;
    }
    event.preventDefault();
  }
}

/** @param {HTMLElement} button */
const iconOf = (button) => /** @type {Element} */ (button.querySelector('[data-icon]'));
