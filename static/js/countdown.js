// Counts down the seconds until the user can request another code. Without this script, the
// page shows the initial value. The server enforces the wait.
"use strict";

(() => {
  const sentence = document.querySelector("[data-countdown]");
  if (!sentence) return;
  const buttons = document.querySelectorAll("[data-countdown-waits]");
  const wait = Number(sentence.dataset.countdown);
  const end = Date.now() + wait * 1000;

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

  const isWarning = sentence.getAttribute("role") === "alert";
  const [before, after] = sentence.textContent.split(duration(wait));
  const remaining = document.createElement("span");
  if (after !== undefined) {
    sentence.replaceChildren(before, remaining, after);
  }
  // Screen readers don't announce every second of a timer.
  sentence.setAttribute("role", "timer");

  const finalSentence = () => {
    if (buttons.length === 0) return "You can try again now. Reload the page.";
    return isWarning ? "You can ask for a code now." : "You can ask for another now.";
  };

  const show = () => {
    const seconds = Math.ceil((end - Date.now()) / 1000);
    const isOver = seconds <= 0;
    for (const button of buttons) button.disabled = !isOver;
    if (isOver) {
      sentence.textContent = finalSentence();
      clearInterval(timer);
    } else {
      remaining.textContent = duration(seconds);
    }
  };
  const timer = setInterval(show, 1000);
  show();
})();
