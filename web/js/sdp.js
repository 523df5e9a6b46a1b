/**
 * The few changes this page makes to session descriptions; pure functions on text (RFC 8866, RFC 7587, RFC 4585).
 *
 * Each returns a description that differs only in the lines named; text without an Opus line comes back unchanged.
 */

/** @param {string} sdp */
const lines = (sdp) => sdp.split(/\r\n|\n/).filter((line) => line !== '');

/** @param {string[]} all */
const join = (all) => all.map((line) => `${line}\r\n`).join('');

/**
 * Payload type of Opus in an audio section, or null.
 * @param {string[]} section
 */
function opusPayloadType(section) {
  for (const line of section) {
    const found = /^a=rtpmap:(\d+) opus\/48000/i.exec(line);
    if (found) return found[1] ?? null;
  }
  return null;
}

/**
 * Split into the session part and the m-sections.
 * @param {string} sdp
 */
function sections(sdp) {
  /** @type {string[][]} */
  const all = [[]];
  for (const line of lines(sdp)) {
    if (line.startsWith('m=')) all.push([]);
    all.at(-1)?.push(line);
  }
  return all;
}

/** @param {string[]} section */
const midOf = (section) => section.find((line) => line.startsWith('a=mid:'))?.slice(6) ?? '';

/**
 * Ask for retransmission of lost Opus packets: `a=rtcp-fb:<pt> nack`. Chromium then answers NACK on the audio SSRC.
 * @param {string} sdp
 */
export function withAudioNack(sdp) {
  return join(
    sections(sdp).flatMap((section) => {
      const pt = opusPayloadType(section);
      const wanted = `a=rtcp-fb:${pt} nack`;
      if (pt === null || section.includes(wanted)) return section;
      return section.flatMap((line) => (line.startsWith(`a=rtpmap:${pt} `) ? [line, wanted] : [line]));
    }),
  );
}

/**
 * Answer `stereo=1` for Opus wherever the offer has it; without that browsers decode to mono.
 * @param {string} answer
 * @param {string} offer
 */
export function withStereoAsOffered(answer, offer) {
  const stereo = new Set(
    sections(offer)
      .filter((section) => section.some((line) => /^a=fmtp:\d+ .*(^|[ ;])stereo=1/.test(line)))
      .map(midOf),
  );
  return join(
    sections(answer).flatMap((section) => {
      const pt = opusPayloadType(section);
      if (pt === null || !stereo.has(midOf(section))) return section;
      const fmtp = `a=fmtp:${pt} `;
      if (!section.some((line) => line.startsWith(fmtp))) {
        return section.flatMap((line) => (line.startsWith(`a=rtpmap:${pt} `) ? [line, `${fmtp}stereo=1`] : [line]));
      }
      return section.map((line) => (line.startsWith(fmtp) && !/[ ;]stereo=/.test(line) ? `${line};stereo=1` : line));
    }),
  );
}

/**
 * Codecs for `setCodecPreferences`: the named ones in their order, then what repairs them (rtx).
 * @template {{mimeType: string, sdpFmtpLine?: string}} C
 * @param {readonly C[]} codecs what the browser can send
 * @param {readonly string[]} order `VP8`, `VP9`, `H264`, `AV1`
 * @returns {C[]} empty when the browser has none of them
 */
export function preferredCodecs(codecs, order) {
  const wanted = order.flatMap((name) => {
    const found = codecs.filter((codec) => codec.mimeType.toLowerCase() === `video/${name.toLowerCase()}`);
    // H264: FU-A needs packetization-mode=1; mode 0 cannot carry frames larger than a packet well.
    return found.sort((a, b) => Number(/packetization-mode=0/.test(a.sdpFmtpLine ?? '')) - Number(/packetization-mode=0/.test(b.sdpFmtpLine ?? '')));
  });
  if (wanted.length === 0) return [];
  return [...wanted, ...codecs.filter((codec) => codec.mimeType.toLowerCase() === 'video/rtx')];
}
