// Counts down with the server's own count of when another code may be asked for.
// Without it the page says the same, and the server decides either way.
"use strict";

(() => {
  const sentence = document.querySelector("[data-countdown]");
  if (!sentence) return;
  // Not there where the sentence says why no code was sent: it changes once, at the end.
  const words = sentence.querySelector("[data-countdown-words]");
  const buttons = document.querySelectorAll("[data-countdown-waits]");
  const end = Date.now() + Number(sentence.dataset.countdown) * 1000;

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

  const show = () => {
    const seconds = Math.ceil((end - Date.now()) / 1000);
    const over = seconds <= 0;
    for (const button of buttons) button.disabled = !over;
    if (over) {
      sentence.textContent = words ? "You can ask for another now." : "You can ask for a code now.";
      clearInterval(timer);
    } else if (words) {
      words.textContent = inWords(seconds);
    }
  };
  const timer = setInterval(show, 1000);
  show();
})();
