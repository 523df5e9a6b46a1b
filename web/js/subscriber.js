/**
 * The subscribe connection: the server offers, the page answers.
 *
 * Offers are answered in order, each once; a repeated one (after a resume) is answered again. `tracks` always tells
 * the whole set that the last offer carried. An interrupted connection is brought back by asking for an offer that
 * restarts ICE; one for which that did not help is reported by `failed`: its owner makes a new one.
 */

import { Emitter } from './emitter.js';
import { IceRepair } from './ice_repair.js';
import { withStereoAsOffered } from './sdp.js';

/** @typedef {import('./messages.js').SubscribedTrack & {track: MediaStreamTrack, receiver: RTCRtpReceiver}} ReceivedTrack */

/** @extends {Emitter<{state: RTCPeerConnectionState, tracks: ReceivedTrack[], failed: void}>} */
export class Subscriber extends Emitter {
  #send;
  #pc;
  #repair = new IceRepair(
    () => this.#send({ type: 'ice_restart', transport: 'subscribe' }),
    () => this.emit('failed', undefined),
  );
  /** @type {Promise<void>} */
  #work = Promise.resolve();

  /**
   * @param {(message: import('./messages.js').PageMessage) => boolean} send
   * @param {RTCIceServer[]} iceServers
   */
  constructor(send, iceServers) {
    super();
    this.#send = send;
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require', iceServers });
    this.#pc.onconnectionstatechange = () => {
      this.emit('state', this.#pc.connectionState);
      this.#repair.update(this.#pc.connectionState);
    };
  }

  get connection() {
    return this.#pc;
  }

  /** @param {import('./messages.js').WebrtcOffer} offer */
  offered(offer) {
    this.#work = this.#work
      .then(() => this.#answer(offer))
      .catch((error) => {
        if (this.#pc.signalingState !== 'closed') console.warn('subscribe offer refused', error);
      });
    return this.#work;
  }

  /** The WebSocket is back. */
  resend() {
    this.#repair.lineIsBack();
  }

  /** This machine's network is another one. */
  networkChanged() {
    this.#repair.networkChanged();
  }

  close() {
    this.#repair.close();
    this.#pc.onconnectionstatechange = null;
    this.#pc.close();
  }

  /** @param {import('./messages.js').WebrtcOffer} offer */
  async #answer(offer) {
    const pc = this.#pc;
    if (pc.signalingState === 'closed') return;
    await pc.setRemoteDescription({ type: 'offer', sdp: offer.sdp });
    const plain = (await pc.createAnswer()).sdp ?? '';
    let sdp = withStereoAsOffered(plain, offer.sdp);
    try {
      await pc.setLocalDescription({ type: 'answer', sdp });
    } catch {
      sdp = plain; // stereo comes out as mono; better than silence
      await pc.setLocalDescription({ type: 'answer', sdp });
    }
    this.#send({ type: 'webrtc_answer', transport: 'subscribe', sdp, offer_id: offer.offer_id });
    this.emit('tracks', this.#received(offer.subscribed));
  }

  /** @param {import('./messages.js').SubscribedTrack[]} subscribed */
  #received(subscribed) {
    const byMid = new Map(this.#pc.getTransceivers().map((transceiver) => [transceiver.mid, transceiver]));
    return subscribed.flatMap((entry) => {
      const receiver = byMid.get(entry.mid)?.receiver;
      return receiver ? [{ ...entry, track: receiver.track, receiver }] : [];
    });
  }
}
