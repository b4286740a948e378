// Passkeys: answers requests and enrols. What needs it is hidden until it is known to work here.
"use strict";

const asked = document.querySelector('meta[name="proof"]');

function toBytes(text) {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

function toText(buffer) {
  const raw = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const named = (all) => (all || []).map((one) => ({ ...one, id: toBytes(one.id) }));

// As PublicKeyCredential.parseRequestOptionsFromJSON and its like, which some browsers lack.
function toAnswer(shown) {
  return { ...shown, challenge: toBytes(shown.challenge), allowCredentials: named(shown.allowCredentials) };
}

function toEnrol(shown) {
  const user = { ...shown.user, id: toBytes(shown.user.id) };
  return { ...shown, user, challenge: toBytes(shown.challenge), excludeCredentials: named(shown.excludeCredentials) };
}

// As PublicKeyCredential.toJSON, which extensions of browsers break.
function toJson(credential) {
  const from = credential.response;
  const response = { clientDataJSON: toText(from.clientDataJSON) };
  if (from.attestationObject) {
    response.attestationObject = toText(from.attestationObject);
    response.transports = from.getTransports ? from.getTransports() : [];
  } else {
    response.authenticatorData = toText(from.authenticatorData);
    response.signature = toText(from.signature);
    if (from.userHandle) response.userHandle = toText(from.userHandle);
  }
  const id = toText(credential.rawId);
  return { id, rawId: id, type: credential.type, response };
}

async function call(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    credentials: "same-origin",
    headers: { "content-type": "application/json", ...(asked && { "stepgate-proof": asked.content }) },
    body: JSON.stringify(body),
  });
  const said = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Error(said.message || `the gate answered ${answer.status}`);
  return said;
}

// A fresh challenge for each try: one is answered once.
async function prove(path, body) {
  const { challenge, shown } = await call(path, { ...body, method: "passkey" });
  const credential = await navigator.credentials.get({ publicKey: toAnswer(shown) });
  return { proof: { challenge, passkey: toJson(credential) } };
}

// Pages are asked for anew, not loaded again: what a form was answered with would send it again.
async function answer(button) {
  const id = document.getElementById("state").dataset.request;
  const request = `/api/v1/requests/${id}`;
  const verb = button.dataset.passkey;
  const reason = button.form.elements.reason;
  if (reason && verb !== "deny" && !reason.reportValidity()) return;
  const proof = await prove(`${request}/challenge`, { approve: verb !== "deny" });
  await call(`${request}/${verb}`, reason && reason.value.trim() ? { ...proof, reason: reason.value } : proof);
  location.replace(`/r/${id}`);
}

// What was asked for at a terminal.
async function breakGlass(button) {
  const glass = `/api/v1/break-glass/${button.dataset.glass}`;
  await call(`${glass}/open`, await prove(`${glass}/challenge`, {}));
  location.replace(`/break-glass/${button.dataset.glass}`);
}

// Sends the form as it is, with a fresh proof in the place of a code.
async function send(button) {
  const form = button.form;
  for (const field of form.querySelectorAll("[name=code], [name=recovery]")) {
    field.value = "";
    field.required = false;
  }
  if (!form.reportValidity()) return;
  const { proof } = await prove(button.dataset.challenges, {});
  for (const [name, value] of [["challenge", proof.challenge], ["passkey", JSON.stringify(proof.passkey)]]) {
    const field = form.elements[name] || form.appendChild(document.createElement("input"));
    Object.assign(field, { type: "hidden", name, value });
  }
  form.submit();
}

// Without a password, and without the identity provider.
async function logInBy(button) {
  const { name, request } = button.form.elements;
  if (!name.reportValidity()) return;
  const { challenge, shown } = await call("/login/passkey/begin", { name: name.value });
  const credential = await navigator.credentials.get({ publicKey: toAnswer(shown) });
  const body = { name: name.value, challenge, passkey: toJson(credential) };
  const { to } = await call("/login/passkey", request ? { ...body, request: request.value } : body);
  location.assign(to);
}

const does = { enrol, glass: breakGlass, form: send, login: logInBy };

async function enrol(button) {
  const fields = button.form.elements;
  const typed = (name) => (fields[name] && fields[name].value.trim()) || undefined;
  const body = { name: typed("name"), enrolment_code: typed("enrolment_code") };
  if (typed("code")) body.proof = { code: typed("code") };
  // By a passkey that there is, where no code was typed.
  else if (fields.has_passkey) Object.assign(body, await prove("/api/v1/challenges", {}));
  const shown = await call("/api/v1/factors/passkey", body);
  const credential = await navigator.credentials.create({ publicKey: toEnrol(shown) });
  await call("/api/v1/factors/passkey/confirm", { proof: { passkey: toJson(credential) } });
  location.replace("/enrol");
}

const whys = {
  NotAllowedError: "Nothing was signed: it was called off, took too long, or no passkey of yours is here.",
  InvalidStateError: "This authenticator is enrolled already.",
  NotSupportedError: "This authenticator makes no keys of a kind that the gate takes.",
  SecurityError: "Passkeys of this gate work at its own address only.",
  AbortError: "It was called off.",
};

function complain(button, error) {
  let said = document.getElementById("passkey-problem");
  if (!said) {
    said = document.createElement("p");
    said.id = "passkey-problem";
    said.className = "alert";
    said.setAttribute("role", "alert");
    said.tabIndex = -1;
  }
  button.form.prepend(said);
  const message = whys[error.name] || error.message;
  said.textContent = `${message.charAt(0).toUpperCase()}${message.slice(1)}${message.endsWith(".") ? "" : "."}`;
  said.focus();
}

if (window.PublicKeyCredential && navigator.credentials) {
  for (const part of document.querySelectorAll("[data-passkey]")) part.hidden = false;
  for (const button of document.querySelectorAll("button[data-passkey]")) {
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await (does[button.dataset.passkey] || answer)(button);
      } catch (error) {
        complain(button, error);
      } finally {
        button.disabled = false;
      }
    });
  }
} else {
  for (const part of document.querySelectorAll("[data-no-passkey]")) part.hidden = false;
}
