// One player sounds at a time, and goes on where the other was: so one hears the same moment at every level.
let last = null;
document.addEventListener("play", (event) => {
  const player = event.target;
  if (last && last !== player && document.contains(last)) {
    last.pause();
    if (Number.isFinite(last.currentTime) && last.currentTime < player.duration) player.currentTime = last.currentTime;
  }
  last = player;
}, true);
document.addEventListener("error", (event) => {
  if (event.target.tagName !== "AUDIO") return;
  const line = document.createElement("small");
  line.textContent = "this browser cannot play it; download it";
  event.target.replaceWith(line);
}, true);
// A page that is left gives its files up at once.
addEventListener("pagehide", () => {
  const visit = document.querySelector("[data-visit]");
  if (visit && visit.dataset.visit) navigator.sendBeacon(visit.dataset.visit);
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
