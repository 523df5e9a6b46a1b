/**
 * One participant's tile: picture or initials, name, microphone with its level, an outline while it speaks, connection,
 * how much of the local copy is safe. The media element is touched only when a track changes, so playback never blinks.
 *
 * That somebody speaks is shown by the outline and a light name plate, not by a colour alone; the label says it to who
 * asks. It is not announced: a screen reader would talk over the very speech.
 */

import { h, setText } from './dom.js';
import { clockTime, initials } from './format.js';
import { icon, setIcon } from './icons.js';
import { QualityBars, qualityWords } from './quality.js';

/** @typedef {import('../messages.js').ParticipantView} ParticipantView */
/** @typedef {import('../messages.js').CaptureView} CaptureView */

/** Colours of tiles without picture, chosen by id: CSS classes `tone-0` to `tone-5`. */
const TONES = 6;

const DELIVERIES = { whole: '', reduced: 'Reduced for your network', paused: 'Paused for your network' };

/**
 * @typedef {object} TileState
 * @property {ParticipantView} participant
 * @property {MediaStreamTrack | undefined} camera
 * @property {MediaStreamTrack | undefined} microphone undefined for oneself: nobody listens to themselves
 * @property {boolean} hasMicrophone
 * @property {boolean} microphoneMuted
 * @property {boolean} cameraMuted
 * @property {import('../messages.js').DeliveryState} delivery of the camera, over one's own network
 * @property {boolean} speaking as the server says; somebody who muted does not
 * @property {CaptureView | null} capture
 */

export class Tile {
  #own;
  #stream = new MediaStream();
  #video = h('video', { autoplay: true, playsinline: true });
  #avatar;
  #microphone = h('span', { class: 'tile-mic' });
  #name = h('span', { class: 'tile-name' });
  #badge = h('span', { class: 'tile-badge', hidden: true });
  #delivery = h('span', { class: 'tile-delivery', hidden: true });
  #copy = h('span', { class: 'tile-copy', hidden: true });
  #copyText = h('span', {});
  #quality = new QualityBars();
  #onBlocked;
  element;

  /**
   * @param {ParticipantView} participant
   * @param {boolean} own
   * @param {() => void} onBlocked the browser refused to play sound before a click
   */
  constructor(participant, own, onBlocked) {
    this.#own = own;
    this.#onBlocked = onBlocked;
    this.#video.muted = own;
    // Safari and Firefox show controls on an element that is not muted unless it is told otherwise.
    this.#video.disablePictureInPicture = true;
    this.#avatar = h('div', { class: `tile-avatar tone-${toneOf(participant.participant_id)}`, 'aria-hidden': 'true' }, h('span', {}));
    this.#copy.append(icon('shield'), this.#copyText);
    this.element = h(
      'li',
      { class: `tile${own ? ' tile-own' : ''}`, 'data-participant-id': participant.participant_id },
      this.#avatar,
      this.#video,
      h('div', { class: 'tile-ring', 'aria-hidden': 'true' }),
      h('div', { class: 'tile-top' }, this.#badge, this.#delivery, this.#copy),
      h('div', { class: 'tile-bottom' }, this.#microphone, this.#name, this.#quality.element),
    );
  }

  /** @param {number} level 0..1 */
  setLevel(level) {
    this.element.style.setProperty('--level', level.toFixed(2));
  }

  /** Height of the picture in pixels of the screen. */
  get pictureLines() {
    return this.#video.clientHeight * window.devicePixelRatio;
  }

  /** Play again after a click. */
  play() {
    if (this.#stream.getTracks().length > 0) void this.#video.play().catch(() => undefined);
  }

  /** @param {TileState} state */
  update(state) {
    const { participant, camera, microphone, microphoneMuted, hasMicrophone } = state;
    this.#setTracks([camera, microphone]);
    const pictured = camera !== undefined && !state.cameraMuted;
    this.element.classList.toggle('tile-pictured', pictured);
    this.element.classList.toggle('tile-away', !participant.connected);
    const name = this.#own ? `${participant.display_name} (you)` : participant.display_name;
    setText(this.#name, name);
    setText(/** @type {Element} */ (this.#avatar.firstElementChild), initials(participant.display_name));
    setIcon(this.#microphone, hasMicrophone && !microphoneMuted ? 'mic' : 'mic-off');
    this.#microphone.classList.toggle('tile-mic-off', !hasMicrophone || microphoneMuted);
    const presence = participant.connected ? (participant.role === 'host' ? 'Host' : '') : 'Reconnecting…';
    setText(this.#badge, presence);
    this.#badge.hidden = presence === '';
    this.#badge.classList.toggle('tile-badge-warning', !participant.connected);
    this.#showCopy(state.capture);
    this.#quality.show(participant.quality);
    const delivery = pictured ? DELIVERIES[state.delivery] : '';
    setText(this.#delivery, delivery);
    this.#delivery.hidden = delivery === '';
    this.#delivery.title = 'Your network does not carry this picture in full at present. The recording is not touched.';
    this.element.classList.toggle('tile-paused', pictured && state.delivery === 'paused');
    const speaking = state.speaking && hasMicrophone && !microphoneMuted;
    this.element.classList.toggle('tile-speaking', speaking);
    const sound = !hasMicrophone ? 'no microphone' : microphoneMuted ? 'microphone muted' : 'microphone on';
    const quality = participant.quality ? qualityWords(participant.quality) : '';
    const parts = [name, presence, sound, pictured ? 'camera on' : 'camera off', delivery, quality, speaking ? 'speaking' : ''];
    this.element.setAttribute('aria-label', parts.filter(Boolean).join(', '));
  }

  dispose() {
    this.#video.srcObject = null;
    this.element.remove();
  }

  /** @param {(MediaStreamTrack | undefined)[]} wanted */
  #setTracks(wanted) {
    const tracks = new Set(wanted.filter((track) => track !== undefined));
    let changed = false;
    for (const track of this.#stream.getTracks()) {
      if (tracks.has(track)) continue;
      this.#stream.removeTrack(track);
      changed = true;
    }
    for (const track of tracks) {
      if (this.#stream.getTracks().includes(track)) continue;
      this.#stream.addTrack(track);
      changed = true;
    }
    if (!changed) return;
    this.#video.srcObject = this.#stream;
    if (tracks.size === 0) return;
    this.#video.play().catch((error) => error instanceof DOMException && error.name === 'NotAllowedError' && this.#onBlocked());
  }

  /** @param {CaptureView | null} capture */
  #showCopy(capture) {
    this.#copy.hidden = capture === null;
    if (!capture) return;
    const text = { recording: `safe up to ${clockTime(capture.safe_ms)}`, uploading: `uploading, safe up to ${clockTime(capture.safe_ms)}`, done: 'all safe', failed: 'copy failed' };
    setText(this.#copyText, text[capture.state]);
    this.#copy.title = 'How much of this participant’s local copy is verified in the studio’s storage';
    this.#copy.dataset['state'] = capture.state;
  }
}

/** @param {string} id */
function toneOf(id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  return sum % TONES;
}
