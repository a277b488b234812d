const config = { responsive: true, displaylogo: false, displayModeBar: false };

for (const plot of document.querySelectorAll(".plot")) {
  const figure = JSON.parse(document.getElementById(plot.id + "-data").textContent);
  Plotly.newPlot(plot, figure.data, figure.layout, config);
}

// Paper shows what the screen folds away.
const folded = [...document.querySelectorAll("details:not([open])")];
window.addEventListener("beforeprint", () => folded.forEach((details) => (details.open = true)));
window.addEventListener("afterprint", () => folded.forEach((details) => (details.open = false)));
