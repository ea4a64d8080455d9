// Every page: the expression behind a number, what a name means, and a lab's button to JupyterLab. Nothing here is needed to read.

"use strict";

(() => {
  // Numbers: one note, filled and placed beside the number that has the pointer, the focus or was tapped.
  const tip = document.createElement("div");
  tip.id = "n-tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  let shown = null;

  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  };

  const show = (number) => {
    if (shown === number) return;
    hide();
    const { expression, meaning } = number.dataset; // a number has the one, a name from the glossary the other
    const first = document.createElement(meaning ? "p" : "code");
    first.textContent = meaning || expression;
    tip.replaceChildren(first);
    for (const line of (number.dataset.where || "").split("\n").filter(Boolean)) {
      const definition = document.createElement("code");
      definition.className = "where";
      definition.textContent = line;
      tip.append(definition);
    }
    if (number.dataset.exact) {
      const exact = document.createElement("span");
      exact.textContent = "= " + number.dataset.exact;
      tip.append(exact);
    }
    tip.hidden = false;
    number.setAttribute("aria-describedby", "n-tip");
    shown = number;
    const box = number.getBoundingClientRect();
    const room = document.documentElement.clientWidth - tip.offsetWidth - 12;
    const below = box.bottom + 6 + tip.offsetHeight < window.innerHeight;
    tip.style.left = `${window.scrollX + Math.max(12, Math.min(box.left, room))}px`;
    tip.style.top = `${window.scrollY + (below ? box.bottom + 6 : box.top - tip.offsetHeight - 6)}px`;
  };

  const start = () => {
    document.body.append(tip);
    const numbers = document.querySelectorAll("button.n");
    for (const number of numbers) {
      number.removeAttribute("title"); // the browser's own hint was for pages without scripts
      number.addEventListener("mouseenter", () => show(number));
      number.addEventListener("mouseleave", (event) => {
        if (!tip.contains(event.relatedTarget) && document.activeElement !== number) hide();
      });
      number.addEventListener("focus", () => show(number));
      number.addEventListener("blur", hide);
      number.addEventListener("click", () => { number.focus(); show(number); }); // Safari does not focus a clicked button
    }
    tip.addEventListener("mouseleave", () => { if (document.activeElement !== shown) hide(); });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    document.addEventListener("pointerdown", (event) => { if (shown && event.target !== shown && !tip.contains(event.target)) hide(); });
    offerJupyterLab();
  };

  // Labs: `make serve` serves the book at /book/, and beside it a note that says where JupyterLab is.
  const offerJupyterLab = async () => {
    const open = document.querySelector(".lab-open");
    const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
    if (!open || !location.protocol.startsWith("http") || !root.pathname.endsWith("/book/")) return;
    const answer = await fetch(new URL("../workbook/serve.json", root)).catch(() => null);
    if (!answer?.ok) return;
    const { lab_url: lab } = await answer.json();
    open.href = lab + open.dataset.notebook;
    open.hidden = false;
  };

  // Search: a page may not read another one from a file, so results come without excerpts there.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
