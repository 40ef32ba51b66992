// Looks again every few seconds while a job is at work. Without this script a link does the same.
"use strict";
const EVERY_MS = 3000;

async function look() {
  const shown = document.getElementById("progress");
  if (shown === null || !("live" in shown.dataset)) return;
  if (!document.hidden) {
    try {
      // The header says that nobody is here: the session does not last longer for it.
      const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("progress");
      if (fresh === null || !("live" in fresh.dataset)) {
        // It has ended, or the session has: the page itself says which.
        if (answer.ok) location.reload();
      } else if (!shown.contains(document.activeElement)) {
        shown.replaceWith(document.adoptNode(fresh));
      }
    } catch {
      // No connection for the moment: the next look tells.
    }
  }
  setTimeout(look, EVERY_MS);
}

setTimeout(look, EVERY_MS);
