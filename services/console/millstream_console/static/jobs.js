// What lists of jobs have beside console.js: completion of the query, selection, saved searches, and what is new.
"use strict";

/* completion: places are counted in characters here and at the server, and in UTF-16 units in inputs */
const field = $("#q");
const units = (text, count) => [...text].slice(0, count).join("").length;
if (field?.dataset.hints) {
  const list = $("#hints");
  const fill = async () => {
    const text = field.value;
    const at = [...text.slice(0, field.selectionStart)].length;
    const answer = await ask(`${field.dataset.hints}?${new URLSearchParams({ q: text, at })}`);
    const hints = answer.ok ? await answer.json() : { items: [], replace: [at, at] };
    const [from, to] = hints.replace.map((place) => units(text, place));
    const typed = text.slice(from, field.selectionStart).toLowerCase();
    return hints.items.slice(0, 12).map((hint) => {
      const starts = typed && hint.text.toLowerCase().startsWith(typed);
      const name = make("code", {}, ...(starts ? [make("mark", { textContent: hint.text.slice(0, typed.length) }), hint.text.slice(typed.length)] : [hint.text]));
      return Object.assign(option(name, make("small", { textContent: hint.note })), { take: hint.text, from, to });
    });
  };
  const choose = (row) => {
    const rest = field.value.slice(row.to);
    const gap = row.take.endsWith(":") || row.take.endsWith(".") || rest.startsWith(" ") ? "" : " ";
    field.value = field.value.slice(0, row.from) + row.take + gap + rest;
    const at = row.from + row.take.length + gap.length;
    field.setSelectionRange(at, at);
    box.show();
  };
  const box = listbox(field, list, fill, choose, { closes: true });
  if (field.dataset.end) {
    // What is wrong is selected, so that the next key replaces it; a list at once would hide what is said about it.
    field.setSelectionRange(units(field.value, Number(field.dataset.begin)), units(field.value, Number(field.dataset.end)));
  } else field.addEventListener("focus", box.show);
  field.addEventListener("blur", box.hide);
}

/* selection: rows, a range with Shift, a page, or all that match */
const form = $("form[data-count]") ?? $("table[data-rows]")?.closest("form");
const boxes = form ? $$("td > input[type=checkbox]", form) : [];
let lastBox = -1;
function showSelection() {
  const count = boxes.filter((box) => box.checked).length;
  if (count < boxes.length) form.elements.scope.value = "page";
  const isAll = form.elements.scope.value === "match";
  for (const place of $$("[data-selected]", form)) place.textContent = isAll ? form.dataset.count : count;
  for (const place of $$("[data-scope]", form)) place.textContent = isAll ? "selected, all that match" : "selected";
  for (const link of $$("[data-match]", form)) link.hidden = isAll || count < boxes.length;
  const all = $("[data-all]", form);
  all.checked = count === boxes.length;
  all.indeterminate = count > 0 && count < boxes.length;
}
function select(checked) {
  for (const box of boxes) box.checked = checked;
  showSelection();
}
if (boxes.length) {
  form.addEventListener("click", (event) => {
    const target = event.target.closest("input, a, button");
    if (!target) return;
    if (target.matches("[data-all]")) select(target.checked);
    else if (target.matches("[data-none]")) select(false);
    else if (target.matches("[data-match]")) {
      event.preventDefault();
      form.elements.scope.value = "match";
      select(true);
    } else if (boxes.includes(target)) {
      const index = boxes.indexOf(target);
      if (event.shiftKey && lastBox >= 0) {
        for (let n = Math.min(index, lastBox); n <= Math.max(index, lastBox); n++) boxes[n].checked = target.checked;
      }
      lastBox = index;
      showSelection();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches(TYPING) || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    const box = boxes[row];
    if (event.key === "Escape") select(false);
    if ((event.key === "x" || event.key === "X") && box) {
      event.preventDefault();
      box.checked = !box.checked;
      if (event.key === "X" && lastBox >= 0) for (let n = Math.min(row, lastBox); n <= Math.max(row, lastBox); n++) boxes[n].checked = box.checked;
      lastBox = row;
      showSelection();
    }
  });
  showSelection();
}

/* what is new: ids that the first page has by now and this page does not show, or a number that has grown */
function showNews() {
  const link = $("[data-fresh]");
  if (!link) return;
  const [count, more] = link.dataset.ids === undefined ? [Number(link.dataset.total) - Number(link.parentElement.dataset.shown), ""] : newer(link.dataset.ids);
  link.hidden = count <= 0;
  link.textContent = `${count.toLocaleString("en")}${more} ${link.dataset.word ?? (count === 1 ? "new job matches" : "new jobs match")}. Show ${count === 1 ? "it" : "them"}`;
}
function newer(text) {
  const ids = text.split(" ").filter(Boolean);
  const shown = new Set($$("tr[data-id]").map((element) => element.dataset.id));
  const first = ids.findIndex((id) => shown.has(id));
  // A page of which nothing is shown has at least as many.
  return first < 0 ? [ids.length, shown.size && ids.length ? "+" : ""] : [first, ""];
}
const news = $("[data-newest]");
if (news) {
  showNews();
  // Not the text of the link, which changes here.
  new MutationObserver(showNews).observe(news, { childList: true });
  new MutationObserver(showNews).observe(news, { subtree: true, attributes: true, attributeFilter: ["data-ids", "data-total"] });
}

/* saved searches: kept in this browser */
const tabs = $("#searches");
const SAVED = "millstream-searches";
if (tabs && field) {
  const read = () => {
    try {
      const found = JSON.parse(localStorage.getItem(SAVED) ?? "[]");
      return Array.isArray(found) ? found.filter((one) => typeof one?.name === "string" && typeof one?.q === "string") : [];
    } catch {
      return [];
    }
  };
  const write = (searches) => {
    localStorage.setItem(SAVED, JSON.stringify(searches));
    draw();
  };
  const current = new URLSearchParams(location.search).get("q") ?? "";
  const built = $$("a", tabs);
  const isBuiltIn = built.some((tab) => (new URL(tab.href).searchParams.get("q") ?? "") === current);
  const draw = () => {
    const searches = read();
    const links = searches.map((search) => {
      const link = make("a", { href: `${base}/jobs?${new URLSearchParams({ q: search.q })}`, title: search.q, textContent: search.name });
      if (search.q === current) link.setAttribute("aria-current", "page");
      return link;
    });
    const kept = searches.find((search) => search.q === current);
    const act = make("button", { type: "button", className: "btn bare", textContent: kept ? "Forget this search" : "+ Save this search" });
    act.addEventListener("click", () => (kept ? write(read().filter((search) => search.q !== current)) : ask()));
    tabs.replaceChildren(...built, ...links, ...(isBuiltIn || !current || field.dataset.end ? [] : [act]));
  };
  const ask = () => {
    const name = make("input", { className: "in", maxLength: 40, required: true, value: current.slice(0, 40), ariaLabel: "Name of this search" });
    const naming = make("form", { className: "bar" }, name, make("button", { className: "btn", textContent: "Save" }));
    naming.addEventListener("submit", (event) => {
      event.preventDefault();
      write([...read(), { name: name.value.trim() || current, q: current }]);
    });
    tabs.lastElementChild.replaceWith(naming);
    name.select();
  };
  draw();
}

/* arithmetic of a rate; and a number that has to be typed closes its button only where a script can open it again */
const spoken = (seconds) => (seconds < 60 ? `${Math.max(Math.round(seconds), 1)} s` : seconds < 3600 ? `${Math.round(seconds / 60)} m` : `${(seconds / 3600).toFixed(1)} h`);
document.addEventListener("input", (event) => {
  if (!("rate" in event.target.dataset)) return;
  const place = $("[data-takes]", event.target.form);
  const count = Number(place.dataset.takes);
  const rate = Number(event.target.value);
  if (rate > 0) place.textContent = `${count.toLocaleString("en")} ${count === 1 ? "job" : "jobs"} at ${event.target.value}/s ${count === 1 ? "takes" : "take"} ${spoken(count / rate)}`;
});
for (const input of $$("[data-confirm]")) $("[data-confirmed]", input.form).disabled = input.value.replace(/\D/g, "") !== input.dataset.confirm;
