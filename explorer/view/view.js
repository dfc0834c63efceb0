// The explorer's page. What documents say is only ever put in as text, never as markup.
"use strict";

const byId = (id) => document.getElementById(id);
const state = { cards: [], current: -1, following: null, query: {}, changes: {}, searches: 0, moves: 0, reads: 0, about: null, original: false };

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("aria-") || name === "role" || name === "scope" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "X-Plait": "1", "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || `the server answered ${response.status}`);
  return answer;
}

function say(text) { byId("status").textContent = text; }
const count = (number) => Number(number).toLocaleString("en");
const shown = (number) => (number === null || number === undefined ? "–" : Number.isInteger(number) ? String(number) : number.toPrecision(4).replace(/\.?0+$/, ""));

async function guarded(work) {
  try { await work(); } catch (error) { say(`Error: ${error.message}`); }
}

// What is looked at -------------------------------------------------------------------------------------------------

async function about() {
  const found = await ask("api/about");
  state.about = found;
  byId("title").textContent = `plait view: ${found.recipe}`;
  const dropped = Object.values(found.dropped).reduce((sum, one) => sum + one, 0);
  byId("facts").textContent = `${count(found.documents)} documents with ${count(found.images)} pictures; ${count(dropped)} documents dropped`;
  if (found.fault) { say(`Error: ${found.fault}`); return; }
  if (!found.ready) {
    say(`making the index, ${Math.round(found.progress * 100)}%`);
    setTimeout(() => guarded(about), 300);
    return;
  }
  say(found.indexed < found.documents + dropped ? `looking at a random sample: ${count(found.indexed)} documents` : "");
  fill("f-lang", found.choices.lang);
  fill("f-reason", found.choices.reason, found.reasons);
  byId("f-score").append(...found.scores.map((name) => make("option", { value: name }, name)));
  byId("domains").replaceChildren(...found.choices.domain.map(([name]) => make("option", { value: name })));
  byId("recovered-note").textContent = found.retained
    ? "before deduplication and picture rules, which would still look at them"
    : "unknown: the build did not retain what it dropped (build with --retain all)";
  document.body.dataset.ready = "true";
}

function fill(id, choices, notes = {}) {
  byId(id).append(...choices.map(([name, number]) => make("option", { value: name, title: notes[name] || "" }, `${name} (${count(number)})`)));
}

// Documents ---------------------------------------------------------------------------------------------------------

function query() {
  const names = ["text", "state", "reason", "lang", "domain", "score", "low", "high", "marked"];
  return Object.fromEntries(names.map((name) => [name, byId(`f-${name}`).value.trim()]).filter(([, value]) => value !== ""));
}

async function search(after = null) {
  const mine = ++state.searches;
  if (after === null) { state.query = query(); state.cards = []; state.current = -1; }
  const asked = new URLSearchParams({ ...state.query, ...(after === null ? {} : { after }) });
  byId("found").textContent = "searching…";
  const found = await ask(`api/documents?${asked}`);
  if (mine !== state.searches) return;
  if (after === null) byId("documents").replaceChildren();
  const first = state.cards.length;
  state.cards.push(...found.documents);
  byId("documents").append(...found.documents.map((card, at) => make("li", {}, row(card, () => open(first + at)))));
  state.following = found.following;
  byId("more").hidden = found.following === null;
  const looked = state.query.text && found.following !== null ? `, texts of ${count(found.looked)} looked through so far` : "";
  byId("found").textContent = state.query.text
    ? `${count(state.cards.length)} found${found.following === null ? "" : " so far"}, among ${count(found.matching)}${looked}`
    : `${count(found.matching)} documents`;
}

function row(card, action) {
  const tags = [];
  if (!card.kept) tags.push(make("span", { class: "tag dropped" }, card.reason || "dropped"));
  if (card.mark) tags.push(make("span", { class: `tag ${card.mark}` }, card.mark));
  const button = make("button", { type: "button", class: "document" }, ...tags, card.title || "untitled",
    make("small", {}, [card.lang, card.domain].filter(Boolean).join(" · ")), make("small", {}, card.url || ""));
  button.addEventListener("click", () => guarded(action));
  return button;
}

function buttons() { return [...byId("documents").querySelectorAll(".document")]; }

async function open(at) {
  if (at < 0 || at >= state.cards.length) return;
  state.current = at;
  buttons().forEach((button, number) => button.setAttribute("aria-current", String(number === at)));
  buttons()[at].scrollIntoView({ block: "nearest" });
  await read(state.cards[at].place);
}

async function read(place) {
  const mine = ++state.reads;
  const found = await ask(`api/document/${place}`);
  if (mine !== state.reads) return; // a later one was opened: marks are for what is shown
  state.shown = found;
  state.original = false;
  const acts = make("div", { class: "acts" }, ...["good", "bad"].map((name) => markButton(name, found)));
  const original = make("button", { type: "button", id: "show-original", "aria-pressed": "false" }, "archived page");
  original.addEventListener("click", () => guarded(toggleOriginal));
  if (state.about && state.about.archives) acts.append(original);
  const sides = make("div", { class: "sides" }, page(found));
  sides.id = "sides";
  const why = found.kept ? [] : [make("p", {}, make("span", { class: "tag dropped" }, `${found.reason} at ${found.stage}`),
    [found.value === null ? "" : `value ${shown(found.value)}`, found.threshold ? `kept where ${found.threshold}` : "",
      (state.about && state.about.reasons[found.reason]) || ""].filter(Boolean).join("; "))];
  byId("reader").replaceChildren(make("h2", {}, found.title || "untitled"),
    make("small", {}, [found.lang, found.url].filter(Boolean).join(" · ")), ...why, acts, sides, verdicts(found));
  byId("reader").dataset.place = place;
}

function markButton(name, found) {
  const button = make("button", { type: "button", id: `mark-${name}`, "aria-pressed": String(found.mark === name) }, name);
  button.addEventListener("click", () => guarded(() => mark(found.mark === name ? "" : name)));
  return button;
}

function page(found) {
  const side = make("div", { class: "page", id: "page" });
  if (found.hidden) side.append(make("p", { class: "placeholder hidden-picture" }, "dropped for safety, or listed: not shown"));
  else if (found.nodes === null) side.append(make("p", { class: "placeholder" }, "the build did not retain what this document said"));
  else side.append(...found.nodes.map(node));
  return side;
}

function node(one) {
  if (one.kind !== "text") return picture(one);
  const tag = one.tag || "p";
  if (/^h[1-6]$/.test(tag)) return make("h3", {}, one.text);
  if (tag === "code" || tag === "table") return make("pre", {}, one.text);
  if (tag === "li") return make("p", {}, `• ${one.text}`);
  if (tag === "quote") return make("blockquote", {}, one.text);
  return make("p", {}, one.text || "");
}

function picture(one) {
  const said = one.caption || one.alt || "";
  const facts = one.facts || {};
  const size = facts.width ? `${facts.width}×${facts.height}` : "";
  const seen = facts.p_hash_dup_count > 1 ? `seen ${count(facts.p_hash_dup_count)} times` : "";
  const others = Object.entries(facts).filter(([name]) => /clip|nsfw|aesthetic|similarity|entropy|sharpness/.test(name)).map(([name, value]) => `${name} ${shown(value)}`);
  const caption = make("figcaption", {}, [said, size, seen, ...others, one.url && one.url.slice(0, 200)].filter(Boolean).join(" · "));
  if (one.src) return make("figure", {}, make("img", { src: one.src, alt: said || "picture without a description" }), caption);
  const why = one.hidden ? "unsafe by its score: not shown" : "picture not held";
  return make("figure", {}, make("div", { class: one.hidden ? "placeholder hidden-picture" : "placeholder" }, why), caption);
}

function verdicts(found) {
  const rows = found.rules.map((rule) => make("tr", { class: rule.failed ? "failed" : "" }, make("td", {}, rule.rule), make("td", {}, rule.keep),
    make("td", {}, Object.entries(rule.values).map(([name, value]) => `${name} ${shown(value)}`).join(", ")), make("td", {}, rule.failed ? "fails" : "passes")));
  const scores = Object.entries(found.scores).map(([name, value]) => `${name} ${shown(value)}`).join(" · ");
  const head = make("tr", {}, ...["rule", "keeps where", "scores", ""].map((text) => make("th", { scope: "col" }, text || "verdict")));
  return make("details", {}, make("summary", {}, `rules (${found.rules.length}) and scores`),
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)), make("p", { class: "faint" }, scores || "no scores are stored"));
}

async function toggleOriginal() {
  const button = byId("show-original");
  if (!button) return;
  state.original = !state.original;
  button.setAttribute("aria-pressed", String(state.original));
  const there = byId("original");
  if (there) there.remove();
  if (!state.original) return;
  const found = await ask(`api/original/${state.shown.place}`);
  const texts = new Set((state.shown.nodes || []).filter((one) => one.kind === "text").map((one) => one.text));
  const later = state.shown.nodes !== null;
  const items = found.blocks.map((block) => {
    const gone = !block.kept ? block.reason : later && block.kind !== "img" && block.kind !== "table" && !texts.has(block.text) ? "changed or removed by a rule" : "";
    return make("li", { class: block.kept ? "" : "gone" }, make("small", {}, gone ? `${block.kept ? "kept" : "left out"}: ${gone}` : "kept"),
      block.kind === "img" ? `[picture] ${block.text} ${block.url}` : block.text);
  });
  const frame = make("iframe", { src: `page/${state.shown.place}`, title: "the archived page's text and structure, nothing runs" });
  frame.setAttribute("sandbox", "");
  const side = make("div", { id: "original" }, make("h3", {}, "archived page, block by block"),
    found.fault ? make("p", {}, `extraction gave no document: ${found.fault}`) : "", make("ul", { class: "blocks" }, ...items),
    make("details", {}, make("summary", {}, "its text and structure, without anything that acts"), frame));
  byId("sides").append(side);
}

async function mark(given) {
  if (!state.shown) return;
  await ask("api/mark", { id: state.shown.id, mark: given });
  state.shown.mark = given;
  for (const name of ["good", "bad"]) byId(`mark-${name}`).setAttribute("aria-pressed", String(given === name));
  const at = state.cards.findIndex((card) => card.id === state.shown.id);
  if (at >= 0) {
    state.cards[at].mark = given;
    const fresh = row(state.cards[at], () => open(at));
    fresh.setAttribute("aria-current", String(at === state.current));
    buttons()[at].replaceWith(fresh);
  }
  say(given ? `marked ${given}` : "no mark");
}

// Thresholds --------------------------------------------------------------------------------------------------------

async function sliders() {
  if (byId("sliders").children.length) return;
  say("reading scores…");
  const found = await ask("api/sliders");
  say("");
  if (!found.sliders.length) byId("sliders").append(make("p", {}, "No rule of the recipe compares a stored score with a number."));
  byId("sliders").append(...found.sliders.map((one) => slider(one, found.rules[one.rule])));
  await effect();
}

function slider(one, rule) {
  const books = one.of === "image" ? `dropped ${count(rule.dropped)} images` : rule.alone === null ? "" : `dropped ${count(rule.dropped)}, alone ${count(rule.alone)}`;
  const key = `${one.rule}-${one.number}`;
  const step = one.whole ? 1 : (one.high - one.low) / 400;
  const range = make("input", { type: "range", id: `range-${key}`, min: one.low, max: one.high, step, value: one.value, "aria-label": `${one.rule}: threshold of ${one.score}` });
  const exact = make("input", { type: "number", id: `number-${key}`, step: "any", value: one.value, "aria-label": `${one.rule}: threshold of ${one.score}, exactly` });
  const effectOf = make("small", { class: "by-rule" });
  effectOf.dataset.rule = one.rule;
  effectOf.dataset.of = one.of;
  const box = make("div", { class: "slider" }, make("div", { class: "row" }, make("b", {}, one.rule), exact), make("small", {}, [rule.keep, books].filter(Boolean).join(" · ")), range, effectOf);
  const move = (value) => {
    const moved = Number.isFinite(value) && value !== one.value;
    const held = { ...(state.changes[one.rule] || {}) };
    if (moved) held[one.number] = value; else delete held[one.number];
    if (Object.keys(held).length) state.changes[one.rule] = held; else delete state.changes[one.rule];
    box.classList.toggle("moved", moved);
    guarded(effect);
  };
  range.addEventListener("input", () => { exact.value = one.whole ? range.value : Number(Number(range.value).toPrecision(4)); move(Number(exact.value)); });
  exact.addEventListener("change", () => { range.value = exact.value; move(Number(exact.value)); });
  box.addEventListener("putback", () => { range.value = one.value; exact.value = one.value; box.classList.remove("moved"); });
  return box;
}

async function effect() {
  const mine = ++state.moves;
  byId("save").href = `download/recipe.toml?changes=${encodeURIComponent(JSON.stringify(state.changes))}`;
  const began = performance.now();
  const found = await ask("api/thresholds", { changes: state.changes });
  if (mine !== state.moves) return;
  byId("effect").textContent = `${count(found.kept)} documents kept: ${count(found.dropped)} more dropped, ${count(found.recovered)} come back (${Math.round(performance.now() - began)} ms)`;
  byId("effect").className = "big";
  const pictures = found.pictures;
  byId("pictures").hidden = pictures === null;
  if (pictures !== null) {
    byId("effect").textContent += `; of their images ${count(pictures.dropped)} would go, ${count(pictures.recovered)} may return`;
    byId("pictures-gone").replaceChildren(...pictures.gone.map(pictured));
    byId("pictures-back").replaceChildren(...pictures.back.map(pictured));
  }
  for (const note of document.querySelectorAll(".by-rule")) {
    const dropped = found.by_rule[note.dataset.rule];
    note.textContent = dropped === undefined ? "" : `alone would drop ${count(dropped)} more${note.dataset.of === "image" ? " images" : ""}`;
  }
  cards("would-drop", found.dropped_documents);
  cards("would-keep", found.recovered_documents);
}

function pictured(card) {
  const shown = card.said !== undefined ? make("small", {}, card.said)
    : card.src ? make("img", { src: card.src, alt: `a picture of ${card.title || "an untitled document"}`, loading: "lazy" })
    : make("small", {}, "picture not shown");
  return make("li", {}, shown, row(card, async () => { select("documents"); await read(card.place); byId("reader").focus(); }));
}

function cards(id, found) {
  byId(id).replaceChildren(...found.map((card) => make("li", {}, row(card, async () => { select("documents"); await read(card.place); byId("reader").focus(); }))));
}

// Marks -------------------------------------------------------------------------------------------------------------

async function marks() {
  const found = await ask("api/marks");
  const a = found.agreement;
  const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)}%`);
  const lines = [
    `${count(a.good)} marked good, of which the corpus has ${count(a.good_kept)}; ${count(a.bad)} marked bad, of which ${count(a.bad_dropped)} were dropped.`,
    `Agreement of marks and recipe: ${percent(a.agreement)}${a.kappa === null ? "" : `, Cohen's kappa ${a.kappa.toFixed(2)}`}.`,
    a.people === null ? "" : `Two people on ${count(a.shared)} documents: kappa ${a.people.toFixed(2)}.`,
  ];
  byId("agreement").replaceChildren(...lines.filter(Boolean).map((text) => make("p", {}, text)));
  byId("marks-file").textContent = found.file;
  const rows = found.rules.map((rule) => make("tr", {}, make("td", {}, rule.rule), make("td", { class: "n" }, count(rule.dropped)),
    make("td", { class: "n" }, count(rule.right)), make("td", { class: "n" }, percent(rule.precision))));
  byId("precision").tBodies[0].replaceChildren(...rows);
}

// Page --------------------------------------------------------------------------------------------------------------

const views = ["documents", "thresholds", "marks"];

function select(name) {
  for (const one of views) {
    byId(`tab-${one}`).setAttribute("aria-selected", String(one === name));
    byId(`tab-${one}`).tabIndex = one === name ? 0 : -1;
    byId(`panel-${one}`).hidden = one !== name;
  }
  if (name === "thresholds") guarded(sliders);
  if (name === "marks") guarded(marks);
}

for (const [at, name] of views.entries()) {
  byId(`tab-${name}`).addEventListener("click", () => select(name));
  byId(`tab-${name}`).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = views[(at + step + views.length) % views.length];
    select(next);
    byId(`tab-${next}`).focus();
  });
}
byId("filters").addEventListener("submit", (event) => { event.preventDefault(); guarded(() => search()); });
byId("filters").addEventListener("reset", () => setTimeout(() => guarded(() => search()), 0));
byId("more").addEventListener("click", () => guarded(() => search(state.following)));
byId("reset").addEventListener("click", () => {
  state.changes = {};
  for (const box of document.querySelectorAll(".slider")) box.dispatchEvent(new Event("putback"));
  guarded(effect);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (byId("panel-documents").hidden) return;
  const keys = { j: () => open(state.current + 1), k: () => open(state.current - 1), g: () => mark("good"), b: () => mark("bad"), u: () => mark(""), o: toggleOriginal };
  if (keys[event.key]) { event.preventDefault(); guarded(keys[event.key]); }
});
guarded(async () => { await search(); await about(); });
