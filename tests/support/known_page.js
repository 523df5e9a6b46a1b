/**
 * Injected into a page: camera and microphone that say when they were captured (tests/support/beep_flash.py).
 *
 * Replaces getUserMedia by a canvas and an AudioContext. `window.__known`: `person`; `beeps`: samples of each second's
 * beep; `shown`: [number, wall ms] of every picture that was drawn; `zero`: wall ms of the media's zero for sound.
 */
(() => {
  const known = window.__known;
  if (!known || known.shown) return;
  const [WIDTH, HEIGHT, FPS, BITS, ID_BITS] = [640, 360, 30, 12, 4];
  const [LEFT, PITCH, BLOCK] = [8, 52, 48];
  const wall = () => performance.timeOrigin + performance.now();
  known.shown = [];
  known.zero = null;
  let started = null;

  function blocks(context, value, bits, top, inverted) {
    for (let bit = 0; bit < bits; bit++) {
      const on = (value >> bit) & 1;
      context.fillStyle = on ? '#fff' : '#000';
      context.fillRect(LEFT + bit * PITCH, top, BLOCK, BLOCK);
      context.fillStyle = on ? '#000' : '#fff';
      context.fillRect(LEFT + bit * PITCH, inverted, BLOCK, BLOCK);
    }
  }

  async function start() {
    const sound = new AudioContext({ sampleRate: 48000, latencyHint: 'interactive' });
    await sound.resume();
    const out = sound.createMediaStreamDestination();
    const hum = sound.createOscillator(); // never digital silence
    const faint = sound.createGain();
    faint.gain.value = 0.001;
    hum.connect(faint).connect(out);
    hum.start();
    // The context's clock moves in steps of what it renders at once: the quickest of many looks is the nearest.
    let ahead = Infinity;
    for (let look = 0; look < 200; look++) {
      ahead = Math.min(ahead, wall() - sound.currentTime * 1000);
      await new Promise((done) => setTimeout(done, 1));
    }
    const begin = sound.currentTime + 0.3;
    known.zero = ahead + begin * 1000;
    known.beeps.forEach((samples, second) => {
      const buffer = sound.createBuffer(2, samples.length, 48000);
      for (const channel of [0, 1]) buffer.copyToChannel(Float32Array.from(samples), channel);
      const beep = sound.createBufferSource();
      beep.buffer = buffer;
      beep.connect(out);
      beep.start(begin + second);
    });

    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [WIDTH, HEIGHT];
    const context = canvas.getContext('2d');
    const picture = canvas.captureStream(0).getVideoTracks()[0];
    let last = -1;
    setInterval(() => {
      const number = Math.floor(((wall() - known.zero) * FPS) / 1000);
      if (number <= last || number < 0 || number >= 600) return;
      last = number;
      context.fillStyle = `hsl(${(number * 7) % 360} 30% 45%)`;
      context.fillRect(0, 0, WIDTH, HEIGHT);
      blocks(context, number, BITS, 8, 64);
      blocks(context, known.person, ID_BITS, 128, 184);
      if (number % FPS === 0) {
        context.fillStyle = '#fff';
        context.fillRect(0, 248, WIDTH, HEIGHT - 248);
      }
      known.shown.push([number, wall()]);
      picture.requestFrame();
    }, 5);
    return { audio: out.stream.getAudioTracks()[0], video: picture };
  }

  navigator.mediaDevices.getUserMedia = async (constraints) => {
    started ??= start();
    const made = await started;
    return new MediaStream(['audio', 'video'].filter((kind) => constraints[kind]).map((kind) => made[kind].clone()));
  };
})();
