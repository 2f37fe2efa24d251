// On every page: messages can be dismissed, and the button of a form that was sent
// shows that it works. Without this script both stay as they are.
(() => {
  "use strict";

  for (const message of document.querySelectorAll("[data-message]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn-close";
    button.setAttribute("aria-label", "Dismiss this message");
    button.addEventListener("click", () => {
      message.remove();
      // Where it was is nothing to be focused any more.
      document.getElementById("main").focus();
    });
    message.classList.add("alert-dismissible");
    message.append(button);
  }

  const waiting = "is-busy";
  const settle = () => {
    for (const button of document.querySelectorAll(`.${waiting}`)) {
      button.classList.remove(waiting);
      button.removeAttribute("aria-disabled");
    }
  };

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || event.defaultPrevented) {
      return;
    }
    // Sent once: a second click sends nothing. Not `disabled`, which takes the
    // focus away and, in some browsers, the form with it.
    if (button.classList.contains(waiting)) {
      event.preventDefault();
      return;
    }
    button.classList.add(waiting);
    button.setAttribute("aria-disabled", "true");
  });
  // Back to this page as it was left.
  addEventListener("pageshow", (event) => {
    if (event.persisted) {
      settle();
    }
  });
})();
