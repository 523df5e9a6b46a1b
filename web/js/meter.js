/**
 * Sound levels for meters and rings: 0 is silence (-60 dBFS and below), 1 is full scale.
 *
 * Own level from the samples of the microphone; others' from what the receiver says of the last packets, which costs
 * no audio graph. Reading never changes the sound.
 */

const FLOOR_DB = -60;

/** @param {number} amplitude linear, 0..1 */
export function toMeter(amplitude) {
  if (amplitude <= 0) return 0;
  return Math.min(1, Math.max(0, 1 - (20 * Math.log10(amplitude)) / FLOOR_DB));
}

/** Level of a local track. */
export class LocalLevel {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AnalyserNode | null} */
  #analyser = null;
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  #samples = new Float32Array(1024);

  /** @param {MediaStreamTrack | undefined} track */
  setTrack(track) {
    this.#source?.disconnect();
    this.#source = null;
    if (!track) return;
    this.#context ??= new AudioContext({ latencyHint: 'interactive' });
    if (!this.#analyser) {
      this.#analyser = this.#context.createAnalyser();
      this.#analyser.fftSize = this.#samples.length;
    }
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    void this.#context.resume().catch(() => undefined);
  }

  /** Level of the last 20 ms, 0..1. */
  read() {
    if (!this.#source || !this.#analyser) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let peak = 0;
    for (const sample of this.#samples) peak = Math.max(peak, Math.abs(sample));
    return toMeter(peak);
  }
}

/** A report older than this says nothing any more. */
const STALE_MS = 500;

/**
 * Level of a received track, 0..1.
 * @param {RTCRtpReceiver} receiver
 */
export function remoteLevel(receiver) {
  const source = receiver.getSynchronizationSources()[0];
  if (!source || source.audioLevel === undefined) return 0;
  // The specification counts from the page's time origin, Chromium from 1970.
  const now = performance.now() + (source.timestamp > performance.timeOrigin ? performance.timeOrigin : 0);
  if (now - source.timestamp > STALE_MS) return 0;
  return toMeter(source.audioLevel);
}
