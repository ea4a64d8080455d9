// What a reader has answered, and when it comes again: the same records, file format and schedule as workbook/questions/progress.py
// and schedule.py, held to them by tests/fixtures/schedule.json. Records stand in localStorage, or in memory.
"use strict";

(() => {
const KEY = "self-check/"; // + id@version: a new version of a question starts afresh
const NAME = /^[a-z0-9-]+@[0-9]+$/;
const LIMITS = { count: 1e6, log: 1000, text: 5000 };

const isCount = (value) => Number.isInteger(value) && value >= 0 && value <= LIMITS.count;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isAnswer = (entry) =>
  Array.isArray(entry) &&
  entry.length === 3 &&
  isCount(entry[0]) &&
  typeof entry[1] === "boolean" &&
  (entry[2] === null || Number.isFinite(entry[2]));

// A log is a list of [day, right, log10 of estimate over answer or null]: the first answer of each day, days rising.
const isLog = (log) =>
  Array.isArray(log) && log.length <= LIMITS.log && log.every((entry, n) => isAnswer(entry) && (n === 0 || log[n - 1][0] < entry[0]));

const isRecord = (value) =>
  isObject(value) &&
  typeof value.right === "boolean" &&
  isCount(value.tries) &&
  isCount(value.variant) &&
  isLog(value.log) &&
  (value.text === undefined || (typeof value.text === "string" && value.text.length <= LIMITS.text));

const fresh = () => ({ right: false, tries: 0, variant: 0, log: [] });

// What both know: of a day that both have, the other's answer.
function merged(one, other) {
  const log = new Map([...one.log, ...other.log].map((entry) => [entry[0], entry]));
  return {
    right: one.right || other.right,
    tries: Math.max(one.tries, other.tries),
    variant: Math.max(one.variant, other.variant),
    log: [...log.values()].sort((a, b) => a[0] - b[0]),
    text: other.text || one.text,
  };
}

// One progress over one page's table: {intervals, progress: {format, version, says}}.
class Progress {
  constructor(table) {
    this.memory = new Map();
    this.kept = true; // whether the browser took the last record
    this.intervals = table.intervals;
    this.file = table.progress;
  }

  get(name) {
    try {
      const record = JSON.parse(localStorage.getItem(KEY + name));
      if (isRecord(record)) return record;
    } catch {
      // no storage, or not ours: fall through
    }
    return this.memory.get(name) || fresh();
  }

  set(name, record) {
    this.memory.set(name, record);
    try {
      localStorage.setItem(KEY + name, JSON.stringify(record));
      this.kept = true;
    } catch {
      this.kept = false;
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
    return Object.fromEntries([...names].filter((name) => NAME.test(name)).sort().map((name) => [name, this.get(name)]));
  }

  // As a file's text, and back: how many records were merged, or throws an Error with a sentence, having changed nothing.
  save() {
    return JSON.stringify({ format: this.file.format, version: this.file.version, items: this.all() }, null, 1);
  }

  load(text) {
    const { format, version, says } = this.file;
    let saved = null;
    try {
      saved = JSON.parse(text);
    } catch {
      // refused below
    }
    if (!isObject(saved) || saved.format !== format || !Number.isInteger(saved.version) || !isObject(saved.items)) throw new Error(says.foreign);
    if (saved.version !== version) throw new Error(says.version);
    const items = Object.entries(saved.items);
    if (!items.every(([name, record]) => NAME.test(name) && isRecord(record))) throw new Error(says.foreign);
    for (const [name, record] of items) this.set(name, merged(this.get(name), record));
    return items.length;
  }

  // The schedule ----------------------------------------

  // The day's number from 1970-01-01, in the reader's own time zone.
  static today() {
    const now = new Date();
    return Math.floor(Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) / 864e5);
  }

  // Box and day of a question with this log; a new question has no day.
  due(log) {
    let box = 0;
    let day = null;
    for (const [asked, right] of log) {
      if (!right) {
        box = 0;
        day = asked + this.intervals[0];
      } else if (day === null || asked >= day) {
        box = Math.min(box + 1, this.intervals.length - 1);
        day = asked + this.intervals[box];
      }
    }
    return { box, day };
  }

  // With one more answer, which goes into the log unless that day has one already.
  graded(record, { right, logRatio }, day) {
    const first = !record.log.length || record.log.at(-1)[0] < day;
    return { ...record, right: record.right || right, tries: record.tries + 1, log: first ? [...record.log, [day, right, logRatio]] : record.log };
  }

  // Of {name: log}, the names to ask on a day: most overdue first, new ones after what is due and before what is not.
  choose(logs, day, when) {
    const due = new Map(Object.entries(logs).map(([name, log]) => [name, this.due(log).day]));
    const wanted = {
      due: (name) => due.get(name) !== null && due.get(name) <= day,
      new: (name) => due.get(name) === null,
      missed: (name) => logs[name].length > 0 && !logs[name].at(-1)[1],
      all: () => true,
    }[when];
    const urgency = (name) => (due.get(name) === null ? 2 * day + 1 : 2 * due.get(name));
    return Object.keys(logs).filter(wanted).sort((a, b) => urgency(a) - urgency(b));
  }
}

Object.assign(window.selfCheck, { Progress, merged });
})();
