// The comparison: predicts as napkinmath.predict does by roofline, from the rows of each preset's ledger, which the page holds as polynomials.

"use strict";

(() => {
  const { fmt, readState, writeState, copyLink } = window.figures;
  const RESOURCES = ["compute", "bandwidth", "overhead"];
  const DTYPE_ORDER = ["fp32", "bf16", "fp16", "fp8", "int8"];

  const start = (root) => {
    const data = JSON.parse(root.querySelector(".compare-data").textContent);
    const tasks = new Map(data.tasks.map((task) => [task.name, task]));
    const devices = new Map(data.devices.map((device) => [device.name, device]));

    const dot = (coefficients, terms) => coefficients.reduce((sum, value, index) => sum + value * terms[index], 0);

    const termsOf = (preset, mode, batch, length) => {
      const letters = { 1: 1, b: batch, n: length, m: Math.min(length, preset.window ?? length) };
      return preset.terms.map((term) => {
        if (term !== "r") return [...term].reduce((product, letter) => product * letters[letter], 1);
        const [experts, chosen] = preset.experts;
        return experts * (1 - (1 - chosen / experts) ** (mode === "decode" ? batch : batch * length));
      });
    };

    // One candidate on one device: napkinmath.candidates.compare's row.
    const predict = (task, name, device, { batch, length, dtype, limits }) => {
      const preset = task.presets[name];
      const peak = device.peaks[dtype];
      const row = { preset: name, device: device.name, fails: [] };
      if (!peak) return { ...row, fails: [`no ${dtype}`], fits: false };
      if (task.size && length > preset.longest) return { ...row, fails: [`at most ${fmt(preset.longest)} tokens`], fits: false };
      const width = data.widths[dtype];
      const terms = termsOf(preset, task.mode, batch, length);
      const seconds = [0, 0, 0];
      const bound = [0, 0, 0];
      let largest = 0;
      for (const [count, flops, values, params] of preset.rows) {
        const work = dot(flops, terms);
        const moved = Math.trunc(width * dot(values, terms));
        largest = Math.max(largest, moved - params * width);
        for (let level = 0; level < 3; level += 1) {
          const parts = [
            work / peak / data.efficiency.compute[level],
            moved / device.bandwidth / data.efficiency.bandwidth[level],
            data.dispatch[2 - level],
          ];
          const time = count * (Math.max(parts[0], parts[1]) + parts[2]);
          seconds[level] += time;
          if (level === 1) bound[parts.indexOf(Math.max(...parts))] += time;
        }
      }
      const [high, p50, low] = seconds;
      const perSecond = batch / p50;
      const usd = device.price === null ? NaN : (1000 * device.price) / (3600 * perSecond);
      const memory = preset.params * width + dot(preset.kept, terms) + width * dot(preset.wide, terms) + largest;
      const fails = [];
      if (limits.latency && high > limits.latency) fails.push("latency");
      if (memory > (limits.memory || device.memory)) fails.push("memory");
      if (limits.price && !(usd <= limits.price)) fails.push("price");
      const binds = RESOURCES[bound.indexOf(Math.max(...bound))];
      return { ...row, low, p50, high, binds, memory, perSecond, usd, fails, fits: !fails.length };
    };

    const last = (value) => (Number.isFinite(value) ? value : Infinity);
    const order = (a, b) => b.fits - a.fits || last(a.usd) - last(b.usd) || last(a.p50) - last(b.p50);
    const compare = (choice) => {
      const task = tasks.get(choice.task);
      return choice.presets.flatMap((name) => choice.devices.map((device) => predict(task, name, devices.get(device), choice))).sort(order);
    };

    // What the reader chose ----------------------------------------------------------------------------------------------

    const field = (name) => root.querySelector(`[data-choice=${name}]`);
    const limit = (name) => root.querySelector(`[data-limit=${name}]`);
    const picks = (name) => [...root.querySelectorAll(`[data-picks=${name}] input:checked`)].map((box) => box.value);
    const said = root.querySelector(".calc-said");
    const figure = root.querySelector("figure.chart");
    const specText = figure.querySelector(".chart-spec");
    const spec = JSON.parse(specText.textContent);

    const fill = (name, options, chosen) => {
      const labels = options.map(([value, text]) => {
        const label = document.createElement("label");
        const box = Object.assign(document.createElement("input"), { type: "checkbox", value, checked: chosen.includes(value) });
        label.append(box, ` ${text}`);
        return label;
      });
      root.querySelector(`[data-picks=${name}]`).replaceChildren(...labels);
    };

    const turnTo = (task, chosen = task.chosen) => {
      fill("presets", Object.keys(task.presets).map((name) => [name, name]), chosen);
      const length = field("length");
      length.closest("label").hidden = !task.size;
      length.closest("label").firstChild.textContent = task.mode === "decode" ? "Context " : "Tokens ";
      length.max = task.longest;
      length.value = task.length;
    };

    const choiceNow = () => ({
      task: field("task").value,
      dtype: field("dtype").value,
      batch: Number(field("batch").value),
      length: Number(field("length").value),
      presets: picks("presets"),
      devices: picks("devices"),
      limits: {
        latency: Number(limit("latency").value) / 1e3,
        memory: Number(limit("memory").value) * 1e9,
        price: Number(limit("price").value),
      },
    });

    // What flips the choice: the first change of the winner in either direction of each knob -----------------------------

    const named = (row) => `${row.preset} on ${devices.get(row.device).title}`;
    const winner = (choice) => compare(choice)[0];
    const same = (a, b) => a.fits === b.fits && (!a.fits || (a.preset === b.preset && a.device === b.device));

    const doubled = (from, to) => {
      const found = [];
      for (let value = from; value > 1 && to < from; ) found.push((value = Math.ceil(value / 2)));
      for (let value = from; value < to; ) found.push((value = Math.min(to, value * 2)));
      return found;
    };
    const flips = (choice, rows) => {
      const best = rows[0];
      const task = tasks.get(choice.task);
      const found = [];
      const then = (row) => (row.fits ? named(row) : "nothing that you chose fits");
      const scan = (name, values, says) => {
        for (const value of values) {
          const other = winner({ ...choice, [name]: value });
          if (!same(best, other)) return found.push(`${says(value)}: ${then(other)}.`);
        }
        return 0;
      };
      scan("batch", doubled(choice.batch, 4096), (value) => `From a batch of about ${fmt(value)} up`);
      scan("batch", doubled(choice.batch, 1), (value) => `From a batch of about ${fmt(value)} down`);
      if (task.size) {
        scan("length", doubled(choice.length, task.longest), (value) => `From about ${fmt(value)} tokens up`);
        scan("length", doubled(choice.length, 1), (value) => `From about ${fmt(value)} tokens down`);
      }
      for (const dtype of DTYPE_ORDER) scan("dtype", dtype === choice.dtype ? [] : [dtype], (value) => `In ${value}`);
      const only = (name) => rows.filter((row) => row.fails.length === 1 && row.fails[0] === name && (!best.fits || order({ ...row, fits: true }, best) < 0));
      const late = only("latency").sort((a, b) => a.high - b.high)[0];
      if (late) found.push(`If ${fmt(late.high, "s")} were fast enough: ${named(late)}.`);
      const big = only("memory").sort((a, b) => a.memory - b.memory)[0];
      if (big) found.push(`With ${fmt(big.memory, "B")} of memory: ${named(big)}.`);
      if (best.fits) {
        const faster = rows.filter((row) => row.fits && row.high < best.high)[0];
        if (faster) found.push(`If a batch had to be done in less than ${fmt(best.high, "s")}: ${named(faster)}.`);
      }
      return found;
    };

    // Showing it ---------------------------------------------------------------------------------------------------------

    const money = (usd) => (Number.isFinite(usd) ? `$${Number(usd.toPrecision(2))}` : "no price");
    const cells = (row) => [
      row.preset,
      row.device,
      row.fits ? "yes" : `no: ${row.fails.join(", ")}`,
      ...(row.p50 ? [`${fmt(row.low, "s", 2)} to ${fmt(row.high, "s", 2)}`, row.binds, fmt(row.memory, "B"), fmt(row.perSecond), money(row.usd)] : ["", "", "", "", ""]),
    ];
    const tableOf = (rows) => rows.map((texts) => {
      const line = document.createElement("tr");
      line.append(...texts.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return line;
    });

    const update = () => {
      const invalid = [...root.querySelectorAll("input[type=number]")].find((box) => !box.closest("[hidden]") && !box.checkValidity());
      said.textContent = invalid ? invalid.validationMessage : "";
      if (invalid) return;
      const choice = choiceNow();
      const task = tasks.get(choice.task);
      const rows = compare(choice);
      const fitting = rows.filter((row) => row.fits).length;
      const answer = () => {
        if (!rows.length) return "Choose at least one architecture and one device.";
        if (!fitting) return `None of the ${rows.length} fits.`;
        const price = Number.isFinite(rows[0].usd) ? `${money(rows[0].usd)} for a thousand ${task.items}` : "no price on record";
        return `${fitting} of ${rows.length} fit. Cheapest: ${named(rows[0])}, ${price}, ${fmt(rows[0].low, "s", 2)} to ${fmt(rows[0].high, "s", 2)} a batch, most of it bound by ${rows[0].binds}.`;
      };
      root.querySelector("output").textContent = answer();
      const items = (rows.length ? flips(choice, rows) : []).map((text) => Object.assign(document.createElement("li"), { textContent: text }));
      root.querySelector(".flips").replaceChildren(...items);
      root.querySelector("tbody").replaceChildren(...tableOf(rows.map(cells)));
      const points = rows.filter((row) => row.usd > 0).map((row) => ({
        architecture: row.preset, device: row.device, seconds: row.high, dollars: row.usd, "": row.fits ? "fits" : "does not fit",
      }));
      spec.data.values = points;
      specText.textContent = JSON.stringify(spec);
      figure.view?.data("points", points).resize().runAsync();
      figure.querySelector("tbody")?.replaceChildren(...tableOf(points.map((point) => [point.architecture, point.device, point[""]])));
    };

    const state = () => {
      const { task, dtype, batch, length, presets, devices: machines, limits } = choiceNow();
      const pairs = [["task", task], ["dtype", dtype], ["batch", batch], ["length", length], ["presets", presets.join(" ")], ["devices", machines.join(" ")]];
      return [...pairs, ...Object.keys(limits).filter((name) => limit(name).value).map((name) => [name, limit(name).value])];
    };
    const arrive = () => {
      const asked = readState(root.id);
      const task = tasks.get(asked?.get("task"));
      if (!task) return;
      field("task").value = task.name;
      turnTo(task, (asked.get("presets") ?? "").split(" "));
      fill("devices", data.devices.map((device) => [device.name, device.title]), (asked.get("devices") ?? "").split(" "));
      for (const name of ["dtype", "batch", "length"]) if (asked.get(name)) field(name).value = asked.get(name);
      for (const name of ["latency", "memory", "price"]) limit(name).value = asked.get(name) ?? "";
    };

    fill("devices", data.devices.map((device) => [device.name, device.title]), data.chosen);
    turnTo(tasks.get(field("task").value));
    arrive();
    field("task").addEventListener("input", () => turnTo(tasks.get(field("task").value)));
    root.addEventListener("input", () => { update(); writeState(root.id, state()); });
    figure.addEventListener("drawn", update);
    addEventListener("hashchange", () => { arrive(); update(); });
    root.querySelector(".calc-link").addEventListener("click", () => copyLink(root.id, state(), said));
    root.compare = compare; // tests hold it against Python
    update();
  };

  document.querySelectorAll(".comparison").forEach(start);
})();
