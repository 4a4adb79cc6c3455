// The page: what is shown and heard, and what the user does about it. A lane is a node's, or the mixture's, which is the
// first and stands above every level.

const STEP_S = 5;
const LEAD_S = 0.05; // between the order to play and its beginning, which all sounds then hear in time
const ICONS = { play: "M7 4v16l13-8z", pause: "M6 4h4v16H6zM14 4h4v16h-4z" };
const main = document.querySelector("main");
const [rate, duration] = [Number(main.dataset.rate), Number(main.dataset.duration)];
const lanes = [...document.querySelectorAll(".lane")].map(readLane);
const mixture = lanes[0];
const state = { level: 0, kind: "separated" };
const byId = (id) => document.getElementById(id);

function readLane(element) {
  const { node, levels, separated, true: known } = element.dataset;
  const sounds = { separated: Number(separated), ...(known && { true: Number(known) }) };
  return { element, node, levels: levels.split(" ").map(Number), sounds, solo: false, mute: false, db: 0, drawn: "" };
}

// --- what is heard

function shownLanes() {
  return lanes.filter((lane) => lane === mixture || lane.levels.includes(state.level));
}

/** What is soloed among the lanes shown; if nothing is, the nodes of the level. */
function heardLanes() {
  const soloed = shownLanes().filter((lane) => lane.solo);
  return soloed.length ? soloed : lanes.filter((lane) => lane.levels.includes(state.level));
}

function kindOf(lane) {
  return lane === mixture ? "separated" : state.kind;
}

/** Number of the sound that a lane's pictures are of: where no truth is known, of what was separated. */
function soundOf(lane) {
  return lane.sounds[kindOf(lane)] ?? lane.sounds.separated;
}

/** Factor at which a sound of a lane is heard. */
function gainOf(lane, kind) {
  const heard = heardLanes().includes(lane) && !lane.mute && kind === kindOf(lane);
  return heard ? scaleOf(lane.sounds[kind]) * 10 ** (lane.db / 20) : 0;
}

/** All sounds of the lanes shown, decoded, those that are not heard too: they may be the next moment. */
async function loadParts() {
  const parts = shownLanes().flatMap((lane) => Object.keys(lane.sounds).map((kind) => ({ lane, kind })));
  const buffers = await Promise.all(parts.map(({ lane, kind }) => decode(lane.sounds[kind], rate)));
  return parts.map((part, i) => ({ ...part, buffer: buffers[i], gain: gainOf(part.lane, part.kind) }));
}

// --- the clock: one for all sounds

const player = { context: null, graph: null, parts: [], zero: 0, rest: 0, requests: 0 };

function position() {
  if (!player.graph) return player.rest;
  return Math.min(duration, Math.max(0, player.context.currentTime - player.zero));
}

/** Play what is shown, from a position or from where it is, in place of what has been playing. */
async function play(from = null) {
  const request = ++player.requests;
  player.context ??= new AudioContext({ sampleRate: allowedRate(rate) });
  await player.context.resume();
  const parts = await loadParts();
  if (request !== player.requests) return; // something else has been asked for
  const offset = from ?? position() + (player.graph ? LEAD_S : 0);
  const when = player.context.currentTime + LEAD_S;
  player.graph?.stop(when);
  player.parts = parts;
  player.graph = buildGraph(player.context, parts, when, offset);
  player.zero = when - offset;
  showState();
  requestAnimationFrame(tick);
}

function pause() {
  player.requests++;
  player.rest = position();
  player.graph?.stop();
  player.graph = null;
  showState();
}

function seek(to) {
  const place = Math.min(duration, Math.max(0, to));
  player.rest = place;
  if (player.graph) play(place);
  showPosition(place);
}

function toggle() {
  if (player.graph) pause();
  else play().catch(tellFailure);
}

function tick() {
  if (!player.graph) return;
  showPosition(position());
  if (position() < duration) requestAnimationFrame(tick);
  else {
    pause();
    seek(0);
  }
}

// --- what is seen

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

function showPosition(seconds) {
  byId("position").value = seconds;
  byId("position").setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(duration)}`);
  byId("time").textContent = `${clock(seconds)} / ${clock(duration)}`;
  byId("lanes").style.setProperty("--at", duration ? seconds / duration : 0);
}

function showState() {
  const [shown, heard] = [shownLanes(), heardLanes()];
  byId("play").setAttribute("aria-label", player.graph ? "Pause" : "Play");
  byId("play").querySelector("path").setAttribute("d", player.graph ? ICONS.pause : ICONS.play);
  for (const lane of lanes) {
    const { element, solo, mute, db } = lane;
    const number = shown.indexOf(lane);
    element.hidden = number < 0;
    element.classList.toggle("silent", !heard.includes(lane) || mute);
    element.querySelector("kbd").textContent = number < 10 ? number : "";
    element.querySelector(".solo").setAttribute("aria-pressed", solo);
    element.querySelector(".mute").setAttribute("aria-pressed", mute);
    element.querySelector(".gain input").setAttribute("aria-valuetext", `${db} dB`);
    element.querySelector("output").textContent = `${String(db).replace("-", "−")} dB`;
  }
  for (const button of document.querySelectorAll("nav button")) {
    const lane = lanes.find(({ node }) => node === button.dataset.node);
    button.setAttribute("aria-pressed", lane.solo && shown.includes(lane));
    button.classList.toggle("here", lane.levels.includes(state.level));
  }
}

/** After a change of what is heard among the lanes shown. */
function changeGains() {
  player.graph?.setGains(player.parts.map(({ lane, kind }) => gainOf(lane, kind)));
  showState();
}

/** After a change of the lanes shown. */
function changeLanes() {
  showState();
  if (player.graph) play().catch(tellFailure);
  draw().catch(tellFailure);
}

function tellFailure(error) {
  byId("status").textContent = `This browser cannot play the page (${error.message}); the audio files lie beside it.`;
}

// --- pictures, one after the other, so that the page stays responsive

let drawings = 0;

async function draw() {
  const drawing = ++drawings;
  byId("status").textContent = "Drawing …";
  for (const lane of shownLanes()) {
    const buffer = await decode(soundOf(lane), rate);
    await new Promise(requestAnimationFrame);
    if (drawing !== drawings) return; // begun anew
    drawLane(lane, buffer);
  }
  byId("status").textContent = "";
}

/** Draw a lane, unless it looks so already; the mixture's waveform lies behind every other. */
function drawLane(lane, buffer) {
  const [wave, spectrogram] = lane.element.querySelectorAll("canvas");
  const { color, borderColor } = getComputedStyle(wave);
  const key = [kindOf(lane), wave.clientWidth, spectrogram.clientHeight, window.devicePixelRatio, color].join();
  if (key === lane.drawn) return;
  lane.drawn = key;
  [wave, spectrogram].forEach(fitCanvas);
  const [samples, scale] = [mono(buffer), scaleOf(soundOf(lane))];
  const waveform = outlineOf(samples, wave.width).map((value) => value * scale);
  const levels = measure(samples, buffer.sampleRate, spectrogram.width, spectrogram.height);
  if (lane === mixture) {
    mixture.waveform = waveform;
    mixture.peak = waveform.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    mixture.top = 20 * Math.log10(scale) + levels.reduce((most, value) => Math.max(most, value), -90);
  } else drawWaveform(wave, mixture.waveform, mixture.peak, borderColor);
  drawWaveform(wave, waveform, mixture.peak, color);
  drawSpectrogram(spectrogram, levels, buffer.sampleRate, mixture.top - 20 * Math.log10(scale));
}

// --- what the user does

function setLevel(level) {
  state.level = level;
  document.querySelector(`#level input[value="${level}"]`).checked = true;
  changeLanes();
}

function setSolo(lane, solo) {
  lane.solo = solo;
  changeGains();
}

/** Hear one lane alone, or, if that is so already, all again. */
function hearAlone(lane) {
  const alone = lane.solo && shownLanes().every((other) => other === lane || !other.solo);
  for (const other of lanes) other.solo = false;
  lane.solo = !alone;
  if (shownLanes().includes(lane)) changeGains();
  else setLevel(lane.levels[0]);
}

for (const lane of lanes) {
  lane.element.querySelector(".solo").addEventListener("click", () => setSolo(lane, !lane.solo));
  lane.element.querySelector(".mute").addEventListener("click", () => {
    lane.mute = !lane.mute;
    changeGains();
  });
  lane.element.querySelector(".gain input").addEventListener("input", (event) => {
    lane.db = Number(event.target.value);
    changeGains();
  });
  const pictures = lane.element.querySelector(".pictures");
  pictures.addEventListener("click", ({ clientX }) => {
    const { left, width } = pictures.getBoundingClientRect();
    seek(((clientX - left) / width) * duration);
  });
}

for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => hearAlone(lanes.find(({ node }) => node === button.dataset.node)));
}

byId("play").addEventListener("click", toggle);
byId("position").addEventListener("input", (event) => seek(Number(event.target.value)));
byId("level").addEventListener("change", (event) => setLevel(Number(event.target.value)));
byId("kind")?.addEventListener("change", (event) => {
  state.kind = event.target.value;
  changeGains();
  draw().catch(tellFailure);
});

// Space presses the button that the keyboard came to; one that was clicked is no longer meant.
let clicked = false;
document.addEventListener("pointerdown", () => (clicked = true), true);

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const { key, target } = event;
  if (key === "Tab") clicked = false;
  const digit = /^[0-9]$/.test(key) ? shownLanes()[Number(key)] : null;
  const arrow = { ArrowLeft: -STEP_S, ArrowRight: STEP_S }[key];
  if (key === " " && !target.closest(clicked ? "audio" : "button, summary, audio")) {
    if (clicked) target.blur();
    toggle();
  } else if (arrow && !target.closest("audio, .gain, fieldset")) seek(position() + arrow);
  else if (digit) hearAlone(digit);
  else return;
  event.preventDefault();
});

let resized = 0;
new ResizeObserver(() => {
  clearTimeout(resized);
  resized = setTimeout(() => draw().catch(tellFailure), 150);
}).observe(byId("lanes"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw().catch(tellFailure));

byId("tree").open = matchMedia("(min-width: 60rem)").matches;
showPosition(0);
setLevel(Number(document.querySelector("#level input:checked").value));
