/**
 * A joined room: who is in it, what is recorded, and its media, over one WebSocket.
 *
 * Losing the WebSocket ends nothing: media goes on and the state is replaced by the next welcome. When the server no
 * longer knows this participant's connections (`resumed` false, or an error `connection_gone`), or the subscribe
 * connection is beyond repair, both are made anew. Signaling is closed before the media.
 */

import { Blockage } from './blockage.js';
import { SessionClock } from './clock.js';
import { Emitter } from './emitter.js';
import { MediaConnections } from './media_connections.js';
import { OpenNotices } from './open_notices.js';
import { Signaling } from './protocol.js';
import { Roster } from './roster.js';
import { Shown } from './shown.js';

/** @typedef {import('./messages.js').ParticipantView} ParticipantView */
/** @typedef {import('./messages.js').RecordingView} RecordingView */
/** @typedef {import('./messages.js').Welcome} Welcome */
/** @typedef {import('./messages.js').ServerMessage} ServerMessage */
/** @typedef {import('./messages.js').ActiveSpeakers} ActiveSpeakers */
/** @typedef {import('./publisher.js').OwnKind} OwnKind */
/** @typedef {import('./subscriber.js').ReceivedTrack} ReceivedTrack */
/** @typedef {import('./media_connections.js').ConnectionState} ConnectionState */

/** Connections that are beyond repair are made anew at most so often. */
const REJOIN_INTERVAL_MS = 5000;

/** Refused offers: asking again with the same one helps nobody. */
const NEGOTIATION_ERRORS = ['unsupported', 'bad_sdp', 'bad_tracks', 'bad_fingerprint', 'dtls_required', 'no_common_codec', 'too_many_tracks'];

/**
 * @typedef {object} Connection how this page is connected
 * @property {import('./protocol.js').SignalingState} signaling
 * @property {ConnectionState} publish
 * @property {ConnectionState} subscribe
 * @property {boolean} blocked media does not come through, for longer than it should take
 */

/** @typedef {Pick<ActiveSpeakers, 'dominant' | 'speaking'>} Speakers participant ids */

/**
 * @extends {Emitter<{
 *   welcome: Welcome,
 *   participants: ReadonlyMap<string, ParticipantView>,
 *   joined: ParticipantView,
 *   left: {participant: ParticipantView, reason: string},
 *   media: readonly ReceivedTrack[],
 *   speakers: Speakers,
 *   recording: RecordingView | null,
 *   space: import('./messages.js').SpaceState,
 *   notices: readonly import('./messages.js').Notice[],
 *   troubles: readonly import('./messages.js').Finding[],
 *   connection: Connection,
 *   error: {id: string, detail: string, negotiation: boolean},
 *   closed: import('./protocol.js').CloseReason,
 * }>}
 */
export class Room extends Emitter {
  clock = new SessionClock();
  #signaling;
  #participantId;
  #connections;
  #roster;
  #shown;
  /** @type {RecordingView | null} */
  #recording = null;
  #endedBy = '';
  /** @type {import('./messages.js').SpaceState} */
  #space = 'ok';
  #notices = new OpenNotices();
  /** @type {Speakers} */
  #speakers = { dominant: null, speaking: [] };
  /** @type {Map<OwnKind, boolean>} */
  #muted = new Map();
  #rejoinedMs = -Infinity;
  #blockage = new Blockage(() => this.#connectionChanged());

  /** @param {import('./messages.js').Identity} identity */
  constructor(identity) {
    super();
    this.#participantId = identity.participant_id;
    this.#roster = new Roster(identity.participant_id);
    this.#signaling = new Signaling(identity.ws_url, identity.token, this.clock);
    this.#connections = new MediaConnections(this.#signaling.send.bind(this.#signaling));
    this.#shown = new Shown(this.#signaling.send.bind(this.#signaling));
    this.#connections.on('media', (tracks) => this.emit('media', tracks));
    this.#connections.on('state', () => this.#connectionChanged());
    this.#connections.on('failed', () => this.#rejoin());
    this.#signaling.on('state', (state) => {
      if (state === 'waiting') this.#connections.lineLost();
      this.#connectionChanged();
    });
    this.#signaling.on('welcome', (welcome) => this.#welcomed(welcome));
    this.#signaling.on('message', (message) => this.#received(message));
    this.#signaling.on('closed', (reason) => this.#ended(reason));
  }

  get participants() {
    return this.#roster.all;
  }

  get participantId() {
    return this.#participantId;
  }

  get media() {
    return this.#connections.media;
  }

  get speakers() {
    return this.#speakers;
  }

  get recording() {
    return this.#recording;
  }

  /** Why the last recording ended: `disk`, or empty: somebody wanted it to. */
  get endedBy() {
    return this.#endedBy;
  }

  /** What may be recorded with the space on the studio's disk. */
  get space() {
    return this.#space;
  }

  /** What is wrong with what is recorded, the oldest first; only hosts are told. */
  get notices() {
    return this.#notices.all;
  }

  /** @returns {Connection} */
  get connection() {
    return {
      signaling: this.#signaling.state,
      ...this.#connections.states,
      blocked: this.#blockage.blocked,
    };
  }

  /** For diagnosis: the peer connection, or null. @param {'publish' | 'subscribe'} transport */
  peerConnection(transport) {
    return transport === 'publish' ? this.#connections.publishing : this.#connections.subscribing;
  }

  join() {
    this.#signaling.connect();
  }

  leave() {
    this.#signaling.leave();
  }

  /**
   * The tracks to publish from now on; may be called before the room is joined.
   * @param {Map<OwnKind, MediaStreamTrack>} tracks
   */
  setOwnTracks(tracks) {
    this.#roster.keepOwnTracks(new Set(tracks.keys()));
    this.#connections.setOwnTracks(new Map(tracks));
  }

  /**
   * In how many lines each received picture is shown, 0: not at all.
   * @param {ReadonlyMap<string, number>} lines by track id
   */
  show(lines) {
    this.#shown.show(lines);
  }

  /**
   * Tell the others; the caller silences the track itself.
   * @param {OwnKind} kind
   * @param {boolean} muted
   */
  setMuted(kind, muted) {
    this.#muted.set(kind, muted);
    for (const track of this.#roster.own?.tracks ?? []) {
      if (track.kind !== kind) continue;
      track.muted = muted;
      this.#signaling.send({ type: 'track_muted', track_id: track.track_id, muted });
    }
    this.#participantsChanged();
  }

  /**
   * @param {string} recordingId
   * @param {import('./messages.js').CaptureView} capture
   */
  sendCaptureStatus(recordingId, capture) {
    this.#signaling.send({ type: 'capture_status', recording_id: recordingId, capture });
  }

  /**
   * @param {import('./messages.js').PageFigures} figures
   * @param {Partial<Record<import('./messages.js').PageErrorId, number>>} errors
   * @returns {boolean} false: not connected, not sent
   */
  sendPageReport(figures, errors) {
    return this.#signaling.send({ type: 'page_report', figures, errors });
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    this.#roster.replace(welcome.participants);
    if (welcome.resumed && this.#connections.isOpen) this.#connections.resend();
    else {
      this.#shown.forget();
      this.#connections.open(welcome);
    }
    this.#sendMutes();
    this.emit('welcome', welcome);
    this.#participantsChanged();
    this.#setRecording(welcome.recording);
    if (this.#notices.forget()) this.emit('notices', this.#notices.all);
    this.#setSpace(welcome.recording_space);
  }

  /** Make both connections anew, unless they came back meanwhile. */
  #rejoin() {
    const now = performance.now();
    const wait = Math.max(0, this.#rejoinedMs + REJOIN_INTERVAL_MS - now);
    this.#rejoinedMs = now + wait;
    setTimeout(() => {
      const { publish, subscribe } = this.connection;
      if ([publish, subscribe].some((state) => state !== 'connected' && state !== 'none')) this.#signaling.rejoin();
    }, wait);
  }

  /** @param {ServerMessage} message */
  #received(message) {
    switch (message.type) {
      case 'webrtc_offer':
        this.#connections.offered(message);
        break;
      case 'webrtc_answer':
        this.#connections.answered(message);
        break;
      case 'active_speakers':
        this.#speakers = message;
        this.emit('speakers', message);
        break;
      case 'recording_status':
        this.#setRecording(message.recording, message.reason);
        break;
      case 'recording_space':
        this.#setSpace(message.state);
        break;
      case 'notice':
        this.#notices.take(message);
        this.emit('notices', this.#notices.all);
        break;
      case 'error':
        this.#refused(message);
        break;
      default:
        this.#rosterMessage(message);
    }
  }

  /** @param {ServerMessage} message */
  #rosterMessage(message) {
    const { changed, joined, left } = this.#roster.apply(message);
    if (message.type === 'connection_quality' && message.participant_id === this.#participantId) {
      this.emit('troubles', message.findings);
    }
    if (!changed) return;
    if (joined) this.emit('joined', joined);
    if (left) this.emit('left', left);
    if (message.type === 'track_published') this.#sendMutes();
    this.#participantsChanged();
  }

  /** What was muted stays muted when a track gets a new id. */
  #sendMutes() {
    for (const track of this.#roster.own?.tracks ?? []) {
      const muted = track.kind === 'microphone' || track.kind === 'camera' ? this.#muted.get(track.kind) : undefined;
      if (muted === undefined || muted === track.muted) continue;
      track.muted = muted;
      this.#signaling.send({ type: 'track_muted', track_id: track.track_id, muted });
    }
  }

  /** @param {RecordingView | null} recording @param {'' | 'disk'} endedBy */
  #setRecording(recording, endedBy = '') {
    this.#recording = recording;
    this.#endedBy = endedBy;
    this.emit('recording', recording);
  }

  /** @param {import('./messages.js').SpaceState} space */
  #setSpace(space) {
    if (space === this.#space) return;
    this.#space = space;
    this.emit('space', space);
  }

  #participantsChanged() {
    this.emit('participants', this.#roster.all);
  }

  /** @param {import('./messages.js').ErrorMessage} error */
  #refused({ id, detail }) {
    const negotiation = NEGOTIATION_ERRORS.includes(id);
    if (negotiation) this.#connections.refused();
    if (id === 'connection_gone') this.#rejoin();
    this.emit('error', { id, detail, negotiation });
  }

  #connectionChanged() {
    const { publish, subscribe } = this.connection;
    this.#blockage.update([publish, subscribe]);
    if (publish === 'disconnected' || subscribe === 'disconnected') this.#signaling.probe();
    this.emit('connection', this.connection);
  }

  /** @param {import('./protocol.js').CloseReason} reason */
  #ended(reason) {
    this.#blockage.close();
    this.#connections.close();
    this.emit('closed', reason);
  }
}
