/**
 * The publish connection: the page offers, the server answers.
 *
 * One offer is in flight at a time; what changes meanwhile is offered after the answer. An interrupted connection is
 * brought back by offers that restart ICE; one for which these did not help, or an offer that nobody answers, is
 * replaced by a new peer connection with the same tracks. Muting never renegotiates.
 */

import { Emitter } from './emitter.js';
import { IceRepair } from './ice_repair.js';
import { fullSize, layersOf } from './layers.js';
import { preferredCodecs, withAudioNack } from './sdp.js';

/** @typedef {'microphone' | 'camera'} OwnKind */
/** @typedef {import('./layers.js').LayerSettings & {iceServers: RTCIceServer[]}} PublishSettings */

/** No answer for so long, more than it takes to find the WebSocket dead: start over with a new peer connection. */
const ANSWER_TIMEOUT_MS = 20_000;

/** @extends {Emitter<{state: RTCPeerConnectionState}>} */
export class Publisher extends Emitter {
  #send;
  #settings;
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {Map<OwnKind, MediaStreamTrack>} */
  #tracks = new Map();
  /** @type {Map<OwnKind, RTCRtpTransceiver>} */
  #transceivers = new Map();
  /** @type {{offer_id: number, sdp: string, tracks: import('./messages.js').TrackRequest[]} | null} */
  #pending = null;
  /** @type {IceRepair | null} */
  #repair = null;
  /** The offer in flight restarts ICE. */
  #restarting = false;
  #offerId = 0;
  #again = false;
  #isRefused = false;
  #closed = false;
  /** @type {Promise<void>} */
  #work = Promise.resolve();
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {(message: import('./messages.js').PageMessage) => boolean} send
   * @param {PublishSettings} settings
   */
  constructor(send, settings) {
    super();
    this.#send = send;
    this.#settings = settings;
  }

  get connection() {
    return this.#pc;
  }

  /**
   * Publish these tracks, replacing what was published. A kind that was published before keeps its m-line.
   * @param {Map<OwnKind, MediaStreamTrack>} tracks
   */
  setTracks(tracks) {
    return this.#serial(async () => {
      this.#tracks = new Map(tracks);
      if (this.#tracks.size === 0 && !this.#pc) return;
      if (await this.#applyTracks()) await this.#offer();
    });
  }

  /** After the WebSocket came back: the offer under way may never have arrived. */
  resend() {
    if (this.#pending && !this.#isRefused) this.#transmit();
    this.#repair?.lineIsBack();
  }

  /** The WebSocket is gone: until it is back no answer can come. */
  lineLost() {
    clearTimeout(this.#timer);
  }

  /** This machine's network is another one. */
  networkChanged() {
    this.#repair?.networkChanged();
  }

  /** Begin again with a new peer connection. */
  restart() {
    return this.#serial(async () => {
      this.#dropConnection();
      if (this.#tracks.size === 0) return;
      await this.#applyTracks();
      await this.#offer();
    });
  }

  /**
   * The server refused something, probably the offer under way, and would refuse it again: it is not repeated. The
   * next one comes with other tracks or another connection; an answer that comes all the same is taken.
   */
  refused() {
    if (!this.#pending) return;
    clearTimeout(this.#timer);
    this.#isRefused = true;
  }

  /** @param {import('./messages.js').WebrtcAnswer} answer */
  answered(answer) {
    return this.#serial(async () => {
      if (!this.#pc || this.#pending?.offer_id !== answer.offer_id) return;
      clearTimeout(this.#timer);
      this.#pending = null;
      this.#restarting = false;
      try {
        await this.#pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
        const [camera, track] = [this.#transceivers.get('camera'), this.#tracks.get('camera')];
        if (camera && track) await this.#tuneCamera(camera.sender, track);
      } catch (error) {
        console.warn('publish answer refused', error);
        this.#timer = setTimeout(() => void this.restart(), ANSWER_TIMEOUT_MS);
        return;
      }
      if (this.#again) await this.#offer();
    });
  }

  close() {
    this.#closed = true;
    this.#dropConnection();
  }

  /**
   * Bring transceivers in line with the tracks.
   * @returns {Promise<boolean>} an offer is needed
   */
  async #applyTracks() {
    const pc = this.#pc ?? this.#newConnection();
    let changed = false;
    for (const kind of /** @type {OwnKind[]} */ (['microphone', 'camera'])) {
      const track = this.#tracks.get(kind) ?? null;
      const transceiver = this.#transceivers.get(kind);
      if (!transceiver) {
        if (track) this.#transceivers.set(kind, this.#addTransceiver(pc, kind, track));
        changed ||= track !== null;
        continue;
      }
      await transceiver.sender.replaceTrack(track);
      if (kind === 'camera' && track) await this.#tuneCamera(transceiver.sender, track);
      const direction = track ? 'sendonly' : 'inactive';
      changed ||= transceiver.direction !== direction;
      transceiver.direction = direction;
    }
    return changed;
  }

  /**
   * @param {RTCPeerConnection} pc
   * @param {OwnKind} kind
   * @param {MediaStreamTrack} track
   */
  #addTransceiver(pc, kind, track) {
    if (kind === 'microphone') return pc.addTransceiver(track, { direction: 'sendonly' });
    const transceiver = pc.addTransceiver(track, {
      direction: 'sendonly',
      sendEncodings: layersOf(track, this.#settings),
    });
    const codecs = preferredCodecs(RTCRtpSender.getCapabilities('video')?.codecs ?? [], this.#settings.videoCodecs);
    if (codecs.length > 0) transceiver.setCodecPreferences(codecs);
    void this.#tuneCamera(transceiver.sender, track);
    return transceiver;
  }

  /**
   * Keep the frame size when bandwidth is short: a recorded file should not change its size.
   * @param {RTCRtpSender} sender
   * @param {MediaStreamTrack} track
   */
  async #tuneCamera(sender, track) {
    const parameters = sender.getParameters();
    parameters.degradationPreference = 'maintain-resolution';
    // Where the server took fewer encodings than were offered, the first of them is left: it must be the largest then.
    const full = fullSize(track, this.#settings);
    const layers = parameters.encodings.length > 1 ? layersOf(track, this.#settings) : [full];
    for (const [place, encoding] of parameters.encodings.entries()) {
      const { maxBitrate, scaleResolutionDownBy } = layers[place] ?? full;
      Object.assign(encoding, { maxBitrate, scaleResolutionDownBy, active: place < layers.length });
    }
    await sender.setParameters(parameters).catch(() => undefined);
  }

  #newConnection() {
    const pc = new RTCPeerConnection({
      bundlePolicy: 'max-bundle',
      rtcpMuxPolicy: 'require',
      iceServers: this.#settings.iceServers,
    });
    const repair = new IceRepair(
      () => void this.#restartIce(),
      () => void this.restart(),
    );
    pc.onconnectionstatechange = () => {
      if (pc !== this.#pc) return;
      this.emit('state', pc.connectionState);
      repair.update(pc.connectionState);
    };
    this.#pc = pc;
    this.#repair = repair;
    return pc;
  }

  #dropConnection() {
    clearTimeout(this.#timer);
    this.#repair?.close();
    this.#repair = null;
    this.#restarting = false;
    this.#pc?.close();
    this.#pc = null;
    this.#pending = null;
    this.#again = false;
    this.#transceivers.clear();
  }

  #restartIce() {
    return this.#serial(async () => {
      if (!this.#pc || this.#restarting) return;
      this.#pc.restartIce();
      // Behind an offer in flight the restart is part of the next one.
      this.#restarting = !this.#pending || this.#isRefused;
      await this.#offer();
    });
  }

  async #offer() {
    const pc = this.#pc;
    if (!pc) return;
    if (this.#pending && !this.#isRefused) {
      this.#again = true;
      return;
    }
    this.#again = false;
    const plain = (await pc.createOffer()).sdp ?? '';
    let sdp = withAudioNack(plain);
    try {
      await pc.setLocalDescription({ type: 'offer', sdp });
    } catch {
      sdp = plain; // without retransmission of audio; the server's stats say so
      await pc.setLocalDescription({ type: 'offer', sdp });
    }
    /** @type {import('./messages.js').TrackRequest[]} */
    const tracks = [];
    for (const [kind, transceiver] of this.#transceivers) {
      if (transceiver.direction === 'sendonly' && transceiver.mid !== null) tracks.push({ mid: transceiver.mid, kind });
    }
    this.#isRefused = false;
    this.#pending = { offer_id: ++this.#offerId, sdp, tracks };
    this.#transmit();
  }

  #transmit() {
    if (!this.#pending) return;
    clearTimeout(this.#timer);
    // Not sent: the WebSocket is away, and `resend` comes with its return.
    if (!this.#send({ type: 'webrtc_offer', transport: 'publish', ...this.#pending })) return;
    this.#timer = setTimeout(() => void this.restart(), ANSWER_TIMEOUT_MS);
  }

  /** @param {() => Promise<void>} step */
  #serial(step) {
    this.#work = this.#work
      .then(() => (this.#closed ? undefined : step()))
      .catch((error) => console.warn('publishing failed', error));
    return this.#work;
  }
}
