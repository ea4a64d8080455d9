// The review page: chooses questions by schedule and filters, asks them one at a time, and shows how the reader's estimates do.
// The page holds an index; a chapter's questions are loaded, as a script, when one of them is asked.
"use strict";

(() => {
const { Progress, Item, element, button, status, files, makeGrader, NOT_KEPT } = window.selfCheck;
const SECONDS = 60; // for an estimate in timed mode
const LATEST = 10; // estimates that a running median looks at
const ENOUGH = 3; // answers before a topic is called weak

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
};
const date = (day) => new Date(day * 864e5).toISOString().slice(0, 10);

// 10^log as a factor above one, in words: "2.1 times too low".
function factor(log) {
  const times = 10 ** Math.abs(log);
  return times < 10 ? times.toPrecision(2) : String(Math.round(times));
}
const side = (log) => `${factor(log)} times too ${log > 0 ? "high" : "low"}`;

class Review {
  constructor(root) {
    const find = (selector) => root.querySelector(selector);
    const words = JSON.parse(find("script.sc-table").textContent);
    const all = JSON.parse(find("script.sc-index").textContent).flatMap((chapter) =>
      chapter.questions.map((one) => ({ ...one, chapter, name: `${one.id}@${one.version}` })),
    );
    this.questions = all.filter((one) => !one.why_not);
    this.left = all.filter((one) => one.why_not);
    this.byName = new Map(this.questions.map((one) => [one.name, one]));
    this.grader = makeGrader(words);
    this.progress = new Progress(words);
    this.loads = new Map();
    window.selfCheck.loaded = (page, items) => this.loads.get(page).resolve(new Map(items.map((item) => [item.data.id, item])));

    for (const name of ["session", "home", "timed", "primary", "count", "note", "report", "calibration", "files"]) this[name] = find(`.sc-${name}`);
    this.filters = Object.fromEntries([...root.querySelectorAll(".sc-filters select")].map((select) => [select.name, select]));
    this.home.addEventListener("change", () => this.recount());
    this.primary.addEventListener("click", () => this.start(this.chosen));
    this.files.append(...files(this.progress, (said) => this.refresh(said)), button("Forget everything", () => this.forget()));
    this.home.hidden = false;
    this.refresh();
    if (!this.totals.due && this.totals.new) this.filters.when.value = "new";
    this.recount();
  }

  choose(questions, when) {
    return this.progress.choose(Object.fromEntries(questions.map((one) => [one.name, this.records.get(one.name).log])), Progress.today(), when);
  }

  recount() {
    const { part, level, tag, when, count } = this.filters;
    const fits = (one) =>
      (!part.value || one.chapter.part === part.value) && (!level.value || one.level === Number(level.value)) && (!tag.value || one.tags.includes(tag.value));
    const found = this.choose(this.questions.filter(fits), when.value);
    this.chosen = found.slice(0, Number(count.value));
    this.count.textContent = `${plural(found.length, "question")} to ask`;
    this.primary.disabled = !found.length;
  }

  refresh(said) {
    this.records = new Map(this.questions.map((one) => [one.name, this.progress.get(one.name)]));
    this.totals = Object.fromEntries(["due", "new", "missed"].map((when) => [when, this.choose(this.questions, when).length]));
    this.recount();
    const why = this.left.length ? ` Left out: ${plural(this.left.length, "question")}. ${this.left[0].why_not}` : "";
    const { due, new: fresh, missed } = this.totals;
    this.note.textContent = said || (this.progress.kept ? `${due} due today, ${fresh} new, ${missed} missed the last time.${why}` : NOT_KEPT);
    this.showReport();
  }

  forget() {
    if (!window.confirm("Forget the answers to every question of the book?")) return;
    Object.keys(this.progress.all()).forEach((name) => this.progress.clear(name));
    this.refresh("Progress is forgotten.");
  }

  // A session ----------------------------------------

  // All but the session, which is alone while it lasts.
  showHome(shown) {
    for (const part of [this.report, this.calibration, this.files]) part.hidden = !shown;
  }

  start(names) {
    this.queue = names;
    this.first = new Map(); // name: whether the first answer of this session was right
    this.showHome(false);
    this.ask(0);
  }

  // The questions of a chapter, by id.
  load(chapter) {
    if (!this.loads.has(chapter.page)) {
      const load = {};
      load.items = new Promise((resolve, reject) => Object.assign(load, { resolve, reject }));
      this.loads.set(chapter.page, load);
      document.head.append(Object.assign(element("script"), { src: chapter.script, onerror: load.reject }));
    }
    return this.loads.get(chapter.page).items;
  }

  async ask(place) {
    clearInterval(this.clock);
    if (place >= this.queue.length) return this.finish();
    const question = this.byName.get(this.queue[place]);
    const loaded = await this.load(question.chapter).then((items) => items.get(question.id), () => null);
    if (!loaded) return this.finish(`The questions of “${question.chapter.title}” could not be loaded.`);
    const template = element("template");
    template.innerHTML = loaded.html;
    const root = template.content.firstElementChild;
    root.querySelector(".sc-number").textContent = `${place + 1}.`;
    const head = element("p", "sc-where", `Question ${place + 1} of ${this.queue.length} · `);
    const link = element("a", "", question.chapter.title);
    link.href = `${question.chapter.href}#${question.id}`;
    head.append(link);
    const next = button("Skip", () => this.ask(place + 1));
    const bar = element("div", "sc-toolbar");
    bar.append(next, button("End here", () => this.finish()));
    this.session.replaceChildren(head, root, bar);
    const item = new Item(root, loaded.data, this.grader, this.progress, () => {});
    if (item.record.tries) item.retry(false); // other numbers than the last time
    item.onchange = () => {
      if (!item.verdict || this.first.has(question.name)) return;
      this.first.set(question.name, item.verdict.right);
      next.textContent = place + 1 === this.queue.length ? "Finish" : "Next";
      this.stopClock();
    };
    if (this.timed.control.checked && question.kind === "numeric") this.startClock(head);
    if (window.MathJax && window.MathJax.typesetPromise) window.MathJax.typesetPromise([root]);
    item.focus();
  }

  // The clock counts down in silence, says once that time is up, and counts on: a late answer is graded all the same.
  startClock(head) {
    const began = Date.now();
    const shown = element("span", "sc-clock", `${SECONDS} s`);
    const up = status("sc-hidden");
    head.append(shown, up);
    const seconds = () => Math.round((Date.now() - began) / 1000);
    this.clock = setInterval(() => {
      const left = SECONDS - seconds();
      shown.textContent = left > 0 ? `${left} s` : `${-left} s over`;
      if (left <= 0 && !up.textContent) up.textContent = "Time is up. Which number would you say now?";
    }, 1000);
    this.stopClock = () => {
      clearInterval(this.clock);
      shown.textContent = `answered in ${seconds()} s`;
    };
  }

  stopClock() {}

  finish(problem = "") {
    clearInterval(this.clock);
    delete this.stopClock;
    const asked = [...this.first];
    const missed = asked.filter(([, right]) => !right).map(([name]) => name);
    const said = element("p", "sc-verdict", asked.length ? `${asked.length - missed.length} of ${asked.length} right at the first answer.` : "");
    said.tabIndex = -1;
    const again = missed.length ? [button(`Retry the ${plural(missed.length, "question")} you missed`, () => this.start(missed))] : [];
    this.session.replaceChildren(said, ...again, this.home);
    this.showHome(true);
    this.refresh(problem);
    said.focus();
  }

  // How it goes ----------------------------------------

  showReport() {
    const all = this.questions.map((one) => ({ ...one, record: this.records.get(one.name) }));
    const known = all.filter((one) => one.record.log.length);
    const right = known.filter((one) => one.record.right).length;
    const weak = this.weakest(known);
    const topics = element("ul", "sc-topics");
    for (const { tag, missed, asked } of weak) {
      const line = element("li", "", `${tag}: ${missed} of ${asked} missed the last time`);
      line.append(button("Practise", () => this.practise(tag), tag));
      topics.append(line);
    }
    this.report.replaceChildren(
      element("h2", "", "How it goes"),
      element("p", "", `${known.length} of ${plural(this.questions.length, "question")} answered, ${right} of them right.`),
      ...(weak.length ? [element("h3", "", "Weakest topics"), topics] : []),
      ...this.showEstimates(known),
    );
  }

  weakest(known) {
    const tags = new Map();
    for (const { record, tags: own } of known)
      for (const tag of own) {
        const { missed, asked } = tags.get(tag) || { missed: 0, asked: 0 };
        tags.set(tag, { tag, asked: asked + 1, missed: missed + !record.log.at(-1)[1] });
      }
    const weak = [...tags.values()].filter((one) => one.asked >= ENOUGH && one.missed);
    return weak.sort((a, b) => b.missed / b.asked - a.missed / a.asked || b.asked - a.asked).slice(0, 5);
  }

  practise(tag) {
    const { part, level, tag: topic, when } = this.filters;
    [part.value, level.value, topic.value, when.value] = ["", "", tag, "all"];
    this.recount();
    this.start(this.chosen);
  }

  showEstimates(known) {
    const all = known
      .flatMap((one) => one.record.log.filter((entry) => entry[2] !== null).map(([day, , log]) => ({ day, log, question: one.id })))
      .sort((a, b) => a.day - b.day);
    this.calibration.hidden = !all.length;
    if (!all.length) return [];
    const chart = this.calibration.querySelector("template");
    if (chart) chart.replaceWith(chart.content);
    const latest = (day) => all.filter((one) => one.day <= day).slice(-LATEST).map((one) => one.log);
    const lines = new Map(all.map(({ day }) => [day, 10 ** median(latest(day))]));
    const figure = this.calibration.querySelector("figure");
    const script = figure.querySelector(".chart-spec");
    const spec = JSON.parse(script.textContent);
    const rows = all.map(({ day, log, question }) => ({ day: `${date(day)}T12:00`, ratio: 10 ** log, question, median: lines.get(day) }));
    for (const { data } of spec.layer) if (data.name === "estimates") data.values = rows;
    script.textContent = JSON.stringify(spec);
    if (window.drawWhenNear) window.drawWhenNear(figure);

    const now = latest(Infinity);
    const lean = median(now);
    const said = `Of your latest ${plural(now.length, "estimate")}, half are within a factor of ${factor(median(now.map(Math.abs)))}`;
    const leaning = Math.abs(lean) < 0.04 ? ", and they lean to neither side." : `; on the whole they are ${side(lean)}.`;
    const details = element("details", "chart-data");
    const list = element("ol");
    list.append(...all.slice(-2 * LATEST).reverse().map(({ day, log, question }) => element("li", "", `${date(day)}, ${question}: ${side(log)}`)));
    details.append(element("summary", "", "The latest estimates, newest first"), list);
    return [element("h3", "", "Your estimates"), element("p", "", said + leaning), details];
  }
}

function start() {
  const root = document.querySelector(".self-check.review");
  if (root) root.review = new Review(root);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
})();
