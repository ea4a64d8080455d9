// Which chapters are read: a box below the title, a tick in the list of pages. Kept in this browser, under read/<page>.

"use strict";

(() => {
  const KEY = "read/";
  const memory = new Map(); // for a browser that keeps nothing

  const has = (page) => {
    try {
      return localStorage.getItem(KEY + page) !== null;
    } catch {
      return memory.has(page);
    }
  };

  const set = (page, read) => {
    if (read) memory.set(page, "1");
    else memory.delete(page);
    try {
      if (read) localStorage.setItem(KEY + page, "1");
      else localStorage.removeItem(KEY + page);
    } catch {
      // it lasts until the reader leaves the page
    }
    show();
  };

  // "book/sequence/transformer" for a link to it, from wherever it is.
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const pageOf = (link) => {
    const url = new URL(link.getAttribute("href"), location.href);
    return decodeURI(url.pathname.slice(root.pathname.length).replace(/\.html$/, ""));
  };

  const show = () => {
    for (const box of document.querySelectorAll("input[data-read]")) box.checked = has(box.dataset.read);
    for (const link of document.querySelectorAll(".bd-sidebar-primary a.reference.internal")) {
      const mark = link.querySelector(".read-mark");
      const read = has(pageOf(link));
      if (!read) mark?.remove();
      else if (!mark) {
        const made = Object.assign(document.createElement("span"), { className: "read-mark", textContent: "✓" });
        made.setAttribute("role", "img");
        made.setAttribute("aria-label", "(read)");
        link.append(" ", made);
      }
    }
  };

  const start = () => {
    document.addEventListener("change", ({ target }) => { if (target.matches?.("input[data-read]")) set(target.dataset.read, target.checked); });
    window.addEventListener("storage", show); // ticked in another tab
    window.addEventListener("pageshow", show); // the browser brings an old page back
    show();
  };

  window.reading = { has, set };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
