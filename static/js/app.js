// Runs on every page. Adds a button to dismiss messages, shows that a form is being sent,
// and prevents sending it twice.
(() => {
  "use strict";

  for (const message of document.querySelectorAll("[data-message]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn-close";
    button.setAttribute("aria-label", "Dismiss this message");
    button.addEventListener("click", () => {
      message.remove();
      // The focused element is gone.
      document.getElementById("main").focus();
    });
    message.classList.add("alert-dismissible");
    message.append(button);
  }

  const busy = "is-busy";
  const reset = () => {
    for (const button of document.querySelectorAll(`.${busy}`)) {
      button.classList.remove(busy);
      button.removeAttribute("aria-disabled");
    }
  };

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || event.defaultPrevented) {
      return;
    }
    // A second click sends nothing. A disabled button would lose the focus and, in some
    // browsers, stop the form.
    if (button.classList.contains(busy)) {
      event.preventDefault();
      return;
    }
    button.classList.add(busy);
    button.setAttribute("aria-disabled", "true");
  });
  // The browser restored this page from its back/forward cache.
  addEventListener("pageshow", (event) => {
    if (event.persisted) {
      reset();
    }
  });
})();
