"use strict";

// Headers become buttons that sort; gaps stay at the end, and equal rows in their order.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows];
      rows.sort((a, b) => compare(a.cells[column], b.cells[column], sign));
      body.append(...rows);
    });
  });
}

function isGap(cell) {
  return "missing" in cell.dataset || ["", "-"].includes(cell.textContent.trim());
}

// What a cell says it is worth, or the number that its text begins with; NaN without one.
function valueOf(cell) {
  return Number(cell.dataset.value ?? parseFloat(cell.textContent.replaceAll(",", "")));
}

function compare(a, b, sign) {
  const gaps = isGap(a) - isGap(b);
  if (gaps || isGap(a)) return gaps;
  const [x, y] = [valueOf(a), valueOf(b)];
  if (x !== y && !Number.isNaN(x) && !Number.isNaN(y)) return sign * (x > y ? 1 : -1);
  if ("value" in a.dataset && "value" in b.dataset) return 0;
  return sign * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
}

// The numbers that are inside, as files.
const numbers = document.querySelectorAll('script[type="application/json"]');
if (numbers.length) {
  const line = document.createElement("p");
  line.append("The numbers of this page: ");
  numbers.forEach((element, index) => {
    const link = document.createElement("a");
    link.download = `${element.id}.json`;
    link.href = URL.createObjectURL(new Blob([element.textContent], { type: "application/json" }));
    link.textContent = link.download;
    line.append(index ? ", " : "", link);
  });
  const footer = document.createElement("footer");
  footer.append(line);
  document.body.append(footer);
}
