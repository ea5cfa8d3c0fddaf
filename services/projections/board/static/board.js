// What htmx cannot: fetch the page again at most every two seconds without missing the last change,
// listen only while somebody looks, keep what is folded out, and say in words whether it is live.
(() => {
  "use strict";
  const EVERY_MS = 2000;
  const page = document.getElementById("live");
  const said = document.getElementById("liveness");
  let stream = document.getElementById("stream");
  if (!page || !said || !stream) return;

  const kept = Idiomorph.defaults.callbacks.beforeAttributeUpdated;
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node, kind) =>
    node instanceof HTMLDetailsElement && name === "open" ? false : kept(name, node, kind);

  let last = 0;
  let due = null;
  const refresh = () => {
    if (due !== null) return;
    due = setTimeout(() => {
      due = null;
      last = Date.now();
      if (!document.hidden) htmx.trigger(page, "news");
    }, Math.max(0, last + EVERY_MS - Date.now()));
  };

  let since = null;
  const time = () =>
    new Intl.DateTimeFormat("sv-SE", {
      timeZone: said.dataset.zone, hour: "2-digit", minute: "2-digit", second: "2-digit",
    }).format(new Date());
  const tell = (on) => {
    if (on) since = null;
    else since ??= time();
    const words = on ? said.dataset.on : said.dataset.off.replace("{time}", since);
    if (said.textContent !== words) said.textContent = words;
    said.classList.toggle("on", on);
  };

  const pattern = stream.cloneNode(false);
  let missed = false;
  document.body.addEventListener("htmx:sseOpen", () => {
    tell(true);
    if (missed) refresh();
    missed = false;
  });
  document.body.addEventListener("htmx:sseError", () => {
    tell(false);
    if (!missed) refresh(); // a token that has ended is answered with the page to sign in
    missed = true;
  });
  document.body.addEventListener("sse:change", refresh);
  document.body.addEventListener("sse:reset", refresh);
  document.body.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) location.reload();
  });
  // A browser keeps few connections open to one host: tabs that nobody looks at give theirs back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      htmx.trigger(stream, "htmx:beforeCleanupElement"); // htmx.remove tells its extensions nothing
      htmx.remove(stream);
      missed = true;
    } else if (!stream.isConnected) {
      stream = pattern.cloneNode(false);
      document.querySelector("footer").append(stream);
      htmx.process(stream);
    }
  });
})();
