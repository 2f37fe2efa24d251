// Refreshes the list of the demo phone or mailbox. Without this script, the "Refresh" link
// does the same.
(() => {
  "use strict";

  const interval = 2000;
  const list = "[data-refresh]";

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
    // Replacing an unchanged list would clear a selection.
    if (fresh && shown && !fresh.isEqualNode(shown)) {
      shown.replaceChildren(...document.importNode(fresh, true).childNodes);
    }
  };

  const loop = async () => {
    try {
      await refresh();
    } catch {
      // The server is restarting. The next round tries again.
    }
    setTimeout(loop, interval);
  };

  setTimeout(loop, interval);
})();
