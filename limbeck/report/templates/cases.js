// The case browser: filters, a page of the list at a time, one case beside it; its state is in the address.
// Texts were written by models: they are only ever set as text.
"use strict";
(() => {
  const PAGE = 50;
  const element = (id) => document.getElementById(id);
  const cases = JSON.parse(element("data").textContent);
  if (!cases.length) return;
  const scores = (one) => [one.score, ...one.answers.map((answer) => answer.score)].filter((score) => score !== undefined);
  const tasks = [...new Set(cases.map((one) => one.task))];
  const state = { q: "", task: "", right: "", groups: [], from: "", to: "", case: "" };
  const fields = { q: element("search"), task: element("task"), right: element("right"), from: element("from"), to: element("to") };
  let matching = cases, position = 0;

  // an element with text and children; undefined and false ones are left out
  function make(tag, attributes, ...inner) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
    node.append(...inner.filter((child) => child !== undefined && child !== false));
    return node;
  }

  const key = (one) => `${one.task}/${one.id}`;
  const countRight = (one) => one.answers.filter((answer) => answer.right).length;
  const verdict = (one) => `${countRight(one)} of ${one.answers.length} right`;

  function words(one) { // all that is searched, made when first needed
    one.words ??= [one.id, one.input, one.gold, one.teacher, one.rationale, ...one.answers.flatMap((answer) => [answer.answer, answer.rationale])]
      .filter((text) => text !== undefined).join("\n").toLowerCase();
    return one.words;
  }

  function matches(one, query) {
    if (state.task && one.task !== state.task) return false;
    const right = countRight(one), all = one.answers.length;
    if (state.right === "all" && right < all) return false;
    if (state.right === "none" && right > 0) return false;
    if (state.right === "some" && (right === 0 || right === all)) return false;
    if (state.right === "exactly" && !one.answers.every((answer) => answer.right === state.groups.includes(answer.group))) return false;
    if (state.from !== "" || state.to !== "") {
      const low = state.from === "" ? 1 : Number(state.from), high = state.to === "" ? 5 : Number(state.to);
      if (!scores(one).some((score) => score >= low && score <= high)) return false;
    }
    return query.every((word) => words(one).includes(word));
  }

  function filter() {
    const query = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    matching = cases.filter((one) => matches(one, query));
    position = Math.max(0, matching.findIndex((one) => key(one) === state.case));
    element("count").textContent = `${matching.length.toLocaleString("en")} of ${cases.length.toLocaleString("en")} cases`;
    show();
  }

  function show() {
    const start = position - position % PAGE, page = matching.slice(start, start + PAGE);
    element("list").replaceChildren(...page.map((one, index) => make("li", {}, entry(one, start + index))));
    element("list").start = start + 1;
    element("pages").hidden = matching.length <= PAGE;
    element("page").textContent = `${start + 1} to ${start + page.length}`;
    element("earlier").disabled = start === 0;
    element("later").disabled = start + PAGE >= matching.length;
    element("case").replaceChildren(...(matching.length ? card(matching[position]) : [make("p", {}, "No case matches.")]));
    if (matching.length) state.case = key(matching[position]);
    remember();
  }

  function go(index) {
    position = index;
    show();
  }

  function entry(one, index) {
    const button = make("button", { type: "button", "aria-current": index === position ? "true" : undefined },
      make("span", { class: "title", dir: "auto" }, one.input.slice(0, 160)),
      make("small", {}, tasks.length > 1 && `${one.task} · `, verdict(one)));
    button.addEventListener("click", () => {
      go(index);
      element("list").querySelector("[aria-current]").focus({ preventScroll: true });
    });
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
      make("section", { class: "gold" }, make("h4", {}, "Gold and teacher"), make("dl", {},
        text("Gold answer", one.gold), text("Teacher's answer", one.teacher), text("Teacher's rationale", one.rationale),
        text("Judge", one.score === undefined ? undefined : score(one.score)))),
      make("div", { class: "answers" },
        ...one.answers.map((answer) => make("section", { class: answer.right ? "right" : "wrong" },
          make("h4", {}, answer.group, make("span", { class: "verdict" }, answer.right ? "✓ right" : "✗ wrong")),
          make("dl", {}, text("Answer", answer.answer), text("Rationale", answer.rationale)),
          make("p", { class: "aside" }, [answer.score !== undefined && `judge ${score(answer.score)}`,
            answer.confidence !== undefined && `confidence ${answer.confidence.toFixed(3)}`, `seed ${answer.seed}`].filter(Boolean).join(" · "))))),
    ];
  }

  function remember() {
    const values = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) if (value.length) values.set(name, name === "groups" ? JSON.stringify(value) : value);
    const filtered = Object.keys(state).some((name) => name !== "case" && state[name].length) || position > 0;
    const address = filtered ? `#cases?${values}` : location.hash.startsWith("#cases?") ? "#cases" : location.hash || "#";
    try { history.replaceState(null, "", address); } catch { /* some places allow no address of one's own */ }
  }

  function recall() {
    if (!location.hash.startsWith("#cases?")) return false;
    const values = new URLSearchParams(location.hash.slice("#cases?".length));
    for (const name of Object.keys(state)) state[name] = values.get(name) ?? "";
    try { state.groups = JSON.parse(state.groups || "[]").map(String); } catch { state.groups = []; }
    return true;
  }

  function fill() { // the controls from the state
    for (const [name, field] of Object.entries(fields)) field.value = state[name];
    const groups = [...new Set(cases.filter((one) => !state.task || one.task === state.task).flatMap((one) => one.answers.map((answer) => answer.group)))];
    state.groups = state.groups.filter((group) => groups.includes(group));
    element("groups").hidden = state.right !== "exactly";
    element("groups").replaceChildren(make("legend", {}, "Exactly these are right"), ...groups.map((group) => {
      const box = make("input", { type: "checkbox" });
      box.checked = state.groups.includes(group);
      box.addEventListener("change", () => {
        state.groups = groups.filter((other) => other === group ? box.checked : state.groups.includes(other));
        filter();
      });
      return make("label", {}, box, group);
    }));
  }

  fields.task.append(make("option", { value: "" }, "all tasks"), ...tasks.map((task) => make("option", { value: task }, task)));
  fields.task.parentElement.hidden = tasks.length < 2;
  for (const label of document.querySelectorAll("#filters .scores")) label.hidden = !cases.some((one) => scores(one).length);
  for (const [name, field] of Object.entries(fields)) field.addEventListener("input", () => { state[name] = field.value; fill(); filter(); });
  element("clear").addEventListener("click", () => {
    Object.assign(state, { q: "", task: "", right: "", groups: [], from: "", to: "" });
    fill();
    filter();
  });
  for (const [name, step] of [["earlier", -PAGE], ["later", PAGE]]) element(name).addEventListener("click", () => go(position - position % PAGE + step));
  addEventListener("hashchange", () => { if (recall()) { fill(); filter(); } });
  element("browser").hidden = false;
  const linked = recall();
  fill();
  filter();
  if (linked) element("cases").scrollIntoView();
})();
