/**
 * One call, from joined to left: wires the room, the devices, the local copy and what is shown.
 *
 * Closing order: room (which closes its connections), local copy, devices, tiles and controls. Uploads outlive it.
 */

import * as api from './api.js';
import { Capture } from './capture.js';
import { saveMutes } from './identity.js';
import { LocalLevel } from './meter.js';
import { PageReports } from './page_reports.js';
import { Room } from './room.js';
import { Controls } from './ui/controls.js';
import { byId, setText } from './ui/dom.js';
import { NoticeList } from './ui/notice_list.js';
import { announce, toast } from './ui/notices.js';
import { rangeWords } from './ui/off_record.js';
import { explain, explainInCall } from './ui/problems.js';
import { showOwnTrouble } from './ui/quality.js';
import { showSpace, spaceWords } from './ui/space.js';
import { Tiles } from './ui/tiles.js';

/** @typedef {import('./messages.js').Identity} Identity */
/** @typedef {import('./protocol.js').CloseReason} CloseReason */

const TICK_MS = 500;

/** The state of the local copy is told at most so often. */
const STATUS_INTERVAL_MS = 1000;

export class Call {
  #identity;
  #devices;
  #uploads;
  #level = new LocalLevel();
  #tiles;
  #controls;
  #notices = new NoticeList();
  #recordingId = '';
  #wasRecording = false;
  #pending = false;
  #sentStatus = '';
  #statusMs = -Infinity;
  #reports;
  /** @type {(() => void)[]} */
  #undo = [];
  room;
  capture;

  /**
   * @param {Identity} identity
   * @param {import('./devices.js').Devices} devices
   * @param {import('./spool.js').Spool} spool
   * @param {import('./uploads.js').Uploads} uploads
   */
  constructor(identity, devices, spool, uploads) {
    this.#identity = identity;
    this.#devices = devices;
    this.#uploads = uploads;
    this.room = new Room(identity);
    this.#reports = new PageReports(this.room);
    for (const kind of devices.muted) this.room.setMuted(kind, true);
    this.capture = new Capture(identity, this.room.clock, spool, uploads);
    this.#tiles = new Tiles(this.room, devices, () => this.#ownCapture(), () => this.#level.read());
    this.#controls = new Controls(
      {
        mute: () => this.#toggle('microphone'),
        camera: () => this.#toggle('camera'),
        record: () => void this.#record(),
        offRecord: (seconds) => void this.#takeOffRecord(seconds),
        leave: () => this.room.leave(),
      },
      identity.role === 'host',
    );
  }

  /** @returns {Promise<CloseReason>} when it is over */
  async run() {
    const closed = new Promise((/** @type {(reason: CloseReason) => void} */ resolve) => this.room.on('closed', resolve));
    this.#listen();
    this.#devicesChanged();
    byId('room', HTMLElement).hidden = false;
    // The join form is gone and with it the focus.
    byId('tiles', HTMLElement).focus();
    this.room.join();
    const reason = await closed;
    this.#close();
    return reason;
  }

  #listen() {
    const { room } = this;
    const tick = setInterval(() => this.#tick(), TICK_MS);
    this.#undo.push(
      () => clearInterval(tick),
      this.#devices.on('changed', () => this.#devicesChanged()),
      this.#devices.on('lost', (kind) => this.#deviceLost(kind)),
      this.#uploads.on('progress', () => this.#sendStatus()),
    );
    room.on('welcome', (welcome) => {
      this.capture.setProfile(welcome.capture_profile);
      setText(byId('session-title', HTMLElement), welcome.title);
    });
    room.on('recording', (recording) => this.#recordingChanged(recording));
    room.on('space', (space) => {
      this.#showSpace();
      if (space === 'ok' && this.#identity.role === 'host') toast('There is space on the studio’s disk again. Press Record to begin a new recording.');
    });
    room.on('notices', (notices) => this.#notices.show(notices));
    room.on('connection', () => this.#showConnection());
    room.on('troubles', showOwnTrouble);
    room.on('joined', ({ display_name }) => announce(`${display_name} joined`));
    room.on('left', ({ participant, reason }) =>
      announce(`${participant.display_name} ${reason === 'lost' ? 'lost the connection' : 'left'}`),
    );
    room.on('error', ({ id, detail, negotiation }) => {
      console.warn('refused by the studio', id, detail);
      const words = explainInCall(id);
      if (words) toast(words, { kind: 'error' });
      else if (negotiation) toast(`The studio cannot take this browser’s sound or picture (${id}). Choose other devices, or use a current Chrome, Edge or Firefox.`, { kind: 'error' });
    });
    this.capture.on('running', () => this.#sendStatus());
    this.capture.on('problem', (problem) => {
      this.#reports.note('capture');
      toast(problem, { kind: 'error' });
    });
  }

  /** @param {import('./publisher.js').OwnKind} kind */
  #deviceLost(kind) {
    this.#reports.note('device_lost');
    toast(`The ${kind} was unplugged. Choose another one under Devices.`, { kind: 'error' });
  }

  #close() {
    for (const undo of this.#undo) undo();
    this.#reports.close();
    void this.capture.stop();
    this.#level.setTrack(undefined);
    this.#devices.close();
    this.#tiles.close();
    this.#controls.close();
    for (const dialog of document.querySelectorAll('dialog')) dialog.close();
    document.body.classList.remove('is-recording');
    byId('connection-banner', HTMLElement).hidden = true;
    showOwnTrouble([]);
    showSpace('');
    this.#notices.close();
    byId('room', HTMLElement).hidden = true;
  }

  /** @param {import('./publisher.js').OwnKind} kind */
  #toggle(kind) {
    const muted = !this.#devices.isMuted(kind);
    this.#devices.setMuted(kind, muted);
    this.room.setMuted(kind, muted);
    saveMutes(this.#identity.session_id, this.#devices.muted);
    this.#showOwn();
    announce(kind === 'microphone' ? (muted ? 'Microphone muted' : 'Microphone on') : muted ? 'Camera off' : 'Camera on');
  }

  #devicesChanged() {
    const tracks = this.#devices.tracks;
    this.room.setOwnTracks(tracks);
    this.capture.setTracks(tracks);
    this.#level.setTrack(tracks.get('microphone'));
    this.#showOwn();
    this.#tiles.update();
  }

  #showOwn() {
    const tracks = this.#devices.tracks;
    this.#controls.showOwn({
      microphone: tracks.has('microphone'),
      camera: tracks.has('camera'),
      microphoneMuted: this.#devices.isMuted('microphone'),
      cameraMuted: this.#devices.isMuted('camera'),
    });
  }

  async #record() {
    if (this.#pending) return;
    const { session_id, token } = this.#identity;
    const { recording } = this.room;
    this.#pending = true;
    this.#showRecording();
    try {
      if (recording?.state === 'recording') await api.stopRecording(session_id, recording.recording_id, token);
      else await api.startRecording(session_id, token);
    } catch (error) {
      toast(explain(error), { kind: 'error' });
    } finally {
      this.#pending = false;
      this.#showRecording();
    }
  }

  /** @param {number} seconds */
  async #takeOffRecord(seconds) {
    const { session_id, token } = this.#identity;
    const { recording } = this.room;
    if (!recording) return;
    const { recording_id, started_ms } = recording;
    const putBack = async (/** @type {string} */ id) => {
      try {
        await api.putBackOnRecord(session_id, recording_id, id, token);
        toast('It is on the record again.');
      } catch (error) {
        toast(explain(error), { kind: 'error' });
      }
    };
    try {
      const range = await api.takeOffRecord(session_id, recording_id, { last_s: seconds }, token);
      toast(`Off the record: ${rangeWords(range, started_ms)}.`, { action: { label: 'Put back', run: () => void putBack(range.off_record_id) } });
    } catch (error) {
      toast(explain(error), { kind: 'error' });
    }
  }

  /** @param {import('./messages.js').RecordingView | null} recording */
  #recordingChanged(recording) {
    const running = recording?.state === 'recording';
    if (running !== this.#wasRecording) announce(running ? 'Recording started' : 'Recording stopped');
    if (this.#wasRecording && !running && this.room.endedBy === 'disk') {
      toast('The recording was ended because the studio’s disk is full. What was recorded is kept, and the call goes on.', { kind: 'error' });
    } else if (this.#wasRecording && recording === null) {
      // Nobody pressed stop: the studio restarted, or everybody was away for longer than it waits.
      toast('The recording ended because the studio lost this session for a while. What was recorded is kept. The host can start another.', { kind: 'error' });
    }
    this.#wasRecording = running;
    // Whatever becomes of the local copy, that one is recorded is said.
    this.#showRecording();
    if (running) {
      this.#recordingId = recording.recording_id;
      this.capture.start(recording.recording_id);
      void navigator.storage?.persist?.().catch(() => undefined);
    } else {
      void this.capture.stop();
    }
  }

  #showRecording() {
    this.#controls.showRecording(this.#wasRecording, this.#pending);
    this.#showSpace();
    this.#tick();
  }

  #showSpace() {
    if (this.#identity.role !== 'host') return;
    // While it is recorded a notice says it.
    const words = this.#wasRecording ? '' : spaceWords(this.room.space);
    showSpace(words);
    this.#controls.showRefusal(words);
  }

  #tick() {
    const { recording, clock } = this.room;
    const now = clock.at(performance.now());
    if (recording?.state === 'recording' && now !== null) this.#controls.showTime(now - recording.started_ms);
    this.#tiles.update();
    this.#sendStatus();
  }

  #ownCapture() {
    return this.#recordingId ? this.#uploads.view(this.#recordingId, this.capture.progress) : null;
  }

  #sendStatus() {
    const capture = this.#ownCapture();
    const now = performance.now();
    if (!capture || now - this.#statusMs < STATUS_INTERVAL_MS) return;
    const text = JSON.stringify([this.#recordingId, capture]);
    if (text === this.#sentStatus) return;
    this.#statusMs = now;
    this.#sentStatus = text;
    this.room.sendCaptureStatus(this.#recordingId, capture);
  }

  #showConnection() {
    const { signaling, publish, subscribe, blocked } = this.room.connection;
    const banner = byId('connection-banner', HTMLElement);
    const media = [publish, subscribe].some((state) => state === 'failed' || state === 'disconnected');
    let text = '';
    if (signaling === 'waiting' || (signaling === 'connecting' && this.room.participants.size > 0)) {
      text = media
        ? 'Connection lost. Trying to come back…'
        : 'The studio does not answer. Trying again; sound and picture may go on meanwhile.';
    } else if (blocked) {
      text = 'Your network seems to block the media port (UDP and TCP). Try another network.';
    } else if (media) {
      text = 'Sound and picture are interrupted. Trying to come back…';
    }
    setText(byId('connection-text', HTMLElement), text);
    banner.hidden = text === '';
  }
}
