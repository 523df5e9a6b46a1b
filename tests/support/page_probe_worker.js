/** Notes every encoded frame that passes from an encoder to RTP, and passes it on as it is. */
const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 as zlib has it. */
function crc32(buffer) {
  let crc = 0xffffffff;
  for (const byte of new Uint8Array(buffer)) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

self.onrtctransform = (event) => {
  const { readable, writable, options } = event.transformer;
  const note = new TransformStream({
    transform(frame, controller) {
      const wallMs = performance.timeOrigin + performance.now();
      options.port.postMessage([wallMs, frame.getMetadata().rtpTimestamp, frame.type ?? '', crc32(frame.data)]);
      controller.enqueue(frame);
    },
  });
  readable.pipeThrough(note).pipeTo(writable);
};
