// The case browser: filters, a page of the list at a time, one case beside it; its state is in the address.
// Texts were written by models: they are only ever set as text.
"use strict";
(() => {
  const PAGE = 50;
  const at = (id) => document.getElementById(id);
  const all = JSON.parse(at("data").textContent);
  if (!all.length) return;
  const scored = (one) => [one.score, ...one.said.map((said) => said.score)].filter((score) => score !== undefined);
  const tasks = [...new Set(all.map((one) => one.task))];
  const hasScores = all.some((one) => scored(one).length);
  const state = { q: "", task: "", right: "", arms: [], from: "", to: "", case: "" };
  const fields = { q: at("search"), task: at("task"), right: at("right"), from: at("from"), to: at("to") };
  const list = at("list"), view = at("case");
  let found = all, place = 0;

  // an element with text and children; undefined and false ones are left out
  function make(tag, attributes, ...inner) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
    element.append(...inner.filter((one) => one !== undefined && one !== false));
    return element;
  }

  const key = (one) => `${one.task}/${one.id}`;
  const marks = (one) => one.said.filter((said) => said.right).length;
  const verdict = (one) => `${marks(one)} of ${one.said.length} right`;
  const announced = (one) => `Case ${place + 1} of ${found.length}: ${one.task} ${one.id}, ${verdict(one)}`;

  function words(one) { // all that is searched, made when first needed
    one.words ??= [one.id, one.input, one.gold, one.teacher, one.why, ...one.said.flatMap((said) => [said.answer, said.why])]
      .filter((text) => text !== undefined).join("\n").toLowerCase();
    return one.words;
  }

  function whoIsRight(one) {
    const right = marks(one);
    switch (state.right) {
      case "all": return right === one.said.length;
      case "none": return right === 0;
      case "some": return right > 0 && right < one.said.length;
      case "these": return one.said.every((said) => said.right === state.arms.includes(said.arm));
      default: return true;
    }
  }

  function matches(one, query) {
    if (state.task && one.task !== state.task) return false;
    if (!whoIsRight(one)) return false;
    if (state.from !== "" || state.to !== "") {
      const low = state.from === "" ? 1 : Number(state.from), high = state.to === "" ? 5 : Number(state.to);
      if (!scored(one).some((score) => score >= low && score <= high)) return false;
    }
    return query.every((word) => words(one).includes(word));
  }

  function filter() {
    const query = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    found = all.filter((one) => matches(one, query));
    place = Math.max(0, found.findIndex((one) => key(one) === state.case));
    at("count").textContent = `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} cases`;
    show();
  }

  function show() {
    const start = place - place % PAGE, shown = found.slice(start, start + PAGE);
    list.replaceChildren(...shown.map((one, index) => make("li", {}, entry(one, start + index))));
    list.start = start + 1;
    at("pages").hidden = found.length <= PAGE;
    at("page").textContent = `${start + 1} to ${start + shown.length}`;
    at("earlier").setAttribute("aria-disabled", start === 0); // disabled, it would lose the focus
    at("later").setAttribute("aria-disabled", start + PAGE >= found.length);
    view.replaceChildren(...(found.length ? card(found[place]) : [make("p", {}, "No case is like that.")]));
    at("shown").textContent = found.length ? announced(found[place]) : "";
    if (found.length) state.case = key(found[place]);
    remember();
  }

  function entry(one, index) {
    const current = index === place;
    const button = make("button", { type: "button", tabindex: current ? 0 : -1, "aria-current": current ? "true" : undefined },
      make("span", { class: "title", dir: "auto" }, one.input.slice(0, 160)),
      make("small", {}, tasks.length > 1 && `${one.task} · `, verdict(one)));
    button.addEventListener("click", () => go(index, true));
    return button;
  }

  function text(label, value) {
    return value !== undefined && make("div", { class: "text" }, make("dt", {}, label), make("dd", { dir: "auto" }, value));
  }

  const score = (value) => `${value.toFixed(1)} of 5`;

  function card(one) {
    return [
      make("h3", {}, `${one.task} · `, make("bdi", {}, one.id)),
      make("p", { class: "input", dir: "auto" }, one.input),
      make("section", { class: "given" }, make("h4", {}, "Gold and teacher"), make("dl", {},
        text("Gold answer", one.gold), text("Teacher's answer", one.teacher), text("Teacher's rationale", one.why),
        text("Judge", one.score === undefined ? undefined : score(one.score)))),
      make("div", { class: "sides" },
        ...one.said.map((said) => make("section", { class: said.right ? "right" : "wrong" },
          make("h4", {}, said.arm, make("span", { class: "verdict" }, said.right ? "✓ right" : "✗ wrong")),
          make("dl", {}, text("Answer", said.answer), text("Rationale", said.why)),
          make("p", { class: "aside" }, [said.score !== undefined && `judge ${score(said.score)}`,
            said.sure !== undefined && `confidence ${said.sure.toFixed(3)}`, `seed ${said.seed}`].filter(Boolean).join(" · "))))),
    ];
  }

  function go(index, focus) {
    if (!found.length) return;
    place = Math.min(Math.max(index, 0), found.length - 1);
    state.case = key(found[place]);
    show();
    const current = list.querySelector("[aria-current]");
    if (focus) current.focus({ preventScroll: true });
    const box = current.parentElement, top = box.offsetTop - list.offsetTop;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + box.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + box.offsetHeight - list.clientHeight;
  }

  function remember() {
    const kept = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) if (value.length) kept.set(name, name === "arms" ? JSON.stringify(value) : value);
    const asked = Object.keys(state).some((name) => name !== "case" && state[name].length) || place > 0;
    const address = asked ? `#cases?${kept}` : location.hash.startsWith("#cases?") ? "#cases" : location.hash || "#";
    try { history.replaceState(null, "", address); } catch { /* some places allow no address of one's own */ }
  }

  function recall() {
    if (!location.hash.startsWith("#cases?")) return false;
    const kept = new URLSearchParams(location.hash.slice("#cases?".length));
    for (const name of Object.keys(state)) state[name] = kept.get(name) ?? "";
    try { state.arms = JSON.parse(state.arms || "[]").map(String); } catch { state.arms = []; }
    return true;
  }

  function fill() { // the controls from the state
    for (const [name, field] of Object.entries(fields)) field.value = state[name];
    const arms = [...new Set(all.filter((one) => !state.task || one.task === state.task).flatMap((one) => one.said.map((said) => said.arm)))];
    state.arms = state.arms.filter((arm) => arms.includes(arm));
    at("arms").hidden = state.right !== "these";
    at("arms").replaceChildren(make("legend", {}, "Right are exactly"), ...arms.map((arm) => {
      const box = make("input", { type: "checkbox" });
      box.checked = state.arms.includes(arm);
      box.addEventListener("change", () => {
        state.arms = arms.filter((other) => other === arm ? box.checked : state.arms.includes(other));
        filter();
      });
      return make("label", {}, box, arm);
    }));
  }

  function clear() {
    Object.assign(state, { q: "", task: "", right: "", arms: [], from: "", to: "" });
    fill();
    filter();
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
    const inside = at("browser").contains(event.target); // elsewhere a single letter may be meant for something else
    const step = (inside ? { j: 1, k: -1 }[event.key] : undefined) ?? (list.contains(event.target) ? { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE, Home: -Infinity, End: Infinity }[event.key] : undefined);
    if (event.key === "Escape" && (inside || event.target === document.body)) {
      clear();
      if (inside && !at("browser").contains(document.activeElement)) fields.q.focus(); // what had it is gone
    } else if (event.key === "/" && inside && !typing) { fields.q.focus(); fields.q.select(); }
    else if (event.key === "ArrowDown" && event.target === fields.q) go(place, true);
    else if (step !== undefined && !typing) go(place + step, true);
    else return;
    event.preventDefault();
  }

  fields.task.append(make("option", { value: "" }, "all tasks"), ...tasks.map((task) => make("option", { value: task }, task)));
  fields.task.parentElement.hidden = tasks.length < 2;
  for (const one of document.querySelectorAll("#filters .scores")) one.hidden = !hasScores;
  for (const [name, field] of Object.entries(fields)) field.addEventListener("input", () => { state[name] = field.value; fill(); filter(); });
  at("clear").addEventListener("click", () => { clear(); fields.q.focus(); });
  for (const [name, step] of [["earlier", -PAGE], ["later", PAGE]]) at(name).addEventListener("click", () => {
    if (at(name).getAttribute("aria-disabled") === "false") go(place - place % PAGE + step, false);
  });
  addEventListener("hashchange", () => { if (recall()) { fill(); filter(); } });
  document.addEventListener("keydown", pressed);
  at("browser").hidden = false;
  const linked = recall();
  fill();
  filter();
  if (linked) at("cases").scrollIntoView();
})();
