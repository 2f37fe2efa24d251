// Keeps the demo phone's list fresh, and the demo mailbox's. Without this script the page's own
// "Refresh" link does the same.
(() => {
  "use strict";

  const every = 2000;
  const list = "[data-keeps-fresh]";

  const refresh = async () => {
    if (document.hidden) {
      return;
    }
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) {
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector(list);
    const shown = document.querySelector(list);
    // The same list is left in place: a code that is being copied stays selected.
    if (fresh && shown && !fresh.isEqualNode(shown)) {
      shown.replaceChildren(...document.importNode(fresh, true).childNodes);
    }
  };

  const loop = async () => {
    try {
      await refresh();
    } catch {
      // The server is being restarted; the next round tries again.
    }
    setTimeout(loop, every);
  };

  setTimeout(loop, every);
})();
