/** In which sizes a camera is sent: simulcast layers by the height of what it captures. */

/** Highest frame height sent live; a larger capture is scaled down for the call, the local copy keeps it. */
const MAX_LIVE_HEIGHT = 720;

/** Chromium never sends the third layer of a smaller picture. */
const THREE_LAYERS_HEIGHT = 720;
const TWO_LAYERS_HEIGHT = 360;

/** What each further layer may cost: a quarter of the pixels, a little more than a quarter of the bits. */
const BITRATE_STEP = 3.5;

/**
 * What makes a browser send several encodings of these codecs: without it Chromium makes spatial layers of one stream.
 * VP8 has three temporal layers in each encoding by itself, H264 says nowhere which frame is of which.
 */
const SCALABILITY_MODE = /** @type {Record<string, string>} */ ({ VP9: 'L1T3', AV1: 'L1T3' });

/** @typedef {{maxVideoBps: number, simulcast: boolean, videoCodecs: string[]}} LayerSettings */

/**
 * One encoding of the whole picture.
 * @param {MediaStreamTrack} track
 * @param {LayerSettings} settings
 */
export function fullSize(track, { maxVideoBps }) {
  return { maxBitrate: maxVideoBps, scaleResolutionDownBy: liveScale(track) };
}

/**
 * Smallest first. One encoding has no name: with a name it would be offered as simulcast of one.
 * @param {MediaStreamTrack} track
 * @param {LayerSettings} settings
 * @returns {(RTCRtpEncodingParameters & {scalabilityMode?: string})[]}
 */
export function layersOf(track, settings) {
  const { maxVideoBps, simulcast, videoCodecs } = settings;
  const scale = liveScale(track);
  const height = (track.getSettings().height ?? 0) / scale;
  const names = height >= THREE_LAYERS_HEIGHT ? ['l', 'm', 'h'] : height >= TWO_LAYERS_HEIGHT ? ['l', 'h'] : [];
  if (!simulcast || names.length === 0) {
    return [fullSize(track, settings)];
  }
  const scalabilityMode = SCALABILITY_MODE[videoCodecs[0] ?? ''];
  return names.map((rid, place) => {
    const below = names.length - 1 - place;
    return {
      rid,
      maxBitrate: Math.round(maxVideoBps / BITRATE_STEP ** below),
      scaleResolutionDownBy: scale * 2 ** below,
      ...(scalabilityMode && { scalabilityMode }),
    };
  });
}

/** By how much the track is scaled down for the call. @param {MediaStreamTrack} track */
function liveScale(track) {
  return Math.max(1, (track.getSettings().height ?? 0) / MAX_LIVE_HEIGHT);
}
