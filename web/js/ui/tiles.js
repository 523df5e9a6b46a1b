/** The grid of tiles: one per participant, as large as the space allows, levels at ten times a second. */

import { remoteLevel } from '../meter.js';
import { byId } from './dom.js';
import { toast } from './notices.js';
import { Tile } from './tile.js';

/** @typedef {import('../messages.js').ParticipantView} ParticipantView */
/** @typedef {import('../messages.js').TrackKind} TrackKind */

const LEVEL_INTERVAL_MS = 100;
const TILE_RATIO = 16 / 9;
const GAP_PX = 12;

/** Narrower than this two tiles beside each other are too small to see a face. */
const MIN_TWO_COLUMNS_PX = 420;

export class Tiles {
  #room;
  #devices;
  #ownCapture;
  #ownLevel;
  #list = byId('tiles', HTMLElement);
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  #timer;
  #observer = new ResizeObserver(() => this.#layout());
  #visibilityChanged = () => this.#report();
  #blocked = false;

  /**
   * @param {import('../room.js').Room} room
   * @param {import('../devices.js').Devices} devices
   * @param {() => import('../messages.js').CaptureView | null} ownCapture
   * @param {() => number} ownLevel
   */
  constructor(room, devices, ownCapture, ownLevel) {
    this.#room = room;
    this.#devices = devices;
    this.#ownCapture = ownCapture;
    this.#ownLevel = ownLevel;
    this.#timer = setInterval(() => this.#levels(), LEVEL_INTERVAL_MS);
    this.#observer.observe(this.#list);
    document.addEventListener('visibilitychange', this.#visibilityChanged);
    room.on('participants', () => this.update());
    room.on('media', () => this.update());
    room.on('speakers', () => this.#updateTiles());
  }

  update() {
    const { participants, participantId } = this.#room;
    for (const [id, tile] of this.#tiles) {
      if (participants.has(id)) continue;
      tile.dispose();
      this.#tiles.delete(id);
    }
    for (const participant of participants.values()) {
      const id = participant.participant_id;
      if (!this.#tiles.has(id)) this.#add(participant, id === participantId);
    }
    this.#updateTiles();
    this.#layout();
  }

  #updateTiles() {
    for (const [id, tile] of this.#tiles) {
      const participant = this.#room.participants.get(id);
      if (!participant) continue;
      tile.update(id === this.#room.participantId ? this.#ownState(participant) : this.#remoteState(participant));
    }
  }

  close() {
    clearInterval(this.#timer);
    this.#observer.disconnect();
    document.removeEventListener('visibilitychange', this.#visibilityChanged);
    for (const tile of this.#tiles.values()) tile.dispose();
    this.#tiles.clear();
  }

  /** @param {ParticipantView} participant @param {boolean} own */
  #add(participant, own) {
    const tile = new Tile(participant, own, () => this.#soundBlocked());
    this.#tiles.set(participant.participant_id, tile);
    if (own) this.#list.prepend(tile.element);
    else this.#list.append(tile.element);
  }

  /** @param {ParticipantView} participant */
  #ownState(participant) {
    const tracks = this.#devices.tracks;
    return {
      participant: { ...participant, connected: true },
      camera: tracks.get('camera'),
      microphone: undefined,
      hasMicrophone: tracks.has('microphone'),
      microphoneMuted: this.#devices.isMuted('microphone'),
      cameraMuted: this.#devices.isMuted('camera'),
      delivery: /** @type {const} */ ('whole'),
      speaking: this.#speaks(participant),
      capture: this.#ownCapture(),
    };
  }

  /** @param {ParticipantView} participant */
  #remoteState(participant) {
    const view = (/** @type {TrackKind} */ kind) => participant.tracks.find((track) => track.kind === kind);
    return {
      participant,
      camera: this.#received(participant, 'camera')?.track,
      microphone: this.#received(participant, 'microphone')?.track,
      hasMicrophone: view('microphone') !== undefined,
      microphoneMuted: view('microphone')?.muted ?? false,
      cameraMuted: view('camera')?.muted ?? true,
      delivery: view('camera')?.delivery ?? 'whole',
      speaking: this.#speaks(participant),
      capture: participant.capture,
    };
  }

  /** @param {ParticipantView} participant */
  #speaks({ participant_id }) {
    return this.#room.speakers.speaking.includes(participant_id);
  }

  /** @param {ParticipantView} participant @param {TrackKind} kind */
  #received({ participant_id }, kind) {
    return this.#room.media.find((entry) => entry.participant_id === participant_id && entry.kind === kind);
  }

  #levels() {
    for (const [id, tile] of this.#tiles) {
      const participant = this.#room.participants.get(id);
      if (!participant) continue;
      if (id === this.#room.participantId) tile.setLevel(this.#ownLevel());
      else {
        const receiver = this.#received(participant, 'microphone')?.receiver;
        tile.setLevel(receiver ? remoteLevel(receiver) : 0);
      }
    }
  }

  /** The number of columns with the largest tiles. */
  #layout() {
    const count = this.#tiles.size;
    const { clientWidth: width, clientHeight: height } = this.#list;
    if (count === 0 || width === 0) return;
    let best = { columns: 1, tile: 0 };
    for (let columns = 1; columns <= count; columns++) {
      if (columns > 1 && width < MIN_TWO_COLUMNS_PX && count < 5) break;
      const rows = Math.ceil(count / columns);
      const byWidth = (width - GAP_PX * (columns - 1)) / columns;
      const byHeight = ((height - GAP_PX * (rows - 1)) / rows) * TILE_RATIO;
      const tile = Math.min(byWidth, byHeight);
      if (tile > best.tile) best = { columns, tile };
    }
    this.#list.style.setProperty('--columns', String(best.columns));
    this.#list.style.setProperty('--tile-width', `${Math.floor(best.tile)}px`);
    this.#report();
  }

  /** How large each camera of the others is drawn. */
  #report() {
    /** @type {Map<string, number>} */
    const lines = new Map();
    for (const entry of this.#room.media) {
      const tile = this.#tiles.get(entry.participant_id);
      if (entry.kind === 'camera' && tile) lines.set(entry.track_id, document.hidden ? 0 : tile.pictureLines);
    }
    this.#room.show(lines);
  }

  #soundBlocked() {
    if (this.#blocked) return;
    this.#blocked = true;
    const run = () => {
      this.#blocked = false;
      for (const tile of this.#tiles.values()) tile.play();
    };
    toast('The browser waits for a click before it plays sound.', { action: { label: 'Turn sound on', run } });
  }
}
