// Scoring the three answers of a round: readers tick the rubric first, then see where they and the book differ.
"use strict";

(() => {
const element = (tag, className = "", text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
const list = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0]);

function compare(sample, worth, { earns, is }) {
  const ticks = [...sample.querySelectorAll(".round-rubric input")];
  const score = (ids) => ids.reduce((sum, id) => sum + worth[id], 0);
  const own = ticks.filter((tick) => tick.checked).map((tick) => tick.value);
  const sides = { generous: own.filter((id) => !earns.includes(id)), strict: earns.filter((id) => !own.includes(id)) };
  for (const line of sample.querySelectorAll(".round-ours li")) {
    const side = Object.keys(sides).find((name) => sides[name].includes(line.dataset.point));
    line.querySelector(".round-side")?.remove();
    line.classList.toggle("round-differs", Boolean(side));
    if (side) line.prepend(element("span", "round-side", side === "generous" ? "You gave it. " : "You did not give it. "));
  }
  const differ = sides.generous.length + sides.strict.length;
  const verdict = `You gave ${score(own)}, we gave ${score(earns)} of ${score(ticks.map((tick) => tick.value))} points: ${is}.`;
  if (!differ) return `${verdict} You agree on every point.`;
  const parts = [];
  if (sides.generous.length) parts.push(`more generous on ${sides.generous.length}`);
  if (sides.strict.length) parts.push(`stricter on ${sides.strict.length}`);
  return `${verdict} You were ${list(parts)}; the words that decide are below.`;
}

function start() {
  const box = document.querySelector(".round-samples");
  if (!box) return;
  const { worth, samples } = JSON.parse(box.querySelector("script.round-data").textContent);
  for (const sample of box.querySelectorAll(".round-sample")) {
    const said = Object.assign(element("p", "sc-note"), { role: "status" });
    const ours = sample.querySelector(".round-ours");
    const button = Object.assign(element("button", "sc-button", "Compare with our score"), {
      type: "button",
      onclick: () => {
        said.textContent = compare(sample, worth, samples[sample.dataset.grade]);
        ours.hidden = false;
        ours.open = true;
      },
    });
    button.setAttribute("aria-label", `Compare with our score: ${sample.querySelector("h3").textContent}`);
    ours.hidden = true;
    sample.querySelector(".round-rubric").append(button, said);
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
})();
