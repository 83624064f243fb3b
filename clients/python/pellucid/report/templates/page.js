"use strict";
// Sorting and filtering of tables, and the words of charts under the pointer.

const text = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function key(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value;
  return value === undefined ? cell.textContent.trim() : Number(value);
}

function compare(one, other) {
  // What is empty goes last, whichever way.
  if (typeof one === "number" && typeof other === "number") return one - other;
  return text.compare(String(one), String(other));
}

function sort(table, column, header) {
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
  rows.sort(([one], [other]) => {
    if ((one === "") !== (other === "")) return one === "" ? 1 : -1;
    return descending ? compare(other, one) : compare(one, other);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
  mark(table);
}

function mark(table) {
  // Paper takes the first rows that are shown.
  let left = Number(table.dataset.print);
  for (const row of table.tBodies[0].rows) {
    row.classList.toggle("unprinted", !row.hidden && left-- <= 0);
  }
}

function filter(tools, table) {
  const words = tools.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
  const choice = tools.querySelector("select")?.value ?? "";
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const content = row.textContent.toLowerCase();
    const fits = words.every((word) => content.includes(word));
    row.hidden = !fits || (choice !== "" && row.dataset.correct !== choice);
    shown += row.hidden ? 0 : 1;
  }
  const all = table.tBodies[0].rows.length;
  tools.querySelector("output").value = shown === all ? "" : `${shown} of ${all}`;
  mark(table);
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = header.querySelector("[role=button]");
    button.addEventListener("click", () => sort(table, column, header));
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      sort(table, column, header);
    });
  });
  const tools = table.closest("section").querySelector(".table-tools");
  tools?.addEventListener("input", () => filter(tools, table));
  mark(table);
}

const tip = document.getElementById("tip");

document.addEventListener("pointermove", (event) => {
  const selector = ".chart [role='graphics-symbol']:not(.role-axis, .role-legend)";
  const said = event.target.closest?.(selector)?.getAttribute("aria-label");
  tip.hidden = !said;
  if (!said) return;
  tip.textContent = said;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, room))}px`;
  tip.style.top = `${event.clientY + 18}px`;
});
document.addEventListener("pointerleave", () => { tip.hidden = true; });
