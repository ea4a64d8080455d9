// Reads quantities and grades answers: the same behaviour as napkinmath/units.py and workbook/questions/grader.py, held to it by
// tests/fixtures/grading.json. Units and sentences come from the page's table; there is no second list here. Nothing touches the page.
"use strict";

(() => {
class Ask extends Error {}

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻";
const PLAIN = String.raw`(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?: \d{3})+(?!\d)|\d+(?:_\d+)*)(?:\.\d*)?|\.\d+`;
const FACTOR = String.raw`(${PLAIN})(e[-+]?\d+)?(?: *(?:\^|\*\*) *\(?([-+]?\d+)\)?)?`;
const NUMBER = new RegExp(String.raw`^([-+]?) *(\$?) *((?:${FACTOR})(?: *[*x] *(?:${FACTOR}))*)`, "i");

const trim = (text) => text.replace(/^ +| +$/g, "");
const clean = (text) => trim(String(text).replace(/[\t\n\v\f\r \u00a0\u2009\u202f]+/g, " "));
const say = (template, words) => template.replace(/\{(\w+)\}/g, (_, name) => words[name]);
const splitAt = (text, mark) => {
  const at = text.indexOf(mark);
  return at < 0 ? [text, "", ""] : [text.slice(0, at), mark, text.slice(at + 1)];
};

// A grader over one table: {units: {atoms, ambiguous, scales, counts, says}, says, open_pass}.
function makeGrader(table) {
  const atoms = new Map(Object.entries(table.units.atoms));
  const scales = new Map(Object.entries(table.units.scales));
  const ambiguous = new Map(Object.entries(table.units.ambiguous));
  const counts = new Set(table.units.counts);

  const ask = (name, words) => new Ask(say(table.units.says[name], words));

  function parse(text, unit) {
    const [wantFactor, wantBase] = unit ? unitOf(" " + unit, null, "") : [1, ""];
    const example = unit && unit !== "$" ? `2.1 ${unit}` : "2.1e9";
    const typed = clean(text);
    if (!typed) throw ask("empty", { example });
    const plain = typed
      .replace(new RegExp(`[${SUPERSCRIPTS}]+`, "g"), (run) => "^" + [...run].map((c) => "0123456789-"[SUPERSCRIPTS.indexOf(c)]).join(""))
      .replace(/\u2212/g, "-")
      .replace(/[×·∗]/g, "*")
      .replace(/^[~≈= ]+/, "");
    const match = NUMBER.exec(plain);
    if (!match) throw ask("number", { text: typed, example });
    const rest = plain.slice(match[0].length);
    if (rest.length > 1 && ",.".includes(rest[0])) throw ask("separator", { text: typed });
    const value = (match[1] === "-" ? -1 : 1) * product(match[3]);
    if (!Number.isFinite(value)) throw ask("range", { text: typed });
    const spelled = match[2] ? currency(trim(rest)) : rest;
    let [factor, base] = unitOf(spelled, unit === null ? null : wantBase, example);
    const ratios = ["", "%"];
    if (unit !== null && base !== wantBase && !(ratios.includes(base) && ratios.includes(wantBase)))
      throw ask("dimension", { text: typed, got: base || "a plain number", want: unit || "a plain number" });
    const bare = !trim(spelled);
    if (bare && wantBase === "%") {
      if (Math.abs(value) > 1) throw ask("percent", { text: typed });
    } else if (bare || (wantFactor < 1 && scales.has(trim(spelled)))) {
      factor *= wantFactor;
    }
    return { value: value * factor, unit: base, bare };
  }

  function product(text) {
    let value = 1;
    for (const [, digits, exponent, power] of text.matchAll(new RegExp(FACTOR, "gi"))) {
      const number = Number(digits.replace(/[,_ ]/g, "") + (exponent || ""));
      value *= power ? Math.pow(number, Number(power)) : number;
    }
    return value;
  }

  function currency(rest) {
    const [top, slash, bottom] = splitAt(rest, "/");
    return trim(`${top} $`) + slash + bottom;
  }

  function unitOf(text, want, example) {
    if (!trim(text)) return [1, want || ""];
    const [top, ...bottoms] = text.replace(/ +per +/gi, "/").split("/").map(trim);
    const [wantTop, , wantBottom] = splitAt(want || "", "/");
    const spaceless = text[0] !== " ";
    if (!bottoms.length) return atom(top, want, example, spaceless);
    if (bottoms.length > 1 || !bottoms[0]) throw ask("unit", { unit: trim(text), example });
    const [factor, base] = top ? atom(top, wantTop || null, example, spaceless) : [1, wantTop];
    const [per, below] = atom(bottoms[0], wantBottom || null, example, false);
    if (!base || (base + below).includes("/")) throw ask("unit", { unit: trim(text), example });
    return [factor / per, `${base}/${below}`];
  }

  function atom(name, want, example, spaceless) {
    if ((name === "B" || name === "b") && (want === "" || counts.has(want))) return [1e9, want];
    if (name === "B" && want === null && spaceless) throw ask("ambiguous", { unit: name, readings: "bytes or billion" });
    const readings = ambiguous.get(name);
    if (!readings) {
      if (atoms.has(name)) return atoms.get(name);
      if (scales.has(name)) return [scales.get(name), want || ""];
      const found = [...atoms].filter(([spelling]) => spelling.toLowerCase() === name.toLowerCase()).map(([, reading]) => reading);
      if (new Set(found.map(String)).size === 1) return found[0];
      const [scale, , counted] = splitAt(name, " ");
      if (scales.has(scale) && atoms.has(counted)) return [scales.get(scale) * atoms.get(counted)[0], atoms.get(counted)[1]];
      throw ask("unit", { unit: name, example });
    }
    const fitting = readings.filter(([, base]) => base === want);
    if (fitting.length === 1 && want) return [fitting[0][0], fitting[0][1]];
    throw ask("ambiguous", { unit: name, readings: readings.map(([, , spelling]) => spelling).join(" or ") });
  }

  // A verdict: outcome ("ask" is no grade), right, say, the slip that explains it, the options whose feedback to show.
  const verdict = (outcome, right, words, more = {}) => ({ outcome, right, say: words, slip: null, show: [], logRatio: null, ...more });
  const asked = (name, words) => verdict("ask", false, say(table.says[name], words));

  const ratio = (left, right) => Math.max(left / right, right / left);

  function factorText(factor) {
    if (factor >= 1e6) return table.says.huge;
    if (factor < 1.1) return String(Math.floor(factor * 100 + 0.5) / 100); // "1 times too high" would say nothing
    return factor < 10 ? String(Math.floor(factor * 10 + 0.5) / 10) : String(Math.floor(factor + 0.5));
  }

  // The answer is what was typed, or the numbers of the chosen options or rubric points.
  function grade(question, variant, answer) {
    if (question.kind === "numeric") return gradeNumber(question, question.variants[variant], String(answer));
    if (question.kind === "order") return gradeOrder(question, answer);
    const chosen = new Set(answer);
    return question.kind === "open" ? gradePoints(question, chosen) : gradeOptions(question, chosen);
  }

  function gradeNumber(question, variant, text) {
    let quantity;
    try {
      quantity = parse(text, question.unit);
    } catch (error) {
      if (!(error instanceof Ask)) throw error;
      return verdict("ask", false, error.message);
    }
    const bands = question.bands;
    const truth = variant.answer;
    if (quantity.value <= 0) return asked("positive", { text: clean(text) });
    if (question.whole && Math.abs(quantity.value - Math.floor(quantity.value + 0.5)) > 1e-9 * quantity.value) return asked("whole", { text: clean(text) });
    const off = ratio(quantity.value, truth);
    const words = { factor: factorText(off), direction: quantity.value > truth ? "high" : "low", answer: variant.text };
    const logRatio = Math.round(1000 * (Math.log10(quantity.value) - Math.log10(truth))) / 1000;
    const graded = (outcome, slip = null) =>
      verdict(outcome, outcome === "exact" || outcome === "good", say(table.says[outcome], words), { slip, logRatio });
    if (off <= bands.exact) return graded("exact");
    const slip = variant.slips.findIndex((value) => ratio(quantity.value, value) <= bands.exact);
    if (slip >= 0) return graded("slip", slip);
    if (off <= bands.good) return graded("good");
    const thousands = [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5];
    if (quantity.bare && !["", "%", "$"].includes(quantity.unit) && thousands.some((n) => ratio(quantity.value * 10 ** (3 * n), truth) <= bands.good))
      return asked("bare", { text: clean(text), unit: question.unit });
    return graded(off <= bands.order ? "order" : "off");
  }

  // By pairs; the feedback is that of neighbours who should change places.
  function gradeOrder(question, order) {
    const total = question.options;
    if ([...order].sort((a, b) => a - b).join() !== [...Array(total).keys()].join()) return asked("sequence", { total });
    const pairs = order.flatMap((left, n) => order.slice(n + 1).map((right) => left < right));
    const hits = pairs.filter(Boolean).length;
    if (hits === pairs.length) return verdict("right", true, table.says.right, { show: [...order] });
    const swapped = order.flatMap((left, n) => (left > order[n + 1] ? [left, order[n + 1]] : []));
    const show = [...new Set(swapped)].sort((a, b) => a - b);
    return verdict("partial", false, say(table.says.pairs, { hits, total: pairs.length }), { show });
  }

  function gradeOptions(question, chosen) {
    if (!chosen.size) return asked("none", {});
    const multi = question.kind === "multi";
    const numbers = Array.from({ length: question.options }, (_, n) => n);
    const correct = new Set(question.correct);
    const show = numbers.filter((n) => chosen.has(n) || (multi && correct.has(n)));
    const hits = numbers.filter((n) => chosen.has(n) === correct.has(n)).length;
    if (hits === question.options) return verdict("right", true, table.says.right, { show });
    if (!multi) return verdict("wrong", false, table.says.wrong, { show });
    return verdict("partial", false, say(table.says.partial, { hits, total: question.options }), { show });
  }

  function gradePoints(question, made) {
    const worth = question.points.reduce((sum, points) => sum + points, 0);
    const score = question.points.reduce((sum, points, n) => sum + (made.has(n) ? points : 0), 0);
    const right = score >= table.open_pass * worth;
    return verdict(right ? "right" : "partial", right, say(table.says.points, { score, worth }));
  }

  return { parse, grade };
}

window.selfCheck = { makeGrader };
})();
