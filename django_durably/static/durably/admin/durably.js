// Live pages. The server draws everything: when it says that something changed, the page is fetched
// again and what differs is put in place. Without this script a reload does the same.
"use strict";
{
  const SLOWLY = 15000; // for ages, and for what no event tells of
  const WITHOUT_EVENTS = 5000;
  const OWN = new Set(["open", "hidden", "checked"]); // what people and this script set
  const region = document.getElementById("durably-live");

  /** Make `here` like `there`, keeping what is the same, unfolded, checked or focused. */
  function sync(here, there) {
    if (here.nodeType !== there.nodeType || here.nodeName !== there.nodeName || here.id !== there.id) {
      here.replaceWith(document.importNode(there, true));
    } else if (here.nodeType !== Node.ELEMENT_NODE) {
      if (here.data !== there.data) here.data = there.data;
    } else if (!here.isEqualNode(there)) {
      if ("durablyState" in (here.dataset || {})) return; // this script's own
      syncAttributes(here, there);
      syncChildren(here, there);
    }
  }

  function syncAttributes(here, there) {
    for (const { name } of [...here.attributes]) {
      if (!OWN.has(name) && !there.hasAttribute(name)) here.removeAttribute(name);
    }
    for (const { name, value } of there.attributes) {
      if (!OWN.has(name) && here.getAttribute(name) !== value) here.setAttribute(name, value);
    }
  }

  function syncChildren(here, there) {
    let at = here.firstChild;
    for (const wanted of [...there.childNodes]) {
      const same = wanted.id && [...here.children].find((child) => child.id === wanted.id);
      if (same && same !== at) here.insertBefore(same, at);
      else if (!at || (wanted.id && !same) || (at.id && at.id !== wanted.id)) {
        here.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      const next = (same || at).nextSibling;
      sync(same || at, wanted);
      at = next;
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  let pause = 1000;
  let timer = 0;
  let busy = false;
  let again = false;

  function refreshSoon() {
    if (!timer && !document.hidden) timer = setTimeout(refresh, busy ? pause : Math.min(pause, 150));
    else again = true;
  }

  async function refresh() {
    timer = 0;
    if (busy || document.hidden) return;
    busy = true;
    again = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Requested-With": "fetch" } });
      if (answer.ok && !answer.redirected) show(await answer.text());
    } catch {
      // The server is away; the next event or the clock tries again.
    }
    // A slow server is asked less often.
    pause = Math.max(1000 * Number(region.dataset.durablyEvery || 1), 5 * (performance.now() - began));
    setTimeout(() => {
      busy = false;
      if (again) refreshSoon();
    }, pause);
  }

  function show(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("durably-live");
    if (!fresh) return;
    const logs = region.querySelector("[data-durably-logs]");
    const follows = region.querySelector("[data-durably-follow] input");
    const end = region.querySelector("[data-durably-end]");
    const atEnd = end && end.scrollTop + end.clientHeight > end.scrollHeight - 30;
    sync(region, fresh);
    enhance();
    if (atEnd) end.scrollTop = end.scrollHeight;
    const now = region.querySelector("[data-durably-logs]");
    if (now && (!logs || !follows || follows.checked)) now.scrollTop = now.scrollHeight;
    if (!region.dataset.durablyLive && source) stop();
  }

  let source = null;
  let clock = 0;

  function tell(state) {
    for (const each of document.querySelectorAll("[data-durably-state]")) {
      each.hidden = !state;
      each.dataset.state = state;
      each.textContent = state;
    }
  }

  function stop() {
    source.close();
    source = null;
    clearInterval(clock);
    tell("");
  }

  function listen() {
    source = new EventSource(region.dataset.durablyLive);
    source.onopen = () => {
      tell("live");
      every(SLOWLY);
    };
    source.onmessage = refreshSoon;
    source.onerror = () => {
      // A server without event streams is asked now and then instead.
      if (source && source.readyState === EventSource.CLOSED) every(WITHOUT_EVENTS);
      tell("");
      refreshSoon();
    };
  }

  function every(time) {
    clearInterval(clock);
    clock = setInterval(refreshSoon, time);
  }

  /** Show what only works with a script, and react to clicks. */
  function enhance() {
    for (const each of document.querySelectorAll(".durably-copy, [data-durably-all], [data-durably-follow]")) each.hidden = false;
    for (const each of document.querySelectorAll("time[datetime]")) each.title = inZoneOfBrowser(each.dateTime);
    count();
  }

  const zone = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { dateStyle: "medium", timeStyle: "long" });

  function inZoneOfBrowser(time) {
    return zone.format(new Date(time));
  }

  function count() {
    const words = document.querySelector("[data-durably-chosen]");
    if (!words) return;
    words.dataset.none ||= words.textContent;
    const chosen = document.querySelectorAll('input[name="ids"]:checked').length;
    const text = !chosen ? words.dataset.none : chosen === 1 ? words.dataset.one : words.dataset.many.replace("%d", chosen);
    if (words.textContent !== text) words.textContent = text;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-durably-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.durablyCopy).textContent);
    button.classList.add("durably-copied");
    const before = button.textContent;
    button.textContent = "✓";
    setTimeout(() => (button.textContent = before), 1200);
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-durably-all]")) {
      for (const box of document.querySelectorAll('input[name="ids"]')) box.checked = event.target.checked;
    }
    count();
  });

  enhance();
  const logs = document.querySelector("[data-durably-logs]");
  if (logs && document.querySelector("[data-durably-follow]")) logs.scrollTop = logs.scrollHeight;
  for (const each of document.querySelectorAll("[data-durably-end]")) each.scrollTop = each.scrollHeight;
  if (location.hash.startsWith("#step-")) {
    const step = document.getElementById(location.hash.slice(1));
    if (step) step.open = true;
  }
  window.addEventListener("hashchange", () => {
    const step = document.getElementById(location.hash.slice(1));
    if (step && step.matches("details")) step.open = true;
  });
  if (region && region.dataset.durablyLive) {
    listen();
    every(WITHOUT_EVENTS);
    document.addEventListener("visibilitychange", refreshSoon);
    window.addEventListener("pagehide", () => source && source.close());
    window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  }
}
