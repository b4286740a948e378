// Logs in at the provider as a browser would: login.mjs URL NAME. Prints where the provider sends the browser in the end.
const [start, name] = process.argv.slice(2);
const cookies = new Map();
let [url, form] = [start, null];
for (let step = 0; step < 12; step += 1) {
  const answer = await fetch(url, {
    redirect: "manual",
    method: form ? "POST" : "GET",
    headers: {
      cookie: [...cookies].map(([key, value]) => `${key}=${value}`).join("; "),
      ...(form && { "content-type": "application/x-www-form-urlencoded" }),
    },
    body: form,
  });
  for (const line of answer.headers.getSetCookie()) {
    const [pair] = line.split(";");
    const at = pair.indexOf("=");
    cookies.set(pair.slice(0, at), pair.slice(at + 1));
  }
  form = null;
  const to = answer.headers.get("location");
  if (to) {
    url = new URL(to, url).href;
    if (new URL(url).pathname === "/oidc/callback") {
      console.log(url);
      process.exit(0);
    }
    continue;
  }
  const page = await answer.text();
  const action = page.match(/action="([^"]+)"/)?.[1];
  const prompt = page.match(/name="prompt" value="([^"]+)"/)?.[1];
  if (!action || !prompt) throw new Error(`no form: ${answer.status} ${page.slice(0, 600)}`);
  url = new URL(action, url).href;
  form = new URLSearchParams({ prompt, ...(prompt === "login" && { login: name, password: "any" }) }).toString();
}
throw new Error("no end of redirects");
