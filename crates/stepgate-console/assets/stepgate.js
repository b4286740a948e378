// Counts down, and says what happens to requests while a page is open. Every page works without it.
"use strict";

const state = document.getElementById("state");
const problem = document.getElementById("problem");
if (problem) problem.focus();

// Where this page is to be had: what a form was answered with has the form's address, and loaded again sends it again.
function address() {
  if (state && state.dataset.request) return `/r/${state.dataset.request}`;
  return document.getElementById("lists") ? "/" : location.pathname + location.search;
}

function shown(seconds) {
  if (seconds >= 3600) return `in ${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `in ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// By the time that has gone by here, not by this machine's clock, which may be wrong.
for (const time of document.querySelectorAll("time[data-left]")) {
  const ends = performance.now() + Number(time.dataset.left) * 1000;
  const tick = setInterval(() => {
    const left = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
    time.textContent = shown(left);
    if (left === 0) clearInterval(tick);
  }, 1000);
}
// A countdown is not read out each second.
if (state && state.querySelector("time")) state.querySelector("time").setAttribute("aria-live", "off");

const words = {
  open: "waiting", deferred: "waiting; the client has been told to come again", approved: "approved",
  denied: "denied", expired: "lapsed", cancelled: "called off", withdrawn: "withdrawn",
};

function ended(name) {
  state.textContent = `This request has ended: ${words[name] || name}.`;
  // Who ended it, and the reason that they gave.
  say("how", "", "How it ended");
  state.dataset.state = name;
  for (const control of document.querySelectorAll("form.answer :is(button, input, textarea)")) control.disabled = true;
}

function changed(news) {
  if (news.request !== state.dataset.request) return;
  if (news.state !== "open" && news.state !== "deferred") return ended(news.state);
  if (news.count > 1) say("votes", `${news.approvals} of ${news.count} have approved.`);
  const groups = (news.groups || []).join(", ");
  if (state.dataset.groups !== undefined && groups !== state.dataset.groups) {
    say("escalated", `Nobody has answered for long: it goes to ${groups} now.`);
  }
  if (state.dataset.comments !== undefined && news.comments > Number(state.dataset.comments)) {
    say("commented", "Something was said: ", "Read it");
  }
}

// A sentence more, and a link that loads the page again.
function say(id, text, link) {
  let said = document.getElementById(id);
  if (!said) {
    said = document.createElement("span");
    said.id = id;
    state.append(" ", said);
  }
  said.textContent = text;
  if (!link) return;
  const again = document.createElement("a");
  again.href = address();
  again.textContent = link;
  said.append(again, ".");
}

let loading = false;
let again = false;
async function look() {
  // What is being loaded may have been made before that.
  again = true;
  if (loading) return;
  loading = true;
  try {
    while (again) {
      again = false;
      await renew();
    }
  } finally {
    loading = false;
  }
}

async function renew() {
  const lists = document.getElementById("lists");
  if (!lists || lists.contains(document.activeElement)) {
    if (lists) state.textContent = "Something has changed: reload to see it.";
    return;
  }
  const answer = await fetch(address(), { credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("lists");
  if (fresh) {
    lists.replaceWith(document.adoptNode(fresh));
    state.textContent = "Up to date.";
  } else {
    location.replace(address());
  }
}

// What happened between the page's making and the stream's opening was told to nobody.
async function catchUp() {
  if (!state.dataset.request) return look();
  const answer = await fetch(`/api/v1/requests/${state.dataset.request}`, { credentials: "same-origin" });
  if (!answer.ok) return;
  const { request, state: now, approvers, count, groups, comment_count: comments } = await answer.json();
  changed({ request, state: now, approvals: approvers.length, count, groups, comments });
}

let source = null;
function listen() {
  source = new EventSource("/api/v1/events");
  source.addEventListener("open", catchUp);
  source.addEventListener("request", (event) => {
    const news = JSON.parse(event.data);
    tell(news);
    if (state.dataset.request) changed(news);
    else look();
  });
  source.addEventListener("error", () => {
    // Not for good: it comes again by itself.
    if (source.readyState === EventSource.CLOSED) notify("end", "This page hears of nothing any more: log in again.", "/login");
  });
  source.addEventListener("missed", () => (state.dataset.request ? location.replace(address()) : look()));
}

// On the desktop, for who wants it: that something waits or has ended, and nothing of what it is. Who follows it comes to
// a page, and decides there.
const desktop = document.getElementById("desktop");
const wanted = () => "Notification" in window && Notification.permission === "granted" && localStorage.desktop === "on";
const told = new Map();

function notify(tag, body, path) {
  // Who looks at the page sees it there.
  if (!wanted() || (!document.hidden && document.hasFocus())) return;
  try {
    const note = new Notification("Stepgate", { body, tag: `stepgate-${tag}` });
    note.addEventListener("click", () => {
      window.focus();
      location.assign(path);
    });
  } catch {
    // Some browsers show them by other means alone.
  }
}

function tell({ request, state: now }) {
  if (told.get(request) === now) return;
  told.set(request, now);
  // The oldest goes: a page may stay open for days.
  if (told.size > 500) told.delete(told.keys().next().value);
  notify(request, `Request ${request}: ${words[now] || now}`, `/r/${request}`);
}

if (desktop && "Notification" in window && Notification.permission !== "denied") {
  const label = () => {
    desktop.textContent = wanted() ? "Do not tell me on this desktop" : "Tell me on this desktop";
  };
  desktop.addEventListener("click", async () => {
    const on = !wanted() && (await Notification.requestPermission()) === "granted";
    localStorage.desktop = on ? "on" : "off";
    label();
  });
  label();
  desktop.hidden = false;
}

// Who watches while nobody looks: one page of all that are open, for connections are few. It hands that on as it closes.
let looked = null;
function keepOn() {
  if (!wanted() || !navigator.locks) return;
  looked = new AbortController();
  const { signal } = looked;
  const watching = () => {
    listen();
    return new Promise((done) => signal.addEventListener("abort", done));
  };
  navigator.locks.request("stepgate-desktop", { signal }, watching).catch(() => {});
}

if (state && (state.dataset.request ? /^(open|deferred)$/.test(state.dataset.state) : document.getElementById("lists"))) {
  listen();
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (looked) looked.abort();
    looked = null;
    if (document.hidden) keepOn();
    else listen();
  });
}
