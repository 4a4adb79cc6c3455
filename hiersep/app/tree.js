// Keeps the ticked boxes of the tree in `value.chosen`, which is sent with a request.
const boxes = () => [...element.querySelectorAll("input")];

function tell() {
  const chosen = boxes().filter((box) => box.checked).map((box) => box.value);
  props.value = { ...props.value, chosen };
}

function show() {
  const chosen = new Set(props.value ? props.value.chosen : []);
  for (const box of boxes()) box.checked = chosen.has(box.value);
}

element.addEventListener("change", tell);
element.addEventListener("click", (event) => {
  const all = event.target.dataset && event.target.dataset.tick;
  if (!all) return;
  for (const box of boxes()) box.checked = all === "all";
  tell();
});
watch("value", show);
show();
