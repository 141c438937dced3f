"use strict";

// What is wider than the page moves in a box of its own, which the keyboard has to reach.
function reachable() {
  for (const box of document.querySelectorAll(".table-wrapper, .highlight pre, div.math")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
// The theme has two of them.
for (const [name, label] of [["sidebar", "Pages"], ["toc", "On this page"]]) {
  document.querySelector(`aside.${name}-drawer`)?.setAttribute("aria-label", label);
}
addEventListener("resize", reachable);
reachable();
