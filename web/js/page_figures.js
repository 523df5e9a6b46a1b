/**
 * A summary of what getStats says, small enough to be sent every few seconds. Pure functions, and the figures of the
 * summary before: most of what is told is what happened since.
 */

/** @typedef {import('./messages.js').PageFigures} PageFigures */
/** @typedef {import('./messages.js').SentFigures} SentFigures */
/** @typedef {import('./messages.js').ReceivedFigures} ReceivedFigures */
/** @typedef {import('./messages.js').PathFigures} PathFigures */
/** @typedef {Record<string, any> & {id: string, type: string, timestamp: number}} Stat an entry of an RTCStatsReport */

const LIMITS = /** @type {const} */ (['none', 'cpu', 'bandwidth', 'other']);
const CANDIDATES = /** @type {const} */ (['host', 'srflx', 'prflx', 'relay']);
const PROTOCOLS = /** @type {const} */ (['udp', 'tcp', 'tls']);

/** Remembers counters by entry: what vanished and came back begins anew. */
export class PageSummary {
  /** @type {Map<string, Stat>} */
  #before = new Map();

  /**
   * @param {Stat[]} publish entries of the publish connection; empty where there is none
   * @param {Stat[]} subscribe
   * @returns {PageFigures}
   */
  take(publish, subscribe) {
    const figures = {
      sent: this.#sent(publish),
      received: this.#received(subscribe),
      publish: path(publish),
      subscribe: path(subscribe),
    };
    this.#before = new Map([...publish, ...subscribe].map((stat) => [stat.id, stat]));
    return figures;
  }

  /** @param {Stat[]} stats @returns {SentFigures[]} */
  #sent(stats) {
    /** @type {SentFigures[]} */
    const sent = [];
    for (const [media, kind] of /** @type {const} */ ([['audio', 'microphone'], ['video', 'camera']])) {
      const streams = stats.filter((stat) => stat.type === 'outbound-rtp' && stat['kind'] === media);
      if (streams.length === 0) continue;
      const largest = streams.reduce((best, stat) => (amount(stat, 'frameHeight') > amount(best, 'frameHeight') ? stat : best));
      const ids = new Set(streams.map((stat) => stat.id));
      const reports = stats.filter((stat) => stat.type === 'remote-inbound-rtp' && ids.has(stat['localId']));
      sent.push({
        kind,
        bitrate_bps: bps(sum(streams, (stat) => this.#rate(stat, 'bytesSent') * 8)),
        width: amount(largest, 'frameWidth'),
        height: amount(largest, 'frameHeight'),
        fps: Math.round(amount(largest, 'framesPerSecond')),
        limited_by: LIMITS.find((reason) => reason === largest['qualityLimitationReason']) ?? 'none',
        lost: Math.min(1, round(Math.max(0, ...reports.map((stat) => amount(stat, 'fractionLost'))), 4)),
      });
    }
    return sent;
  }

  /** @param {Stat[]} stats @returns {ReceivedFigures | null} */
  #received(stats) {
    const streams = stats.filter((stat) => stat.type === 'inbound-rtp');
    if (streams.length === 0) return null;
    const since = (/** @type {string} */ name) => sum(streams, (stat) => this.#since(stat, name));
    const [concealed, played] = [since('concealedSamples'), since('totalSamplesReceived')];
    const [waited, emitted] = [since('jitterBufferDelay'), since('jitterBufferEmittedCount')];
    return {
      tracks: streams.length,
      bitrate_bps: bps(sum(streams, (stat) => this.#rate(stat, 'bytesReceived') * 8)),
      packets: since('packetsReceived'),
      lost: since('packetsLost'),
      freezes: since('freezeCount'),
      frozen_ms: round(since('totalFreezesDuration') * 1000, 0),
      frames_dropped: since('framesDropped'),
      concealed: played > 0 ? Math.min(1, round(concealed / played, 4)) : 0,
      jitter_buffer_ms: emitted > 0 ? round((waited / emitted) * 1000, 1) : 0,
    };
  }

  /** How much a counter grew; never negative. @param {Stat} stat @param {string} name */
  #since(stat, name) {
    const before = this.#before.get(stat.id);
    return Math.max(0, amount(stat, name) - (before ? amount(before, name) : 0));
  }

  /** The same per second; 0 at first sight. @param {Stat} stat @param {string} name */
  #rate(stat, name) {
    const before = this.#before.get(stat.id);
    const passed_s = before ? (stat.timestamp - before.timestamp) / 1000 : 0;
    return passed_s > 0 ? this.#since(stat, name) / passed_s : 0;
  }
}

/**
 * The pair that is in use.
 * @param {Stat[]} stats
 * @returns {PathFigures | null}
 */
function path(stats) {
  const chosen = stats.find((stat) => stat.type === 'transport')?.['selectedCandidatePairId'];
  const pair = stats.find((stat) => stat.type === 'candidate-pair' && (stat.id === chosen || stat['selected'] === true));
  const local = stats.find((stat) => stat.id === pair?.['localCandidateId']);
  if (!pair || !local) return null;
  return {
    candidate: CANDIDATES.find((type) => type === local['candidateType']) ?? 'host',
    protocol: PROTOCOLS.find((protocol) => protocol === (local['relayProtocol'] ?? local['protocol'])) ?? 'udp',
    rtt_ms: round(amount(pair, 'currentRoundTripTime') * 1000, 1),
    available_bps: bps(amount(pair, 'availableOutgoingBitrate')),
  };
}

/** @param {Stat} stat @param {string} name */
function amount(stat, name) {
  const value = stat[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

/** The studio takes no larger number. @param {number} value */
const bps = (value) => Math.min(10_000_000_000, Math.round(value));

/** @param {Stat[]} stats @param {(stat: Stat) => number} value */
const sum = (stats, value) => stats.reduce((total, stat) => total + value(stat), 0);

/** @param {number} value @param {number} digits */
const round = (value, digits) => Number(value.toFixed(digits));
