/**
 * Injected into every page under test before its own scripts; watches, never changes what the page does.
 *
 * `window.__probe.connections`: every peer connection. `.sent`: per sender of a publishing transceiver, what its encoder
 * handed to RTP, frame by frame. `.sessionOffset`: session clock minus wall clock of the page, in ms. `.participantId`: as in `welcome`.
 */
(() => {
  if (window.__probe) return;
  const WORKER = '/static/__probe_worker.js';
  const now = () => performance.timeOrigin + performance.now();
  const probe = { connections: [], sent: [], sessionOffset: null, participantId: '', errors: [], worker: null };
  window.__probe = probe;

  window.addEventListener('error', (event) => probe.errors.push(String(event.message)));
  window.addEventListener('unhandledrejection', (event) => probe.errors.push(String(event.reason)));
  document.addEventListener('securitypolicyviolation', (event) =>
    probe.errors.push(`CSP ${event.violatedDirective} ${event.blockedURI}`),
  );

  const NativeConnection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends NativeConnection {
    constructor(...args) {
      super(...args);
      probe.connections.push(this);
    }
    addTransceiver(track, init) {
      const transceiver = super.addTransceiver(track, init);
      if (init?.direction === 'sendonly') watch(transceiver.sender);
      return transceiver;
    }
  };

  /** One list per sender: [wall ms, RTP timestamp, `key` | `delta` | `` for audio, CRC-32]. */
  function watch(sender) {
    probe.worker ??= new Worker(WORKER);
    const frames = [];
    probe.sent.push({ kind: sender.track.kind, frames });
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = (event) => frames.push(event.data);
    sender.transform = new RTCRtpScriptTransform(probe.worker, { port: port2 }, [port2]);
  }

  // A message is on its way for some time, never less than none: the largest difference seen is the nearest to true.
  const NativeSocket = window.WebSocket;
  window.WebSocket = class extends NativeSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', (event) => {
        const message = JSON.parse(event.data);
        if (message.type !== 'welcome' && message.type !== 'clock') return;
        if (message.type === 'welcome') probe.participantId = message.participant_id;
        const offset = message.session_ms - now();
        if (probe.sessionOffset === null || offset > probe.sessionOffset) probe.sessionOffset = offset;
      });
    }
  };

  /** Reports of the given types over all connections, as plain objects. */
  probe.stats = async (...types) => {
    const found = [];
    for (const connection of probe.connections) {
      if (connection.connectionState === 'closed') continue;
      for (const report of (await connection.getStats()).values()) {
        if (types.includes(report.type)) found.push({ ...report, wall_ms: now() });
      }
    }
    return found;
  };

  /** The <video> elements that show a received track. */
  probe.remoteVideos = () => {
    const received = new Set(probe.connections.flatMap((c) => c.getReceivers().map((r) => r.track.id)));
    return [...document.querySelectorAll('video')].filter((video) =>
      video.srcObject?.getVideoTracks?.().some((track) => received.has(track.id) && track.readyState === 'live'),
    );
  };

  /** How many remote videos really play: frames came and the picture has a size. */
  probe.playing = () =>
    probe.remoteVideos().filter((v) => !v.paused && v.videoWidth > 0 && v.getVideoPlaybackQuality().totalVideoFrames > 2)
      .length;

  /** Frame numbers shown by the remote videos now (tests/support/media.py draws them); null where unreadable. */
  probe.numbers = () => probe.remoteVideos().map(readNumber);
  probe.number = readNumber;

  function readNumber(video) {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [640, 360];
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, 640, 360);
    const mean = (x, y) => {
      const pixels = context.getImageData(x, y, 20, 20).data;
      let sum = 0;
      for (let i = 1; i < pixels.length; i += 4) sum += pixels[i];
      return (4 * sum) / pixels.length;
    };
    let number = 0;
    for (let bit = 0; bit < 12; bit++) {
      const x = 8 + bit * 52 + 14;
      const difference = mean(x, 22) - mean(x, 78);
      if (Math.abs(difference) < 60) return null;
      if (difference > 0) number |= 1 << bit;
    }
    return number < 600 ? number : null;
  }
})();
