"use strict";
// Sounds, and how they are mixed. A sound lies in the page as FLAC, in text, with the scale of its samples. A part is a
// decoded sound and the gain at which it is heard.

const decoded = new Map(); // AudioBuffers to come, by the number of the sound

/** Decode a sound, once; at the rate of the files, so that nothing is resampled before it is mixed. */
function decode(number, rate) {
  if (!decoded.has(number)) {
    const element = document.getElementById(`sound-${number}`);
    const text = atob(element.textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    element.textContent = ""; // a browser need not hold it twice
    decoded.set(number, new OfflineAudioContext(1, 1, allowedRate(rate)).decodeAudioData(bytes.buffer));
  }
  return decoded.get(number);
}

/** What a sound's samples are to be multiplied by. */
function scaleOf(number) {
  return Number(document.getElementById(`sound-${number}`).dataset.scale);
}

/** The nearest of the rates in Hz that every browser mixes at. */
function allowedRate(rate) {
  return Math.min(96000, Math.max(8000, rate));
}

/**
 * Connect parts, each through its gain, to the output of a context, and start all at one moment.
 *
 * @param {BaseAudioContext} context - An AudioContext to listen, an OfflineAudioContext to compute.
 * @param {{buffer: AudioBuffer, gain: number}[]} parts - Gain as a factor.
 * @param {number} when - Start, in seconds of the context's clock.
 * @param {number} offset - Where in the parts, in seconds.
 */
function buildGraph(context, parts, when = 0, offset = 0) {
  const voices = parts.map(({ buffer, gain }) => {
    const source = new AudioBufferSourceNode(context, { buffer });
    const volume = new GainNode(context, { gain });
    source.connect(volume).connect(context.destination);
    source.start(when, offset);
    return { source, volume };
  });
  return {
    /** Go to other gains, within some milliseconds, so that nothing clicks. */
    setGains(gains) {
      voices.forEach(({ volume }, i) => volume.gain.setTargetAtTime(gains[i], context.currentTime, 0.01));
    },
    stop(at = 0) {
      for (const { source } of voices) source.stop(at);
    },
  };
}
