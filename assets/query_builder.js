/* The query builder: a tree of groups (all of, any of, none of) and conditions, drawn from the JSON that the server
 * holds. Every change sends the whole tree; what the server says of it comes back with the selection's state. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const DEEPEST = 6; // groups within groups
  const GROUPS = ["and", "or"];
  const isGroup = (node) => GROUPS.includes(node.is);
  const copy = (value) => JSON.parse(JSON.stringify(value));

  /** What a condition is about, as the value of its list: `plot:1`, `saved:ID`, `labels:cluster:leiden`, ... */
  function topic(node) {
    if (node.is === "plot") return node.removed ? `plot:${node.plot}:removed` : `plot:${node.plot}`;
    if (node.is === "saved") return `saved:${node.id}`;
    if (node.is === "cells") return "cells";
    if (node.is === "range" && node.kind === "gene") return "gene";
    if (node.is === "labels" || node.is === "range") return `${node.is}:${node.kind}:${node.key}`;
    return "";
  }

  /** The condition that a choice in that list begins with. */
  function begin(value, not) {
    const [is, kind, ...key] = value.split(":");
    const turned = not ? { not: true } : {};
    if (is === "plot") return { is, plot: Number(kind), ...turned };
    if (is === "saved") return { is, id: value.slice(6), ...turned };
    if (is === "labels") return { is, kind, key: key.join(":"), values: [], missing: false, ...turned };
    const range = { is: "range", low: null, high: null, missing: false, isOpen: true, ...turned };
    if (is === "range") return { ...range, kind, key: key.join(":") };
    if (is === "gene") return { ...range, kind: "gene", key: "" };
    if (is === "cells") return { is, text: "", ...turned };
    return { is: "unfinished" };
  }

  /** The tree as the server takes it: a gene or a range that is yet to be chosen (`isOpen`) is no condition. */
  const toServer = (node) => {
    if (isGroup(node)) return { ...node, of: node.of.map(toServer) };
    const { isOpen, ...plain } = node;
    return node.is === "range" && (!node.key || isOpen) ? { is: "unfinished" } : plain;
  };

  /**
   * An editor of a query.
   * @param {Object} asked
   * @param {function(): Object} asked.state                what the server said last
   * @param {function(): Object[]} asked.columns            columns: {is, kind, key, title}
   * @param {function(Object): Promise} asked.send          sends a tree
   */
  function editor({ state, columns, send }) {
    const { make, words, icon, iconButton, number, shortest, valuesList, rangeBrush, geneSearch, problemText } =
      iscan.filterParts;
    const element = make("div", { class: "query-tree" });
    let tree = null;
    let unanswered = 0; // trees that were sent and not answered yet
    let opened = null; // path of the condition whose values are shown
    let lists = null;

    function change(act) {
      act();
      draw();
      tell();
    }

    /** Send the tree; what comes back meanwhile is of older ones. */
    async function tell() {
      unanswered += 1;
      await send(copy(toServer(tree)));
      unanswered -= 1;
      follow();
    }

    const select = (options, value, label, focus, onchange) => {
      const made = make("select", { class: "form-select form-select-sm", "aria-label": label, "data-focus": focus });
      made.append(...options);
      made.value = value;
      made.addEventListener("change", () => onchange(made.value));
      return made;
    };
    const option = (value, text) => make("option", { value, textContent: text });
    const group = (label, options) => {
      const made = make("optgroup", { label });
      made.append(...options);
      return made;
    };

    function topics(node) {
      const { plots, saved } = state();
      const drawn = Object.keys(plots);
      const value = topic(node);
      const found = [option("", "Choose a condition")];
      const inPlots = drawn.map((plot) => option(`plot:${plot}`, `Plot ${plot}`));
      if (node.is === "plot" && node.removed) inPlots.push(option(value, `Plot ${node.plot} (removed)`));
      else if (node.is === "plot" && !drawn.includes(String(node.plot)))
        inPlots.push(option(value, `Plot ${node.plot} (nothing drawn)`));
      if (inPlots.length) found.push(group("Selection in", inPlots));
      if (saved.length)
        found.push(
          group(
            "Saved selections",
            saved.map(({ id, name }) => option(`saved:${id}`, name)),
          ),
        );
      const byKind = {
        sample: "Sample",
        metadata: "Metadata",
        cluster: "Clusters",
        annotation: "Annotations",
      };
      for (const [kind, title] of Object.entries(byKind)) {
        const own = columns().filter((column) => column.kind === kind);
        if (own.length)
          found.push(
            group(
              title,
              own.map((column) => option(`${column.is}:${kind}:${column.key}`, column.title)),
            ),
          );
      }
      found.push(group("Others", [option("gene", "Expression of a gene"), option("cells", "Cell IDs")]));
      const isKnown = found.some((one) => one.value === value || [...one.children].some((inner) => inner.value === value));
      if (!isKnown) found.push(option(value, `${node.key || node.id || "condition"} (removed)`));
      return found;
    }

    const title = (node) => {
      if (node.kind === "gene") return node.key;
      const column = columns().find((one) => one.kind === node.kind && one.key === node.key);
      return column ? column.title : node.key;
    };

    /** What a condition asks for, in a few words on the button that opens it. */
    function summary(node) {
      if (node.is === "labels") {
        const chosen = [...node.values, ...(node.missing ? ["missing"] : [])];
        return chosen.length === 0 ? "Choose values" : chosen.length === 1 ? chosen[0] : `${number(chosen.length)} values`;
      }
      if (node.is === "range") {
        if (!node.key) return "Choose a gene";
        const { low, high } = node;
        const text =
          low === null && high === null
            ? node.isOpen
              ? ""
              : "any value"
            : low === null
              ? `at most ${shortest(high)}`
              : high === null
                ? `at least ${shortest(low)}`
                : `${shortest(low)} to ${shortest(high)}`;
        const words_ = [text, node.missing ? "missing" : ""].filter(Boolean).join(" or ") || "Choose a range";
        return node.kind === "gene" ? `${node.key}: ${words_}` : words_;
      }
      // A long list stays on the server and is known by its digest.
      if (node.ref) return `${number(node.n)} IDs`;
      const n = node.text.split(/\n/).filter((line) => line.trim()).length;
      return n ? `${number(n)} ${n === 1 ? "line" : "lines"}` : "Paste IDs";
    }

    /** The values, the range or the identifiers of a condition, below its line. */
    function details(node, path) {
      const update = (changes) => {
        Object.assign(node, changes);
        const button = element.querySelector(`[data-focus="${path} open"]`);
        if (button) button.firstChild.textContent = summary(node);
        tell();
      };
      const box = make("div", { class: "query-details" });
      if (node.is === "labels") {
        // "Not in" is said on the line itself.
        const list = valuesList({
          kind: node.kind,
          key: node.key,
          title: title(node),
          condition: { ...node, not: false },
          hasNot: false,
          onChange: ({ values, missing }) => update({ values, missing }),
        });
        box.append(list.element);
      } else if (node.is === "range" && !node.key) {
        box.append(
          geneSearch({
            onChoose: (gene) =>
              change(() => {
                node.key = gene;
              }),
          }).element,
        );
      } else if (node.is === "range") {
        box.append(
          rangeBrush({
            kind: node.kind,
            key: node.key,
            title: title(node),
            condition: { ...node, not: false },
            hasNot: false,
            whole: "Any value",
            onChange: ({ low, high, missing, isWhole }) =>
              update({ low, high, missing, isOpen: Boolean(node.isOpen && low === null && high === null && !isWhole) }),
          }).element,
        );
      } else {
        const text = make("textarea", {
          class: "form-control form-control-sm",
          rows: 4,
          value: node.ref ? "" : node.text,
          placeholder: node.ref ? `${number(node.n)} IDs were pasted. Paste others in their place.` : "One cell ID a line",
          "aria-label": "Cell IDs",
          spellcheck: false,
        });
        text.addEventListener("change", () => update({ text: text.value, ref: "" }));
        box.append(text);
      }
      return box;
    }

    function problemsAt(path) {
      const own = state().problems.filter((problem) => problem.path !== null && problem.path.join(".") === path);
      return own.map((problem) => problemText(`${problem.code} ${problem.text}`));
    }

    function leaf(node, path, remove) {
      const canOpen = ["labels", "range", "cells"].includes(node.is);
      const isOpen = opened === path;
      const inOut = select(
        [option("in", "in"), option("not", "not in")],
        node.not ? "not" : "in",
        "In or not in",
        `${path} not`,
        (value) =>
          change(() => {
            node.not = value === "not";
          }),
      );
      inOut.classList.add("query-in");
      const what = select(topics(node), topic(node), "What the cells are in", `${path} what`, (value) =>
        change(() => {
          const next = begin(value, node.not);
          for (const name of Object.keys(node)) delete node[name];
          Object.assign(node, next);
          opened = ["labels", "range", "cells"].includes(node.is) ? path : null;
        }),
      );
      const button = canOpen
        ? make(
            "button",
            {
              class: "query-open",
              "aria-expanded": String(isOpen),
              "data-focus": `${path} open`,
              onclick: () => {
                opened = isOpen ? null : path;
                draw();
              },
            },
            make("bdi", { textContent: summary(node) }),
            icon(isOpen ? "chevron-up" : "chevron-down"),
          )
        : null;
      const line = make(
        "div",
        { class: "query-line" },
        make("span", { class: "muted", textContent: "Cells" }),
        inOut,
        what,
        button,
        iconButton("x-lg", "Remove this condition", remove, "small"),
      );
      line.lastChild.dataset.focus = `${path} remove`;
      return make(
        "div",
        { class: "query-leaf", "data-path": path },
        line,
        ...problemsAt(path),
        isOpen && canOpen ? details(node, path) : null,
      );
    }

    function branch(node, path, depth, remove) {
      const kind = select(
        [option("and", "All of these"), option("or", "Any of these")],
        node.is,
        "How the group combines",
        `${path} kind`,
        (value) =>
          change(() => {
            node.is = value;
          }),
      );
      const not = make("input", {
        type: "checkbox",
        class: "form-check-input",
        checked: Boolean(node.not),
        "data-focus": `${path} not`,
      });
      not.addEventListener("change", () =>
        change(() => {
          node.not = not.checked;
        }),
      );
      const add = (text, made, focus) =>
        make("button", {
          class: "btn btn-link btn-sm",
          textContent: text,
          "data-focus": `${path} ${focus}`,
          onclick: () =>
            change(() => {
              node.of.push(made());
            }),
        });
      const addGroup = add(
        "Add group",
        () => ({ is: node.is === "and" ? "or" : "and", of: [{ is: "unfinished" }] }),
        "group",
      );
      if (depth >= DEEPEST) {
        addGroup.disabled = true;
        addGroup.title = `Groups go ${DEEPEST} deep at most`;
      }
      const head = make(
        "div",
        { class: "query-line" },
        make("label", { class: "form-check-label", title: "Take the cells that this group leaves out" }, not, " Not"),
        kind,
        add("Add condition", () => ({ is: "unfinished" }), "add"),
        addGroup,
        remove ? iconButton("x-lg", "Remove this group", remove, "small") : null,
      );
      const children = node.of.map((child, place) => {
        const below = path === "" ? String(place) : `${path}.${place}`;
        const take = () =>
          change(() => {
            node.of.splice(place, 1);
            opened = null;
          });
        return isGroup(child) ? branch(child, below, depth + 1, take) : leaf(child, below, take);
      });
      return make(
        "div",
        {
          class: "query-group",
          role: "group",
          "aria-label": node.is === "and" ? "All of these" : "Any of these",
          "data-path": path,
        },
        head,
        ...problemsAt(path),
        ...children,
      );
    }

    function draw() {
      const focused = element.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
      // A condition alone is shown as a group of one, to which others are added.
      if (tree && !isGroup(tree)) tree = { is: "and", of: [tree] };
      element.replaceChildren(...(tree ? [branch(tree, "", 1, null)] : []));
      if (focused) element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
    }

    /** Show problems in place without drawing anew what somebody is working in. */
    function sayProblems() {
      for (const old of element.querySelectorAll(":scope .query-leaf > .field-error, :scope .query-group > .field-error"))
        old.remove();
      for (const place of element.querySelectorAll("[data-path]")) {
        place.querySelector(":scope > .query-line").after(...problemsAt(place.dataset.path));
      }
    }

    function follow() {
      if (unanswered) return;
      const { custom, plots, saved } = state();
      const offered = JSON.stringify([Object.keys(plots), saved.map(({ id, name }) => [id, name]), columns()]);
      const isKnown = tree && custom && same(custom, toServer(tree));
      if (!isKnown) {
        tree = custom ? copy(custom) : null;
        opened = null;
      }
      if (isKnown && offered === lists) sayProblems();
      else draw();
      lists = offered;
    }

    return { element, follow };
  }

  /** Whether two trees say the same: the server may name what the page left out. */
  function same(a, b) {
    const plain = (node) => {
      if (isGroup(node)) return [node.is, Boolean(node.not), node.of.map(plain)];
      const { is, not, ...rest } = node;
      return [
        is,
        Boolean(not),
        Object.entries(rest)
          .filter(([, value]) => value !== null && value !== false)
          .sort(([x], [y]) => (x < y ? -1 : 1)),
      ];
    };
    return JSON.stringify(plain(a)) === JSON.stringify(plain(b));
  }

  iscan.queryBuilder = { editor };
})();
