// Pictures of sounds: a waveform, and a spectrogram of logarithmic frequency, a column of pixels at a time.

const LOWEST_HZ = 40;
const RANGE_DB = 70;
const MAGMA = ["000004", "1c1044", "4f127b", "812581", "b5367a", "e55064", "fb8761", "fec287", "fcfdbf"];
const COLOURS = colourTable(MAGMA.map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16))));

/** 256 colours, interpolated between some. */
function colourTable(stops) {
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((value, j) => value + (place - low) * (stops[low + 1][j] - value));
  });
}

/** The mean of a sound's channels. */
function mono(buffer) {
  const sum = Float32Array.from(buffer.getChannelData(0));
  for (let channel = 1; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let i = 0; i < sum.length; i++) sum[i] += samples[i];
  }
  return sum.map((value) => value / buffer.numberOfChannels);
}

/** Give a canvas the pixels of the screen that it covers. */
function fitCanvas(canvas) {
  const density = Math.min(2, window.devicePixelRatio);
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * density));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * density));
}

/** The lowest and the highest sample of every column, one after the other. */
function outlineOf(samples, columns) {
  const extremes = new Float32Array(2 * columns);
  for (let column = 0; column < columns; column++) {
    const begin = Math.floor((column * samples.length) / columns);
    const end = Math.max(begin + 1, Math.floor(((column + 1) * samples.length) / columns));
    for (let i = begin; i < end; i++) {
      if (samples[i] < extremes[2 * column]) extremes[2 * column] = samples[i];
      if (samples[i] > extremes[2 * column + 1]) extremes[2 * column + 1] = samples[i];
    }
  }
  return extremes;
}

/** Draw an outline; samples of +-`peak` reach the edges. */
function drawWaveform(canvas, extremes, peak, colour) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.fillStyle = colour;
  for (let x = 0; x < width; x++) {
    const [low, high] = [extremes[2 * x] / peak, extremes[2 * x + 1] / peak];
    context.fillRect(x, ((1 - high) * height) / 2, 1, Math.max(1, ((high - low) * height) / 2));
  }
}

/**
 * Measure a sound, columns x rows, the lowest frequency first.
 *
 * A column holds the power of the loudest of three windows of about 50 ms in its stretch of time, so that in long sounds
 * no stroke is lost; a row the loudest bin of its band, or, where bands are narrower than bins, what lies between two.
 *
 * @returns {Float32Array} dB, relative to a sine of full scale about.
 */
function measure(samples, rate, columns, rows) {
  const size = 2 ** Math.round(Math.log2(0.05 * rate));
  const windowed = Float32Array.from({ length: size }, (_, i) => (1 - Math.cos((2 * Math.PI * i) / size)) / (size / 2));
  const edges = Array.from({ length: rows + 1 }, (_, row) => {
    return (LOWEST_HZ * (rate / 2 / LOWEST_HZ) ** (row / rows) * size) / rate;
  });
  const levels = new Float32Array(columns * rows);
  const [re, im, power] = [new Float32Array(size), new Float32Array(size), new Float32Array(size / 2 + 1)];
  const step = samples.length / columns;
  const each = Math.max(1, Math.min(3, Math.floor(step / (size / 2))));
  for (let column = 0; column < columns; column++) {
    power.fill(1e-12);
    for (let part = 0; part < each; part++) {
      const begin = Math.round((column + (part + 0.5) / each) * step - size / 2);
      for (let i = 0; i < size; i++) {
        re[i] = (samples[begin + i] || 0) * windowed[i];
        im[i] = 0;
      }
      transform(re, im);
      for (let bin = 0; bin <= size / 2; bin++) power[bin] = Math.max(power[bin], re[bin] ** 2 + im[bin] ** 2);
    }
    for (let row = 0; row < rows; row++) {
      levels[column * rows + row] = 10 * Math.log10(loudest(power, edges[row], edges[row + 1]));
    }
  }
  return levels;
}

/** The loudest bin between two edges; between two bins, what a line from one to the other has there. */
function loudest(power, low, high) {
  let most = 0;
  for (let bin = Math.ceil(low); bin < high; bin++) most = Math.max(most, power[bin]);
  if (most > 0) return most;
  const bin = Math.floor(low);
  const place = (low + high) / 2 - bin;
  return power[bin] * (1 - place) + power[bin + 1] * place;
}

/** Fourier transform in place, of a length that is a power of two. */
function transform(re, im) {
  const size = re.length;
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let half = 1; half < size; half *= 2) {
    for (let k = 0; k < half; k++) {
      const cos = Math.cos((Math.PI * k) / half);
      const sin = -Math.sin((Math.PI * k) / half);
      for (let i = k; i < size; i += 2 * half) {
        const j = i + half;
        const real = re[j] * cos - im[j] * sin;
        const imaginary = re[j] * sin + im[j] * cos;
        re[j] = re[i] - real;
        im[j] = im[i] - imaginary;
        re[i] += real;
        im[i] += imaginary;
      }
    }
  }
}

/** Draw what `measure` gave, from RANGE_DB below `top` on, with a scale of frequencies. */
function drawSpectrogram(canvas, levels, rate, top) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const image = context.createImageData(width, height);
  for (let x = 0; x < width; x++) {
    for (let row = 0; row < height; row++) {
      const place = 1 + (levels[x * height + row] - top) / RANGE_DB;
      const colour = COLOURS[Math.round(255 * Math.min(1, Math.max(0, place)))];
      image.data.set([...colour, 255], 4 * ((height - 1 - row) * width + x));
    }
  }
  context.putImageData(image, 0, 0);
  drawFrequencies(context, rate, height);
}

function drawFrequencies(context, rate, height) {
  const density = height / context.canvas.clientHeight;
  context.font = `${10 * density}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const [hz, name] of [[100, "100 Hz"], [1000, "1 kHz"], [5000, "5 kHz"]]) {
    const place = Math.log(hz / LOWEST_HZ) / Math.log(rate / 2 / LOWEST_HZ);
    if (place > 0.95) continue;
    context.fillStyle = "#fff9";
    context.fillRect(0, height * (1 - place), 5 * density, density);
    context.fillStyle = "#fffc";
    context.fillText(name, 8 * density, height * (1 - place));
  }
}
