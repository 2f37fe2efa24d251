// Counts down every wait that a page shows, and enables the buttons that must wait. Without this
// script, the page shows the initial value. The server enforces the wait.
"use strict";

(() => {
  const start = Date.now();
  const buttons = [...document.querySelectorAll("[data-countdown-waits]")];

  // The same as `duration` on the server, rounded up.
  const duration = (seconds) => {
    const [count, unit] =
      seconds <= 90
        ? [Math.max(seconds, 1), "second"]
        : seconds <= 5400
          ? [Math.ceil(seconds / 60), "minute"]
          : [Math.ceil(seconds / 3600), "hour"];
    return `${count} ${unit}${count === 1 ? "" : "s"}`;
  };

  // An element that shows the seconds left of a sentence, or of none that names its wait.
  const sentences = [...document.querySelectorAll("[data-countdown]")].map((element) => {
    const wait = Number(element.dataset.countdown);
    const [before, after] = element.textContent.split(duration(wait));
    const remaining = document.createElement("span");
    if (after !== undefined) {
      element.replaceChildren(before, remaining, after);
    }
    // Screen readers don't announce every second of a timer.
    element.setAttribute("role", "timer");
    return { element, remaining, wait };
  });
  if (sentences.length === 0 && buttons.length === 0) {
    return;
  }

  const show = () => {
    const secondsLeft = (wait) => wait - Math.floor((Date.now() - start) / 1000);
    for (const button of buttons) {
      button.disabled = secondsLeft(Number(button.dataset.countdownWaits)) > 0;
    }
    for (const { element, remaining, wait } of sentences) {
      const seconds = secondsLeft(wait);
      const text = seconds > 0 ? duration(seconds) : "";
      if (text === "") {
        element.textContent = element.dataset.countdownEnd;
      } else if (remaining.textContent !== text) {
        remaining.textContent = text;
      }
    }
    const waits = [...sentences, ...buttons.map((it) => ({ wait: Number(it.dataset.countdownWaits) }))];
    if (waits.every(({ wait }) => secondsLeft(wait) <= 0)) {
      clearInterval(timer);
    }
  };
  const timer = setInterval(show, 1000);
  show();
})();
