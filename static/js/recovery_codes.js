// Buttons to copy, download and print recovery codes. Without this script the
// list can be selected and the page printed as any other.
(() => {
  "use strict";

  const section = document.getElementById("recovery-codes");
  if (!section) {
    return;
  }
  const list = section.querySelector(".recovery-codes");
  const codes = [...list.querySelectorAll("code")].map((code) => code.textContent.trim());
  const title = document.getElementById("recovery-codes-title").textContent.trim();

  // Read out by screen readers when its text changes, so it is there from the start.
  const status = document.createElement("p");
  status.className = "recovery-status small-print";
  status.setAttribute("role", "status");

  const say = (sentence) => {
    // The same sentence again is a change only where it was gone meanwhile.
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
      // Missing where the page is not served over HTTPS.
      await navigator.clipboard.writeText(`${codes.join("\n")}\n`);
      say("The codes are copied.");
    } catch {
      select();
      say("Your browser does not let us copy. The codes are selected: copy them yourself.");
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
    say("The codes are in a file among your downloads.");
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
