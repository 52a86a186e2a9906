"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// Leaderboards: sort, filter, open a card.
const valueOf = (row, column) => row.cells[column].dataset.value ?? "";

function sortBy(table, column) {
  const header = table.tHead.rows[0].cells[column];
  const words = column === 0;
  const next = header.getAttribute("aria-sort") === (words ? "ascending" : "descending");
  const direction = words !== next ? "ascending" : "descending";
  for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows].sort((first, second) => {
    const [a, b] = [valueOf(first, column), valueOf(second, column)];
    if (a === "" || b === "") return (a === "") - (b === "");  // what is not known is last, either way
    return sign * (words ? a.localeCompare(b) : a - b);
  });
  table.tBodies[0].append(...rows);
}

function filterBoard(board) {
  const text = board.querySelector(".filter").value.trim().toLowerCase();
  const family = board.querySelector(".family").value;
  const top = board.querySelector(".top")?.checked;
  const rows = [...board.querySelectorAll("tbody tr")];
  for (const row of rows)
    row.hidden = !row.dataset.text.includes(text) || (family !== "" && row.dataset.family !== family) || (top && row.dataset.top !== "1");
  board.querySelector(".count").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
}

for (const board of document.querySelectorAll(".board")) {
  const table = board.querySelector("table");
  [...table.tHead.rows[0].cells].forEach((cell, column) => cell.querySelector("button")?.addEventListener("click", () => sortBy(table, column)));
  table.tBodies[0].addEventListener("click", (event) => {
    // A row of several seeds has no card of its own, but a list of theirs.
    const training = event.target.closest("[data-card]");
    if (training) openCard(training.dataset.card);
  });
  for (const control of board.querySelectorAll(".controls input, .controls select")) control.addEventListener("input", () => filterBoard(board));
}

function openCard(id) {
  const dialog = byId(id);
  const pictures = dialog.querySelector(".card-pictures");
  if (!pictures.hasChildNodes()) pictures.append(shots(data.pictures.map((_, image) => shot(image, Number(id.slice(5)))), data.pictures));
  dialog.showModal();
  dialog.scrollTop = 0;
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

// Pictures: a photograph with layers of masks.
function shot(image, experiment, { truth = true, prediction = true, processed = false, title = "" } = {}) {
  const picture = data.pictures[image];
  const masks = experiment === null ? null : data.overlays[experiment][image];
  const layers = element("div", { class: "layers" }, element("img", { class: "photo", src: picture.image, alt: picture.id, width: picture.width, height: picture.height }));
  const layer = masks && ((processed && masks.pp) || masks.plain);
  if (truth) layers.append(element("img", { src: picture.truth, alt: `truth: ${picture.classes.join(", ") || "clean"}` }));
  if (prediction && layer) layers.append(element("img", { src: layer, alt: "prediction: hits, false alarms, misses" }));
  const index = data.images.indexOf(picture.id);
  const score = experiment === null ? null : data.scores[experiment][index];
  const parts = [title || `${picture.id}, ${picture.reason}`];
  if (experiment !== null) parts.push(masks === null ? "not predicted: a clean image has no true prompt" : `Dice ${number(score)}`);
  if (processed && masks && !masks.pp) parts.push("no post-processing was sought");
  return element("figure", { class: "shot" }, layers, element("figcaption", {}, parts.join(": ")));
}
const isWide = (pictures) => pictures.some((picture) => picture.width > 2 * picture.height);
const shots = (made, pictures) => element("div", { class: isWide(pictures) ? "shots wide" : "shots" }, ...made);
const number = (thousandths) => (thousandths === null ? "–" : (thousandths / 1000).toFixed(3));

function fill(select, chosen) {
  for (const track of new Set(data.experiments.map((experiment) => experiment.track))) {
    const group = element("optgroup", { label: `${track} track` });
    data.experiments.forEach((experiment, index) =>
      experiment.track === track && group.append(element("option", { value: index }, experiment.name)));
    select.append(group);
  }
  select.value = chosen;
}

// The two with the best scores of the first leaderboard; of several seeds the first, not the luckiest.
const leaders = [...document.querySelectorAll(".board tbody tr")].map((row) => Number((row.dataset.card ?? row.querySelector("[data-card]").dataset.card).slice(5)));

// Gallery of one model.
if (data.pictures.length) {
  fill(byId("gallery-model"), leaders[0]);
  const draw = () => {
    const options = { truth: byId("show-truth").checked, prediction: byId("show-prediction").checked, processed: byId("post-processed").checked };
    byId("pictures").replaceChildren(shots(data.pictures.map((_, image) => shot(image, Number(byId("gallery-model").value), options)), data.pictures));
  };
  for (const control of document.querySelectorAll("#gallery input, #gallery select")) control.addEventListener("input", draw);
  draw();
}

// Two models, image by image.
function compare() {
  const [a, b] = ["model-a", "model-b"].map((id) => Number(byId(id).value));
  const [first, second] = [data.experiments[a], data.experiments[b]];
  byId("scatter").replaceChildren();
  byId("images").replaceChildren();
  byId("side-by-side").replaceChildren();
  if ((first.track === "oracle") !== (second.track === "oracle")) {
    byId("compared").textContent = "The oracle track is never compared with another: choose two of one track.";
    return;
  }
  const wanted = byId("which-images").value;
  const rows = data.images
    .map((id, i) => ({ id, defective: data.defective[i], a: data.scores[a][i], b: data.scores[b][i] }))
    .filter((row) => row.a !== null && row.b !== null && (wanted === "all" || (wanted === "defective") === Boolean(row.defective)));
  byId("compared").textContent = describePair(first, second, rows);
  drawScatter(rows);
  rows.sort((x, y) => Math.abs(y.a - y.b) - Math.abs(x.a - x.b));
  byId("images").append(...rows.slice(0, 100).map((row) => {
    const cells = [row.defective ? "defective" : "clean", number(row.a), number(row.b), signed(row.a - row.b)];
    return element("tr", {}, element("th", { scope: "row" }, row.id), ...cells.map((text) => element("td", {}, text)));
  }));
  const apart = ({ id }) => Math.abs((data.scores[a][data.images.indexOf(id)] ?? 0) - (data.scores[b][data.images.indexOf(id)] ?? 0));
  const pictures = [...data.pictures.entries()].sort(([, x], [, y]) => apart(y) - apart(x));
  for (const [image, picture] of pictures)
    byId("side-by-side").append(
      element("h4", {}, `${picture.id}, ${picture.reason}`),
      shots([shot(image, a, { title: `A, ${first.name}` }), shot(image, b, { title: `B, ${second.name}` })], [picture]),
    );
}
const signed = (thousandths) => `${thousandths > 0 ? "+" : thousandths < 0 ? "−" : ""}${number(Math.abs(thousandths))}`;

function describePair(first, second, rows) {
  const higher = [rows.filter((row) => row.a > row.b).length, rows.filter((row) => row.a < row.b).length];
  const equal = rows.length - higher[0] - higher[1];
  const counts = `Of ${rows.length} images A has the higher Dice on ${higher[0]}, B on ${higher[1]}; equal to three digits on ${equal}.`;
  if (first.experiment === second.experiment) return `${counts} Both are of one experiment.`;
  const tested = data.pairs[`${first.experiment}|${second.experiment}`] ?? data.pairs[`${second.experiment}|${first.experiment}`];
  return `${counts} ${tested ? `Test on all images: ${tested}` : "This pair was not among the declared tests: the counts prove nothing about other images."}`;
}

function drawScatter(rows) {
  const make = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const ticks = [0, 50, 100].flatMap((at) => [
    make("line", { x1: 0, x2: 100, y1: at, y2: at }), make("line", { x1: at, x2: at, y1: 0, y2: 100 }),
    make("text", { x: at, y: 106, "text-anchor": "middle" }, (at / 100).toFixed(1)), make("text", { x: -2, y: 101.5 - at, "text-anchor": "end" }, (at / 100).toFixed(1)),
  ]);
  const names = [make("text", { x: 50, y: 111, "text-anchor": "middle" }, "Dice A"), make("text", { x: -19, y: -5 }, "Dice B")];
  const dots = rows.map((row) => make("circle", { cx: row.a / 10, cy: 100 - row.b / 10, r: 1.1 }));
  byId("scatter").append(...ticks, make("line", { x1: 0, y1: 100, x2: 100, y2: 0 }), ...names, ...dots);
}

if (data.experiments.length > 1) {
  fill(byId("model-a"), leaders[0]);
  fill(byId("model-b"), leaders[1]);
  for (const control of document.querySelectorAll("#compare select")) control.addEventListener("input", compare);
  compare();
}
