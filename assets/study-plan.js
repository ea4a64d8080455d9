// The study plan: asks the diagnostic, scores it by part of the book, and lays out days. Everything is kept in this browser.
// The layout is a function of what was answered and chosen, so that the same reader gets the same plan again.
"use strict";

(() => {
const { Progress, Item, element, button, status, makeGrader } = window.selfCheck;
const KEY = "study-plan";
const KNOWN = 0.8; // of a topic's questions right: its chapters are refreshed, not read
const MINUTES = { check: 15, lab: 30, review: 15, round: 45, wrap: 30 };
const PENCIL = 1.5; // working through a chapter takes longer than reading it
const CHOICES = { weeks: [1, 2, 3], days: [3, 4, 5, 6, 7], minutes: [60, 90, 120, 180] };
const LEFT_OUT = -1;

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

// Right and asked, by part of the book, for the questions that were answered.
function scores(chapters, asked, answers) {
  const found = new Map(chapters.map((one) => [one.part, { right: 0, asked: 0 }]));
  const parts = new Map(chapters.map((one) => [one.page, one.part]));
  for (const { page, id } of asked) {
    if (!(id in answers)) continue;
    const score = found.get(parts.get(page));
    score.asked += 1;
    score.right += answers[id];
  }
  return found;
}

// What there is to do, most needed first: the book's first chapter, then topics by their score; a topic that nobody asked about is in the middle.
function tasks(chapters, score) {
  const share = ({ part }) => { const { right, asked } = score.get(part); return asked ? right / asked : 0.5; };
  const own = chapters.filter((one) => one.part !== "Rounds");
  const sorted = [...own.slice(0, 1), ...own.slice(1).map((one, n) => [share(one), n, one]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((row) => row[2])];
  return sorted.flatMap((one) => {
    const check = one.questions ? MINUTES.check : 0;
    if (share(one) >= KNOWN) return [{ key: `${one.page}#check`, text: `Refresh: ${one.title}, short answer and self-check`, href: one.href, minutes: 5 + check }];
    const read = { key: one.page, text: `Read: ${one.title}${check ? ", with its self-check" : ""}`, href: one.href, minutes: 5 * Math.ceil((one.minutes * PENCIL) / 5) + check };
    return one.lab ? [read, { key: `${one.page}#lab`, text: `Lab: ${one.title}`, href: one.lab, minutes: MINUTES.lab }] : [read];
  });
}

// {days: a list of tasks for each, left: what did not fit}. Work is spread evenly; a day begins with a review, a week ends with a round or a longer one.
function layOut(index, score, { weeks, days, minutes, moved = {} }) {
  const count = weeks * days;
  const plan = Array.from({ length: count }, () => []);
  const rounds = index.chapters.filter((one) => one.part === "Rounds");
  for (let day = 1; day < count; day += 1) {
    const week = Math.floor(day / days);
    const round = rounds[week % rounds.length];
    if ((day + 1) % days) plan[day].push({ key: `review-${day}`, text: "Review what is due", href: index.review, minutes: MINUTES.review });
    else if (round) plan[day].push({ key: `${round.page}#${week}`, text: `Round: ${round.title}`, href: round.href, minutes: MINUTES.round });
    else plan[day].push({ key: `week-${week}`, text: "Review the week: everything due, then what you missed", href: index.review, minutes: MINUTES.wrap });
  }
  const todo = tasks(index.chapters, score);
  const total = todo.reduce((sum, task) => sum + task.minutes, 0);
  const used = (day) => plan[day].reduce((sum, task) => sum + task.minutes, 0);
  let [day, placed, own] = [0, 0, 0]; // own: tasks of this day that are no review
  const left = [];
  for (const task of todo) {
    const next = () => { day += 1; own = 0; };
    while (day < count && own && (used(day) + task.minutes > minutes || placed >= (total * (day + 1)) / count)) next();
    while (day < count && !own && used(day) + task.minutes > minutes && plan[day].length && (day + 1) % days === 0 && day + 1 < count) next();
    if (day >= count) left.push(task);
    else {
      plan[day].push(task);
      placed += task.minutes;
      own += 1;
    }
  }
  const all = [...plan, left];
  for (const [key, target] of Object.entries(moved)) {
    const from = all.find((list) => list.some((task) => task.key === key));
    const to = target === LEFT_OUT ? left : plan[target];
    if (from && to && from !== to) to.push(from.splice(from.findIndex((task) => task.key === key), 1)[0]);
  }
  return { days: plan, left };
}

// What is kept: whatever is not of the right kind is taken as absent.
function restored(text) {
  const fresh = { answers: {}, finished: false, left_s: null, weeks: 2, days: 5, minutes: 90, start: "", done: {}, moved: {} };
  let kept = null;
  try { kept = JSON.parse(text); } catch { /* not ours */ }
  if (!isObject(kept)) return fresh;
  const state = { ...fresh };
  for (const name of Object.keys(CHOICES)) if (CHOICES[name].includes(kept[name])) state[name] = kept[name];
  const mapOf = (value, good) => (isObject(value) ? Object.fromEntries(Object.entries(value).filter(([, one]) => good(one))) : {});
  state.answers = mapOf(kept.answers, (one) => typeof one === "boolean");
  state.done = mapOf(kept.done, (one) => one === true);
  state.moved = mapOf(kept.moved, (one) => Number.isInteger(one) && one >= LEFT_OUT);
  if (kept.finished === true) state.finished = true;
  if (Number.isFinite(kept.left_s)) state.left_s = kept.left_s;
  if (/^\d{4}-\d\d-\d\d$/.test(kept.start) && !Number.isNaN(Date.parse(kept.start))) state.start = kept.start;
  return state;
}

// The date of a day of the plan, when each week has so many; weeks begin on the day that the plan does.
function dateOf(start, day, days) {
  const date = new Date(`${start}T12:00`);
  date.setDate(date.getDate() + 7 * Math.floor(day / days) + (day % days));
  return date.toLocaleDateString("en", { weekday: "long", day: "numeric", month: "long" });
}

function today() {
  const now = new Date();
  return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

class StudyPlan {
  constructor(root) {
    this.index = JSON.parse(root.querySelector("script.sp-index").textContent);
    const words = JSON.parse(root.querySelector("script.sc-table").textContent);
    this.stage = root.querySelector(".sp-stage");
    this.grader = makeGrader(words);
    this.progress = new Progress(words);
    this.chapters = new Map(this.index.chapters.map((one) => [one.page, one]));
    this.loads = new Map();
    this.said = status("sc-note");
    window.selfCheck.loaded = (page, items) => this.loads.get(page).resolve(new Map(items.map((item) => [item.data.id, item])));
    let text = null;
    try { text = localStorage.getItem(KEY); } catch { /* nothing is kept here */ }
    this.state = restored(text);
    if (this.state.finished) this.showPlan();
    else this.showStart();
  }

  keep() {
    try { localStorage.setItem(KEY, JSON.stringify(this.state)); } catch { this.said.textContent = window.selfCheck.NOT_KEPT; }
  }

  show(...parts) {
    this.stage.replaceChildren(...parts, this.said);
  }

  showStart() {
    const { asked, time_s: time } = this.index;
    const answered = asked.filter(({ id }) => id in this.state.answers).length;
    const text = `The diagnostic asks ${plural(asked.length, "question")} in ${Math.round(time / 60)} minutes. An answer counts as in the self-check, and comes back in the review.`;
    const go = button(answered ? `Go on with the diagnostic (${answered} of ${asked.length} answered)` : "Start the diagnostic", () => this.ask());
    go.classList.add("sc-primary");
    const bar = element("div", "sc-toolbar");
    bar.append(go, button("Plan without it", () => this.finish()));
    this.show(element("p", "", text), bar);
  }

  // The diagnostic ----------------------------------------

  load(page) {
    if (!this.loads.has(page)) {
      const load = {};
      load.items = new Promise((resolve, reject) => Object.assign(load, { resolve, reject }));
      this.loads.set(page, load);
      document.head.append(Object.assign(element("script"), { src: this.chapters.get(page).script, onerror: load.reject }));
    }
    return this.loads.get(page).items;
  }

  async ask() {
    const { asked } = this.index;
    const place = asked.findIndex(({ id }) => !(id in this.state.answers));
    if (place < 0) return this.finish();
    const question = asked[place];
    const loaded = await this.load(question.page).then((items) => items.get(question.id), () => null);
    if (!loaded) {
      this.said.textContent = `The questions of “${this.chapters.get(question.page).title}” could not be loaded.`;
      return this.answered(question, false, true);
    }
    const template = element("template");
    template.innerHTML = loaded.html;
    const root = template.content.firstElementChild;
    root.querySelector(".sc-number").textContent = `${place + 1}.`;
    const head = element("p", "sc-where");
    this.clock = element("span", "sc-clock");
    head.append(element("span", "", `Question ${place + 1} of ${asked.length}`), this.clock);
    const next = button("I don’t know", () => this.answered(question, false, true));
    const bar = element("div", "sc-toolbar");
    bar.append(next, button("End here", () => this.finish()));
    this.show(head, root, bar);
    this.tick();
    const item = new Item(root, loaded.data, this.grader, this.progress, () => {});
    if (item.record.tries) item.retry(false); // other numbers than the last time
    item.onchange = () => {
      if (!item.verdict || question.id in this.state.answers) return;
      this.answered(question, item.verdict.right, false);
      next.textContent = place + 1 === asked.length ? "See the plan" : "Next";
      next.onclick = () => this.ask();
    };
    window.MathJax?.typesetPromise?.([root]);
    item.focus();
  }

  answered({ id }, right, goOn) {
    this.state.answers[id] = right;
    this.keep();
    if (goOn) this.ask();
  }

  // Counts down in silence, says once that time is up, and lets the reader finish.
  tick() {
    if (this.state.left_s === null) this.state.left_s = this.index.time_s;
    clearInterval(this.timer);
    const show = () => {
      const left = this.state.left_s;
      this.clock.textContent = left > 0 ? `${Math.ceil(left / 60)} min left` : "time is up";
      if (left === 0) this.said.textContent = "Time is up. End here, or go on without the clock.";
    };
    this.timer = setInterval(() => {
      this.state.left_s -= 1;
      show();
    }, 1000);
    show();
  }

  finish() {
    clearInterval(this.timer);
    Object.assign(this.state, { finished: true, start: this.state.start || today() });
    this.said.textContent = "";
    this.keep();
    this.showPlan();
    this.stage.querySelector("h2").focus();
  }

  // The plan ----------------------------------------

  isDone(key) {
    return this.state.done[key] || (this.chapters.has(key) && window.reading.has(key));
  }

  setDone(key, done) {
    if (this.chapters.has(key)) window.reading.set(key, done);
    if (done) this.state.done[key] = true;
    else delete this.state.done[key];
    this.keep();
    this.showPlan();
    this.stage.querySelector(`input[data-key="${CSS.escape(key)}"]`).focus();
  }

  move(task, day, word) {
    this.state.moved[task.key] = day;
    this.keep();
    this.showPlan();
    this.said.textContent = day === LEFT_OUT ? `${task.text}: left out` : `${task.text}: day ${day + 1}`;
    const line = this.stage.querySelector(`[data-task="${CSS.escape(task.key)}"]`);
    const same = [...line.querySelectorAll("button")].find((one) => one.textContent === word && !one.disabled);
    (same || line.querySelector("input")).focus();
  }

  choose(name, value) {
    this.state[name] = value;
    if (name !== "start") this.state.moved = {}; // days are other days now
    this.keep();
    this.showPlan();
    this.stage.querySelector(`[name="${name}"]`).focus();
  }

  showPlan() {
    const score = scores(this.index.chapters, this.index.asked, this.state.answers);
    const { days, left } = layOut(this.index, score, this.state);
    const title = Object.assign(element("h2", "", "Your plan"), { tabIndex: -1 });
    const list = days.map((tasks, day) => [tasks, day]);
    const weeks = Array.from({ length: this.state.weeks }, (_, week) => {
      const box = element("ol", "sp-days");
      box.append(...list.slice(week * this.state.days, (week + 1) * this.state.days).map(([tasks, day]) => this.day(tasks, day, days.length)));
      return [element("h3", "", `Week ${week + 1}`), box];
    });
    const rest = element("ul", "sp-tasks");
    rest.append(...left.map((task) => this.task(task, LEFT_OUT, days.length)));
    const again = button("Start again", () => {
      if (!window.confirm("Forget the plan and the answers of its diagnostic?")) return;
      try { localStorage.removeItem(KEY); } catch { /* nothing was kept */ }
      this.state = restored(null);
      this.showStart();
    });
    const bar = element("div", "sc-toolbar");
    bar.append(...(this.index.asked.some(({ id }) => !(id in this.state.answers)) ? [button("Go on with the diagnostic", () => this.ask())] : []), again);
    this.show(title, ...this.scores(score), this.choices(), ...weeks.flat(), ...(left.length ? [element("h3", "", "If there is time left"), rest] : []), bar);
  }

  scores(score) {
    const known = [...score].filter(([, { asked }]) => asked);
    if (!known.length) return [element("p", "", "Without a diagnostic every topic counts the same.")];
    const list = element("dl", "sp-scores");
    for (const [part, { right, asked }] of known) {
      const meter = Object.assign(element("meter"), { min: 0, max: asked, value: right });
      meter.setAttribute("aria-label", part);
      const shown = element("dd");
      shown.append(meter, `${right} of ${asked}`);
      list.append(element("dt", "", part), shown);
    }
    return [list];
  }

  choices() {
    const box = element("div", "sc-filters");
    const names = { weeks: ["Length", "week"], days: ["Days a week", "day"], minutes: ["Time a day", "minute"] };
    for (const [name, [label, unit]] of Object.entries(names)) {
      const select = Object.assign(element("select"), { name });
      select.append(...CHOICES[name].map((value) => new Option(plural(value, unit), value, false, value === this.state[name])));
      select.addEventListener("change", () => this.choose(name, Number(select.value)));
      box.append(labelled(label, select));
    }
    const start = Object.assign(element("input"), { type: "date", name: "start", value: this.state.start });
    start.addEventListener("change", () => start.value && this.choose("start", start.value));
    box.append(labelled("First day", start));
    return box;
  }

  day(tasks, day, count) {
    const line = element("li");
    const head = element("p", "sp-day", dateOf(this.state.start, day, this.state.days));
    head.append(element("span", "", `${tasks.reduce((sum, task) => sum + task.minutes, 0)} min`));
    const list = element("ul", "sp-tasks");
    list.append(...tasks.map((task) => this.task(task, day, count)));
    line.append(head, ...(tasks.length ? [list] : []));
    return line;
  }

  task(task, day, count) {
    const line = element("li");
    line.dataset.task = task.key;
    const done = this.isDone(task.key);
    line.classList.toggle("done", Boolean(done));
    const box = Object.assign(element("input"), { type: "checkbox", checked: Boolean(done), autocomplete: "off" });
    box.dataset.key = task.key;
    box.setAttribute("aria-label", `Done: ${task.text}`);
    box.addEventListener("change", () => this.setDone(task.key, box.checked));
    const label = element("label");
    label.append(box, task.href ? Object.assign(element("a", "", task.text), { href: task.href }) : task.text);
    const move = (word, target, able) => Object.assign(button(word, () => this.move(task, target, word), task.text), { disabled: !able });
    const moves = day === LEFT_OUT ? [move("Add", count - 1, true)] : [move("Earlier", day - 1, day > 0), move("Later", day + 1, day + 1 < count), move("Leave out", LEFT_OUT, true)];
    line.append(label, element("span", "sp-minutes", `${task.minutes} min`), ...moves);
    return line;
  }
}

function labelled(text, control) {
  const label = element("label", "sc-filter", text);
  label.append(control);
  return label;
}

function start() {
  const root = document.querySelector(".study-plan");
  if (root) root.plan = new StudyPlan(root);
}

window.studyPlan = { layOut, scores, restored };
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
})();
