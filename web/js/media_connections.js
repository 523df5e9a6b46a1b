/**
 * Both peer connections of a room: what is published and what is received. Made anew by `open`, ended by `close`. In
 * between they are told when this machine's network changed.
 */

import { Emitter } from './emitter.js';
import { Publisher } from './publisher.js';
import { Subscriber } from './subscriber.js';

/** @typedef {import('./publisher.js').OwnKind} OwnKind */
/** @typedef {import('./subscriber.js').ReceivedTrack} ReceivedTrack */
/** @typedef {RTCPeerConnectionState | 'none'} ConnectionState */

/**
 * Not every browser has it, and TypeScript does not know it.
 * @type {(EventTarget & {type?: string}) | undefined}
 */
const network = /** @type {any} */ (navigator).connection;

/**
 * @extends {Emitter<{
 *   media: readonly ReceivedTrack[],
 *   state: void,
 *   failed: void,
 * }>} `failed`: the subscribe connection is beyond repair; the publisher mends its own
 */
export class MediaConnections extends Emitter {
  #send;
  /** @type {Publisher | null} */
  #publisher = null;
  /** @type {Subscriber | null} */
  #subscriber = null;
  /** @type {readonly ReceivedTrack[]} */
  #media = [];
  /** @type {Map<OwnKind, MediaStreamTrack>} */
  #ownTracks = new Map();
  /** @type {string | undefined} */
  #networkType;

  /** @param {(message: import('./messages.js').PageMessage) => boolean} send */
  constructor(send) {
    super();
    this.#send = send;
  }

  get isOpen() {
    return this.#subscriber !== null;
  }

  /** What is received. */
  get media() {
    return this.#media;
  }

  /** The peer connections, null where there is none yet. */
  get publishing() {
    return this.#publisher?.connection ?? null;
  }

  get subscribing() {
    return this.#subscriber?.connection ?? null;
  }

  /** @returns {{publish: ConnectionState, subscribe: ConnectionState}} */
  get states() {
    return {
      publish: this.publishing?.connectionState ?? 'none',
      subscribe: this.subscribing?.connectionState ?? 'none',
    };
  }

  /** Make both anew, with the own tracks as they are. @param {import('./messages.js').Welcome} welcome */
  open(welcome) {
    const iceServers = welcome.ice_servers.map(({ urls, username, credential }) =>
      username ? { urls, username, credential } : { urls },
    );
    this.close();
    const subscriber = new Subscriber(this.#send, iceServers);
    subscriber.on('tracks', (tracks) => this.#receives(tracks));
    subscriber.on('state', () => this.emit('state', undefined));
    subscriber.on('failed', () => this.emit('failed', undefined));
    this.#subscriber = subscriber;
    this.#publisher = new Publisher(this.#send, {
      iceServers,
      videoCodecs: welcome.video_codecs,
      maxVideoBps: welcome.max_video_bps,
      simulcast: welcome.simulcast,
      temporalLayers: welcome.temporal_layers,
    });
    this.#publisher.on('state', () => this.emit('state', undefined));
    void this.#publisher.setTracks(this.#ownTracks);
    addEventListener('online', this.#networkChanged);
    network?.addEventListener('change', this.#estimatesChanged);
    this.#networkType = network?.type;
  }

  /** The WebSocket is back: say again what the server may not have heard. */
  resend() {
    this.#publisher?.resend();
    this.#subscriber?.resend();
  }

  /** The WebSocket is gone. */
  lineLost() {
    this.#publisher?.lineLost();
  }

  /** The tracks to publish from now on. @param {Map<OwnKind, MediaStreamTrack>} tracks */
  setOwnTracks(tracks) {
    this.#ownTracks = tracks;
    void this.#publisher?.setTracks(tracks);
  }

  /** @param {import('./messages.js').WebrtcOffer} message */
  offered(message) {
    void this.#subscriber?.offered(message);
  }

  /** @param {import('./messages.js').WebrtcAnswer} message */
  answered(message) {
    void this.#publisher?.answered(message);
  }

  /** The server takes no such offer. */
  refused() {
    this.#publisher?.refused();
  }

  close() {
    removeEventListener('online', this.#networkChanged);
    network?.removeEventListener('change', this.#estimatesChanged);
    this.#publisher?.close();
    this.#subscriber?.close();
    this.#receives([]);
  }

  #networkChanged = () => {
    this.#publisher?.networkChanged();
    this.#subscriber?.networkChanged();
  };

  /** Told of every new estimate of speed as well: only another kind of network counts. */
  #estimatesChanged = () => {
    const type = network?.type;
    if (type === this.#networkType) return;
    this.#networkType = type;
    this.#networkChanged();
  };

  /** @param {readonly ReceivedTrack[]} tracks */
  #receives(tracks) {
    this.#media = tracks;
    this.emit('media', tracks);
  }
}
