// What the what-ifs share: quantities in words as napkinmath.fmt writes them, numbers in LaTeX, and a state in the page's address.

"use strict";

(() => {
  const SI = [["E", 1e18], ["P", 1e15], ["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3], ["", 1]];
  const COUNT = [["T", 1e12], ["B", 1e9], ["M", 1e6], ["", 1]];
  const SMALL = [["", 1], ["m", 1e-3], ["µ", 1e-6], ["n", 1e-9], ["p", 1e-12]];
  const ENERGY = [...SI, ...SMALL.slice(1)];
  const CLOCK = [["days", 86400], ["h", 3600], ["min", 60]];
  const COUNTS = ["params", "tokens", "requests", "images", "samples", "pixels", "elements", "layers", "users"];

  const round = (value, digits) => Number(value.toPrecision(digits));
  const singular = (name) => (COUNTS.includes(name) ? name.slice(0, -1) : name);

  // Significant digits, thousands separated; whole numbers in full; powers of ten only where zeros would pile up.
  const figures = (value, digits = 3) => {
    if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-US");
    const rounded = round(value, digits);
    if (rounded && !(rounded >= 1e-4 && rounded < 1e15)) {
      const [mantissa, exponent] = rounded.toExponential(digits - 1).split("e");
      return `${Number(mantissa)}e${Number(exponent)}`;
    }
    const decimals = rounded ? Math.max(0, digits - 1 - Math.floor(Math.log10(rounded))) : 0;
    return rounded.toLocaleString("en-US", { maximumFractionDigits: decimals });
  };

  // The number and the prefix that leave it between 1 and 1000 after rounding.
  const scaled = (value, prefixes, digits) => {
    const largest = Math.max(...prefixes.map(([, factor]) => factor));
    if (!value || !(round(value, digits) < 1e3 * largest)) return [figures(value, digits), ""];
    const [prefix, factor] = prefixes.find(([, factor]) => round(value / factor, digits) >= 1) ?? prefixes.at(-1);
    return [figures(round(value / factor, digits), digits), prefix];
  };

  const money = (value, digits) => {
    if (value >= 1e6) return scaled(value, COUNT, digits).join(" ").trim();
    const text = figures(round(value, digits), digits);
    return value >= 1 && /\.\d$/.test(text) ? `${text}0` : text;
  };

  // A value in base units as text: napkinmath.units.fmt.
  const fmt = (value, unit = "", digits = 3) => {
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "–";
    if (value < 0) return `-${fmt(-value, unit, digits)}`;
    const [top, bottom] = unit.split("/");
    const per = bottom ? `/${singular(bottom)}` : "";
    if (top === "%") return `${figures(value * 100, digits)}%${per}`;
    if (top === "$") return `$${money(value, digits)}${per}`;
    if (top === "s" && !per && value >= 120) {
      const [name, seconds] = CLOCK.find(([, seconds]) => value >= 2 * seconds);
      return `${figures(value / seconds, digits)} ${name}`;
    }
    if (!unit || unit === "FLOP/B") return `${figures(value, digits)} ${unit}`.trim();
    if (COUNTS.includes(top)) {
      if (value < 1e6 && Math.round(value) < 1e6) return `${figures(value, digits)} ${value === 1 ? singular(top) : top}${per}`;
      const [number, prefix] = scaled(value, COUNT, digits);
      return [number, prefix, top + per].filter(Boolean).join(" ");
    }
    if (top === "J") {
      const [number, prefix] = scaled(value, ENERGY, digits);
      return bottom === "s" ? `${number} ${prefix}W` : `${number} ${prefix}J${per}`;
    }
    const [number, prefix] = scaled(value, top === "s" ? SMALL : SI, digits);
    return `${number} ${prefix}${top}${per}`;
  };

  // A number inside a formula.
  const tex = (value) => {
    if (!Number.isFinite(value)) return "\\infty";
    if (Number.isInteger(value) && Math.abs(value) < 1e7) return value.toLocaleString("en-US").replaceAll(",", "{,}");
    if (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e7) return String(round(value, 5));
    const [mantissa, exponent] = round(value, 4).toExponential().split("e");
    return `${mantissa} \\cdot 10^{${Number(exponent)}}`;
  };

  // State in the address, after the name of what it belongs to: #calc-kv-cache?batch=8. It works from a file, and can be sent.
  const readState = (id) => {
    const [target, query] = decodeURIComponent(location.hash.slice(1)).split("?");
    return target === id ? new URLSearchParams(query ?? "") : null;
  };
  const address = (id, state) => {
    const query = String(new URLSearchParams(state));
    return `#${id}${query && `?${query}`}`;
  };
  let waiting = 0;
  const writeState = (id, state) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => history.replaceState(null, "", address(id, state)), 300); // browsers limit how often
  };
  const copyLink = async (id, state, said) => {
    const link = new URL(address(id, state), location.href).href;
    try {
      await navigator.clipboard.writeText(link);
      said.textContent = "Copied.";
    } catch {
      history.replaceState(null, "", link); // no clipboard for pages from a file in some browsers
      said.textContent = "The link is in the address bar.";
    }
  };

  window.figures = { fmt, tex, readState, writeState, copyLink };
})();
