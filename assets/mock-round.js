// The mock round: draws a round's requirements, keeps the clock, grades estimates and the choice, and adds up the score. Rounds, their draws and
// every comparison were computed when the book was built; here they are only looked up. State and history are kept in this browser.
"use strict";

(() => {
const { Progress, Item, element, button, status, makeGrader } = window.selfCheck;
const KEY = "mock-round";
const HISTORY = "mock-rounds";
const LIMIT = 5000; // characters of an answer
const STUDY = 5; // chapters that the scorecard names

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const heading = (tag, text) => Object.assign(element(tag, "", text), { tabIndex: -1 });
const minutes = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

function read(key, fallback, good) {
  try {
    const kept = JSON.parse(localStorage.getItem(key));
    return good(kept) ? kept : fallback;
  } catch {
    return fallback;
  }
}

const isHistory = (kept) => Array.isArray(kept) && kept.every((one) => isObject(one) && typeof one.round === "string" && Number.isFinite(one.got) && Number.isFinite(one.worth));
const isState = (kept) =>
  isObject(kept) && typeof kept.round === "string" && Number.isInteger(kept.draw) && Number.isInteger(kept.stage) && isObject(kept.texts) && isObject(kept.used) &&
  isObject(kept.estimates) && Array.isArray(kept.ticks) && (kept.choice === null || (Array.isArray(kept.choice) && kept.choice.length === 2));

// The draw of a reader who has practised this round so often: the page's own, the first, comes last.
const drawOf = (times, draws) => (times + 1) % draws;

// What a choice is worth, and what to say to it. `offer` is null where the candidate cannot run on the device.
function judged(data, draw, [candidate, device], points) {
  const { offers, best } = data.draws[draw];
  const right = offers[best];
  const chosen = offers.find((one) => one.candidate === candidate && one.device === device);
  const name = `${data.candidates[right.candidate]} on ${data.devices[right.device]} for ${right.costs}`;
  if (!chosen) return { points: 0, say: `${data.candidates[candidate]} does not run on ${data.devices[device]} in this round. The choice is ${name}.` };
  if (chosen === right) return { points: points.choice, say: `Right: it holds every limit for ${right.costs}, and nothing does for less.` };
  if (chosen.breaks.length) return { points: 0, say: `It breaks a limit. ${chosen.breaks.join("; ")}. The choice is ${name}.` };
  if (chosen.costs === right.costs) return { points: points.choice, say: `Right: it holds every limit for ${chosen.costs}, as ${name} does.` };
  return { points: candidate === right.candidate ? points.device : points.holds, say: `It holds every limit, for ${chosen.costs}. The choice is ${name}.` };
}

// Points of each stage as [got, worth], and what was lost by chapter: the same state gives the same card.
function score(data, stages, points, state) {
  const card = Object.fromEntries(stages.map(({ key }) => [key, [0, 0]]));
  const lost = new Map();
  const add = (stage, got, worth, chapter) => {
    card[stage][0] += got;
    card[stage][1] += worth;
    if (chapter && got < worth) lost.set(chapter, (lost.get(chapter) || 0) + worth - got);
  };
  for (const one of data.estimates) add(one.flip ? "choice" : "estimates", points[state.estimates[one.id]] || 0, points.exact, one.chapter);
  const choice = state.choice ? judged(data, state.draw, state.choice, points).points : 0;
  add("choice", choice, points.choice, data.estimates.find((one) => one.flip).chapter);
  for (const point of data.rubric) add(point.stage, state.ticks.includes(point.id) ? point.worth : 0, point.worth, point.chapter);
  const study = [...lost].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const sum = (place) => Object.values(card).reduce((total, pair) => total + pair[place], 0);
  return { card, study, got: sum(0), worth: sum(1) };
}

class MockRound {
  constructor(root) {
    this.index = JSON.parse(root.querySelector("script.mr-index").textContent);
    const words = JSON.parse(root.querySelector("script.sc-table").textContent);
    this.stage = root.querySelector(".mr-stage");
    this.grader = makeGrader(words);
    this.progress = new Progress(words);
    this.said = status("sc-note");
    this.data = new Map();
    this.items = new Map();
    this.live = new Map();
    window.selfCheck.loaded = (page, items) => this.items.set(page, new Map(items.map((item) => [item.data.id, item])));
    window.mockRound.loaded = (name, data) => this.data.set(name, data);
    this.history = read(HISTORY, [], isHistory);
    this.state = read(KEY, null, isState);
    if (this.state && !this.index.rounds.some((one) => one.name === this.state.round)) this.state = null;
    this.home();
  }

  get round() {
    return this.index.rounds.find((one) => one.name === this.state.round);
  }

  keep() {
    try {
      if (this.state) localStorage.setItem(KEY, JSON.stringify(this.state));
      else localStorage.removeItem(KEY);
      localStorage.setItem(HISTORY, JSON.stringify(this.history));
    } catch {
      this.said.textContent = window.selfCheck.NOT_KEPT;
    }
  }

  show(...parts) {
    this.stage.replaceChildren(...parts, this.said);
  }

  toolbar(...buttons) {
    const bar = element("div", "sc-toolbar");
    bar.append(...buttons);
    return bar;
  }

  // Before and after a round ----------------------------------------

  times(name) {
    return this.history.filter((one) => one.round === name).length;
  }

  home() {
    clearInterval(this.timer);
    const select = Object.assign(element("select"), { name: "round", autocomplete: "off" });
    const rounds = this.index.rounds;
    select.append(new Option("the one that you practised least", ""), ...rounds.map((one) => new Option(one.title, one.name)));
    const label = element("label", "sc-filter", "Round");
    label.append(select);
    const least = () => rounds.reduce((best, one) => (this.times(one.name) < this.times(best.name) ? one : best));
    const start = button("Start a round", () => this.begin(select.value || least().name));
    const parts = [label];
    if (this.state) {
      const on = button(`Go on with: ${this.round.title}`, () => this.resume());
      on.classList.add("sc-primary");
      parts.push(this.toolbar(on, start));
    } else {
      start.classList.add("sc-primary");
      parts.push(this.toolbar(start));
    }
    if (this.history.length) parts.push(...this.past());
    this.show(...parts);
  }

  past() {
    const list = element("ol", "mr-history");
    for (const one of [...this.history].reverse()) {
      const about = this.index.rounds.find((round) => round.name === one.round);
      const line = element("li");
      line.append(element("span", "", `${one.date} · ${about ? about.title : one.round}`), element("span", "mr-share", `${one.got} of ${one.worth} points`));
      list.append(line);
    }
    const forget = button("Forget them", () => {
      if (!window.confirm("Forget the scores of all rounds?")) return;
      this.history = [];
      this.keep();
      this.home();
    });
    return [element("h2", "", "Your rounds"), list, this.toolbar(forget)];
  }

  load(src) {
    return new Promise((resolve, reject) => document.head.append(Object.assign(element("script"), { src, onload: resolve, onerror: reject })));
  }

  // What the round of this name needs, loaded once; false, and said, where it cannot be.
  async ready(name) {
    const about = this.index.rounds.find((one) => one.name === name);
    try {
      if (!this.data.has(name)) await this.load(about.data);
      if (!this.items.has(about.page)) await this.load(about.questions);
    } catch {
      this.said.textContent = `“${about.title}” could not be loaded.`;
      return false;
    }
    return true;
  }

  async begin(name) {
    if (!(await this.ready(name))) return;
    const draw = drawOf(this.times(name), this.data.get(name).draws.length);
    this.state = { round: name, draw, stage: 0, texts: {}, used: {}, estimates: {}, choice: null, ticks: [] };
    this.live.clear();
    this.keep();
    this.step();
  }

  async resume() {
    const known = (await this.ready(this.state.round)) && this.state.draw < this.data.get(this.state.round).draws.length;
    if (known) this.step();
  }

  // The stages ----------------------------------------

  step(by = 0) {
    const { stages } = this.index;
    this.state.stage = Math.min(Math.max(this.state.stage + by, 0), stages.length);
    this.keep();
    this.said.textContent = "";
    const data = this.data.get(this.state.round);
    if (this.state.stage === stages.length) return this.scoring(data);
    const { key, title, minutes: wanted } = stages[this.state.stage];
    const name = heading("h2", `${title} (${wanted} min)`);
    const last = this.state.stage === stages.length - 1;
    const next = button(last ? "Score it" : "Next stage", () => this.step(1));
    next.classList.add("sc-primary");
    const back = Object.assign(button("Back", () => this.step(-1)), { disabled: this.state.stage === 0 });
    const end = button("Give up", () => {
      if (!window.confirm("Give this round up? Its answers are forgotten.")) return;
      this.state = null;
      this.keep();
      this.home();
    });
    this.show(this.head(), this.task(data), name, ...this.parts(key, data), this.toolbar(next, back, end));
    window.MathJax?.typesetPromise?.([this.stage]);
    name.focus();
    this.tick();
  }

  head() {
    const head = element("div", "mr-head");
    this.clock = Object.assign(element("span", "sc-clock"), { role: "timer" });
    const list = element("ol", "mr-stages");
    for (const [n, { title }] of this.index.stages.entries()) {
      const line = element("li", n < this.state.stage ? "mr-done" : "", title);
      if (n === this.state.stage) line.setAttribute("aria-current", "step");
      list.append(line);
    }
    head.append(element("strong", "", this.round.title), this.clock, list);
    return head;
  }

  task(data) {
    const { prompt, given } = data.draws[this.state.draw];
    const box = Object.assign(element("details", "mr-task"), { open: true });
    const quote = element("blockquote", "round-prompt");
    quote.append(element("p", "", prompt));
    const list = element("dl");
    for (const [say, value] of given) list.append(element("dt", "", say), element("dd", "", value));
    box.append(element("summary", "", "The task"), quote, list);
    return box;
  }

  parts(key, data) {
    const parts = [];
    if (key === "estimates") parts.push(...data.estimates.filter((one) => !one.flip).map((one) => this.estimate(one)));
    if (key === "choice") parts.push(...this.choice(data));
    for (const [n, ask] of data.asks.entries()) if (ask.stage === key) parts.push(this.ask(n, ask.prompt));
    return parts;
  }

  ask(n, prompt) {
    const id = `mr-ask-${n}`;
    const box = element("p", "sc-typed mr-ask");
    const label = Object.assign(element("label", "", prompt), { htmlFor: id });
    const text = Object.assign(element("textarea"), { id, rows: 6, maxLength: LIMIT, value: this.state.texts[n] || "" });
    text.addEventListener("input", () => {
      this.state.texts[n] = text.value;
      this.keep();
    });
    box.append(label, text);
    return box;
  }

  // An estimate of the self-check with this draw's numbers; the first answer that can be read counts.
  estimate({ id }) {
    if (this.live.has(id)) return this.live.get(id);
    const { html, data } = this.items.get(this.round.page).get(id);
    const template = element("template");
    template.innerHTML = html;
    const root = template.content.firstElementChild;
    const item = new Item(root, data, this.grader, this.progress, () => {});
    item.keep({ ...item.record, variant: this.state.draw });
    item.present();
    item.again.remove();
    const close = (outcome) => {
      item.actions.hidden = true;
      item.details.hidden = false;
      for (const input of item.inputs) input.readOnly = true;
      this.state.estimates[id] = outcome;
    };
    item.details.hidden = true;
    if (id in this.state.estimates) close(this.state.estimates[id]);
    item.onchange = () => {
      if (!item.verdict || id in this.state.estimates) return;
      close(item.verdict.outcome);
      this.keep();
    };
    this.live.set(id, root);
    return root;
  }

  choice(data) {
    const done = this.state.choice;
    const pick = (name, title, options, chosen) => {
      const label = element("label", "sc-filter", title);
      const select = Object.assign(element("select"), { name, autocomplete: "off", disabled: Boolean(done) });
      select.append(...options.map((text, n) => new Option(text, n, false, n === chosen)));
      label.append(select);
      return [label, select];
    };
    const [who, candidate] = pick("candidate", "Architecture", data.candidates, done ? done[0] : 0);
    const [where, device] = pick("device", "Device", data.devices, done ? done[1] : 0);
    const box = element("div", "sc-filters");
    box.append(who, where);
    if (!done) {
      const commit = button("Commit", () => {
        this.state.choice = [Number(candidate.value), Number(device.value)];
        this.step();
        this.stage.querySelector(".mr-verdict").focus();
      });
      return [box, this.toolbar(commit)];
    }
    const { say, points } = judged(data, this.state.draw, done, this.index.points);
    const verdict = heading("p", `${points === this.index.points.choice ? "✓" : "✗"} ${say}`);
    verdict.className = "sc-verdict mr-verdict";
    return [box, verdict, this.comparison(data), this.estimate(data.estimates.find((one) => one.flip))];
  }

  comparison(data) {
    const { offers, best } = data.draws[this.state.draw];
    const table = element("table", "table round-table");
    const head = table.createTHead().insertRow();
    for (const title of ["Candidate", "Device", ...data.columns]) head.append(Object.assign(element("th", "", title), { scope: "col" }));
    const body = table.createTBody();
    for (const [n, offer] of offers.entries()) {
      const row = body.insertRow();
      row.className = n === best ? "round-best" : "";
      row.append(Object.assign(element("th", "", data.candidates[offer.candidate]), { scope: "row" }), element("td", "", data.devices[offer.device]));
      row.append(...offer.cells.map((text, column) => element("td", offer.broken.includes(column) ? "round-broken" : "", `${offer.broken.includes(column) ? "✗ " : ""}${text}`)));
    }
    const scroll = Object.assign(element("div", "pst-scrollable-table-container"), { tabIndex: 0 });
    scroll.append(table);
    const box = element("details", "round-all");
    box.append(element("summary", "", `All ${offers.length} pairs, as computed`), scroll);
    return box;
  }

  // Counts up by stage, in silence; says once that the round's time is up.
  tick() {
    clearInterval(this.timer);
    const { stages } = this.index;
    const total = 60 * stages.reduce((sum, one) => sum + one.minutes, 0);
    const { key, minutes: wanted } = stages[this.state.stage];
    const show = () => {
      const used = Object.values(this.state.used).reduce((sum, one) => sum + one, 0);
      const over = (this.state.used[key] || 0) > 60 * wanted;
      this.clock.textContent = used < total ? `${minutes(total - used)} left` : "time is up";
      this.clock.classList.toggle("mr-over", over || used >= total);
      if (used === total) this.said.textContent = "Time is up. An interviewer would stop you here.";
    };
    this.timer = setInterval(() => {
      this.state.used[key] = (this.state.used[key] || 0) + 1;
      if (this.state.used[key] % 5 === 0) this.keep();
      show();
    }, 1000);
    show();
  }

  // Scoring ----------------------------------------

  scoring(data) {
    clearInterval(this.timer);
    const title = heading("h2", "Score your answers");
    const parts = [];
    for (const { key, title: name } of this.index.stages) {
      const points = data.rubric.filter((point) => point.stage === key);
      if (!points.length) continue;
      const field = element("fieldset", "mr-rubric");
      field.append(element("legend", "", name));
      for (const [n, ask] of data.asks.entries()) {
        if (ask.stage !== key || !this.state.texts[n]) continue;
        const own = element("blockquote");
        own.append(...this.state.texts[n].split(/\n+/).map((line) => element("p", "", line)));
        field.append(own);
      }
      field.append(...points.map((point) => this.tickBox(point)));
      parts.push(field);
    }
    const card = button("See the scorecard", () => this.finish(data));
    card.classList.add("sc-primary");
    this.show(title, element("p", "", "Tick what your answer said, in any stage. What you meant and did not say is not a point."), ...parts, this.toolbar(card, button("Back", () => this.step(-1))));
    title.focus();
  }

  tickBox({ id, point, worth }) {
    const line = element("div", "sc-option");
    const box = Object.assign(element("input"), { type: "checkbox", id: `mr-${id}`, checked: this.state.ticks.includes(id), autocomplete: "off" });
    box.addEventListener("change", () => {
      this.state.ticks = box.checked ? [...this.state.ticks, id] : this.state.ticks.filter((one) => one !== id);
      this.keep();
    });
    const label = Object.assign(element("label", "", `${point} `), { htmlFor: box.id });
    label.append(element("span", "sc-worth", `(${plural(worth, "point")})`));
    line.append(box, label);
    return line;
  }

  finish(data) {
    const { state, round } = this;
    const { stages, points } = this.index;
    const result = score(data, stages, points, state);
    const now = new Date();
    const date = [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
    this.history.push({ round: state.round, draw: state.draw, date, got: result.got, worth: result.worth });
    this.state = null;
    this.live.clear();
    this.keep();
    this.card(data, state, round, result, date);
  }

  card(data, state, round, { card, study, got, worth }, date) {
    const title = heading("h2", `Scorecard: ${round.title}`);
    const table = element("table", "table mr-card");
    const head = table.createTHead().insertRow();
    for (const text of ["Stage", "Points", "Time"]) head.append(Object.assign(element("th", "", text), { scope: "col" }));
    const body = table.createTBody();
    for (const { key, title: name, minutes: wanted } of this.index.stages) {
      const row = body.insertRow();
      row.append(Object.assign(element("th", "", name), { scope: "row" }));
      for (const text of [`${card[key][0]} of ${card[key][1]}`, `${minutes(state.used[key] || 0)} of ${wanted}:00`]) row.append(element("td", "", text));
    }
    const { prompt, flip, offers, best } = data.draws[state.draw];
    const right = `${data.candidates[offers[best].candidate]} on ${data.devices[offers[best].device]}, ${offers[best].costs}`;
    const chosen = state.choice && `${data.candidates[state.choice[0]]} on ${data.devices[state.choice[1]]}`;
    const said = chosen ? `You chose ${chosen}. ${judged(data, state.draw, state.choice, this.index.points).say}` : `You did not commit to a choice. It is ${right}.`;
    const missed = data.rubric.filter((point) => !state.ticks.includes(point.id));
    const list = element("ul", "mr-missed");
    list.append(...missed.map((point) => element("li", "", point.point)));
    const page = Object.assign(element("a", "", "the round’s page"), { href: round.href });
    const more = element("p", "", "Compare your words with three scored answers on ");
    more.append(page, ".");
    const bar = this.toolbar(button("Print it", () => window.print()), button("Another round", () => this.home()));
    this.show(
      title,
      element("p", "mr-total", `${got} of ${worth} points · ${date}`),
      element("p", "mr-prompt", prompt),
      table,
      element("p", "", `${said} What turns it: ${flip}.`),
      ...(missed.length ? [element("h3", "", "What you did not say"), list] : []),
      ...this.study(study),
      more,
      bar,
    );
    title.focus();
  }

  // The chapters where points were lost, most first, with what is due in them.
  study(lost) {
    const found = lost.filter(([chapter]) => chapter in this.index.chapters).slice(0, STUDY);
    if (!found.length) return lost.length ? [] : [element("p", "", "Nothing was missed.")];
    const list = element("ol", "mr-study");
    const day = Progress.today();
    for (const [chapter, points] of found) {
      const { title, href, questions } = this.index.chapters[chapter];
      const logs = questions.map((name) => this.progress.get(name).log);
      const due = logs.filter((log) => log.length && this.progress.due(log).day <= day).length;
      const fresh = logs.filter((log) => !log.length).length;
      const line = element("li");
      const counts = [due && `${plural(due, "question")} due`, fresh && `${fresh} new`].filter(Boolean).join(", ");
      line.append(Object.assign(element("a", "", title), { href }), ` (${plural(points, "point")} lost${counts ? `; ${counts}` : ""})`);
      list.append(line);
    }
    const review = Object.assign(element("a", "", "The review"), { href: this.index.review });
    const then = element("p");
    then.append(review, " asks what is due.");
    return [element("h3", "", "What to study"), list, ...(this.index.review ? [then] : [])];
  }
}

window.mockRound = { drawOf, judged, score };
const start = () => {
  const root = document.querySelector(".mock-round");
  if (root) window.mockRound.page = new MockRound(root);
};
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
})();
