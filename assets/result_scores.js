/* Scores of groups: a table of groups and labels, coloured by the mean score. A click asks why. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const NUMBERS = 12; // labels up to which cells have room for their number
  const parts = () => iscan.filterParts;

  let summary = null;
  let bits = null;
  let by = "";
  let found = null;
  let asking = 0;
  const listeners = new Set();

  const valueText = (value) => (value === null ? "missing" : value);

  async function read() {
    const mine = ++asking;
    if (!by) return showNote("This study has no column of labels to group cells by.");
    bits.box.classList.add("is-busy");
    let answer;
    try {
      answer = await iscan.result.request(`scores?by=${encodeURIComponent(by)}`);
    } catch (error) {
      answer = { problem: error.message };
    }
    if (mine !== asking || !bits) return;
    bits.box.classList.remove("is-busy");
    found = answer.problem ? null : answer;
    if (answer.problem) showNote(answer.problem);
    else show();
    listeners.forEach((listener) => listener());
  }

  function showNote(text) {
    bits.box.replaceChildren();
    bits.note.textContent = text;
  }

  /** Dark ink on light colours. */
  function inkOn(colour) {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#1d232b" : "#ffffff";
  }

  function colourOf(value) {
    const [low, high] = found.range;
    const part = high > low ? (value - low) / (high - low) : 1;
    return found.scale[Math.round(Math.min(1, Math.max(0, part)) * (found.scale.length - 1))];
  }

  function show() {
    const { make, words, number, cellsText } = parts();
    const hasNumbers = found.labels.length <= NUMBERS;
    const head = make(
      "tr",
      {},
      make("th", { scope: "col", textContent: found.name }),
      make("th", { scope: "col", class: "number", textContent: "Cells" }),
      ...found.labels.map(({ label, colour }) => make("th", { scope: "col", class: "result-score-label", title: label }, make("span", {}, iscan.result.swatch(colour), make("bdi", { textContent: label })))),
    );
    const rows = found.groups.map(({ value, size, scored, means }) => {
      const best = means.indexOf(Math.max(...means));
      const ask = (other) => iscan.resultWhy.ask({ is: "group", by, value }, other);
      const title = scored < size ? `${cellsText(size)}, ${number(scored)} of them with scores` : cellsText(size);
      return make(
        "tr",
        { "data-value": valueText(value) },
        make("th", { scope: "row" }, make("button", { class: "result-label", title: `Why ${valueText(value)}`, onclick: () => ask("") }, value === null ? make("i", { textContent: "missing" }) : words(value))),
        make("td", { class: "number", textContent: number(size), title }),
        ...means.map((mean, k) => {
          const { label } = found.labels[k];
          const cell = make("td", { class: `result-score${k === best ? " is-best" : ""}`, title: `${valueText(value)}, ${label}: ${iscan.result.score(mean)}${k === best ? " (highest)" : ""}`, textContent: hasNumbers ? mean.toFixed(2) : "", onclick: () => ask(label) });
          const colour = colourOf(mean);
          cell.style.backgroundColor = colour;
          cell.style.color = inkOn(colour);
          if (!hasNumbers) cell.append(make("span", { class: "visually-hidden", textContent: iscan.result.score(mean) }));
          return cell;
        }),
      );
    });
    const table = make("table", { class: `result-scores${hasNumbers ? " has-numbers" : ""}` }, make("thead", {}, head), make("tbody", {}, ...rows));
    bits.box.replaceChildren(rows.length ? table : make("p", { class: "muted", textContent: "No cell of these groups has scores." }));
    const left = [];
    if (found.n_groups > found.groups.length) left.push(`the largest ${number(found.groups.length)} of ${number(found.n_groups)} groups`);
    if (found.n_labels > found.labels.length) left.push(`the ${number(found.labels.length)} of ${number(found.n_labels)} labels that score highest anywhere`);
    const [low, high] = found.range.map((value) => value.toFixed(2));
    bits.note.textContent = `Mean scores, ${low} (dark) to ${high} (bright); the highest of each group is framed.${left.length ? ` Shown: ${left.join(", ")}.` : ""} Click a group, or one of its scores, for the reasons.`;
  }

  /** Show the groups of another column. */
  function choose(column) {
    if (column === by) return Promise.resolve();
    by = column;
    if (bits.select.value !== column) bits.select.value = column;
    found = null;
    return read();
  }

  function draw(known) {
    const { make } = parts();
    const isOther = !summary || summary.id !== known.id;
    summary = known;
    if (isOther || !known.columns.some(({ value }) => value === by)) by = known.by;
    bits = { box: make("div", { class: "result-heat", tabIndex: 0, role: "region", "aria-label": "Scores of groups" }), note: make("p", { class: "muted", role: "status" }) };
    bits.select = iscan.result.columnSelect("result-by", choose);
    bits.select.value = by;
    bits.root = iscan.result.section("result-scores", "Scores of groups", make("div", { class: "result-row" }, make("label", { for: "result-by", textContent: "Group cells by" }), bits.select), bits.box, bits.note);
    found = null;
    read();
    return bits.root;
  }

  function follow(known) {
    const isSame = JSON.stringify(summary.columns) === JSON.stringify(known.columns);
    summary = known;
    if (!isSame) {
      bits.root.replaceWith(draw(known));
      return;
    }
    read();
  }

  function leave() {
    bits = null;
    asking += 1;
  }

  iscan.resultScores = {
    draw,
    follow,
    leave,
    choose,
    /** The groups of the column that is shown: {by, groups}; null while they are read. */
    groups: () => found,
    by: () => by,
    onChange: (listener) => listeners.add(listener),
  };
})();
