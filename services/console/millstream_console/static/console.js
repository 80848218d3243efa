// What every page has: theme, toasts, dialogs, palette, keys, charts, and how fresh what it shows is. Reading needs none of it.
"use strict";
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const root = document.documentElement;
const base = root.dataset.base;
const icons = $("svg use")?.getAttribute("href").split("#")[0];

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const icon = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${icons}#${name}`);
  svg.append(use);
  return svg;
};

/* theme: kept in a cookie, so that the server writes it into <html> and nothing flashes */
function setTheme(name) {
  if (name) root.dataset.theme = name;
  else delete root.dataset.theme;
  document.cookie = `theme=${name}; path=${base || "/"}; max-age=${name ? 31536000 : 0}; samesite=lax`;
  for (const button of $$("[data-theme-set]")) button.setAttribute("aria-pressed", button.dataset.themeSet === name);
}

/* moments: the server writes them in UTC, and all who look at a page get the same; the cookie says whether they are shown as here */
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const two = (number) => String(number).padStart(2, "0");
const minute = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
const second = (date) => `${minute(date)}:${two(date.getSeconds())}`;
const day = (date) => `${two(date.getDate())} ${MONTHS[date.getMonth()]}`;
const isToday = (date) => date.toDateString() === new Date().toDateString();
const CLOCKS = {
  minute, day,
  time: second,
  "day-minute": (date) => `${day(date)} ${minute(date)}`,
  at: (date) => (isToday(date) ? "" : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `) + second(date),
};
const shownTimes = new WeakMap();
function showClocks() {
  const isLocal = root.dataset.zone === "local";
  for (const time of $$("time[data-clock]")) {
    const known = shownTimes.get(time);
    const isShown = known?.of === time.dateTime && time.textContent === known.here;
    if (isLocal && !isShown) {
      const here = CLOCKS[time.dataset.clock](new Date(time.dateTime));
      shownTimes.set(time, { of: time.dateTime, here, there: time.textContent });
      time.textContent = here;
    } else if (!isLocal && isShown) time.textContent = known.there;
  }
}
function setZone(name) {
  if (name) root.dataset.zone = name;
  else delete root.dataset.zone;
  document.cookie = `zone=${name}; path=${base || "/"}; max-age=${name ? 31536000 : 0}; samesite=lax`;
  for (const button of $$("[data-zone-set]")) button.setAttribute("aria-pressed", button.dataset.zoneSet === name);
  showClocks();
}
showClocks();
// What is morphed in is in UTC again.
if ($("#main")) new MutationObserver(showClocks).observe($("#main"), { childList: true, subtree: true, characterData: true });

/* toasts: those of the server stay as long as those of the script */
const TOAST_MS = 8000;
function toast(text, tone = "g") {
  const shape = { g: "s-succeeded", w: "s-warn", b: "s-failed" }[tone];
  const element = make("div", { className: `toast ${tone}` }, icon(shape), make("div", { textContent: text }));
  $(".toasts").append(element);
  setTimeout(() => element.remove(), TOAST_MS);
}
for (const element of $$("[data-toast]")) {
  // Put there anew: a screen reader tells of what comes, and not of what a page begins with.
  $(".toasts").append(element);
  if (!element.matches(".b")) setTimeout(() => element.remove(), TOAST_MS);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("Not copied: the browser allows it only over https and on this machine.", "w");
  }
}

/* a listbox under an input: arrows, Enter, Tab, Escape. `fill` returns the rows for what is written, `choose` takes one. */
const option = (...children) => {
  const row = make("li", {}, ...children.filter(Boolean));
  row.setAttribute("role", "option");
  return row;
};
function listbox(input, list, fill, choose, { first = false, closes = false } = {}) {
  let at = -1;
  let asked = 0;
  const rows = () => $$("[role=option]", list);
  const mark = (index) => {
    at = index;
    rows().forEach((row, n) => row.setAttribute("aria-selected", n === index));
    const row = rows()[index];
    if (!row) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", row.id);
    row.scrollIntoView({ block: "nearest" });
  };
  const hide = () => {
    asked++;
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
  };
  const show = async () => {
    const mine = ++asked;
    const made = await fill();
    // Another was asked for meanwhile, or the list was closed.
    if (mine !== asked) return;
    const marked = rows()[at]?.textContent;
    list.replaceChildren(...made);
    rows().forEach((row, n) => {
      row.id = `${list.id}-${n}`;
      row.onpointerdown = (event) => {
        event.preventDefault();
        choose(row, input);
      };
    });
    list.hidden = !list.children.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    // What an arrow reached before this answer came stays marked, if it is still there.
    mark(first ? 0 : rows().findIndex((row) => row.textContent === marked));
  };
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    const count = rows().length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) show();
      else mark((at + (event.key === "ArrowDown" ? 1 : -1) + count) % count);
    } else if ((event.key === "Enter" || event.key === "Tab") && at >= 0 && !list.hidden) {
      event.preventDefault();
      choose(rows()[at], input);
    } else if (event.key === "Escape" && closes) {
      if (!list.hidden) event.preventDefault();
      hide();
    }
  });
  return { show, hide };
}

/* palette: a page, a type, or a job by its id */
const palette = $("#palette");
const JOB_ID = /^[a-z0-9._-]+_[0-9A-Z]{20,}$/i;
if (palette) {
  const input = $("input", palette);
  let places;
  const go = (row) => location.assign(row.to);
  const box = listbox(input, $("ul", palette), async () => {
    places ??= await (await ask(`${base}/places.json`)).json();
    const text = input.value.trim();
    const found = places.filter((place) => place.word.toLowerCase().includes(text.toLowerCase())).slice(0, 9);
    if (JOB_ID.test(text)) found.unshift({ word: `Job ${text}`, to: `${base}/jobs/${encodeURIComponent(text)}`, icon: "jobs", note: "Enter" });
    else if (text) found.push({ word: `Search jobs for ${text}`, to: `${base}/jobs?q=${encodeURIComponent(text)}`, icon: "search", note: "" });
    return found.map((place) => Object.assign(
      option(icon(place.icon), make("span", { textContent: place.word }), make("small", { textContent: place.note })), { to: place.to }));
  }, go, { first: true });
  // Emptied when it closes: `toggle` comes after a quick person's first letters.
  palette.addEventListener("close", () => { input.value = ""; });
  palette.addEventListener("toggle", () => {
    if (!palette.open) return;
    input.focus();
    box.show();
  });
}

/* how fresh the page is: live, paused by hand, or waiting for the server */
const main = $("#main");
/* signed out: the whole tab goes to the page that signs in, and from there back here */
function signIn() {
  location.assign(`${base}/sign-in?to=${encodeURIComponent(location.pathname + location.search)}`);
}
main?.addEventListener("signed-out", signIn);
async function ask(address) {
  const answer = await fetch(address);
  if (answer.status === 401) signIn();
  return answer;
}
let freshAt = Date.now();
let heardAt = freshAt;
let isPaused = false;
function showFreshness(state) {
  for (const button of $$("[data-live]")) {
    button.dataset.live = state;
    $("[data-word]", button).textContent = { live: "Live", paused: "Paused", lost: "Reconnecting" }[state];
    const age = Math.round((Date.now() - freshAt) / 1000);
    $("[data-age]", button).textContent = state === "live" && age < 5 ? "" : `${age} s old`;
  }
}
const AGAIN_MS = 2000;
if (main?.hasAttribute("hx-sse:connect")) {
  const silentMs = 5000 * Math.max(2, Number(main.dataset.everyS));
  let isLost = false;
  let wasConnected = false;
  const refresh = () => showFreshness(isPaused ? "paused" : isLost || Date.now() - heardAt > silentMs ? "lost" : "live");
  // `isFresh`: what is shown was read just now. A page whose reading takes long is read seldom, and heard of all the same.
  const hear = (lost, isFresh = !lost) => () => {
    if (isPaused) return;
    isLost = lost;
    if (!lost) heardAt = Date.now();
    if (isFresh) {
      freshAt = heardAt;
      for (const button of $$("[data-live]")) button.dataset.heard = "";
    }
    refresh();
  };
  main.addEventListener("tick", hear(false));
  main.addEventListener("pulse", hear(false, false));
  main.addEventListener("away", hear(true));
  document.addEventListener("htmx:sse:error", hear(true));
  document.addEventListener("htmx:sse:before:message", (event) => { if (isPaused && !event.detail.message.event) event.preventDefault(); });
  // hx-sse connects again by itself, but only what was connected once.
  let connection;
  document.addEventListener("htmx:sse:after:connection", (event) => {
    wasConnected = true;
    connection = event.detail.connection;
  });
  // Firefox takes the end of a page for a failure of its stream, and tells of it. A page that stays, as for a download,
  // connects again by itself.
  addEventListener("beforeunload", () => connection?.abortController?.abort());
  document.addEventListener("htmx:finally:request", () => {
    if (wasConnected) return;
    hear(true)();
    setTimeout(() => htmx.ajax("GET", main.getAttribute("hx-sse:connect"), { source: main }), AGAIN_MS * (1 + Math.random()));
  });
  setInterval(refresh, 1000);
}
function togglePause() {
  isPaused = !isPaused;
  if (!isPaused) location.reload();
  else showFreshness("paused");
}

/* what buttons do that say so in an attribute */
document.addEventListener("click", (event) => {
  const button = event.target.closest("button, a");
  if (!button) return;
  const data = button.dataset;
  if ("themeSet" in data) setTheme(data.themeSet);
  if ("zoneSet" in data) setZone(data.zoneSet);
  if ("copy" in data) copy(data.copy || $(data.copyFrom)?.textContent || "");
  if ("live" in data) togglePause();
  if ("fit" in data) {
    // Of the root: the graph is sent anew while the page is open.
    root.dataset.fitted = data.fit;
    for (const one of $$("[data-fit]")) one.setAttribute("aria-pressed", one === button);
  }
  if ("fold" in data) {
    const folds = $$("details details", button.closest(".panel"));
    const open = folds.some((fold) => fold.open);
    for (const fold of folds) fold.open = !open;
    button.textContent = open ? "Unfold all" : "Fold all";
  }
  // A browser without invoker commands.
  if (button.getAttribute("command") === "show-modal" && !("command" in HTMLButtonElement.prototype)) {
    document.getElementById(button.getAttribute("commandfor")).showModal();
  }
});

/* a moment says when it was here, beside when it was in UTC */
document.addEventListener("pointerover", (event) => {
  const time = event.target.closest?.("time[datetime]");
  if (!time || time.dataset.utc === time.title) return;
  const here = new Date(time.dateTime).toLocaleString("sv", { timeZoneName: "short" });
  time.title = time.dataset.utc = `${time.title} · ${here}`;
});

/* a number that has to be typed before a button can be pressed */
document.addEventListener("input", (event) => {
  const wanted = event.target.dataset.confirm;
  if (wanted) $("[data-confirmed]", event.target.form).disabled = event.target.value.replace(/\D/g, "") !== wanted;
});

/* rows: j and k walk, Enter is the browser's own, x selects (jobs.js) */
let row = -1;
const rows = () => $$("[data-rows] tbody tr");
function walk(index) {
  rows()[row]?.classList.remove("at");
  row = Math.max(0, Math.min(rows().length - 1, index));
  const element = rows()[row];
  if (!element) return;
  element.classList.add("at");
  ($("a", element) ?? element).focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest" });
}

/* keys */
const press = (selector) => $(selector)?.click();
const KEYS = {
  "/": () => ($("#q") ?? $(".search input") ?? $(".jump"))?.focus(),
  "?": () => $("#keys")?.showModal(),
  j: () => walk(row + 1),
  k: () => walk(row - 1),
  n: () => press("[data-fresh]:not([hidden])"),
  p: () => press("[data-live]"),
  r: () => press("[data-act=retry]"),
  c: () => press("[data-act=cancel]"),
  y: () => press("[data-act=copy-id]"),
  l: () => press("[data-act=trace]"),
  "]": () => press("[rel=next]"),
  "[": () => press("[rel=prev]"),
  u: () => setZone(root.dataset.zone ? "" : "local"),
  t: () => setTheme({ light: "dark", dark: "", "": "light" }[root.dataset.theme ?? ""]),
};
const TYPING = "input:not([type=checkbox]):not([type=radio]), textarea, select";
let leaderAt = 0;
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "k") {
    event.preventDefault();
    return palette?.showModal();
  }
  if (event.target.matches(TYPING) || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (Date.now() - leaderAt < 1200) {
    leaderAt = 0;
    const entry = $(`#nav a[data-key="${CSS.escape(event.key)}"]`);
    if (entry) {
      event.preventDefault();
      return location.assign(entry.href);
    }
  }
  if (event.key === "g") leaderAt = Date.now();
  else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

/* charts: a line under the pointer, its values in the key */
document.addEventListener("pointermove", (event) => {
  const svg = event.target.closest?.("[data-chart] svg");
  for (const shown of $$("[data-chart] .cur.on")) if (shown.ownerSVGElement !== svg) leave(shown.ownerSVGElement);
  if (!svg) return;
  const box = svg.getBoundingClientRect();
  const items = $$(".key li", svg.closest("[data-chart]"));
  const last = items[0].dataset.v.split(",").length - 1;
  const index = Math.max(0, Math.min(last, Math.round(((event.clientX - box.left) / box.width) * last)));
  const cursor = $(".cur", svg);
  cursor.setAttribute("d", `M${index} 0V100`);
  cursor.classList.add("on");
  for (const item of items) {
    const number = $("b", item);
    number.dataset.last ??= number.textContent;
    const value = item.dataset.v.split(",")[index];
    number.textContent = value === "" ? "–" : Number(value).toLocaleString("en") + item.dataset.u;
  }
});
function leave(svg) {
  $(".cur", svg).classList.remove("on");
  for (const number of $$(".key b[data-last]", svg.closest("[data-chart]"))) {
    number.textContent = number.dataset.last;
    delete number.dataset.last;
  }
}

/* graph: what is before and behind the node under the pointer or in focus */
for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, (event) => {
  const dag = $(".dag");
  if (dag) light(dag, event.target.closest?.(".dag [data-n]"));
});
function light(dag, node) {
  dag.classList.toggle("hot", !!node);
  if (!node) return;
  const edges = $$("[data-e]", dag).map((edge) => [edge, ...edge.dataset.e.split("-")]);
  const lit = new Set([node.dataset.n]);
  for (const [from, to] of [[1, 2], [2, 1]]) {
    const seen = new Set([node.dataset.n]);
    for (const one of seen) for (const edge of edges) if (edge[from] === one) seen.add(edge[to]);
    for (const one of seen) lit.add(one);
  }
  for (const one of $$("[data-n]", dag)) one.classList.toggle("lit", lit.has(one.dataset.n));
  for (const [edge, parent, child] of edges) edge.classList.toggle("lit", lit.has(parent) && lit.has(child));
}
