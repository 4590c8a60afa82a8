"use strict";

// Shows /openapi.json without external scripts, because the device may have no internet access.
const token = sessionStorage.getItem("token");
const byId = (id) => document.getElementById(id);

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

function table(heads, rows) {
  const made = document.createElement("table");
  const row = (cells, name) => {
    const line = document.createElement("tr");
    line.append(...cells.map((cell) => element(name, cell)));
    return line;
  };
  made.append(row(heads, "th"), ...rows.map((cells) => row(cells, "td")));
  return made;
}

function typeOf(schema = {}) {
  const limits = [
    ["minimum", "≥"],
    ["maximum", "≤"],
  ].flatMap(([key, sign]) => (key in schema ? [`${sign} ${schema[key]}`] : []));
  const fallback = "default" in schema ? [`default ${schema.default}`] : [];
  return [schema.type ?? "", ...limits, ...fallback].join(", ");
}

function exampleOf(method, path, operation) {
  const url = `${location.origin}${path}`;
  const auth = token ? `-H "Authorization: Bearer $EDGE_RUNTIME_TOKEN" ` : "";
  const kinds = Object.keys(operation.requestBody?.content ?? {});
  if (kinds.includes("image/*")) return `curl ${auth}--data-binary @picture.jpg ${url}\ncurl ${auth}-F file=@picture.jpg ${url}`;
  if (kinds.includes("application/json")) return `curl ${auth}--json '{"label": "bottle"}' ${url}`;
  const options = path.endsWith(".jpg") ? "-O " : path === "/events" ? "-N " : "";
  return path.endsWith(".mjpg") ? `ffplay ${url}` : `curl ${auth}${options}${url}`;
}

function show(method, path, operation) {
  const article = element("article", "", { className: "card" });
  const head = document.createElement("h2");
  head.append(element("b", method.toUpperCase(), { className: method }), element("code", path));
  article.append(head, element("p", operation.summary ?? ""));
  if (operation.description) article.append(element("p", operation.description.replaceAll("`", "")));
  if (operation.parameters?.length) {
    const rows = operation.parameters.map(({ name, schema, description }) => [`?${name}=`, typeOf(schema), description ?? ""]);
    article.append(table(["Parameter", "Type", "Description"], rows));
  }
  const answers = Object.entries(operation.responses ?? {}).map(([status, { description }]) => [status, description.replaceAll("`", "")]);
  article.append(table(["Status", "Meaning"], answers), element("pre", exampleOf(method, path, operation)));
  byId("operations").append(article);
}

async function open() {
  const response = await fetch("openapi.json", token ? { headers: { Authorization: `Bearer ${token}` } } : {});
  if (!response.ok) {
    byId("about").textContent = "Token required. Open the live page, sign in, then reload this page.";
    return;
  }
  const api = await response.json();
  byId("about").textContent = api.info.description.replaceAll("`", "");
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) show(method, path, operation);
  }
}

open();
