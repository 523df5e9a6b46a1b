/**
 * The selects for camera, microphone, quality and headphones; used before joining and in the room.
 *
 * Changing one opens the device at once and remembers the choice. What could not be opened is explained beneath it.
 */

import { NO_DEVICE, devicesUnavailable } from '../devices.js';
import { loadPreferences, savePreferences } from '../identity.js';
import { h } from './dom.js';

/** @typedef {import('../publisher.js').OwnKind} OwnKind */

const HEIGHTS = [360, 720, 1080];

export class DevicePicker {
  #devices;
  /** @type {Record<OwnKind, HTMLSelectElement>} */
  #selects;
  #height = h('select', { id: 'quality' });
  #headphones = h('input', { id: 'headphones', type: 'checkbox', role: 'switch' });
  #problemText = h('p', {});
  #retry = h('button', { type: 'button', class: 'button button-small' }, 'Try again');
  #problem = h('div', { class: 'notice notice-warning', role: 'alert', hidden: true }, this.#problemText, this.#retry);
  element;

  /** @param {import('../devices.js').Devices} devices */
  constructor(devices) {
    this.#devices = devices;
    this.#selects = { camera: h('select', { id: 'camera' }), microphone: h('select', { id: 'microphone' }) };
    for (const height of HEIGHTS) this.#height.append(h('option', { value: String(height) }, `${height}p`));
    this.#height.value = String(devices.choice.height);
    this.#headphones.checked = devices.choice.headphones;
    this.#selects.camera.addEventListener('change', () => void this.#changed('camera'));
    this.#selects.microphone.addEventListener('change', () => void this.#changed('microphone'));
    this.#height.addEventListener('change', () => void this.#changed('camera'));
    this.#headphones.addEventListener('change', () => void this.#changed('microphone'));
    this.element = h(
      'div',
      { class: 'device-picker' },
      this.#problem,
      h('div', { class: 'field' }, h('label', { for: 'microphone' }, 'Microphone'), this.#selects.microphone),
      h(
        'div',
        { class: 'field-row' },
        h('div', { class: 'field field-grow' }, h('label', { for: 'camera' }, 'Camera'), this.#selects.camera),
        h('div', { class: 'field' }, h('label', { for: 'quality' }, 'Picture'), this.#height),
      ),
      h(
        'label',
        { class: 'switch', for: 'headphones' },
        this.#headphones,
        h('span', {}, 'I wear headphones', h('small', { class: 'hint' }, 'Records your sound unprocessed, in best quality.')),
      ),
    );
    this.#retry.addEventListener('click', () => void this.#open(['microphone', 'camera']));
    devices.on('devices', () => void this.refresh());
    devices.on('changed', () => void this.refresh());
    this.#showUnavailable();
  }

  /** List the devices anew: names are known only after permission was given. */
  async refresh() {
    const { cameras, microphones } = await this.#devices.list();
    const { choice } = this.#devices;
    this.#fill('camera', cameras, choice.camera);
    this.#fill('microphone', microphones, choice.microphone);
    this.#height.disabled = choice.camera === NO_DEVICE;
  }

  /** Open both as chosen. A device that fails leaves the other one alone. */
  async openBoth() {
    if (devicesUnavailable()) return;
    await this.#open(['microphone', 'camera']);
  }

  /** @param {OwnKind} kind */
  async #changed(kind) {
    const choice = {
      camera: this.#selects.camera.value,
      microphone: this.#selects.microphone.value,
      headphones: this.#headphones.checked,
      height: Number(this.#height.value),
    };
    this.#devices.choice = choice;
    savePreferences({ ...loadPreferences(), ...choice });
    await this.#open([kind]);
  }

  /** @param {OwnKind[]} kinds */
  async #open(kinds) {
    this.#show('');
    const problems = await this.#devices.open(kinds);
    this.#show(problems.map((problem) => problem.message).join(' '));
  }

  #showUnavailable() {
    const problem = devicesUnavailable();
    if (!problem) return;
    this.#show(problem.message);
    this.#retry.hidden = true;
    for (const control of [...Object.values(this.#selects), this.#height, this.#headphones]) control.disabled = true;
    this.#fill('camera', [], NO_DEVICE);
    this.#fill('microphone', [], NO_DEVICE);
  }

  /** @param {string} problem */
  #show(problem) {
    this.#problemText.textContent = problem;
    this.#problem.hidden = problem === '';
  }

  /**
   * @param {OwnKind} kind
   * @param {MediaDeviceInfo[]} devices
   * @param {string} chosen
   */
  #fill(kind, devices, chosen) {
    const select = this.#selects[kind];
    const inUse = this.#devices.tracks.get(kind)?.getSettings().deviceId ?? '';
    const options = devices.map((device, i) => h('option', { value: device.deviceId }, device.label || `${kind} ${i + 1}`));
    if (options.length === 0 && chosen !== NO_DEVICE) options.push(h('option', { value: '' }, `Default ${kind}`));
    options.push(h('option', { value: NO_DEVICE }, `No ${kind}`));
    select.replaceChildren(...options);
    select.value = chosen === NO_DEVICE ? NO_DEVICE : inUse || chosen;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  }
}
