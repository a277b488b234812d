const config = { responsive: true, displaylogo: false, displayModeBar: false };

for (const plot of document.querySelectorAll(".plot")) {
  const figure = JSON.parse(document.getElementById(plot.id + "-data").textContent);
  Plotly.newPlot(plot, figure.data, figure.layout, config);
}

function fit() {
  for (const plot of document.querySelectorAll(".plot")) Plotly.Plots.resize(plot);
}

window.addEventListener("beforeprint", fit);
window.addEventListener("afterprint", fit);
