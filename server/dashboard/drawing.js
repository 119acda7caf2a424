// Elements, bars and lines, made of the document's own nodes: nothing that came from outside is ever parsed as HTML.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function facts(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([what, value]) => [element("dt", {}, what), element("dd", {}, String(value))]));
}

export function tiles(list, pairs) {
  list.replaceChildren(...pairs.map(([what, value]) => element("div", {}, element("dt", {}, what), element("dd", {}, String(value)))));
}

export function bars(box, values, print) {
  const most = Math.max(1e-9, ...values.map(([, value]) => value));
  box.replaceChildren(...values.map(([what, value]) => {
    const fill = element("div", { class: "fill" });
    fill.style.width = `${(100 * value) / most}%`;
    return element("div", { class: "bar" }, element("span", {}, what), element("div", { class: "track" }, fill),
      element("span", { class: "much" }, print(value)));
  }));
}

export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = n < 1 ? 0 : Math.min(4, Math.floor(Math.log10(n) / 3));
  return `${(n / 1000 ** power).toLocaleString("en", { maximumFractionDigits: power ? 1 : 0 })} ${units[power]}`;
}

const share = (value) => (100 * value).toFixed(1) + " %";

// A scale from low to 1, the interval as a band, the mean as a mark.
export function gauge(box, report) {
  if (!report) {
    box.replaceChildren(element("p", { class: "soft" }, "No real query has been answered again yet."));
    return;
  }
  const from = Math.min(0.5, Math.floor(report.low * 10) / 10);
  const x = (value) => 300 * (value - from) / (1 - from);
  const title = `Recall ${share(report.mean)}, between ${share(report.low)} and ${share(report.high)}`;
  box.replaceChildren(
    element("p", {}, element("span", { class: "reading" }, share(report.mean)),
      element("span", { class: "soft" }, ` 95 %: ${share(report.low)} – ${share(report.high)}; ${report.queries} queries`)),
    svg("svg", { viewBox: "0 0 300 34", role: "img", "aria-label": title },
      svg("rect", { x: 0, y: 5, width: 300, height: 8, rx: 4, class: "track" }),
      svg("rect", { x: x(report.low), y: 5, width: Math.max(2, x(report.high) - x(report.low)), height: 8, class: "band" }),
      svg("rect", { x: Math.min(298, Math.max(0, x(report.mean) - 1)), y: 1, width: 2, height: 16, class: "mark" }),
      svg("text", { x: 0, y: 31 }, share(from)), svg("text", { x: 300, y: 31, "text-anchor": "end" }, "100 %")));
}

export function history(box, points) {
  if (!points || points.length < 2) {
    box.replaceChildren();
    return;
  }
  const low = Math.min(0.95, ...points.map((point) => point.low));
  const x = (i) => (300 * i) / (points.length - 1);
  const y = (value) => 4 + (72 * (1 - value)) / (1 - low);
  const path = (key) => points.map((point, i) => `${x(i)},${y(point[key])}`);
  const band = [...path("high"), ...path("low").reverse()].join(" ");
  box.replaceChildren(svg("svg", { viewBox: "0 0 300 92", role: "img", "aria-label": "History of the measured recall" },
    svg("line", { x1: 0, x2: 300, y1: 76, y2: 76, class: "axis" }),
    svg("polygon", { points: band, class: "area" }),
    svg("polyline", { points: path("mean").join(" "), class: "line" }),
    svg("text", { x: 0, y: 90 }, `${share(low)} to 100 %, the latest at the right`)));
}

// Colours for any number of lists: hues a golden angle apart.
const colour = (list) => (list < 0 ? "var(--soft)" : `hsl(${(list * 137.508) % 360} 60% 50%)`);

export function map(box, points) {
  const dots = points.map(({ id, x, y, list }) => svg("circle", { cx: 10 + 580 * x, cy: 10 + 380 * y, r: 3, fill: colour(list) },
    svg("title", {}, list < 0 ? `${id}` : `${id}, list ${list}`)));
  const title = `${points.length} points by their first two principal components`;
  box.replaceChildren(svg("svg", { viewBox: "0 0 600 400", role: "img", "aria-label": title }, ...dots));
}
