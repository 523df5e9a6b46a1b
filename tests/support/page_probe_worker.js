/** Notes every encoded frame that passes from an encoder to RTP, and passes it on as it is. */
self.onrtctransform = (event) => {
  const { readable, writable, options } = event.transformer;
  const note = new TransformStream({
    transform(frame, controller) {
      const wallMs = performance.timeOrigin + performance.now();
      options.port.postMessage([wallMs, frame.getMetadata().rtpTimestamp, frame.type ?? '', frame.data.byteLength]);
      controller.enqueue(frame);
    },
  });
  readable.pipeThrough(note).pipeTo(writable);
};
