"use strict";

// Fields that filter the table of all rows. page.js, which comes after, lets its heads sort.
for (const zoo of document.querySelectorAll("#zoo")) {
  const table = zoo.querySelector("table");
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const rows = [...table.tBodies[0].rows];

  const form = document.createElement("form");
  form.className = "filters";
  form.addEventListener("submit", (event) => event.preventDefault());
  const status = document.createElement("output");

  const labelled = (name, field) => {
    const label = document.createElement("label");
    label.textContent = name;
    label.htmlFor = field.id = `zoo-${name}`;
    const pair = document.createElement("span");
    pair.append(label, " ", field);
    form.append(pair);
    field.addEventListener("input", filter);
    return field;
  };
  const text = labelled("name", document.createElement("input"));
  text.type = "search";
  const choices = ["data", "backbone", "pooling", "schedule"].map((name) => {
    const column = names.indexOf(name);
    const select = document.createElement("select");
    const values = new Set(rows.map((row) => row.cells[column].textContent.trim()));
    select.append(new Option("all", ""), ...[...values].map((value) => new Option(value)));
    return { column, select: labelled(name, select) };
  });

  function filter() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const name = row.cells[0].textContent.toLowerCase();
      const fits = choices.every(
        ({ column, select }) =>
          !select.value || row.cells[column].textContent.trim() === select.value,
      );
      row.hidden = !(fits && words.every((word) => name.includes(word)));
      shown += !row.hidden;
    }
    status.textContent = `${shown} of ${rows.length} rows`;
  }

  form.append(status);
  zoo.prepend(form);
  filter();
}
