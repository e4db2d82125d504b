// Counts the clocks down between two answers of the server. Without it the page shows the time left when it was made.
"use strict";

const clocks = [...document.querySelectorAll("[data-left]")].map((element) => ({
  end: Date.now() + Number(element.dataset.left) * 1000,
  text: element.querySelector(".time span"),
  bar: element.querySelector("progress"),
}));

function tick() {
  for (const clock of clocks) {
    const left = Math.max(0, Math.ceil((clock.end - Date.now()) / 1000));
    clock.text.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    clock.bar.value = left;
    if (left === 0) document.querySelector(".over").hidden = false;
  }
}

if (clocks.length) setInterval(tick, 500);
