/** In which sizes a camera is sent: simulcast layers by the height of what it captures. */

/** Highest frame height sent live; a larger capture is scaled down for the call, the local copy keeps it. */
const MAX_LIVE_HEIGHT = 720;

/** Chromium never sends the third layer of a smaller picture. */
const THREE_LAYERS_HEIGHT = 720;
const TWO_LAYERS_HEIGHT = 360;

/** What each further layer may cost: a quarter of the pixels, a little more than a quarter of the bits. */
const BITRATE_STEP = 3.5;

/** Nor more than this, by its pixels, if it is not the largest: smaller ones are for small tiles and thin lines. With
 * 200 kbit/s at 180 lines a picture passes beside the sound through a line of 300 kbit/s. */
const MODEST_BPS = 200_000;
const MODEST_LINES = 180;

/** @typedef {RTCRtpEncodingParameters & {scalabilityMode?: string}} Encoding */
/** @typedef {{maxVideoBps: number, simulcast: boolean, temporalLayers: boolean, videoCodecs: string[]}} LayerSettings */

/**
 * One encoding of the whole picture.
 * @param {MediaStreamTrack} track
 * @param {LayerSettings} settings
 * @returns {Encoding}
 */
export function fullSize(track, settings) {
  return {
    maxBitrate: settings.maxVideoBps,
    scaleResolutionDownBy: liveScale(track),
    ...scalability(settings, false),
  };
}

/**
 * Smallest first. One encoding has no name: with a name it would be offered as simulcast of one.
 * @param {MediaStreamTrack} track
 * @param {LayerSettings} settings
 * @returns {Encoding[]}
 */
export function layersOf(track, settings) {
  const { maxVideoBps, simulcast } = settings;
  const scale = liveScale(track);
  const height = (track.getSettings().height ?? 0) / scale;
  const names = height >= THREE_LAYERS_HEIGHT ? ['l', 'm', 'h'] : height >= TWO_LAYERS_HEIGHT ? ['l', 'h'] : [];
  if (!simulcast || names.length === 0) {
    return [fullSize(track, settings)];
  }
  return names.map((rid, place) => {
    const below = names.length - 1 - place;
    return {
      rid,
      maxBitrate: Math.round(Math.min(maxVideoBps / BITRATE_STEP ** below, below > 0 ? modestBps(height / 2 ** below) : Infinity)),
      scaleResolutionDownBy: scale * 2 ** below,
      ...scalability(settings, true),
    };
  });
}

/** @param {number} lines */
function modestBps(lines) {
  return MODEST_BPS * (lines / MODEST_LINES) ** 2;
}

/**
 * Temporal layers let the server leave out frames for who has little bandwidth. VP8 has them at no cost; a stream of H264
 * does not say which frame is of which. Where no mode is named Chromium makes spatial layers of several encodings of VP9.
 * @param {LayerSettings} settings
 * @param {boolean} several encodings
 */
function scalability({ temporalLayers, videoCodecs: [codec] }, several) {
  if (codec === 'H264') return {};
  if (codec === 'VP8' || temporalLayers) return { scalabilityMode: 'L1T3' };
  return several ? { scalabilityMode: 'L1T1' } : {};
}

/** By how much the track is scaled down for the call. @param {MediaStreamTrack} track */
function liveScale(track) {
  return Math.max(1, (track.getSettings().height ?? 0) / MAX_LIVE_HEIGHT);
}
