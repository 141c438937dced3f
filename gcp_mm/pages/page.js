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

function compare(a, b, sign) {
  const gaps = ("missing" in a.dataset) - ("missing" in b.dataset);
  if (gaps || "missing" in a.dataset) return gaps;
  if ("value" in a.dataset && "value" in b.dataset) {
    const [x, y] = [Number(a.dataset.value), Number(b.dataset.value)];
    return sign * ((x > y) - (x < y));
  }
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
