// Counts down, and says what happens to requests while a page is open. Every page works without it.
"use strict";

const state = document.getElementById("state");
const problem = document.getElementById("problem");
if (problem) problem.focus();

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
  state.dataset.state = name;
  for (const control of document.querySelectorAll("form.answer :is(button, input, textarea)")) control.disabled = true;
}

function changed(news) {
  if (news.request !== state.dataset.request) return;
  if (news.state !== "open" && news.state !== "deferred") return ended(news.state);
  if (news.count > 1) {
    let said = document.getElementById("votes");
    if (!said) {
      said = document.createElement("span");
      said.id = "votes";
      state.append(" ", said);
    }
    said.textContent = `${news.approvals} of ${news.count} have approved.`;
  }
}

let loading = false;
async function look() {
  const lists = document.getElementById("lists");
  if (!lists || loading || lists.contains(document.activeElement)) {
    if (lists) state.textContent = "Something has changed: reload to see it.";
    return;
  }
  loading = true;
  try {
    const answer = await fetch(location.pathname, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("lists");
    if (fresh) {
      lists.replaceWith(document.adoptNode(fresh));
      state.textContent = "Up to date.";
    } else {
      location.reload();
    }
  } finally {
    loading = false;
  }
}

// What happened between the page's making and the stream's opening was told to nobody.
async function catchUp() {
  if (!state.dataset.request) return look();
  const answer = await fetch(`/api/v1/requests/${state.dataset.request}`, { credentials: "same-origin" });
  if (!answer.ok) return;
  const { request, state: now, approvers, count } = await answer.json();
  changed({ request, state: now, approvals: approvers.length, count });
}

let source = null;
function listen() {
  source = new EventSource("/api/v1/events");
  source.addEventListener("open", catchUp);
  source.addEventListener("request", (event) => {
    if (state.dataset.request) changed(JSON.parse(event.data));
    else look();
  });
  source.addEventListener("missed", () => (state.dataset.request ? location.reload() : look()));
}

// Only while somebody looks: connections are few.
if (state && (state.dataset.request ? /^(open|deferred)$/.test(state.dataset.state) : document.getElementById("lists"))) {
  listen();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source.close();
    else listen();
  });
}
