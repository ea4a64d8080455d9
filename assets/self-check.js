// The self-check in the page. The page's HTML works without this file: answers fold out. With it, answers are graded, progress is kept in
// this browser, and what was missed comes again with other numbers. Texts of questions are cloned from the page, and what a reader
// types is only ever set as text.
"use strict";

(() => {
const { Progress } = window.selfCheck;

const element = (tag, className = "", text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

function button(text, onclick, of = "") {
  const made = Object.assign(element("button", "sc-button", text), { type: "button", onclick });
  if (of) made.setAttribute("aria-label", `${text}: ${of}`);
  return made;
}

// A line that is read out when it changes.
const status = (className) => Object.assign(element("div", className), { role: "status" });

// A page's own text once more, without its ids.
function copyOf(source, tag) {
  const copy = element(tag);
  copy.append(...source.cloneNode(true).childNodes);
  for (const named of copy.querySelectorAll("[id]")) named.removeAttribute("id");
  return copy;
}

// An order of 0..n-1 that depends on the seed alone: by a hash (FNV-1a) of seed and number.
const hash = (text) => [...text].reduce((state, char) => Math.imul(state ^ char.codePointAt(0), 16777619), 2166136261) >>> 0;
const shuffled = (n, seed) => [...Array(n).keys()].sort((a, b) => hash(`${a}:${seed}`) - hash(`${b}:${seed}`));

// One question: its form, its verdict, its retry.
class Item {
  constructor(root, data, grader, progress, onchange) {
    Object.assign(this, { root, data, grader, progress, onchange });
    this.name = `${data.id}@${data.version}`;
    this.key = document.querySelector(`.sc-key-item[data-id="${data.id}"]`);
    this.details = root.querySelector(".sc-answer");
    this.text = root.querySelector("textarea");
    this.list = root.querySelector(".sc-order");
    this.feedback = status("sc-feedback");
    this.title = `question ${parseInt(root.querySelector(".sc-number").textContent, 10)}`;
    this.again = button("Try again", () => this.retry(true), this.title);
    this.actions = element("div", "sc-actions");
    this.actions.append(this.checkButton(), this.again);
    const form = root.querySelector("fieldset");
    form.append(this.actions);
    root.insertBefore(this.feedback, this.details);
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches("input")) {
        event.preventDefault();
        this.check();
      }
    });
    form.addEventListener("input", ({ target }) => {
      if (target === this.text) this.keep({ ...this.record, text: target.value });
      else if (target.type === "text" && !target.value.trim()) this.feedback.replaceChildren(); // what it said is about no answer now
    });
    if (this.list) this.makeMovable();
    this.restore();
  }

  checkButton() {
    if (this.data.kind !== "open") return button("Check", () => this.check(), this.title);
    this.details.append(button("Score my answer", () => this.check(), this.title));
    const compare = () => {
      this.details.open = true;
      this.details.querySelector("input").focus();
    };
    return button("Compare with the rubric", compare, this.title);
  }

  // Buttons, and the arrow keys on them, move a line up and down; where it stands now is read out.
  makeMovable() {
    this.moved = status("sc-hidden");
    this.list.after(this.moved);
    this.list.addEventListener("click", ({ target }) => target.value && this.move(target.closest("li"), Number(target.value)));
    this.list.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by || !event.target.matches("button")) return;
      event.preventDefault();
      this.move(event.target.closest("li"), by);
    });
  }

  move(line, by) {
    const other = by < 0 ? line.previousElementSibling : line.nextElementSibling;
    if (!other) return;
    if (by < 0) line.after(other); // the neighbour moves, so that the line keeps the focus
    else line.before(other);
    this.markEnds();
    const place = [...this.list.children].indexOf(line) + 1;
    this.moved.textContent = `${line.firstElementChild.textContent}: place ${place} of ${this.list.children.length}`;
  }

  // The first line cannot go up, nor the last one down; a button that had the focus leaves it to its neighbour.
  markEnds() {
    for (const line of this.list.children) {
      const [up, down] = line.querySelectorAll("button");
      const focused = document.activeElement;
      up.disabled = !line.previousElementSibling;
      down.disabled = !line.nextElementSibling;
      if (focused === up && up.disabled) down.focus();
      if (focused === down && down.disabled) up.focus();
    }
  }

  get inputs() {
    return [...this.root.querySelectorAll(this.data.kind === "open" ? ".sc-rubric input" : "fieldset input")];
  }

  // Show what is stored: after loading, an import or a reset.
  restore() {
    this.record = this.progress.get(this.name);
    this.present();
  }

  keep(record) {
    this.record = record;
    this.progress.set(this.name, record);
    this.onchange(this);
  }

  // A fresh form for the current variant.
  present() {
    const variants = this.data.variants ? this.data.variants.length : 1;
    this.variant = this.record.variant % variants;
    const parts = [this.root, this.key].flatMap((part) => (part ? [...part.querySelectorAll("[data-variant]")] : []));
    for (const part of parts) part.hidden = Number(part.dataset.variant) !== this.variant;
    this.details.open = false;
    this.feedback.replaceChildren();
    this.again.hidden = !this.record.tries;
    for (const input of this.root.querySelectorAll("input")) {
      if (input.matches("[type=radio], [type=checkbox]")) input.checked = false;
      else input.value = "";
    }
    if (this.text) this.text.value = this.record.text || "";
    const seed = `${this.record.tries}:${this.data.id}`;
    const box = this.list || this.root.querySelector(".sc-options");
    if (this.list || this.data.shuffle) {
      const lines = [...box.children].sort((a, b) => a.dataset.n - b.dataset.n);
      const order = shuffled(lines.length, seed);
      if (this.list && order.every((n, place) => n === place)) order.push(order.shift()); // never the right one
      box.append(...order.map((n) => lines[n]));
    }
    if (this.list) {
      this.moved.textContent = "";
      this.markEnds();
    }
    this.label();
  }

  label() {
    const { right, tries } = this.record;
    const [state, said] = right ? ["right", "· ✓ right"] : tries ? ["missed", "· missed"] : ["new", ""];
    this.root.dataset.state = state;
    this.root.querySelector(".sc-state").textContent = said;
  }

  get missed() {
    return this.record.tries > 0 && !this.record.right;
  }

  answer() {
    if (this.data.kind === "numeric") return this.inputs[0].value;
    if (this.list) return [...this.list.children].map((line) => Number(line.dataset.n));
    return this.inputs.filter((input) => input.checked).map((input) => Number(input.value));
  }

  check() {
    const verdict = this.grader.grade(this.data, this.variant, this.answer());
    this.show(verdict);
    if (verdict.outcome === "ask") return;
    this.verdict = verdict;
    this.again.hidden = false;
    this.keep(this.progress.graded(this.record, verdict, Progress.today()));
    this.label();
  }

  show(verdict) {
    const said = element("p", "sc-verdict", `${verdict.outcome === "ask" ? "?" : verdict.right ? "✓" : "✗"} ${verdict.say}`);
    const parts = [said];
    const own = this.details.querySelector(`[data-variant="${this.variant}"]`) || this.details;
    if (verdict.slip !== null) parts.push(copyOf(own.querySelector(`[data-slip="${verdict.slip}"]`), "p"));
    if (verdict.show.length) {
      const list = element("ul");
      list.append(...verdict.show.map((n) => copyOf(own.querySelector(`[data-option="${n}"]`), "li")));
      parts.push(list);
    }
    const explain = own.querySelector("[data-explain]");
    if (verdict.right && explain) parts.push(copyOf(explain, "div"));
    this.feedback.dataset.outcome = verdict.outcome === "ask" ? "ask" : verdict.right ? "right" : "wrong";
    this.feedback.replaceChildren(...parts);
  }

  focus() {
    const able = (control) => control.offsetParent && !control.disabled;
    [...this.root.querySelectorAll("fieldset :is(textarea, input, button)")].find(able).focus();
  }

  // The same question with the next numbers and another order, and an empty page for one's own words.
  retry(focus) {
    const { text, ...record } = this.record;
    this.keep({ ...record, variant: record.variant + 1 });
    this.present();
    this.again.hidden = true;
    if (focus) this.focus();
  }

  reset() {
    this.progress.clear(this.name);
    this.restore();
  }
}

// Buttons that save progress to a file and merge one in; `done` hears what happened and whether anything changed.
function files(progress, done) {
  const save = button("Save progress to a file", () => {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([progress.save()], { type: "application/json" }));
    link.download = "self-check-progress.json";
    link.click();
    URL.revokeObjectURL(link.href);
    done("Saved as self-check-progress.json.", false);
  });
  const file = element("input", "sc-hidden");
  file.type = "file";
  file.accept = "application/json,.json";
  file.tabIndex = -1;
  file.setAttribute("aria-label", "Progress file");
  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    try {
      const count = progress.load(await file.files[0].text());
      done(`Loaded ${count} answer${count === 1 ? "" : "s"}.`, true);
    } catch (error) {
      done(error.message, false);
    }
    file.value = "";
  });
  return [save, button("Load progress", () => file.click()), file];
}

const NOT_KEPT = "This browser does not keep progress; it lasts until you leave the page.";

// The line below the page's last block: how far you are, retry, start over, save and load.
function toolbar(items, progress) {
  const bar = element("div", "sc-toolbar");
  const count = element("p", "sc-count");
  const note = status("sc-note");
  const missed = button("Retry what you missed", () => {
    const again = items.filter((item) => item.missed);
    again.forEach((item, n) => item.retry(n === 0));
    note.textContent = "";
  });
  const startOver = button("Start over", () => {
    if (!window.confirm("Forget the answers to this page's questions?")) return;
    items.forEach((item) => item.reset());
    refresh("Progress on this page is forgotten.");
  });
  const load = files(progress, (said, changed) => {
    if (changed) items.forEach((item) => item.restore());
    refresh(said);
  });

  function refresh(said) {
    const right = items.filter((item) => item.record.right).length;
    count.textContent = `${right} of ${items.length} right`;
    missed.disabled = !items.some((item) => item.missed);
    if (said) note.textContent = said;
    else if (!progress.kept) note.textContent = NOT_KEPT;
  }

  bar.append(count, missed, startOver, ...load, note);
  refresh();
  return { bar, refresh };
}

function start() {
  const table = document.querySelector("script.sc-table");
  const blocks = [...document.querySelectorAll("section.self-check")];
  if (!table || !blocks.length) return;
  const words = JSON.parse(table.textContent);
  const grader = window.selfCheck.makeGrader(words);
  const progress = new Progress(words);
  const items = [];
  let refresh = () => {};
  for (const block of blocks) {
    block.classList.add("sc-live");
    for (const data of JSON.parse(block.querySelector("script.sc-data").textContent))
      items.push(new Item(document.getElementById(data.id), data, grader, progress, () => refresh()));
  }
  const made = toolbar(items, progress);
  refresh = made.refresh;
  blocks[blocks.length - 1].append(made.bar);
}

Object.assign(window.selfCheck, { Item, element, button, status, files, NOT_KEPT });
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
})();
