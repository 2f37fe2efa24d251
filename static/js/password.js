// Beside each password field: a button that shows what was typed, and a hint where
// Caps Lock is on. Without this script the fields are as browsers make them.
(() => {
  "use strict";

  for (const field of document.querySelectorAll("input[type=password]")) {
    const label = document.querySelector(`label[for="${field.id}"]`).textContent.trim();

    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-quiet password-toggle";
    button.setAttribute("aria-controls", field.id);
    const show = (shown) => {
      field.type = shown ? "text" : "password";
      button.textContent = shown ? "Hide" : "Show";
      button.setAttribute("aria-label", `${shown ? "Hide" : "Show"} ${label.toLowerCase()}`);
    };
    button.addEventListener("click", () => {
      show(field.type === "password");
      field.focus();
    });
    show(false);
    // What is sent is a password again, so that browsers offer to keep it.
    field.form.addEventListener("submit", () => show(false));

    const group = document.createElement("div");
    group.className = "password-group";
    field.before(group);
    const had = document.activeElement === field;
    group.append(field, button);
    if (had) {
      field.focus();
    }

    const hint = document.createElement("div");
    hint.className = "form-text caps-lock";
    hint.setAttribute("role", "status");
    group.after(hint);
    const look = (event) => {
      const on = event.getModifierState?.("CapsLock") === true;
      hint.textContent = on ? "Caps Lock is on." : "";
    };
    field.addEventListener("keydown", look);
    field.addEventListener("keyup", look);
    field.addEventListener("blur", () => {
      hint.textContent = "";
    });
  }
})();
