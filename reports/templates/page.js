"use strict";
// Sorting, filters and copy buttons. Whatever is on the page is there without them.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, fields) => Object.assign(document.createElement(tag), fields);
  document.documentElement.classList.add("script");

  // Copying: the clipboard if the browser lets us, else the selection.
  const copy = async (node) => {
    try {
      await navigator.clipboard.writeText(node.textContent);
      return true;
    } catch (_) {
      const range = document.createRange();
      range.selectNodeContents(node);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      return document.execCommand("copy");
    }
  };
  for (const box of all("[data-copy]")) {
    const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
    button.setAttribute("aria-label", "Copy: " + box.dataset.copy);
    button.addEventListener("click", async () => {
      button.textContent = await copy(box.querySelector("code")) ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }

  // Sorting. Numbers are written with blanks between thousands; data-sort has what is not.
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    const number = Number(text.replace(/[\s\u00a0]/g, ""));
    return text !== "" && !Number.isNaN(number) ? number : text.toLowerCase();
  };
  const compare = (a, b) => typeof a === typeof b
    ? (a < b ? -1 : a > b ? 1 : 0) : (typeof a === "number" ? -1 : 1);
  for (const table of all("table[data-sortable]")) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 2) continue;
    all("thead th", table).forEach((head, column) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row, place) => [key(row, column), place, row]);
        rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]) || a[1] - b[1]);
        body.append(...rows.map((row) => row[2]));
      });
    });
  }

  // Filters: each returns what it says of what is left.
  const has = (text, part) => text.toLowerCase().includes(part.trim().toLowerCase());
  const plural = (count, word) => count + " " + word + (count === 1 ? "" : "s");
  const filters = {
    matrix(form) {
      const strategy = form.get("strategy"), state = form.get("state");
      const table = document.getElementById("matrix-table");
      const heads = all("thead th", table);
      const columns = heads.map((head, i) => !i || !strategy || head.dataset.strategy === strategy
        || (head.classList.contains("total") && !strategy));
      const used = columns.map((shown, i) => !i || (shown && !state));
      let rows = 0, cells = 0;
      for (const row of table.tBodies[0].rows) {
        let matches = 0;
        const named = has(row.dataset.property, form.get("property"));
        [...row.cells].forEach((cell, i) => {
          const counts = i && !cell.classList.contains("total") && columns[i]
            && (!state || cell.classList.contains(state));
          cell.classList.toggle("faded", Boolean(state && i && !counts));
          if (named && counts) { matches += 1; used[i] = true; }
        });
        row.hidden = !named || !matches;
        if (!row.hidden) { rows += 1; cells += matches; }
      }
      for (const row of table.rows) {
        [...row.cells].forEach((cell, i) => { cell.hidden = !used[i] && i > 0; });
      }
      return plural(cells, "cell") + " in " + plural(rows, "row");
    },
    findings(form) {
      const statuses = form.getAll("status");
      const shows = (item) => statuses.includes(item.dataset.status)
        && (!form.get("strategy") || item.dataset.strategy === form.get("strategy"))
        && (!form.get("property") || item.dataset.property === form.get("property"))
        && has(item.textContent, form.get("words"));
      const rows = all("#findings-table tbody tr");
      rows.forEach((row) => {
        row.hidden = !shows(row);
        const link = row.querySelector("a");
        if (link) document.getElementById(link.hash.slice(1)).hidden = row.hidden;
      });
      return plural(rows.filter((row) => !row.hidden).length, "finding") + " of " + rows.length;
    },
    jobs(form) {
      const rows = all("#jobs-table tbody tr");
      const wanted = form.get("words").split(/\s+/).filter(Boolean);
      rows.forEach((row) => {
        row.hidden = !wanted.every((part) => has(row.textContent, part));
      });
      return plural(rows.filter((row) => !row.hidden).length, "job") + " of " + rows.length;
    },
  };
  for (const form of all("form[data-filters]")) {
    const output = form.querySelector("output");
    const apply = () => { output.value = filters[form.dataset.filters](new FormData(form)); };
    form.addEventListener("input", apply);
    form.addEventListener("reset", () => setTimeout(apply));
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  // The matrix: one tab stop, arrow keys, the details of a cell in a line above.
  const matrix = document.querySelector("#matrix-table tbody");
  if (matrix) {
    const detail = document.getElementById("matrix-detail");
    const cells = all("td", matrix);
    const choose = (cell) => {
      cells.forEach((other) => { other.tabIndex = -1; });
      cell.tabIndex = 0;
      detail.textContent = cell.title;
    };
    cells.forEach((cell) => {
      cell.tabIndex = -1;
      all("a", cell).forEach((link) => { link.tabIndex = -1; });
    });
    cells[0].tabIndex = 0;
    matrix.addEventListener("focusin", (event) => {
      const cell = event.target.closest("td");
      if (!cell) return;
      choose(cell);
      // Below the fixed heads it would be in view, but not to be seen.
      cell.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    });
    matrix.addEventListener("click", (event) => {
      const cell = event.target.closest("td");
      if (cell && !event.target.closest("a")) cell.focus();
    });
    const next = (cell, across, down) => {
      let row = cell.parentElement, column = cell.cellIndex;
      do {
        column += across;
        for (let left = Math.abs(down); row && left; left -= row && row.hidden ? 0 : 1) {
          row = down > 0 ? row.nextElementSibling : row.previousElementSibling;
        }
      } while (across && row.cells[column] && row.cells[column].hidden);
      const found = row && row.cells[column];
      return found && found.tagName === "TD" ? found : null;
    };
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    matrix.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td"), step = steps[event.key];
      if (!cell) return;
      if (event.key === "Enter" && event.target === cell) {
        const link = cell.querySelector("a");
        if (link) link.click();
      } else if (step && !event.altKey && !event.ctrlKey && !event.metaKey) {
        const found = next(cell, ...step);
        if (found) { event.preventDefault(); found.focus(); }
      }
    });
  }

  // Whoever follows a link to something hidden sees it.
  const reveal = () => {
    let target = null;
    try {
      target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch (_) { /* no name of ours */ }
    if (!target) return;
    if (target.hidden) {
      document.querySelector("form[data-filters=findings]")?.reset();
      target.hidden = false;
    }
    if (target.matches("article")) target.querySelector("details").open = true;
    for (let up = target.closest("details"); up; up = up.parentElement.closest("details")) {
      up.open = true;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  for (const [name, open] of [["open", true], ["close", false]]) {
    for (const button of all("[data-" + name + "]")) {
      button.addEventListener("click", () => {
        all("details." + button.dataset[name]).forEach((part) => { part.open = open; });
      });
    }
  }
  // On paper nothing can be opened.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((part) => { part.open = false; }));
})();
