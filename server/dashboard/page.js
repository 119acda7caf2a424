// The page: what it shows of the service, and what can be asked of it.

import { bars, bytes, element, facts, gauge, history, map, tiles } from "./drawing.js";
import { Locked, ask, keep, native, of } from "./service.js";

const at = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const EVERY = 3000;

let chosen = null; // the name of the collection that is shown
let searches = 0; // that were begun: an answer that comes after a later question is dropped
let embeds = 0; // dimensions of the embedder for texts, 0 without one

async function guarded(work, place = at("trouble")) {
  place.textContent = "";
  try {
    return await work();
  } catch (error) {
    if (error instanceof Locked) at("key").hidden = false;
    place.textContent = error.message;
    return undefined;
  }
}

async function showService() {
  const { version, pqdb_version } = await ask("GET", "/");
  at("service").textContent = `pqdb ${pqdb_version}, speaking a subset of Qdrant ${version}'s REST interface`;
}

async function showCollections() {
  const { collections } = await ask("GET", "/collections");
  const names = collections.map(({ name }) => name);
  const stats = await Promise.all(names.map((name) => ask("GET", native(name, "stats")).catch(() => null)));
  at("none").hidden = names.length > 0;
  at("collections").replaceChildren(...names.map((name, i) => {
    const link = element("a", { href: `#${encodeURIComponent(name)}` }, element("span", {}, name),
      element("span", {}, stats[i] ? number(stats[i].points) : ""));
    if (name === chosen) link.setAttribute("aria-current", "page");
    return element("li", {}, link);
  }));
  if (chosen === null && names.length > 0 && !location.hash) choose(names[0]);
}

function choose(name) {
  chosen = name;
  at("main").hidden = false;
  at("name").textContent = name;
  forgetAnswer();
  at("drawing").replaceChildren();
  for (const id of ["measured", "job", "drawn", "filter-error", "status"]) at(id).textContent = "";
}

function forgetAnswer() {
  at("hits").replaceChildren();
  at("stages").replaceChildren();
  at("did").textContent = "Nothing yet.";
}

const codes = (told) => (told.points ? `${bytes(told.hot_bytes / told.points)} a point` : "none");
const ratio = (value) => (value === null ? "not known yet" : `${value.toFixed(2)} ×`);

function showDrift(drift) {
  if (!drift) return [];
  const seen = drift.recall === null ? "not measured yet" : `${(100 * drift.recall).toFixed(1)} % of ${(100 * drift.asked).toFixed(0)} % asked`;
  return [
    ["Points since training", number(drift.inserted)], ["Error of their codes, against training", ratio(drift.error)],
    ["The codebook's part of it", ratio(drift.code_error)], ["Unevenness of the lists", ratio(drift.imbalance)],
    ["Recall watched", seen],
  ];
}

function vectors(config) {
  if (!config.vectors) return [["Dimensions", config.dim], ["Metric", config.metric]];
  const sparse = (config.sparse ?? []).map(({ name, idf }) => [`Vector ${name}`, idf ? "sparse, weighed by rarity" : "sparse"]);
  return [...config.vectors.map(({ name, dim, metric }) => [`Vector ${name}`, `${dim} dimensions, ${metric}`]), ...sparse];
}

// Which vector is asked by, where they have names.
function showNames(config) {
  const names = (config.vectors ?? []).map(({ name }) => name);
  at("using-field").hidden = names.length === 0;
  if (names.join("\n") === [...at("using").options].map(({ value }) => value).join("\n")) return;
  at("using").replaceChildren(...names.map((name) => element("option", { value: name }, name || "(without a name)")));
}

const using = () => (at("using-field").hidden ? {} : { using: at("using").value });
const named = (path) => (at("using-field").hidden ? path : `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams(using())}`);

async function showCollection() {
  if (chosen === null) return;
  const asked = chosen;
  const told = await ask("GET", native(asked, "stats"));
  if (asked !== chosen) return; // another one was chosen meanwhile
  const { config, bytes: sizes, upkeep } = told;
  at("status").textContent = upkeep.error ? "in trouble" : upkeep.stage ?? told.status;
  at("status").className = `badge ${upkeep.error ? "bad" : "good"}`;
  tiles(at("headline"), [
    ["Points", number(told.points)], ["Codes kept hot", codes(told)],
    ["Recall of real queries", told.measured_recall ? `${(100 * told.measured_recall.mean).toFixed(1)} %` : "–"],
    ["Generation", told.generation || "–"],
  ]);
  facts(at("facts"), [
    ["Points", number(told.points)], ["Indexed", number(told.indexed)], ["Fresh rows", number(told.fresh)],
    ["Dead rows", number(told.dead_rows)], ...vectors(config), ["Codes", codes(told)],
    ["Payload indexes", told.payload_indexes.map(({ key, kind }) => `${key} (${kind})`).join(", ") || "none"],
  ]);
  bars(at("bytes-bars"), Object.entries(sizes), bytes);
  bars(at("files-bars"), Object.entries(told.disk).map(([what, { file }]) => [what, file]).filter(([, size]) => size), bytes);
  gauge(at("recall-gauge"), told.measured_recall);
  history(at("recall-history"), told.measured_recall?.history);
  facts(at("upkeep-facts"), [
    ["Generation", told.generation || "none yet: searched exactly"], ["Kept to go back to", told.previous ?? "none"],
    ["Lists", number(told.lists)], ["Now", upkeep.stage ?? "resting"], ["Live queries kept", number(upkeep.live_queries)],
    ["Learned from them", upkeep.learned_from_queries ? "yes" : "not yet"],
    ...showDrift(told.drift),
    ...(upkeep.error ? [["Trouble", upkeep.error]] : []),
  ]);
  at("rollback").disabled = told.previous === null;
  showNames(config);
  const { dim } = config.vectors?.find(({ name }) => name === at("using").value) ?? config;
  at("by-text").disabled = embeds !== dim;
}

async function query() {
  const text = at("what").value.trim();
  const by = at("by").value;
  if (by === "text") return (await ask("POST", "/pqdb/v1/embed", { text })).vector;
  if (by === "vector") return JSON.parse(text.startsWith("[") ? text : `[${text}]`);
  return /^\d+$/.test(text) ? Number(text) : text;
}

async function search() {
  const mine = ++searches;
  forgetAnswer(); // an answer to the question before must not stand beside this one, or beside its error
  const body = { limit: Number(at("limit").value), ...using() };
  const filter = at("filter").value.trim();
  if (filter) {
    try {
      body.filter = JSON.parse(filter);
    } catch (error) {
      at("filter-error").textContent = `The filter is not JSON: ${error.message}`;
      return;
    }
  }
  body.query = await query();
  const { points } = await ask("POST", of(chosen, "/points/query"), { ...body, with_payload: true });
  if (mine !== searches) return;
  at("hits").replaceChildren(...points.map(({ id, score, payload }) => element("li", {}, element("strong", {}, String(id)),
    element("span", { class: "score" }, `, score ${score.toFixed(4)}`), element("pre", {}, JSON.stringify(payload, null, 1)))));
  if (points.length === 0) at("hits").replaceChildren(element("li", { class: "soft" }, "No point was found."));
  const did = await ask("POST", native(chosen, "explain"), body);
  if (mine !== searches) return;
  at("did").textContent = did.kind === "codes"
    ? `${number(did.lists)} of ${number(did.n_lists)} lists, ${number(did.codes)} codes, ${number(did.candidates)} candidates, `
      + `${number(did.reranked)} reranked, ${number(did.fresh)} fresh rows; asked for recall ${did.recall}`
    : `${number(did.fresh)} vectors compared exactly`;
  bars(at("stages"), Object.entries(did.microseconds), (value) => `${number(Math.round(value))} µs`);
}

async function begin(verb) {
  const { job } = await ask("POST", native(chosen, verb));
  at("progress").hidden = false;
  for (;;) {
    const told = await ask("GET", `/pqdb/v1/jobs/${job}`);
    at("progress").value = told.share ?? 0;
    at("job").textContent = told.status === "running" ? `${told.stage ?? "begins"}` : told.error ?? `${told.kind}: ${told.status}`;
    if (told.status !== "running") break;
    await new Promise((done) => setTimeout(done, 300));
  }
  at("progress").hidden = true;
  await showCollection();
}

async function rollback() {
  at("rollback").disabled = true;
  const { generation } = await ask("POST", native(chosen, named("rollback")));
  at("job").textContent = `back to generation ${generation}`;
  await showCollection();
}

async function measure() {
  at("measured").textContent = "…";
  const told = await ask("POST", native(chosen, "recall"), { k: 10, sample: 200, ...using() }).catch((error) => {
    at("measured").textContent = "";
    throw error;
  });
  const share = (value) => (100 * value).toFixed(1);
  at("measured").textContent = `${share(told.recall)} % (${share(told.low)} – ${share(told.high)}) of ${told.queries} ${told.population}`;
}

async function draw() {
  const { points } = await ask("GET", native(chosen, named("map?sample=500")));
  map(at("drawing"), points);
  at("drawn").textContent = `${points.length} points`;
}

async function refresh() {
  await showCollections();
  await showCollection();
}

function follow() {
  const name = decodeURIComponent(location.hash.slice(1));
  if (name && name !== "main") {
    choose(name);
    guarded(refresh);
  }
}

function press(id, work) {
  at(id).addEventListener("click", async () => {
    at(id).disabled = true;
    await guarded(work);
    at(id).disabled = false;
  });
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(search, at("filter-error"));
});
at("key").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(at("key-word").value);
  at("key").hidden = true;
  guarded(start);
});
press("measure", measure);
press("train", () => begin("train"));
press("optimize", () => begin("optimize"));
press("draw", draw);
at("rollback").addEventListener("click", () => guarded(rollback));
window.addEventListener("hashchange", follow);

async function start() {
  await showService();
  embeds = (await ask("GET", "/pqdb/v1/capabilities")).embedder?.dimensions ?? 0;
  follow();
  await refresh();
}

guarded(start);
setInterval(() => {
  if (!document.hidden && at("key").hidden) refresh().catch(() => {});
}, EVERY);
