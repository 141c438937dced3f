"use strict";

// What is wider than the page moves in a box of its own, which the keyboard has to reach.
const kinds = { "Table": ".table-wrapper", "Code": ".highlight pre", "Formula": "div.math" };

// Different for each, as a list of the regions of a page has nothing else to tell them by.
function nameOf(box, kind, number) {
  const heading = box.closest("section")?.querySelector("h1, h2, h3, h4")?.cloneNode(true);
  heading?.querySelector(".headerlink")?.remove();
  return `${kind} ${number}${heading ? `: ${heading.textContent.trim()}` : ""}`;
}

function makeReachable(box, name) {
  if (box.scrollWidth > box.clientWidth) {
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", name);
  } else {
    for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
  }
}

// Also when the tab opens that a box is in.
const names = new Map();
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) makeReachable(target, names.get(target));
});
for (const [kind, selector] of Object.entries(kinds)) {
  document.querySelectorAll(selector).forEach((box, index) => {
    names.set(box, nameOf(box, kind, index + 1));
    makeReachable(box, names.get(box));
    sizes.observe(box);
  });
}
// The theme has two of them.
for (const [name, label] of [["sidebar", "Pages"], ["toc", "On this page"]]) {
  document.querySelector(`aside.${name}-drawer`)?.setAttribute("aria-label", label);
}
