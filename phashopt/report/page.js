const config = { responsive: true, displaylogo: false, displayModeBar: false };

// A plot is drawn when it comes near: a thousand trials would otherwise hold up the page.
const drawn = new Map();
function draw(plot) {
  if (!drawn.has(plot)) {
    const figure = JSON.parse(document.getElementById(plot.id + "-data").textContent);
    drawn.set(plot, Plotly.newPlot(plot, figure.data, figure.layout, config));
  }
  return drawn.get(plot);
}
const plots = [...document.querySelectorAll(".plot")];
const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
  { rootMargin: "800px" },
);
plots.forEach((plot) => near.observe(plot));

// The cap: which configuration to take at the cost one can afford.
function amount(number) {
  const [unit, letter] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([unit]) => number >= unit) ?? [1, ""];
  return `${Number((number / unit).toPrecision(3))} ${letter}`.trim();
}
const choices = document.getElementById("choices");
if (choices) {
  const steps = JSON.parse(choices.textContent);
  const slider = document.getElementById("cap");
  const plot = document.getElementById("phashopt-accuracy-against-macs");
  const low = Math.log(steps[0].macs * 0.98);
  const high = Math.log(Math.max(steps.at(-1).macs * 1.1, Number(choices.dataset.cap) * 1.02));
  const capOf = (position) => Math.exp(low + ((high - low) * position) / slider.max);
  const rows = [...document.querySelectorAll("#front tbody tr")];
  let ring = null;

  const choose = async (cap) => {
    const choice = steps.filter((step) => step.macs <= cap).at(-1);
    const words = choice ? `Take ${choice.words}.` : `No trial is that cheap: the cheapest needs ${amount(steps[0].macs)} MACs.`;
    document.getElementById("cap-value").textContent = amount(cap);
    document.getElementById("choice").textContent = words;
    slider.setAttribute("aria-valuetext", `${amount(cap)} MACs`);
    rows.forEach((row) => row.classList.toggle("chosen", row.dataset.trial === String(choice?.trial)));
    await draw(plot);
    if (ring === null) {
      ring = plot.data.length;
      const marker = { symbol: "circle-open", size: 22, color: "#808080", line: { width: 2 } };
      Plotly.addTraces(plot, { x: [], y: [], mode: "markers", marker, name: "to take", hoverinfo: "skip" });
    }
    const own = (plot.layout.shapes ?? []).filter((shape) => shape.name !== "slider");
    const line = { color: "#808080", width: 3 };
    const mark = { name: "slider", type: "line", x0: cap, x1: cap, y0: 0, y1: 1, yref: "paper", line };
    const place = choice ? { x: [[choice.macs]], y: [[choice.accuracy]] } : { x: [[]], y: [[]] };
    Plotly.update(plot, place, { shapes: [...own, mark] }, [ring]);
  };
  const start = Number(choices.dataset.cap) || steps.at(-1).macs;
  slider.value = Math.round((slider.max * (Math.log(start) - low)) / (high - low));
  slider.addEventListener("input", () => choose(capOf(slider.value)));
  slider.closest(".cap").hidden = false;
  choose(start);
}

// Sheets of one layer are leafed through, one at a time.
for (const sheets of document.querySelectorAll(".sheets")) {
  const pages = [...sheets.querySelectorAll("figure")];
  if (pages.length < 2) continue;
  let shown = 0;
  const bar = document.createElement("div");
  bar.className = "pager";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", `Sheets of ${sheets.dataset.label}`);
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  const button = (text, step) => {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = text;
    element.addEventListener("click", () => turn(shown + step));
    return element;
  };
  const [back, forth] = [button("Previous", -1), button("Next", 1)];
  const turn = (page) => {
    shown = page;
    pages.forEach((figure, index) => figure.classList.toggle("away", index !== shown));
    status.textContent = `Sheet ${shown + 1} of ${pages.length}`;
    back.disabled = shown === 0;
    forth.disabled = shown === pages.length - 1;
  };
  bar.append(back, status, forth);
  sheets.prepend(bar);
  turn(0);
}

// A link into a folded part opens it.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  target?.scrollIntoView();
}
window.addEventListener("hashchange", unfold);

// Paper shows what the screen folds away, and is narrower: a plot keeps the width that it was drawn with.
const PAPER = 640; // pixels, within the margins of A4 and of US letter
const folded = [...document.querySelectorAll("details:not([open])")];
window.addEventListener("beforeprint", () => {
  folded.forEach((details) => (details.open = true));
  plots.forEach((plot) => {
    draw(plot);
    Plotly.relayout(plot, { width: PAPER });
  });
});
window.addEventListener("afterprint", () => {
  folded.forEach((details) => (details.open = false));
  plots.forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true }));
});
