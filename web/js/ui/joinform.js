/** The way in: name, devices with preview and level, consent notice; resolves with the identity once joined. */

import * as api from '../api.js';
import { forgetHostSecret, hostSecret, loadPreferences, saveIdentity, savePreferences } from '../identity.js';
import { LocalLevel } from '../meter.js';
import { DevicePicker } from './devicepicker.js';
import { byId, setText } from './dom.js';
import { explain } from './problems.js';

/** @typedef {import('../messages.js').Identity} Identity */

const METER_INTERVAL_MS = 50;

export class JoinForm {
  #devices;
  #sessionId;
  #level = new LocalLevel();
  #form = byId('join-form', HTMLFormElement);
  #name = byId('display-name', HTMLInputElement);
  #button = byId('join-button', HTMLButtonElement);
  #error = byId('join-error', HTMLElement);
  #preview = byId('preview', HTMLVideoElement);
  #picker;
  #session = { recording: false, participants: 0 };

  /**
   * @param {string} sessionId
   * @param {import('../devices.js').Devices} devices
   */
  constructor(sessionId, devices) {
    this.#sessionId = sessionId;
    this.#devices = devices;
    this.#picker = new DevicePicker(devices);
    byId('join-devices', HTMLElement).append(this.#picker.element);
    this.#name.value = loadPreferences().display_name;
  }

  /**
   * Show the form until the participant is in.
   * @param {{recording: boolean, participants: number}} session
   * @returns {Promise<Identity>}
   */
  async run(session) {
    this.#session = session;
    this.#describe();
    byId('join', HTMLElement).hidden = false;
    const meter = byId('join-level', HTMLElement);
    const timer = setInterval(() => meter.style.setProperty('--level', this.#level.read().toFixed(3)), METER_INTERVAL_MS);
    const off = this.#devices.on('changed', () => this.#showDevices());
    void this.#picker.openBoth();
    if (!this.#name.value) this.#name.focus();
    const identity = await this.#submitted();
    clearInterval(timer);
    off();
    this.#level.setTrack(undefined);
    this.#preview.srcObject = null;
    byId('join', HTMLElement).hidden = true;
    byId('join-devices', HTMLElement).replaceChildren();
    return identity;
  }

  #describe() {
    const { recording, participants } = this.#session;
    const host = hostSecret(this.#sessionId) !== '';
    byId('join-recording', HTMLElement).hidden = !recording;
    setText(byId('join-role', HTMLElement), host ? 'You join as host: you start and stop the recording.' : 'You join as guest.');
    const count = participants === 0 ? 'Nobody is here yet.' : participants === 1 ? '1 person is here.' : `${participants} people are here.`;
    setText(byId('join-count', HTMLElement), count);
    setText(this.#button, host ? 'Join as host' : 'Join');
  }

  #showDevices() {
    const tracks = this.#devices.tracks;
    const camera = tracks.get('camera');
    this.#preview.srcObject = camera ? new MediaStream([camera]) : null;
    byId('preview-empty', HTMLElement).hidden = camera !== undefined;
    this.#level.setTrack(tracks.get('microphone'));
    byId('join-silent', HTMLElement).hidden = tracks.has('microphone');
    byId('join-listener', HTMLElement).hidden = tracks.size > 0;
  }

  /** @returns {Promise<Identity>} */
  #submitted() {
    return new Promise((resolve) => {
      this.#form.addEventListener('submit', (event) => {
        event.preventDefault();
        if (this.#button.disabled) return;
        void this.#join().then((identity) => identity && resolve(identity));
      });
      this.#button.disabled = false;
    });
  }

  /** @returns {Promise<Identity | null>} */
  async #join() {
    const displayName = this.#name.value.trim();
    const host = hostSecret(this.#sessionId);
    this.#button.disabled = true;
    this.#error.hidden = true;
    try {
      const joined = await api.join(this.#sessionId, { display_name: displayName, ...(host ? { host_secret: host } : {}) });
      const identity = { session_id: this.#sessionId, ...joined };
      savePreferences({ ...loadPreferences(), display_name: displayName });
      saveIdentity(identity);
      return identity;
    } catch (error) {
      if (error instanceof api.ApiError && error.id === 'wrong_host_secret') {
        forgetHostSecret(this.#sessionId);
        history.replaceState(null, '', location.pathname);
        this.#describe();
      }
      this.#error.textContent = explain(error);
      this.#error.hidden = false;
      this.#button.disabled = false;
      return null;
    }
  }
}
