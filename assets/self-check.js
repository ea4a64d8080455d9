// The self-check in the page. The page's HTML works without this file: answers fold out. With it, answers are graded, progress is kept in
// this browser, and what was missed comes again with other numbers. Texts of questions are cloned from the page, and what a reader
// types is only ever set as text.
"use strict";

(function () {
  const KEY = "self-check/"; // + id@version: a new version of a question starts afresh
  const FORMAT = "self-check-progress";

  // What is known of each question, in localStorage, or in memory where the browser keeps nothing.
  class Progress {
    constructor() {
      this.memory = new Map();
    }

    get(name) {
      try {
        const record = JSON.parse(localStorage.getItem(KEY + name));
        if (isRecord(record)) return record;
      } catch {
        // no storage, or not ours: fall through
      }
      return this.memory.get(name) || { right: false, tries: 0, variant: 0 };
    }

    // Whether the browser took it.
    set(name, record) {
      this.memory.set(name, record);
      try {
        localStorage.setItem(KEY + name, JSON.stringify(record));
        return true;
      } catch {
        return false;
      }
    }

    clear(name) {
      this.memory.delete(name);
      try {
        localStorage.removeItem(KEY + name);
      } catch {
        // nothing was kept
      }
    }

    // Of every page: {"id@version": record}.
    all() {
      const names = new Set(this.memory.keys());
      try {
        for (const key of Object.keys(localStorage)) if (key.startsWith(KEY)) names.add(key.slice(KEY.length));
      } catch {
        // memory is all there is
      }
      return Object.fromEntries([...names].sort().map((name) => [name, this.get(name)]));
    }
  }

  const isCount = (value) => Number.isInteger(value) && value >= 0;
  const isRecord = (value) =>
    value !== null && typeof value === "object" && typeof value.right === "boolean" && isCount(value.tries) && isCount(value.variant);

  // The records in a saved file, or null when it is not one of ours as a whole.
  function readSaved(text) {
    let saved;
    try {
      saved = JSON.parse(text);
    } catch {
      return null;
    }
    if (saved === null || typeof saved !== "object" || saved.format !== FORMAT || saved.version !== 1) return null;
    if (saved.items === null || typeof saved.items !== "object" || Array.isArray(saved.items)) return null;
    const items = Object.entries(saved.items);
    return items.every(([name, record]) => /^[a-z0-9-]+@[0-9]+$/.test(name) && isRecord(record)) ? items : null;
  }

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  }

  function button(text, onclick, of = "") {
    const made = element("button", "sc-button", text);
    if (of) made.setAttribute("aria-label", `${text}: ${of}`);
    made.type = "button";
    made.addEventListener("click", onclick);
    return made;
  }

  // A page's own text once more, without its ids.
  function copyOf(source, tag) {
    const copy = element(tag);
    for (const child of source.childNodes) copy.append(child.cloneNode(true));
    for (const named of copy.querySelectorAll("[id]")) named.removeAttribute("id");
    return copy;
  }

  // An order of 0..n-1 that depends on the seed alone (FNV-1a, then mulberry32).
  function shuffled(n, seed) {
    let state = 2166136261;
    for (const char of seed) state = Math.imul(state ^ char.codePointAt(0), 16777619);
    const random = () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const order = Array.from({ length: n }, (_, index) => index);
    for (let last = n - 1; last > 0; last--) {
      const other = Math.floor(random() * (last + 1));
      [order[last], order[other]] = [order[other], order[last]];
    }
    return order;
  }

  // One question: its form, its verdict, its retry.
  class Item {
    constructor(root, data, grader, progress, onchange) {
      Object.assign(this, { root, data, grader, progress, onchange });
      this.name = `${data.id}@${data.version}`;
      this.key = document.querySelector(`.sc-key-item[data-id="${data.id}"]`);
      this.details = root.querySelector(".sc-answer");
      this.feedback = element("div", "sc-feedback");
      this.feedback.setAttribute("role", "status");
      this.title = `question ${parseInt(root.querySelector(".sc-number").textContent, 10)}`;
      this.again = button("Try again", () => this.retry(true), this.title);
      const actions = element("div", "sc-actions");
      actions.append(this.checkButton(), this.again);
      root.querySelector("fieldset").append(actions);
      root.insertBefore(this.feedback, this.details);
      root.querySelector("fieldset").addEventListener("keydown", (event) => {
        if (event.key === "Enter" && event.target.matches("input")) {
          event.preventDefault();
          this.check();
        }
      });
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

    get inputs() {
      return [...this.root.querySelectorAll(this.data.kind === "open" ? ".sc-rubric input" : "fieldset input")];
    }

    // Show what is stored: after loading, an import or a reset.
    restore() {
      this.record = this.progress.get(this.name);
      this.present();
    }

    // A fresh form for the current variant.
    present() {
      const variants = this.data.variants ? this.data.variants.length : 1;
      this.variant = this.record.variant % variants;
      for (const part of [...this.root.querySelectorAll("[data-variant]"), ...this.key.querySelectorAll("[data-variant]")])
        part.hidden = Number(part.dataset.variant) !== this.variant;
      this.details.open = false;
      this.feedback.replaceChildren();
      this.again.hidden = !this.record.tries;
      for (const input of this.root.querySelectorAll("input, textarea")) {
        if (input.matches("[type=radio], [type=checkbox]")) input.checked = false;
        else input.value = "";
      }
      if (this.data.shuffle) {
        const box = this.root.querySelector(".sc-options");
        const options = [...box.children].sort((a, b) => a.firstElementChild.value - b.firstElementChild.value);
        box.append(...shuffled(options.length, `${this.data.id}:${this.record.tries}`).map((n) => options[n]));
      }
      this.label();
    }

    label() {
      const { right, tries } = this.record;
      this.root.dataset.state = right ? "right" : tries ? "missed" : "new";
      this.root.querySelector(".sc-state").textContent = right ? "· ✓ right" : tries ? "· missed" : "";
    }

    get missed() {
      return this.record.tries > 0 && !this.record.right;
    }

    answer() {
      if (this.data.kind === "numeric") return this.inputs[0].value;
      return this.inputs.filter((input) => input.checked).map((input) => Number(input.value));
    }

    check() {
      const verdict = this.grader.grade(this.data, this.variant, this.answer());
      this.show(verdict);
      if (verdict.outcome === "ask") return;
      this.record = { ...this.record, right: verdict.right, tries: this.record.tries + 1 };
      const kept = this.progress.set(this.name, this.record);
      this.again.hidden = false;
      this.label();
      this.onchange(kept);
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

    // The same question with the next numbers and another order.
    retry(focus) {
      this.record = { ...this.record, variant: this.record.variant + 1 };
      this.progress.set(this.name, this.record);
      this.present();
      if (focus) (this.root.querySelector("textarea") || this.inputs.find((input) => input.offsetParent) || this.again).focus();
    }

    reset() {
      this.progress.clear(this.name);
      this.restore();
    }
  }

  // The line below the page's last block: how far you are, retry, start over, save and load.
  function toolbar(items, progress) {
    const bar = element("div", "sc-toolbar");
    const count = element("p", "sc-count");
    const note = element("p", "sc-note");
    note.setAttribute("role", "status");

    const missed = button("Retry what you missed", () => {
      const again = items.filter((item) => item.missed);
      again.forEach((item, n) => item.retry(n === 0));
      note.textContent = "";
    });
    const startOver = button("Start over", () => {
      if (!window.confirm("Forget the answers to this page's questions?")) return;
      items.forEach((item) => item.reset());
      note.textContent = "Progress on this page is forgotten.";
      refresh(true);
    });
    const save = button("Save progress to a file", () => {
      const text = JSON.stringify({ format: FORMAT, version: 1, items: progress.all() }, null, 1);
      const link = element("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.download = "self-check-progress.json";
      link.click();
      URL.revokeObjectURL(link.href);
      note.textContent = "Saved as self-check-progress.json.";
    });
    const file = element("input", "sc-hidden");
    file.type = "file";
    file.accept = "application/json,.json";
    file.tabIndex = -1;
    file.setAttribute("aria-label", "Progress file");
    file.addEventListener("change", async () => {
      const saved = file.files.length ? readSaved(await file.files[0].text()) : null;
      file.value = "";
      if (saved) {
        saved.forEach(([name, { right, tries, variant }]) => progress.set(name, { right, tries, variant }));
        items.forEach((item) => item.restore());
      }
      note.textContent = saved ? `Loaded ${saved.length} answer${saved.length === 1 ? "" : "s"}.` : "That file was not saved by this page; nothing was changed.";
      refresh(true);
    });
    const load = button("Load progress", () => file.click());

    function refresh(kept) {
      const right = items.filter((item) => item.record.right).length;
      count.textContent = `${right} of ${items.length} right`;
      missed.disabled = !items.some((item) => item.missed);
      if (!kept) note.textContent = "This browser does not keep progress; it lasts until you leave the page.";
    }

    bar.append(count, missed, startOver, save, load, file, note);
    refresh(true);
    return { bar, refresh };
  }

  function start() {
    const table = document.querySelector("script.sc-table");
    const blocks = [...document.querySelectorAll("section.self-check")];
    if (!table || !blocks.length) return;
    const grader = window.selfCheck.makeGrader(JSON.parse(table.textContent));
    const progress = new Progress();
    const items = [];
    let refresh = () => {};
    for (const block of blocks) {
      block.classList.add("sc-live");
      for (const data of JSON.parse(block.querySelector("script.sc-data").textContent))
        items.push(new Item(document.getElementById(data.id), data, grader, progress, (kept) => refresh(kept)));
    }
    const made = toolbar(items, progress);
    refresh = made.refresh;
    blocks[blocks.length - 1].append(made.bar);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
