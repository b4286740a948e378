// A browser's way through whatever pages there are: forms.mjs URL NAME. Follows redirects, sends each form as it is with the
// name where one is asked for, and prints where /oidc/callback is reached.
const [start, name] = process.argv.slice(2);
const cookies = new Map();
let [url, form] = [start, null];
const plain = (text) => text.replaceAll("&amp;", "&").replaceAll("&#x2F;", "/").replaceAll("&#43;", "+").replaceAll("&#x3D;", "=");
for (let step = 0; step < 20; step += 1) {
  const host = new URL(url).host;
  const jar = cookies.get(host) ?? cookies.set(host, new Map()).get(host);
  const answer = await fetch(url, {
    redirect: "manual",
    method: form ? "POST" : "GET",
    headers: {
      cookie: [...jar].map(([key, value]) => `${key}=${value}`).join("; "),
      ...(form && { "content-type": "application/x-www-form-urlencoded" }),
    },
    body: form,
  });
  for (const line of answer.headers.getSetCookie()) {
    const [pair] = line.split(";");
    const at = pair.indexOf("=");
    jar.set(pair.slice(0, at), pair.slice(at + 1));
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
  const action = page.match(/<form[^>]*action="([^"]+)"/)?.[1];
  if (!action) throw new Error(`no form: ${answer.status} ${page.slice(0, 600)}`);
  url = new URL(plain(action), url).href;
  const fields = [...page.matchAll(/<input[^>]*>/g)].map(([input]) => {
    const of = (what) => input.match(new RegExp(`${what}="([^"]*)"`))?.[1];
    return [of("name"), plain(of("value") ?? "")];
  }).filter(([field]) => field);
  form = new URLSearchParams(fields.map(([field, value]) => [field, field === "login" ? name : value])).toString();
}
throw new Error("no end of redirects");
