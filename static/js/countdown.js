// Counts down with the server's own count of when another code may be asked for.
// Without it the page says the same, and the server decides either way.
"use strict";

(() => {
  const sentence = document.querySelector("[data-countdown]");
  if (!sentence) return;
  const buttons = document.querySelectorAll("[data-countdown-waits]");
  const wait = Number(sentence.dataset.countdown);
  const end = Date.now() + wait * 1000;

  // As the server puts it: never shorter than it is.
  const inWords = (seconds) => {
    const [count, unit] =
      seconds <= 90
        ? [Math.max(seconds, 1), "second"]
        : seconds <= 5400
          ? [Math.ceil(seconds / 60), "minute"]
          : [Math.ceil(seconds / 3600), "hour"];
    return `${count} ${unit}${count === 1 ? "" : "s"}`;
  };

  // The part of the sentence that counts down.
  const isWarning = sentence.getAttribute("role") === "alert";
  const [before, after] = sentence.textContent.split(inWords(wait));
  const words = document.createElement("span");
  if (after !== undefined) {
    sentence.replaceChildren(before, words, after);
  }
  // Read out as the page is read, and not again with every second.
  sentence.setAttribute("role", "timer");

  const said = () => {
    if (buttons.length === 0) return "You can try again now: load this page anew.";
    return isWarning ? "You can ask for a code now." : "You can ask for another now.";
  };

  const show = () => {
    const seconds = Math.ceil((end - Date.now()) / 1000);
    const over = seconds <= 0;
    for (const button of buttons) button.disabled = !over;
    if (over) {
      sentence.textContent = said();
      clearInterval(timer);
    } else {
      words.textContent = inWords(seconds);
    }
  };
  const timer = setInterval(show, 1000);
  show();
})();
