// Logs in at the provider for a machine without a browser, as somebody with a browser elsewhere would:
// device.mjs ADDRESS CODE NAME [abort]. Prints what the page says before it is confirmed, and what it says in the end.
const [start, code, name, abort] = process.argv.slice(2);
const cookies = new Map();
let [url, form, aborted] = [start, null, false];
for (let step = 0; step < 16; step += 1) {
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
    continue;
  }
  const page = await answer.text();
  const action = page.match(/action="([^"]+)"/)?.[1];
  if (!action || aborted) {
    console.log(page.replaceAll(/<[^>]+>/g, " ").trim());
    process.exit(answer.status < 400 ? 0 : 1);
  }
  const field = (field) => page.match(new RegExp(`name="${field}" value="([^"]+)"`))?.[1];
  url = new URL(action, url).href;
  const prompt = field("prompt");
  if (prompt) {
    form = new URLSearchParams({ prompt, ...(prompt === "login" && { login: name, password: "any" }) }).toString();
  } else if (field("confirm")) {
    console.log(page.replaceAll(/<[^>]+>/g, " ").trim());
    const say = abort ? { abort: "yes" } : { confirm: "yes" };
    form = new URLSearchParams({ xsrf: field("xsrf"), user_code: field("user_code"), ...say }).toString();
    aborted = Boolean(abort);
  } else {
    form = new URLSearchParams({ xsrf: field("xsrf"), user_code: code }).toString();
  }
}
throw new Error("no end of redirects");
