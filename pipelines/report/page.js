"use strict";
// Works on what stands in the page: nothing is fetched, and no text is ever read as markup.
const number = (text) => {
  const found = parseFloat(text.replace(/[,\s]/g, ""));
  return Number.isNaN(found) ? null : found;
};

const compare = (a, b) => {
  const [x, y] = [number(a), number(b)];
  if (x !== null && y !== null) return x - y;
  if ((x === null) !== (y === null)) return x === null ? 1 : -1;
  return a.localeCompare(b);
};

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const falling = cell.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) =>
        (falling ? -1 : 1) * compare(a.cells[column].textContent, b.cells[column].textContent));
      // The little known stay last, however the rest is sorted.
      rows.sort((a, b) => a.classList.contains("few") - b.classList.contains("few"));
      body.append(...rows);
    });
  });
  const tools = table.closest("figure").querySelector(".tools");
  if (!tools || body.rows.length < 9) continue;
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "search";
  label.append("Filter ", input);
  tools.prepend(label);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("role", "tooltip");
document.querySelector("main").append(tip);
const point = (event) => {
  const mark = event.target.closest("[data-tip]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const box = mark.getBoundingClientRect();
  const left = Math.min(Math.max(box.left + box.width / 2 - tip.offsetWidth / 2, 4),
    document.documentElement.clientWidth - tip.offsetWidth - 4);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.translate = `${left}px ${above < 4 ? box.bottom + 8 : above}px`;
};
document.addEventListener("pointerover", point);
document.addEventListener("pointerdown", point);

// A link or a mark opens what it names, and all that it is folded into.
const open = (target) => {
  if (!target) return;
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target.scrollIntoView();
};
const follow = () => open(document.getElementById(decodeURIComponent(location.hash.slice(1))));
addEventListener("hashchange", follow);
follow();
document.addEventListener("click", (event) => {
  const mark = event.target.closest("#slices [data-tip]");
  const name = mark && mark.dataset.tip.replace(/: [^:]*$/, "");
  const link = [...document.querySelectorAll("#slices td a")].find((each) => each.textContent === name);
  if (link) location.hash = link.hash;
});
