// Adds a button to each password field that shows the password, and a hint when Caps Lock
// is on.
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
    // Browsers only offer to save the value of a password field.
    field.form.addEventListener("submit", () => show(false));

    const group = document.createElement("div");
    group.className = "password-group";
    field.before(group);
    const hadFocus = document.activeElement === field;
    group.append(field, button);
    if (hadFocus) {
      field.focus();
    }

    const hint = document.createElement("div");
    hint.className = "form-text caps-lock";
    hint.setAttribute("role", "status");
    group.after(hint);
    const checkCapsLock = (event) => {
      const on = event.getModifierState?.("CapsLock") === true;
      hint.textContent = on ? "Caps Lock is on." : "";
    };
    field.addEventListener("keydown", checkCapsLock);
    field.addEventListener("keyup", checkCapsLock);
    field.addEventListener("blur", () => {
      hint.textContent = "";
    });
  }
})();
