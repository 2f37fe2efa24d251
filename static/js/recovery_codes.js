// Adds buttons to copy, download and print recovery codes. Asks before the user leaves without
// having saved them.
(() => {
  "use strict";

  const section = document.getElementById("recovery-codes");
  if (!section) {
    return;
  }
  const list = section.querySelector(".recovery-codes");
  const codes = [...list.querySelectorAll("code")].map((code) => code.textContent.trim());
  const title = document.getElementById("recovery-codes-title").textContent.trim();

  const askBeforeLeaving = (event) => event.preventDefault();
  addEventListener("beforeunload", askBeforeLeaving);
  const markSaved = () => removeEventListener("beforeunload", askBeforeLeaving);
  // Also without the buttons below.
  for (const event of ["copy", "beforeprint"]) {
    addEventListener(event, markSaved);
  }
  document.querySelector("[data-saved]").addEventListener("click", markSaved);

  // Screen readers announce changes of an element that already exists.
  const status = document.createElement("p");
  status.className = "recovery-status small-print";
  status.setAttribute("role", "status");

  const announce = (sentence) => {
    // Repeating a sentence only counts as a change after it was cleared.
    status.textContent = "";
    setTimeout(() => {
      status.textContent = sentence;
    }, 50);
  };

  const select = () => {
    const range = document.createRange();
    range.selectNodeContents(list);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  const copy = async () => {
    try {
      // The clipboard needs HTTPS.
      await navigator.clipboard.writeText(`${codes.join("\n")}\n`);
      markSaved();
      announce("Codes copied.");
    } catch {
      select();
      announce("Your browser doesn't allow copying. The codes are selected, so you can copy them yourself.");
    }
  };

  const download = () => {
    const lines = [`Twostep (${location.host})`, title, "Each works once.", "", ...codes, ""];
    const file = new Blob([lines.join("\r\n")], { type: "text/plain;charset=utf-8" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `twostep-recovery-codes-${section.dataset.username}.txt`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    markSaved();
    announce("Codes saved to your downloads.");
  };

  const tools = document.createElement("div");
  tools.className = "choices recovery-tools";
  for (const [label, act] of [["Copy", copy], ["Download", download], ["Print", () => print()]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-quiet";
    button.textContent = label;
    button.addEventListener("click", act);
    tools.append(button);
  }
  list.after(tools, status);
})();
