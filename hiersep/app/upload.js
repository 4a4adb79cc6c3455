// Brings the chosen files, one after another, and shows what is said of each. `value` comes from the server:
// where to bring them, how large one may be, and what is said of one that is larger.
const input = element.querySelector("input");
const list = element.querySelector("ul");
const box = element.querySelector(".drop");

function say(text, kind) {
  const line = document.createElement("li");
  line.textContent = text;
  line.className = kind;
  if (kind === "error") line.setAttribute("role", "alert");
  list.append(line);
  return line;
}

function bring(file, line) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", props.value.to);
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.upload.onprogress = (event) => {
      line.textContent = `${file.name}: ${Math.round((100 * event.loaded) / event.total)} %`;
    };
    request.onload = () => {
      try {
        resolve(JSON.parse(request.responseText));
      } catch {
        resolve({ error: `${file.name}: could not be uploaded (${request.status}); load the page again` });
      }
    };
    request.onerror = () => resolve({ error: `${file.name}: the app does not answer; is it still running?` });
    request.send(file);
  });
}

// What was made of another mixture is shown no longer than that is there.
function forget() {
  list.replaceChildren();
  if (input.multiple) return;
  for (const part of document.querySelectorAll("#results .players, #results .all")) part.remove();
}

async function bringAll(files) {
  if (!props.value || !files.length) return;
  const chosen = input.multiple ? files : files.slice(0, 1);
  if (!input.multiple) forget();
  element.dataset.state = "busy";
  for (const file of chosen) {
    const line = say(`${file.name}: 0 %`, "said");
    const answer =
      file.size > props.value.most ? { error: `${file.name}: ${props.value.too_large}` } : await bring(file, line);
    line.remove();
    say(answer.error || answer.said, answer.error ? "error" : "said");
  }
  input.value = "";
  element.dataset.state = "";
}

async function clear() {
  if (!props.value) return;
  await fetch(props.value.to, { method: "DELETE" });
  forget();
}

input.addEventListener("change", () => bringAll([...input.files]));
element.querySelector("button").addEventListener("click", clear);
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  box.addEventListener(name, (event) => {
    event.preventDefault();
    box.classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") bringAll([...event.dataTransfer.files]);
  });
}
